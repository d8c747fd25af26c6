from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0025_hash_codes'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='participation',
            name='withdrawal_code',
        ),
    ]
