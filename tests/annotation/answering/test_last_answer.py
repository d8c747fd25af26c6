"""Changing the last answer without a script: the pair comes back, and what is said of it now is a revision."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.answering.turn import take_turn
from annotation.models.people import Participation
from annotation.models.ratings import Cue, Rating
from annotation.models.studies import Item, Study
from tests import make

pytestmark = pytest.mark.django_db

OFFER = "data-undo-plain"


@pytest.fixture(params=["HA1", "HA2"])
def person(request: pytest.FixtureRequest) -> Participation:
    return make.participation(make.study(n_pairs=4, session_size=3, mode=request.param))


@pytest.fixture
def browser(person: Participation) -> Client:
    return make.browser(person)


def address(person: Participation, name: str = "last-answer") -> str:
    return reverse(f"annotation:{name}", args=[person.public_id])


def rate_page(browser: Client, person: Participation) -> str:
    return browser.get(address(person, "rate")).content.decode()


def newest(person: Participation) -> Rating:
    return Rating.objects.filter(assignment__participation=person).order_by("-assignment__position")[0]


def change(browser: Client, of: Rating, score: Any, **fields: Any) -> Any:
    form = {"key": str(uuid4()), "assignment": str(of.assignment.public_id), "score": score} | fields
    return browser.post(address(of.assignment.participation), form, follow=True)


def history(of: Rating) -> list[int]:
    return list(of.revisions.values_list("score", flat=True))


def test_boxes_stay_when_the_score_is_changed_where_none_can_be_drawn() -> None:
    person = make.participation(make.study(asks_cues=True))
    box = {"kind": "text", "x": 2, "y": 3, "width": 8, "height": 6}
    [lease, *_] = take_turn(person, [])["leases"]
    take_turn(person, [make.answer(lease["assignment"], 4, cues=[box])])
    change(make.browser(person), newest(person), 9)
    assert history(newest(person)) == [4, 9]
    assert list(Cue.objects.current().values(*box)) == [box]


def test_the_pair_comes_back_with_its_score_and_at_its_place(browser: Client, person: Participation) -> None:
    make.rate(person, 4)
    shown = browser.get(address(person, "rate")).context["lease"]
    make.rate(person, 7)
    page = browser.get(address(person))
    assert page.context["lease"] == shown
    text = " ".join(page.content.decode().split())
    assert "You chose 7." in text
    assert 'value="7" required checked' in text
    assert "2 of 3" in text
    for picture in page.context["lease"]["pictures"]:
        assert browser.get(picture["url"]).status_code == 200


def test_another_score_is_stored_as_a_revision_and_the_work_goes_on(browser: Client, person: Participation) -> None:
    make.rate(person, 4)
    reply = change(browser, newest(person), 9, note="I looked again.")
    assert "Your last answer is 9 now." in reply.content.decode()
    assert reply.redirect_chain == [(address(person, "rate"), 302)]
    rating = newest(person)
    assert (rating.score, history(rating), rating.remark.note) == (9, [4, 9], "I looked again.")
    person.refresh_from_db()
    assert person.n_answered == 1


def test_the_same_form_sent_twice_is_one_revision(browser: Client, person: Participation) -> None:
    make.rate(person, 4)
    key = str(uuid4())
    for _ in range(2):
        change(browser, newest(person), 9, key=key)
    assert history(newest(person)) == [4, 9]


def test_it_is_offered_after_the_first_answer_and_not_before(browser: Client, person: Participation) -> None:
    assert OFFER not in rate_page(browser, person)
    assert browser.get(address(person), follow=True).redirect_chain == [(address(person, "rate"), 302)]
    make.rate(person, 4)
    assert OFFER in rate_page(browser, person)


def test_only_the_last_answer_can_be_changed(browser: Client, person: Participation) -> None:
    make.rate(person, 4)
    first = newest(person)
    make.rate(person, 7)
    assert "only the last answer can be" in change(browser, first, 9).content.decode()
    assert history(first) == [4]


def test_a_pair_that_was_skipped_since_hides_no_answer(browser: Client, person: Participation) -> None:
    make.rate(person, 4)
    skipped = make.leases(person)[0]
    form = {"key": str(uuid4()), "assignment": str(skipped.public_id), "skip": "1", "skips": "cannot_tell"}
    browser.post(address(person, "rate"), form)
    change(browser, newest(person), 9)
    assert history(newest(person)) == [4, 9]


def test_after_the_end_the_answer_stands(browser: Client, person: Participation) -> None:
    make.rate(person, 4)
    Participation.objects.update(finished_at=timezone.now())
    change(browser, newest(person), 9)
    assert history(newest(person)) == [4]


def test_in_a_closed_study_nothing_is_offered_and_nothing_changed(browser: Client, person: Participation) -> None:
    make.leases(person)
    make.rate(person, 4)
    Study.objects.update(state=Study.State.CLOSED)
    assert OFFER not in rate_page(browser, person)
    assert "no answer that can be changed" in change(browser, newest(person), 9).content.decode()
    assert history(newest(person)) == [4]


def test_a_pair_that_was_withdrawn_is_not_shown_again_and_no_older_one_either(
    browser: Client, person: Participation
) -> None:
    make.rate(person, 4, 7)
    Item.objects.filter(pk=newest(person).assignment.item_id).update(state=Item.State.WITHDRAWN)
    reply = browser.get(address(person), follow=True)
    assert "no answer that can be changed" in reply.content.decode()


def test_a_change_without_a_score_is_refused_and_the_note_stays(browser: Client, person: Participation) -> None:
    make.rate(person, 4)
    reply = change(browser, newest(person), "", note="A medal.")
    page = reply.content.decode()
    assert reply.status_code == 400
    assert "Choose a score from 1 to 10." in page
    assert ">A medal.</textarea>" in page
    assert history(newest(person)) == [4]


def test_a_skip_without_a_reason_says_what_to_do_and_nothing_has_to_be_said_twice(
    browser: Client, person: Participation
) -> None:
    given = make.leases(person)[0]
    form = {"key": str(uuid4()), "assignment": str(given.public_id), "skip": "1", "score": "6", "note": "A medal."}
    reply = browser.post(address(person, "rate"), form)
    page = " ".join(reply.content.decode().split())
    assert reply.status_code == 400
    assert "Say why you skip it: choose one of the reasons." in page
    assert ">A medal.</textarea>" in page
    assert 'value="6" required checked' in page
    assert page.count("<details data-beside open>") == 2
