"""What a release says beside its content gets a hash too. Those frozen so far are sealed as they stand."""

import hashlib
import json
from typing import Any

from django.db import migrations, models


def seal(apps: Any, schema_editor: Any) -> None:
    for release in apps.get_model("datasets", "Release").objects.exclude(frozen_at=None):
        release.told_hash = told_hash(release)
        release.save(update_fields=["told_hash"])


def told_hash(release: Any) -> str:
    told = {"agreement.json": _json(release.agreement), "README.md": release.readme, "manifest": _json(release.facts)}
    lines = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in told.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class Migration(migrations.Migration):
    dependencies = [("datasets", "0009_other_answers")]
    operations = [
        migrations.AddField("release", "told_hash", models.CharField(max_length=64, blank=True)),
        migrations.RunPython(seal, migrations.RunPython.noop),
    ]
