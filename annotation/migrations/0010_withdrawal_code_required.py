import annotation.models.people
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0009_withdrawal_codes'),
    ]

    operations = [
        migrations.AlterField(
            model_name='participation',
            name='withdrawal_code',
            field=models.CharField(default=annotation.models.people.new_withdrawal_code, editable=False, max_length=12, unique=True),
        ),
    ]
