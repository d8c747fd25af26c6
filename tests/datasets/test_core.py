"""A release of a study whose rules bias figures says which pairs they never touched, with the agreement on those."""

import csv
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from annotation.models.quality import Decision
from datasets.models.releases import Release
from datasets.rows import LABEL_COLUMNS
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
BIASED = {"stops_adaptively": True, "is_ordered_by_model": True}


def released(**fields: Any) -> Release:
    defaults = {"n_pairs": 8, "per_group": 2, "n_people": 4, "core_percent": 50, "stops_adaptively": True}
    return make.release(make.rated_study(**defaults | fields))


def unzipped(release: Release, to: Path) -> Path:
    with zipfile.ZipFile(make.archive(release)) as archive:
        archive.extractall(to)
    return to


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def core_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "agreement.json").read_text())["sets"]["core"])


@pytest.mark.parametrize("rule", BIASED)
def test_labels_say_which_pairs_are_of_the_core(rule: str, tmp_path: Path) -> None:
    study = make.rated_study(n_pairs=8, per_group=2, core_percent=25, **{rule: True})
    release = make.release(study)
    labels = rows(unzipped(release, tmp_path), "labels.csv")
    assert list(labels[0]) == [*LABEL_COLUMNS, "is_core"]
    core = set(study.items.filter(is_core=True).values_list("group", flat=True))
    public = {label.group: label.public_group for label in release.labels.all()}
    assert {row["group"] for row in labels if row["is_core"] == "1"} == {public[name] for name in core}
    assert [row["is_core"] for row in labels].count("1") == 2
    assert {row["is_core"] for row in labels} == {"0", "1"}


def test_agreement_of_the_core_is_that_of_its_ratings_as_used(tmp_path: Path) -> None:
    study = make.rated_study(n_pairs=8, per_group=2, n_people=4, core_percent=50, stops_adaptively=True)
    person = study.participations.order_by("pk")[0]
    Decision.objects.create(participation=person, kind=Decision.Kind.USE, verdict=False, reason="too fast")
    folder = unzipped(make.release(study), tmp_path)
    pairs = [row["pair"] for row in rows(folder, "labels.csv") if row["is_core"] == "1"]
    ratings = [row for row in rows(folder, "ratings.csv") if row["pair"] in pairs]
    people = sorted({row["annotator"] for row in ratings})
    table = np.full((len(people), len(pairs)), np.nan)
    for row in ratings:
        table[people.index(row["annotator"]), pairs.index(row["pair"])] = float(row["score"])
    core = core_of(folder)
    for level in ("interval", "ordinal", "nominal"):
        found = krippendorff.alpha(table, level_of_measurement=level, value_domain=range(1, 11))
        assert core[level]["alpha"] == pytest.approx(found, abs=1e-12)
    said = sorted((int(row["pair"]), row["annotator"], row["score"]) for row in ratings)
    lines = "".join(f"{pair},{annotator},{score}\n" for pair, annotator, score in said)
    assert core["sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert (core["n_annotators"], core["n_ratings"], len(core["excluded"])) == (3, 12, 1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"core_percent": 0}, "no_pairable_values"),
        ({"n_people": 1}, "no_pairable_values"),
        ({"scores": [5]}, "no_variation"),
    ],
)
def test_agreement_of_the_core_that_is_undefined_says_why(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    core = core_of(unzipped(released(**fields), tmp_path))
    assert (core["interval"]["alpha"], core["interval"]["reason"]) == (None, reason)


def test_a_study_without_such_rules_has_neither_column_nor_figure_nor_warning(tmp_path: Path) -> None:
    release = released(stops_adaptively=False)
    folder = unzipped(release, tmp_path)
    assert list(rows(folder, "labels.csv")[0]) == list(LABEL_COLUMNS)
    assert "core" not in release.agreement["sets"]
    assert "biased" not in (folder / "README.md").read_text()
    assert "biased" not in page_of(release)


def test_page_and_readme_warn_of_all_pairs_and_lead_to_the_core(tmp_path: Path) -> None:
    release = released()
    page, readme = page_of(release), (unzipped(release, tmp_path) / "README.md").read_text()
    assert "figures of all its pairs are biased" in page
    assert "of the core, as used" in page
    assert "**Figures of all these pairs are biased**" in readme


def page_of(release: Release) -> str:
    researcher = Client()
    researcher.force_login(make.member(release.project))
    address = reverse("datasets:release", args=[release.project.slug, release.slug, release.version])
    return researcher.get(address).content.decode()
