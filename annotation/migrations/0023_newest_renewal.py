from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0022_pay'),
        ('datasets', '0016_pictures_and_merges'),
    ]

    operations = [
        migrations.AddField(
            model_name='study',
            name='newest_renewal',
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
    ]
