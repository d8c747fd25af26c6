"""Viewing conditions: what is kept of them, and that they never cost anybody an answer."""

import json
from copy import deepcopy
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from annotation.answering.viewing import viewing_conditions
from annotation.models.ratings import Assignment, Rating
from annotation.models.studies import Study
from tests import make
from tests.annotation.pages.test_pages import study_form

VIEWING = {
    "seconds": {"side": 3.25, "swipe": 1.5},
    "zoom": 2.5,
    "picture_width": 512,
    "stage_width": 1232,
    "stage_height": 430.5,
    "viewport_width": 1280,
    "viewport_height": 800,
    "pixel_ratio": 1.25,
}
AS_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*VIEWING, "side", "x"]), inner),
)


def changed(**fields: Any) -> dict[str, Any]:
    return deepcopy(VIEWING) | fields


def send(assignment: Assignment, viewing: Any) -> Rating:
    address = reverse("annotation:answer", args=[assignment.participation.public_id])
    answer = make.answer(assignment, viewing=viewing)
    reply = make.browser(assignment.participation).post(
        address, json.dumps({"answers": [answer]}), content_type="application/json"
    )
    assert reply.status_code == 200
    return Rating.objects.get(assignment=assignment)


@pytest.fixture
def assignment() -> Assignment:
    return make.leases(make.participation(make.study()))[0]


@pytest.mark.django_db
def test_viewing_conditions_are_stored_beside_the_answer(assignment: Assignment) -> None:
    assert send(assignment, VIEWING).viewing == VIEWING


@pytest.mark.django_db
@pytest.mark.parametrize(
    "viewing",
    [
        None,
        "side",
        [],
        {},
        {"seconds": {"side": 1}},
        changed(agent="Mozilla/5.0"),
        changed(seconds={}),
        changed(seconds={"blink": 1}),
        changed(seconds={"side": -1}),
        changed(seconds={"side": 86_401}),
        changed(seconds=4),
        changed(zoom="2"),
        changed(zoom=True),
        changed(pixel_ratio=-1),
        changed(stage_width=None),
        changed(viewport_width=10**30),
    ],
    ids=str,
)
def test_viewing_conditions_that_cannot_be_are_dropped_and_the_answer_is_kept(
    assignment: Assignment, viewing: Any
) -> None:
    rating = send(assignment, viewing)
    assert (rating.score, rating.viewing) == (7, None)


@pytest.mark.django_db
def test_an_answer_without_viewing_conditions_is_stored_as_ever(assignment: Assignment) -> None:
    make.rate(assignment.participation, 4)
    assert Rating.objects.get().viewing is None


@given(AS_JSON)
def test_whatever_comes_what_is_kept_is_small(data: Any) -> None:
    kept = viewing_conditions(data)
    assert kept is None or len(kept) < 500


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_not_kept(number: float) -> None:
    assert viewing_conditions(changed(zoom=number)) is None
    assert viewing_conditions(changed(seconds={"side": number})) is None


def test_numbers_are_kept_to_thousandths() -> None:
    kept = json.loads(viewing_conditions(changed(zoom=1 / 3, seconds={"flicker": 2 / 3})) or "")
    assert (kept["zoom"], kept["seconds"]) == (0.333, {"flicker": 0.667})


# Which ways to compare a study offers -----------------------------------------------------------------------------


def rating_page(study: Study) -> str:
    person = make.participation(study)
    return make.browser(person).get(reverse("annotation:rate", args=[person.public_id])).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "modes"),
    [
        ({}, "side swipe flicker"),
        ({"allows_swipe": False}, "side flicker"),
        ({"allows_flicker": False}, "side swipe"),
        ({"allows_swipe": False, "allows_flicker": False}, "side"),
        ({"mode": "HA1"}, "single"),
    ],
)
def test_a_study_offers_the_ways_to_compare_that_it_allows(fields: dict[str, Any], modes: str) -> None:
    page = rating_page(make.study(**fields))
    assert f'data-view-modes="{modes}"' in page
    offered = [mode for mode in ("side", "swipe", "flicker") if f'data-view="{mode}"' in page]
    assert offered == (modes.split() if " " in modes else [])
    assert ("Swipe" in page, "Flicker" in page) == ("swipe" in modes, "flicker" in modes)


@pytest.mark.django_db
def test_a_researcher_switches_ways_to_compare_off_in_the_form() -> None:
    project = make.project()
    make.pairs(project, 2)
    client = Client()
    client.force_login(make.member(project))
    address = reverse("annotation:study-new", args=[project.slug])
    assert client.get(address).context["form"]["allows_swipe"].value() is True
    client.post(address, study_form(allows_flicker="on"))
    assert Study.objects.values_list("allows_swipe", "allows_flicker").get() == (False, True)
