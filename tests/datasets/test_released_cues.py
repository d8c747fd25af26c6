"""Boxes in a release: the downloaded zip alone says what was marked, by whom of the people whose ratings it holds."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image as PillowImage

from annotation.answering.turn import take_turn
from annotation.freeze import request_freeze
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Revision
from annotation.models.studies import Item, Study
from annotation.privacy import erase_participation
from annotation.watching.decisions import decide
from datasets import jobs
from datasets.jobs import claim, in_seconds
from datasets.models.jobs import Job
from datasets.models.releases import FrozenCue, Release
from datasets.rows import CUE_COLUMNS
from tests import make

pytestmark = pytest.mark.django_db


def box(n: int, kind: str = "text") -> dict[str, Any]:
    return {"kind": kind, "x": n, "y": n, "width": 8, "height": 5}


def asking(**fields: Any) -> Study:
    return make.study(asks_cues=True, **{"n_pairs": 3, "goal": 99} | fields)


def mark(person: Participation, item: Item, *boxes: dict[str, Any], **fields: Any) -> None:
    make.leases(person)
    assignment = Assignment.objects.get(participation=person, item=item)
    sent = make.answer(assignment, **{"score": 4, "cues": list(boxes)} | fields)
    assert take_turn(person, [sent])["acknowledgements"][0].status == "stored"


@pytest.fixture
def study() -> Study:
    """Three people: one marks, one revises, one is set aside and alone has rated the last pair."""
    study = asking()
    first, second, third = study.items.order_by("pk")
    one, two, aside = (make.participation(study) for _ in range(3))
    mark(one, first, box(1, "face"), box(2))
    mark(one, second)
    mark(two, first, box(3))
    mark(two, first, box(4, "vehicle"), score=6, revises=True)
    mark(aside, first, box(5))
    mark(aside, third, box(0, "place"))
    decide(aside, "use", verdict=False, reason="turned the scale around")
    return study


@pytest.fixture
def archive(study: Study) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(make.archive(make.release(study))) as opened:
        yield opened


def rows(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


def boxes(found: list[dict[str, str]]) -> list[tuple[int, dict[str, Any]]]:
    """Pair and box of each row."""
    return [
        (int(row["pair"]), {"kind": row["kind"]} | {name: int(row[name]) for name in ("x", "y", "width", "height")})
        for row in found
    ]


def test_cues_csv_holds_the_newest_boxes_of_everybody_who_is_used(archive: zipfile.ZipFile) -> None:
    found = sorted(boxes(rows(archive, "cues.csv")), key=lambda row: row[1]["x"])
    assert found == [(1, box(1, "face")), (1, box(2)), (1, box(4, "vehicle"))]


def test_each_box_lies_beside_a_rating_of_the_release(archive: zipfile.ZipFile) -> None:
    ratings = {(row["pair"], row["annotator"]) for row in rows(archive, "ratings.csv")}
    cues = rows(archive, "cues.csv")
    assert {(row["pair"], row["annotator"]) for row in cues} <= ratings
    assert len({row["annotator"] for row in cues}) == 2


def test_each_box_lies_within_the_picture_that_the_release_holds(archive: zipfile.ZipFile) -> None:
    labels = {row["pair"]: row for row in rows(archive, "labels.csv")}
    for row in rows(archive, "cues.csv"):
        with PillowImage.open(io.BytesIO(archive.read(labels[row["pair"]]["anonymized_path"]))) as picture:
            assert picture.size == (int(row["image_width"]), int(row["image_height"]))
            assert int(row["x"]) + int(row["width"]) <= picture.width
            assert int(row["y"]) + int(row["height"]) <= picture.height


def test_boxes_of_who_is_set_aside_lie_beside_their_ratings(archive: zipfile.ZipFile) -> None:
    aside = rows(archive, "set_aside_cues.csv")
    assert boxes(aside) == [(1, box(5)), (3, box(0, "place"))]
    ratings = {(row["pair"], row["annotator"]) for row in rows(archive, "set_aside.csv")}
    assert {(row["pair"], row["annotator"]) for row in aside} == ratings
    assert not {row["annotator"] for row in aside} & {row["annotator"] for row in rows(archive, "ratings.csv")}


def test_hashes_and_words_cover_the_boxes(archive: zipfile.ZipFile) -> None:
    names = [
        "labels.csv",
        "ratings.csv",
        "splits.csv",
        "wording.json",
        "other_answers.csv",
        "set_aside.csv",
        "cues.csv",
        "set_aside_cues.csv",
    ]
    sums = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}
    manifest = json.loads(archive.read("manifest.json"))
    content = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    assert manifest["release"]["content_hash"] == hashlib.sha256(content.encode()).hexdigest()
    assert manifest["release"]["study"]["asks_cues"] is True
    listed = dict(reversed(line.split("  ")) for line in archive.read("SHA256SUMS").decode().splitlines())
    assert sums.items() <= listed.items()
    readme = archive.read("README.md").decode()
    assert " ".join(names) in readme
    assert "| cues.csv |" in readme
    assert "| set_aside_cues.csv |" in readme


def test_where_nobody_marked_anything_the_file_says_so_by_having_no_row() -> None:
    with zipfile.ZipFile(make.archive(make.release(make.rated_study(asks_cues=True)))) as archive:
        assert archive.read("cues.csv").decode() == ",".join(CUE_COLUMNS) + "\n"
        assert "set_aside_cues.csv" not in archive.namelist()


def test_where_boxes_were_not_asked_for_there_is_no_such_file() -> None:
    with zipfile.ZipFile(make.archive(make.release(make.rated_study()))) as archive:
        assert not [name for name in archive.namelist() if "cues" in name]
        assert "cues.csv" not in archive.read("README.md").decode()


def test_boxes_that_come_after_a_freeze_was_asked_for_stay_out_of_it(study: Study) -> None:
    job = request_freeze(study)
    first = study.items.order_by("pk")[0]
    two = Participation.objects.order_by("pk")[1]
    mark(two, first, box(6, "object"), score=1, revises=True)
    mark(make.participation(study), first, box(7))
    release = Release.objects.get(pk=make.done(job).result["release"])
    assert sorted(release.cues.filter(is_set_aside=False).values_list("x", flat=True)) == [1, 2, 4]
    later = make.release(study)
    assert sorted(later.cues.filter(is_set_aside=False).values_list("x", flat=True)) == [1, 2, 6, 7]


def test_answers_to_repeats_and_checks_bring_no_box(study: Study) -> None:
    Assignment.objects.filter(participation=Participation.objects.order_by("pk")[1]).update(purpose="check")
    assert sorted(make.release(study).cues.filter(is_set_aside=False).values_list("x", flat=True)) == [1, 2]


def test_who_is_erased_is_in_no_later_release_and_an_earlier_one_stays_as_it_is(study: Study) -> None:
    before = make.release(study)
    frozen = list(before.cues.values())
    erase_participation(Participation.objects.order_by("pk")[0])
    assert list(before.cues.values()) == frozen
    after = make.release(study)
    assert list(after.cues.filter(is_set_aside=False).values_list("x", flat=True)) == [4]


def test_the_next_attempt_of_a_freeze_leaves_no_box_of_the_one_that_died(study: Study) -> None:
    draft = make.release(study)  # as the attempt would have left it, with its boxes
    job = request_freeze(study)
    assert claim(job.pk)
    Release.objects.filter(pk=draft.pk).update(frozen_at=None, origins=draft.origins | {"job": job.pk})
    Job.objects.filter(pk=job.pk).update(leased_until=in_seconds(-1))
    jobs.reap()
    release = Release.objects.get(pk=make.done(job).result["release"])
    assert not Release.objects.filter(pk=draft.pk).exists()
    assert set(FrozenCue.objects.values_list("release", flat=True)) == {release.pk}


def test_an_export_of_the_same_rows_has_the_same_bytes(study: Study) -> None:
    release = make.release(study)
    first = make.archive(release).read_bytes()
    make.archive(release).unlink()
    assert make.archive(release).read_bytes() == first


def test_many_people_and_pairs_are_frozen_with_few_statements_for_boxes(
    study: Study, django_assert_max_num_queries: Any
) -> None:
    for n in range(6):
        mark(make.participation(study), study.items.order_by("pk")[n % 3], box(n))
    assert Revision.objects.count() == 12
    job = request_freeze(study)
    with django_assert_max_num_queries(90) as captured:
        make.done(job)
    assert len([each for each in captured if "annotation_cue" in each["sql"]]) == 2  # of one batch, and what is aside
