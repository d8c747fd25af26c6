from django.db import migrations


class Migration(migrations.Migration):
    """The keys by which names in releases could be made again are gone, once those names are kept."""

    dependencies = [
        ("datasets", "0018_tallies"),
        ("annotation", "0027_names_in_releases"),
    ]

    operations = [
        migrations.RemoveField(model_name="release", name="pseudonym_key"),
    ]
