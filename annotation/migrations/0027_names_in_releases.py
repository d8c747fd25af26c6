"""Names of people in releases are kept beside them, no longer made of keys. Those that stand are as they were."""

import hashlib
import hmac
from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

AT_ONCE = 1000


def keep_names(apps: Any, editor: Any) -> None:
    """As they were made of the release's key and the site's; only those that the release holds."""
    participations = apps.get_model("annotation", "Participation").objects
    kept = apps.get_model("annotation", "NameInRelease").objects
    for release in apps.get_model("datasets", "Release").objects.exclude(frozen_at=None):
        named = names_in(apps, release)
        people = participations.filter(
            study__public_id=release.origins["study_id"], study__campaign__project=release.project_id
        )
        annotators = people.values_list("annotator", flat=True).distinct()
        rows = (
            kept.model(release=release, annotator_id=annotator, name=name)
            for annotator in annotators
            if (name := name_of(release.pseudonym_key, annotator)) in named
        )
        kept.bulk_create(rows, batch_size=AT_ONCE)


def names_in(apps: Any, release: Any) -> set[str]:
    found = set(
        apps.get_model("datasets", "FrozenRating")
        .objects.filter(label__release=release)
        .values_list("annotator", flat=True)
    )
    for table in ("SetAsideRating", "OtherAnswer"):
        rows = apps.get_model("datasets", table).objects.filter(release=release)
        found.update(rows.values_list("annotator", flat=True))
    return found


def name_of(key: str, annotator: int) -> str:
    message = f"{key}:annotator:{annotator}".encode()
    return "R-" + hmac.new(settings.PSEUDONYM_KEY.encode(), message, hashlib.sha256).hexdigest()[:12]


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0026_no_codes"),
        ("datasets", "0018_tallies"),
    ]

    operations = [
        migrations.CreateModel(
            name="NameInRelease",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=24)),
                (
                    "annotator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="names_in_releases",
                        to="annotation.annotator",
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="names", to="datasets.release"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("annotator", "release"), name="one_name_per_release"),
                    models.UniqueConstraint(fields=("release", "name"), name="one_person_per_name"),
                ],
            },
        ),
        migrations.RunPython(keep_names, migrations.RunPython.noop, elidable=True),
    ]
