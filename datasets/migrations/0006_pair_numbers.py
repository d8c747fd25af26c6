"""Pairs get a number in their project. Those that are there keep the one that pages and downloads have named them by.

Labels of releases so far say what they said: their row, and the group as it was imported.
"""

from typing import Any

from django.db import migrations, models
from django.db.models import F, Max

from datasets.splits import part_of


def keep_numbers(apps: Any, schema_editor: Any) -> None:
    pairs = apps.get_model("datasets", "Pair").objects
    pairs.update(number=F("pk"))
    projects = apps.get_model("datasets", "Project").objects
    for project, last in pairs.order_by().values_list("project").annotate(last=Max("number")):
        projects.filter(pk=project).update(last_pair_number=last)


def keep_labels(apps: Any, schema_editor: Any) -> None:
    labels, last = apps.get_model("datasets", "Label").objects, 0
    while batch := list(labels.filter(pk__gt=last).order_by("pk")[:2000]):
        for label in batch:
            label.pair, label.public_group, label.part = label.number, label.group, part_of(label.group)
        labels.bulk_update(batch, ["pair", "public_group", "part"])
        last = batch[-1].pk
    if schema_editor.connection.vendor == "postgresql":  # it alters no table of which foreign keys are still to be checked
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")


class Migration(migrations.Migration):
    dependencies = [("datasets", "0005_release_texts")]
    operations = [
        migrations.AddField(
            "project", "last_pair_number", models.PositiveIntegerField(default=0, editable=False)
        ),
        migrations.AddField("pair", "number", models.PositiveIntegerField(editable=False, null=True)),
        migrations.RunPython(keep_numbers, migrations.RunPython.noop),
        migrations.AlterField("pair", "number", models.PositiveIntegerField(editable=False)),
        migrations.AddField("label", "pair", models.PositiveIntegerField(default=0), preserve_default=False),
        migrations.AddField("label", "public_group", models.CharField(default="", max_length=120), preserve_default=False),
        migrations.AddField("label", "part", models.CharField(default="", max_length=5), preserve_default=False),
        migrations.RunPython(keep_labels, migrations.RunPython.noop),
        migrations.AddConstraint(
            "label", models.UniqueConstraint(fields=["release", "pair"], name="one_label_per_pair")
        ),
        migrations.AddConstraint(
            "pair", models.UniqueConstraint(fields=["project", "number"], name="one_number_per_pair")
        ),
    ]
