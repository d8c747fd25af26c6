from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0020_used_at'),
        ('datasets', '0010_pictures_and_merges'),
    ]

    operations = [
        migrations.AddField(
            model_name='study',
            name='newest_renewal',
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
    ]
