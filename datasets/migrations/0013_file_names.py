from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datasets", "0011_told_hash")]
    operations = [
        migrations.AddField("label", "original_file", models.CharField(blank=True, max_length=400)),
        migrations.AddField("label", "anonymized_file", models.CharField(blank=True, max_length=400)),
    ]
