from django.db import migrations, models
from django.db.models import Min, OuterRef, Subquery


def note_when_used(apps, schema_editor):
    """Of the personal links with which people began. Where all were erased, nothing tells any more."""
    begun = apps.get_model('annotation', 'Participation').objects.filter(invitation=OuterRef('pk'))
    first = begun.order_by().values('invitation').annotate(first=Min('consented_at')).values('first')
    apps.get_model('annotation', 'Invitation').objects.filter(kind='personal').update(used_at=Subquery(first))


class Migration(migrations.Migration):
    """A personal link stays used when the person who used it is erased."""

    dependencies = [
        ('annotation', '0019_words_of_settings'),
    ]

    operations = [
        migrations.AddField(
            model_name='invitation',
            name='used_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(note_when_used, migrations.RunPython.noop),
    ]
