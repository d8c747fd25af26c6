from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0006_pair_numbers'),
    ]

    operations = [
        migrations.AddField(
            model_name='image',
            name='changes',
            field=models.JSONField(blank=True, null=True),
        ),
    ]
