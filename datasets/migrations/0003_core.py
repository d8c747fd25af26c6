from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0002_set_aside'),
    ]

    operations = [
        migrations.AddField(
            model_name='label',
            name='is_core',
            field=models.BooleanField(null=True),
        ),
    ]
