import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0007_said_beside'),
    ]

    operations = [
        # Empty at first: each row gets a code of its own in the next migration.
        migrations.AddField(
            model_name='participation',
            name='withdrawal_code',
            field=models.CharField(editable=False, max_length=12, null=True, unique=True),
        ),
        migrations.AddField(
            model_name='study',
            name='completion_code',
            field=models.CharField(blank=True, max_length=60),
        ),
        migrations.AddField(
            model_name='study',
            name='completion_url',
            field=models.CharField(blank=True, max_length=500, validators=[django.core.validators.URLValidator(message='Enter an address that begins with https:// or http://.', schemes=['http', 'https'])]),
        ),
    ]
