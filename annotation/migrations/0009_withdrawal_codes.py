from django.db import migrations

from annotation.models.people import new_withdrawal_code

BATCH = 2000


def give_codes(apps, schema_editor):
    """Whoever took part before there were codes finds one under "Your data"."""
    participations = apps.get_model('annotation', 'Participation').objects
    while people := list(participations.filter(withdrawal_code=None).only('pk')[:BATCH]):
        for person in people:
            person.withdrawal_code = new_withdrawal_code()
        participations.bulk_update(people, ['withdrawal_code'], batch_size=200)


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0008_before_and_after'),
    ]

    operations = [
        migrations.RunPython(give_codes, migrations.RunPython.noop),
    ]
