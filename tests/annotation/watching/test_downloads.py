"""What a researcher downloads beside the ratings: how pictures were looked at, and what was said of them in words."""

import csv
import zipfile
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.answering.turn import take_turn
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from annotation.watching.downloads import COLUMNS
from datasets.models.projects import Role
from tests import make
from tests.annotation.answering.test_viewing import VIEWING
from tests.annotation.watching.test_queries import downloaded as ratings

pytestmark = pytest.mark.django_db


def researcher(study: Study) -> Client:
    client = Client()
    client.force_login(make.member(study.project))
    return client


def address(study: Study) -> str:
    return reverse("annotation:remarks", args=[study.public_id])


def downloaded(study: Study) -> list[dict[str, str]]:
    reply = researcher(study).get(address(study))
    assert reply["Content-Disposition"].endswith(f'{study.mode}-remarks.csv"')
    return list(csv.DictReader(StringIO(reply.getvalue().decode(), newline="")))


def say(person: Participation, **fields: Any) -> Assignment:
    given = make.leases(person)[0]
    take_turn(person, [make.answer(given, **fields)])
    return given


@pytest.fixture
def person() -> Participation:
    return make.participation(make.study(n_pairs=6, goal=3))


def test_each_answer_has_a_row_with_how_it_was_looked_at_and_what_was_said(person: Participation) -> None:
    given = say(person, score=4, viewing=VIEWING, hidden_seconds=0.0, note="A medal,\nand a flag.", knows="maybe")
    [row] = downloaded(person.study)
    assert list(row) == COLUMNS
    assert (row["pair"], row["annotator"]) == (str(given.item.pair.number), person.annotator.pseudonym)
    assert (row["position"], row["purpose"], row["score"]) == ("1", "main", "4")
    assert (row["knows"], row["note"], row["skipped"]) == ("maybe", "A medal,\nand a flag.", "")
    assert (row["side_seconds"], row["swipe_seconds"], row["flicker_seconds"]) == ("3.25", "1.5", "")
    named = {name: value for name, value in VIEWING.items() if name != "seconds"}
    assert {name: float(row[name]) for name in named} == named


def test_a_row_is_joined_to_its_rating_by_pair_annotator_and_position(person: Participation) -> None:
    for score in (3, 9, 5):
        say(person, score=score, note=f"{score}")
    key = ("pair", "annotator", "position")
    notes = {tuple(row[name] for name in key): row["note"] for row in downloaded(person.study)}
    assert {tuple(row[name] for name in key): row["score"] for row in ratings(person.study)} == notes


def test_an_answer_without_any_of_it_has_empty_cells(person: Participation) -> None:
    say(person, score=7)
    [row] = downloaded(person.study)
    assert {name for name, value in row.items() if value} == {
        "pair", "annotator", "position", "purpose", "score", "seconds",
    }  # fmt: skip


def test_what_was_skipped_or_reported_has_a_row_without_a_score(person: Participation) -> None:
    say(person, score=None, skips="distressing", note="An accident.")
    say(person, score=5)
    skipped, rated = sorted(downloaded(person.study), key=lambda row: int(row["position"]))
    assert (skipped["skipped"], skipped["skip_note"], skipped["score"]) == ("distressing", "An accident.", "")
    assert (rated["skipped"], rated["score"]) == ("", "5")


def test_whatever_a_pair_was_shown_for_it_has_its_row(person: Participation) -> None:
    for _ in range(2):
        say(person)
    Assignment.objects.filter(position=2).update(purpose="check")
    assert sorted(row["purpose"] for row in downloaded(person.study)) == ["check", "main"]


def test_people_who_withdrew_are_left_out(person: Participation) -> None:
    say(person, note="mine")
    gone = make.participation(person.study)
    say(gone, note="theirs")
    say(gone, score=None, skips="other", note="theirs too")
    Participation.objects.filter(pk=gone.pk).update(withdrawn_at=timezone.now())
    assert [row["note"] for row in downloaded(person.study)] == ["mine"]


def test_another_studys_rows_stay_there(person: Participation) -> None:
    other = make.study(person.study.project, n_pairs=0)
    say(make.participation(other))
    assert downloaded(person.study) == []


@pytest.mark.parametrize("words", ['=HYPERLINK("https://x.example")', "+1", "-1", "@SUM(A1)", "\t=1"])
def test_words_that_a_spreadsheet_would_compute_are_kept_from_it(person: Participation, words: str) -> None:
    say(person, note=words)
    say(person, score=None, skips="other", note=words)
    cells = {row[name] for row in downloaded(person.study) for name in ("note", "skip_note")}
    assert cells == {"", "'" + words.strip()}


def test_it_costs_the_same_for_little_and_much(person: Participation) -> None:
    browser, costs = researcher(person.study), []
    for _ in range(2):
        for _ in range(3):
            say(person, note="A tree.", viewing=VIEWING)
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(address(person.study)).getvalue()
        costs.append(len(captured))
    assert costs[0] == costs[1]


def test_it_comes_line_by_line(person: Participation) -> None:
    say(person)
    say(person)
    reply = researcher(person.study).get(address(person.study))
    assert reply.streaming
    assert len(list(reply)) == 3


@pytest.mark.parametrize("role", [Role.ANNOTATOR, None])
def test_it_is_for_the_projects_researchers_alone(person: Participation, role: str | None) -> None:
    say(person, note="A tree.")
    client = Client()
    client.force_login(make.member(person.study.project if role else make.project(), role or Role.ADMIN))
    assert client.get(address(person.study)).status_code == 404


def test_the_studys_page_links_to_it_and_the_command_prints_the_same(
    person: Participation, capsys: pytest.CaptureFixture[str]
) -> None:
    say(person, note="Zwölf Bäume", viewing=VIEWING)
    study = person.study
    page = researcher(study).get(reverse("annotation:study", args=[study.public_id])).content.decode()
    assert f'href="{address(study)}"' in page
    call_command("study", f"{study.project.slug}/{study.campaign.slug}/{study.mode}", "--remarks")
    assert capsys.readouterr().out == researcher(study).get(address(study)).getvalue().decode()


def test_a_release_holds_none_of_it(person: Participation) -> None:
    for _ in range(3):
        say(person, note="Schattenfuge", knows="maybe", viewing=VIEWING | {"pixel_ratio": 3.7157})
    with zipfile.ZipFile(make.archive(make.release(person.study))) as archive:
        held = b"".join(archive.read(name) for name in archive.namelist())
    assert [word for word in (b"Schattenfuge", b"3.7157", b"maybe") if word in held] == []
