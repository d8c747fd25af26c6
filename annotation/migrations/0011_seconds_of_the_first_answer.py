from django.db import migrations
from django.db.models import OuterRef, Subquery


def take_those_of_the_first_answer(apps, schema_editor):
    """A revision once took the place of the time that the answer had taken; the first revision still knows it."""
    first = apps.get_model('annotation', 'Revision').objects.filter(rating=OuterRef('pk'), number=1)
    revised = apps.get_model('annotation', 'Rating').objects.filter(revisions__number=2)
    revised.update(seconds=Subquery(first.values('seconds')[:1]))


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0010_withdrawal_code_required'),
    ]

    operations = [
        migrations.RunPython(take_those_of_the_first_answer, migrations.RunPython.noop),
    ]
