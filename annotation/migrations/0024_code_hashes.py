from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0023_newest_renewal'),
    ]

    operations = [
        migrations.AddField(
            model_name='participation',
            name='code_hash',
            field=models.CharField(editable=False, max_length=64, null=True, unique=True),
        ),
        # So that whoever goes back can get one each.
        migrations.AlterField(
            model_name='participation',
            name='withdrawal_code',
            field=models.CharField(editable=False, max_length=12, null=True, unique=True),
        ),
    ]
