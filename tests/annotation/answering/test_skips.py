"""Pairs that somebody does not rate, and what is said beside a score."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.answering.turn import take_turn
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Rating, Remark, Report
from annotation.models.studies import Item, Study
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def skip(assignment: Assignment, kind: Any = "distressing", **fields: Any) -> dict[str, Any]:
    return make.answer(assignment, skips=kind, **fields) | {"score": None}


def said(person: Participation, *answers: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each.status, each.code) for each in take_turn(person, list(answers))["acknowledgements"]]


@pytest.fixture
def person() -> Participation:
    return make.participation(make.study(n_pairs=4, session_size=3, goal=1))


def test_a_skipped_pair_leaves_at_once_and_its_place_goes_to_others(person: Participation) -> None:
    given = make.leases(person)[0]
    assert said(person, skip(given, note="It shows an accident.")) == [("stored", "")]
    assert given.pk not in {each.pk for each in make.leases(person)}
    item = Item.objects.get(pk=given.item_id)
    assert (item.n_held, item.n_rated) == (0, 0)
    report = Report.objects.get()
    assert (report.kind, report.words) == ("distressing", "It shows an accident.")
    assert {each.item_id for each in make.leases(make.participation(person.study))} == {item.pk}


def test_it_never_comes_back_to_whoever_skipped_it_not_even_as_a_repeat_or_when_time_runs_out(
    person: Participation,
) -> None:
    given = make.leases(person)[0]
    again = Assignment.objects.create(
        participation=person, item=given.item, occurrence=1, purpose="repeat", position=99, reason="repeat",
        reserved_at=given.reserved_at,
    )  # fmt: skip
    said(person, skip(given))
    make.expire(given)
    make.rate_all(person)
    again.refresh_from_db()
    assert (again.answered_at, again.served_at) == (None, None)
    assert not Rating.objects.filter(assignment__item=given.item).exists()


def test_another_pair_takes_the_place_of_a_skipped_one(person: Participation) -> None:
    said(person, skip(make.leases(person)[0]))
    make.rate_all(person)
    person.refresh_from_db()
    assert (person.n_answered, person.finished_at is not None) == (3, True)


def test_whoever_skips_everything_comes_to_the_end(person: Participation) -> None:
    for _ in range(10):
        if not (held := make.leases(person)):
            break
        said(person, skip(held[0], "cannot_tell"))
    person.refresh_from_db()
    assert person.finished_at is not None
    assert set(Item.objects.values_list("n_held", flat=True)) == {0}


def test_a_skip_sent_again_is_stored_once(person: Participation) -> None:
    given = make.leases(person)[0]
    sent = skip(given)
    assert said(person, sent, sent, skip(given, "broken")) == [("stored", "")] * 3
    assert Report.objects.get().kind == "distressing"
    assert Item.objects.get(pk=given.item_id).n_held == 0


@pytest.mark.parametrize("kind", ["boring", "", 3, [], {}])
def test_a_skip_without_a_known_reason_is_refused_and_leaves_no_trace(person: Participation, kind: Any) -> None:
    given = make.leases(person)[0]
    assert said(person, skip(given, kind)) == [("refused", "invalid_answer")]
    assert not Report.objects.exists()


def test_a_rated_pair_and_somebody_elses_are_not_skipped(person: Participation) -> None:
    first = make.leases(person)[0]
    make.rate(person, 5)
    stranger = make.participation(person.study)
    assert said(person, skip(first)) == [("refused", "already_rated")]
    assert said(stranger, skip(make.leases(person)[0])) == [("refused", "unknown_assignment")]
    assert not Report.objects.exists()


def test_the_picture_of_a_skipped_pair_is_shown_no_more(person: Participation) -> None:
    given = make.leases(person)[0]
    address = reverse("annotation:picture", args=[person.public_id, given.anonymized_key])
    assert make.browser(person).get(address).status_code == 200
    said(person, skip(given))
    assert make.browser(person).get(address).status_code == 404


def test_without_a_script_a_pair_is_skipped_by_the_form(person: Participation) -> None:
    given, browser = make.leases(person)[0], make.browser(person)
    sent = {"assignment": given.public_id, "key": make.answer(given)["key"], "skip": "1"}
    address = reverse("annotation:rate", args=[person.public_id])
    assert browser.post(address, sent).status_code == 400
    assert browser.post(address, sent | {"skips": "broken", "note": "half of it is grey"}).status_code == 302
    assert Report.objects.get().words == "half of it is grey"


# Beside a score ----------------------------------------------------------------------------------------------------


def test_a_note_and_whether_one_knows_the_place_stand_beside_the_score(person: Participation) -> None:
    given = make.leases(person)[0]
    assert said(person, make.answer(given, note=" The medal. ", knows="maybe")) == [("stored", "")]
    remark = Remark.objects.get()
    assert (remark.rating.score, remark.note, remark.knows) == (7, "The medal.", "maybe")


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"note": "x" * 9999}, "x" * 500),
        ({"note": "a\x00b\ud800"}, "ab?"),
        ({"note": 7}, None),
        ({"note": "  "}, None),
        ({"knows": "Ann"}, None),
        ({"knows": ["yes"]}, None),
    ],
)
def test_whatever_is_wrong_with_a_remark_the_score_counts(
    person: Participation, fields: dict[str, Any], kept: str | None
) -> None:
    assert said(person, make.answer(make.leases(person)[0], **fields)) == [("stored", "")]
    assert [each.note for each in Remark.objects.all()] == ([] if kept is None else [kept])


def test_a_changed_answer_may_bring_another_remark(person: Participation) -> None:
    given = make.leases(person)[0]
    said(person, make.answer(given, note="a medal"))
    said(person, make.answer(given, score=3, note="a medal and a name", revises=True))
    assert Remark.objects.get().note == "a medal and a name"
    assert Rating.objects.get().score == 3


def test_a_changed_answer_that_is_sent_again_brings_no_older_remark_back(person: Participation) -> None:
    given = make.leases(person)[0]
    older = make.answer(given, score=3, note="a medal", revises=True)
    said(person, make.answer(given), older, make.answer(given, score=4, note="a name", revises=True))
    assert said(person, older) == [("stored", "")]
    assert (Remark.objects.get().note, Rating.objects.get().score) == ("a name", 4)


def test_a_changed_answer_without_a_remark_leaves_the_one_before(person: Participation) -> None:
    given = make.leases(person)[0]
    said(person, make.answer(given, note="a medal"), make.answer(given, score=3, revises=True))
    assert Remark.objects.get().note == "a medal"


# Whoever runs the study --------------------------------------------------------------------------------------------


@pytest.fixture
def researcher(person: Participation) -> Client:
    client = Client()
    client.force_login(make.member(person.study.project))
    return client


def page(client: Client, name: str, study: Study, *rest: Any) -> str:
    return client.get(reverse(f"annotation:{name}", args=[study.public_id, *rest])).content.decode()


def test_reports_of_pictures_reach_the_researcher_until_somebody_has_looked(
    researcher: Client, person: Participation
) -> None:
    given, study = make.leases(person)[0], person.study
    said(person, skip(given, note="It shows an accident."))
    assert "1 report of broken or distressing pictures" in page(researcher, "study", study)
    assert "It shows an accident." in page(researcher, "quality", study)
    assert "It shows an accident." in page(researcher, "item", study, given.item_id)
    researcher.post(reverse("annotation:seen", args=[study.public_id, given.item_id]))
    assert "report of broken" not in page(researcher, "study", study)


def test_people_who_cannot_say_are_no_report_of_a_picture(researcher: Client, person: Participation) -> None:
    said(person, skip(make.leases(person)[0], "cannot_tell"))
    assert "report of broken" not in page(researcher, "study", person.study)
