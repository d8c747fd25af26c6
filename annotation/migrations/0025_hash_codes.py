from django.db import migrations

from annotation.models.people import hash_of_code, new_withdrawal_code

BATCH = 2000


def hash_codes(apps, schema_editor):
    """Those that people have written down go on working."""
    participations = apps.get_model('annotation', 'Participation').objects
    hashed = participations.filter(code_hash=None).exclude(withdrawal_code=None)
    while people := list(hashed.only('pk', 'withdrawal_code')[:BATCH]):
        for person in people:
            person.code_hash = hash_of_code(person.withdrawal_code)
        participations.bulk_update(people, ['code_hash'], batch_size=200)


def give_new_codes(apps, schema_editor):
    """A hash does not lead back to its code."""
    participations = apps.get_model('annotation', 'Participation').objects
    while people := list(participations.filter(withdrawal_code=None).only('pk')[:BATCH]):
        for person in people:
            person.withdrawal_code = new_withdrawal_code()
        participations.bulk_update(people, ['withdrawal_code'], batch_size=200)


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0024_code_hashes'),
    ]

    operations = [
        migrations.RunPython(hash_codes, give_new_codes),
    ]
