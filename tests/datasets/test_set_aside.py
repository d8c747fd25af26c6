"""Agreement for all, by the preregistered rule, and as used: each computed again from the downloaded zip alone."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import krippendorff
import numpy as np
import pytest

from annotation.freeze import request_freeze
from annotation.models.studies import Study
from annotation.studies.life import change_goal, change_state
from annotation.studies.preregistration import ExclusionRule, change_preregistration
from annotation.watching.decisions import decide
from datasets.models.releases import Release
from tests import make
from tests.annotation.said import said, say

pytestmark = pytest.mark.django_db

SETS = ("all", "by_rule", "as_used")


def frozen() -> Release:
    """Three people who agree, one whom the rule sets aside (few ratings), one whom a person decided against, who alone
    rated the last pair."""
    study = make.study(n_pairs=6, is_open=False, goal=5)
    change_preregistration(study, headline="ordinal", rule=ExclusionRule(fewer_ratings_than=4))
    change_state(study, Study.State.OPEN)
    said(study, [[2, 4, 6, 8, 3], [2, 5, 6, 9, 3], [1, 4, 7, 8, 2], [9, 1, 5]])
    odd = say(make.participation(study), dict(zip(study.items.order_by("pk"), [9, 9, 1, 2, 8, 5], strict=True)))
    decide(odd, "use", verdict=False, reason="turned the scale around")
    change_goal(study, 4, reason="no more money")
    return make.release(study)


@pytest.fixture
def archive() -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(make.archive(frozen())) as opened:
        yield opened


def rows(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


def told(archive: zipfile.ZipFile) -> dict[str, Any]:
    return json.loads(archive.read("agreement.json"))


def ratings(archive: zipfile.ZipFile, which: str) -> list[tuple[int, str, float]]:
    """As somebody would who has nothing but the zip."""
    given = rows(archive, "ratings.csv") + rows(archive, "set_aside.csv")
    left_out = set(told(archive)["sets"][which]["excluded"])
    return sorted(
        (int(row["pair"]), row["annotator"], float(row["score"])) for row in given if row["annotator"] not in left_out
    )


@pytest.mark.parametrize("which", SETS)
def test_each_alpha_is_what_the_krippendorff_package_finds_in_the_files(archive: zipfile.ZipFile, which: str) -> None:
    given = ratings(archive, which)
    people = sorted({annotator for _, annotator, _ in given})
    table = np.full((len(people), max(pair for pair, _, _ in given)), np.nan)
    for pair, annotator, score in given:
        table[people.index(annotator), pair - 1] = score
    for level in ("interval", "ordinal", "nominal"):
        found = krippendorff.alpha(table, level_of_measurement=level, value_domain=range(1, 11))
        assert told(archive)["sets"][which][level]["alpha"] == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("which", SETS)
def test_the_hash_is_of_the_ratings_that_the_figure_rests_on(archive: zipfile.ZipFile, which: str) -> None:
    lines = "".join(f"{pair},{annotator},{score:g}\n" for pair, annotator, score in ratings(archive, which))
    assert told(archive)["sets"][which]["sha256"] == hashlib.sha256(lines.encode()).hexdigest()


def test_rule_and_decision_leave_out_whom_they_are_about(archive: zipfile.ZipFile) -> None:
    sets = told(archive)["sets"]
    assert [(sets[name]["n_annotators"], len(sets[name]["excluded"])) for name in SETS] == [(5, 0), (4, 1), (4, 1)]
    assert set(sets["by_rule"]["excluded"]) != set(sets["as_used"]["excluded"])
    assert {name: sets["as_used"][name] for name in ("interval", "n_ratings")} == {
        name: told(archive)[name] for name in ("interval", "n_ratings")
    }


def test_ratings_that_are_not_used_are_in_no_label_and_in_a_file_of_their_own(archive: zipfile.ZipFile) -> None:
    assert len(rows(archive, "labels.csv")) == 5
    assert [int(row["pair"]) for row in rows(archive, "set_aside.csv")] == [1, 2, 3, 4, 5, 6]
    names = {row["annotator"] for row in rows(archive, "ratings.csv")}
    assert not names & {row["annotator"] for row in rows(archive, "set_aside.csv")}
    assert max(int(row["n"]) for row in rows(archive, "labels.csv")) == 4


def test_the_content_hash_covers_what_was_set_aside(archive: zipfile.ZipFile) -> None:
    names = ["labels.csv", "ratings.csv", "splits.csv", "wording.json", "other_answers.csv", "set_aside.csv"]
    lines = "".join(f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}\n" for name in names)
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["release"]["content_hash"] == hashlib.sha256(lines.encode()).hexdigest()
    assert " ".join(names) in archive.read("README.md").decode()


def test_the_manifest_names_the_plan_its_hash_and_every_deviation(archive: zipfile.ZipFile) -> None:
    plan = json.loads(archive.read("manifest.json"))["release"]["study"]["plan"]
    text = json.dumps(plan["fixed"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert plan["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (plan["fixed"]["headline"], plan["fixed"]["goal"]) == ("ordinal", 5)
    [deviation] = plan["deviations"]
    assert (deviation["what"], deviation["before"], deviation["after"]) == ("goal", 5, 4)
    assert deviation["why"] == "no more money"


def test_a_release_without_decisions_has_no_such_file() -> None:
    with zipfile.ZipFile(make.archive(make.release(make.rated_study()))) as archive:
        assert "set_aside.csv" not in archive.namelist()
        assert "set_aside.csv" not in archive.read("README.md").decode()
        sets = told(archive)["sets"]
    assert sets["all"] == sets["by_rule"] == sets["as_used"]


def test_the_rule_is_the_one_that_was_fixed_not_the_one_it_was_changed_to() -> None:
    study = make.rated_study(n_people=3)
    rule = ExclusionRule(fewer_ratings_than=1000)
    change_preregistration(study, headline="interval", rule=rule, reason="an afterthought")
    assert make.release(study).agreement["sets"]["by_rule"]["excluded"] == []


def test_a_rule_that_leaves_nobody_is_undefined_and_says_why() -> None:
    study = make.study(n_pairs=4, is_open=False, goal=5)
    change_preregistration(study, headline="interval", rule=ExclusionRule(fewer_ratings_than=1000))
    change_state(study, Study.State.OPEN)
    said(study, [[2, 4, 6, 8], [2, 5, 6, 9]])
    by_rule = make.release(study).agreement["sets"]["by_rule"]
    assert by_rule["interval"] == {
        "alpha": None,
        "reason": "no_pairable_values",
        "low": None,
        "high": None,
        "ci_reason": "no_pairable_values",
    }
    assert (by_rule["n_annotators"], by_rule["n_ratings"]) == (0, 0)


def test_what_is_decided_or_changed_after_a_freeze_was_asked_for_stays_out_of_it() -> None:
    study = make.rated_study(n_people=3)
    job = request_freeze(study)
    first = study.participations.order_by("pk")[0]
    decide(first, "use", verdict=False, reason="a moment too late")
    change_preregistration(study, headline="nominal", rule=ExclusionRule(failed_checks=1), reason="a moment too late")
    release = Release.objects.get(pk=make.done(job).result["release"])
    assert (release.origins["n_set_aside"], release.origins["plan"]["deviations"]) == (0, [])
    assert not release.set_aside.exists()
    later = make.release(study)
    assert (later.origins["n_set_aside"], len(later.origins["plan"]["deviations"])) == (1, 1)
