"""The pages on which a researcher watches over a study, as they come out and as forms are sent back."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models.people import Participation
from annotation.models.quality import Decision
from annotation.models.studies import Item, Study
from annotation.watching import assessment
from annotation.watching.background import checks_of, request_check
from tests import make
from tests.annotation.said import say
from tests.annotation.watching.test_assessment import items, panel, straight

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return panel()


@pytest.fixture
def odd(study: Study) -> Participation:
    person = straight(study)
    make.done(request_check(study, assessment.KIND))
    return person


@pytest.fixture
def researcher(study: Study) -> Client:
    client = Client()
    client.force_login(make.member(study.project))
    return client


def address(name: str, study: Study, *rest: Any) -> str:
    return reverse(f"annotation:{name}", args=[study.public_id, *rest])


def text(reply: Any) -> str:
    return " ".join(reply.content.decode().split())


def test_a_flag_waits_on_the_study_and_on_the_quality_page_with_its_evidence(
    researcher: Client, study: Study, odd: Participation
) -> None:
    assert "1 person is flagged" in text(researcher.get(address("study", study)))
    page = text(researcher.get(address("quality", study)))
    assert odd.annotator.pseudonym in page
    assert "The same score 40 times in a row among 40 ratings" in page


def test_deciding_by_page_settles_the_flag_and_shows_who_and_why(
    researcher: Client, study: Study, odd: Participation
) -> None:
    reply = researcher.post(
        address("decide", study, odd.public_id), {"decision": "use-no", "reason": "five throughout"}, follow=True
    )
    assert reply.status_code == 200
    page = text(reply)
    assert "not used in releases" in page
    assert "five throughout" in page
    assert "No flag waits for a decision" in text(researcher.get(address("quality", study)))
    assert "As used" in text(researcher.get(address("study", study)))


@pytest.mark.parametrize(
    "sent",
    [{"decision": "use-no", "reason": ""}, {"decision": "dismiss", "reason": "x"}, {"reason": "x"}, {}],
)
def test_a_decision_without_a_reason_or_a_verdict_is_refused_and_nothing_is_stored(
    researcher: Client, study: Study, odd: Participation, sent: dict[str, str]
) -> None:
    assert researcher.post(address("decide", study, odd.public_id), sent).status_code == 400
    assert not Decision.objects.exists()


def test_not_to_pay_is_proposed_only_after_two_instructions_that_were_not_followed(
    researcher: Client, study: Study, odd: Participation
) -> None:
    assert "Nothing here is a ground not to pay" in text(researcher.get(address("annotator", study, odd.public_id)))
    asked = items(study)[:2]
    Item.objects.filter(pk__in=[item.pk for item in asked]).update(role="check", goal=0, instructed_score=7)
    other = say(make.participation(study), dict.fromkeys(asked, 2), purpose="check")
    make.done(request_check(study, assessment.KIND))
    page = text(researcher.get(address("annotator", study, other.public_id)))
    assert "a ground on which not to pay may be considered" in page
    assert "7, asked for in words" in page
    assert "2 of 2 times another score was chosen" in page


def test_flags_can_be_settled_without_deciding_anything(researcher: Client, study: Study, odd: Participation) -> None:
    reply = researcher.post(address("settle", study, odd.public_id), {"reason": "all pictures are alike"}, follow=True)
    assert "1 flag settled" in text(reply)
    assert not Decision.objects.exists()


def test_somebody_of_another_study_is_not_found_here(researcher: Client, study: Study, odd: Participation) -> None:
    other = make.study(study.project, n_pairs=0)
    assert researcher.get(address("annotator", other, odd.public_id)).status_code == 404
    for name in ("decide", "settle"):
        sent = {"decision": "use-no", "reason": "x"}
        assert researcher.post(address(name, other, odd.public_id), sent).status_code == 404
    assert researcher.get(address("item", other, items(study)[0].pk)).status_code == 404
    assert not Decision.objects.exists()


def test_a_look_can_be_asked_for(researcher: Client, study: Study) -> None:
    assert "Nobody's answers have been looked at yet" in text(researcher.get(address("quality", study)))
    for _ in range(2):
        researcher.post(address("check-again", study))
    assert checks_of(study, assessment.KIND).count() == 1
    assert "A worker is looking" in text(researcher.get(address("quality", study)))


def test_the_quality_page_costs_the_same_for_few_and_many(researcher: Client) -> None:
    costs = []
    for n_people in (3, 9):
        study = panel(n_people)
        researcher.force_login(make.member(study.project))
        make.done(request_check(study, assessment.KIND))
        with CaptureQueriesContext(connection) as captured:
            researcher.get(address("quality", study))
        costs.append(len(captured))
    assert costs[0] == costs[1]


# Pairs -------------------------------------------------------------------------------------------------------------


def test_pairs_are_listed_with_what_was_said_of_them(researcher: Client, study: Study) -> None:
    shown = researcher.get(address("items", study)).context["items"]
    assert len(shown) == 40
    assert {each.n for each in shown} == {4}


def test_pairs_that_people_differ_on_come_first_if_asked(researcher: Client) -> None:
    study = make.study(n_pairs=3)
    calm, torn, unrated = items(study)
    for low, high in ((5, 1), (5, 10)):
        say(make.participation(study), {calm: low, torn: high})
    say(make.participation(study), {unrated: 4})
    researcher.force_login(make.member(study.project))
    shown = researcher.get(address("items", study), {"order": "spread"}).context["items"]
    assert [each.item.pk for each in shown] == [torn.pk, calm.pk, unrated.pk]
    assert shown[0].std == pytest.approx(6.364, abs=1e-3)
    assert shown[2].std is None


def test_listing_many_pairs_costs_what_few_cost(researcher: Client) -> None:
    costs = []
    for n in (3, 30):
        study = make.study(n_pairs=n)
        researcher.force_login(make.member(study.project))
        with CaptureQueriesContext(connection) as captured:
            researcher.get(address("items", study), {"order": "spread"})
        costs.append(len(captured))
    assert costs[0] == costs[1]


def test_a_pair_is_given_its_role_by_page_with_tolerance_and_direction(researcher: Client) -> None:
    study = make.study()
    item = items(study)[0]
    researcher.force_login(make.member(study.project))
    sent = {"role": "check", "expected": 2, "tolerance": 1, "direction": "at_most"}
    assert researcher.post(address("give-role", study, item.pk), sent).status_code == 302
    item.refresh_from_db()
    assert (item.role, item.expected_low, item.expected_high) == ("check", 1, 3)
    form = researcher.get(address("item", study, item.pk)).context["role_form"]
    assert (form["expected"].value(), form["tolerance"].value(), form["direction"].value()) == (3, 0, "at_most")
    assert "Check: 1 to 3" in text(researcher.get(address("items", study), {"show": "check"}))


@pytest.mark.parametrize(
    "sent",
    [
        {"role": "check"},
        {"role": "check", "expected": 11},
        {"role": "check", "expected": 5, "tolerance": 9},
        {"role": "judge", "expected": 5},
        {"role": "practice", "instructed_score": 4},
        {"role": "check", "expected": "five"},
        {},
    ],
)
def test_a_role_that_does_not_fit_is_refused_with_words(researcher: Client, sent: dict[str, Any]) -> None:
    study = make.study()
    researcher.force_login(make.member(study.project))
    reply = researcher.post(address("give-role", study, items(study)[0].pk), sent)
    assert reply.status_code == 400
    assert "errorlist" in text(reply)
    assert set(study.items.values_list("role", flat=True)) == {"main"}


def test_a_pair_that_was_given_offers_no_other_role(researcher: Client, study: Study) -> None:
    page = text(researcher.get(address("item", study, items(study)[0].pk)))
    assert "so it keeps its role" in page
    reply = researcher.post(address("give-role", study, items(study)[0].pk), {"role": "check", "expected": 2})
    assert "has been given to somebody already" in text(reply)


def test_a_pair_is_withdrawn_and_put_back_with_a_reason(researcher: Client, study: Study) -> None:
    item = items(study)[0]
    researcher.post(address("withdraw", study, item.pk), {"reason": ""})
    item.refresh_from_db()
    assert item.state == "open"
    researcher.post(address("withdraw", study, item.pk), {"reason": "a broken picture"})
    item.refresh_from_db()
    assert item.state == "withdrawn"
    assert "a broken picture" in text(researcher.get(address("study", study)))
    researcher.post(address("withdraw", study, item.pk), {"reason": "mended", "verb": "put_back"})
    item.refresh_from_db()
    assert item.state == "open"


# How somebody began -----------------------------------------------------------------------------------------------

SCREEN = {"viewport_width": 390, "viewport_height": 844, "pixel_ratio": 3, "picture_width": 179.5}


@pytest.mark.parametrize(
    ("conditions", "begun", "words"),
    [
        ({"comprehension": {"n_tries": 1}}, True, ["answered rightly in 1 try", "not measured"]),
        ({"comprehension": {"n_tries": 3}}, True, ["answered rightly in 3 tries"]),
        ({"comprehension": {"n_tries": 2}}, False, ["2 tries, not right yet"]),
        ({}, False, ["not answered yet", "not measured"]),
        (
            {"comprehension": {"n_tries": 1}, "screen": SCREEN | {"warned": True}},
            True,
            ["390 by 844 CSS pixels at 3 display pixels each", "about 179.5 wide", "<dd>yes</dd>"],
        ),
        ({"comprehension": {"n_tries": 1}, "screen": SCREEN | {"warned": False}}, True, ["<dd>no</dd>"]),
    ],
)
def test_a_persons_page_shows_how_they_began(conditions: dict[str, Any], begun: bool, words: list[str]) -> None:
    study = make.study(n_pairs=2)
    person = make.participation(study, conditions=conditions, **({} if begun else {"instructed_at": None}))
    client = Client()
    client.force_login(make.member(study.project))
    page = text(client.get(address("annotator", study, person.public_id)))
    assert [said for said in words if said not in page] == []
