"""Opening for the first time and closing ask first, with what they would do."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models.studies import Item, Study
from annotation.studies import opening
from datasets.models.pictures import Pair, Source
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft() -> Study:
    return make.study(n_pairs=4, is_open=False, session_size=30, n_checks=2)


@pytest.fixture
def researcher(draft: Study) -> Client:
    client = Client()
    client.force_login(make.member(draft.project))
    return client


def asked(client: Client, study: Study, state: str) -> str:
    return client.get(reverse("annotation:state", args=[study.public_id]), {"state": state}).content.decode()


def test_opening_shows_what_is_not_ready(researcher: Client, draft: Study) -> None:
    Item.objects.filter(pk=draft.items.latest("pk").pk).update(role=Item.Role.CHECK, goal=0, instructed_score=4)
    Source.objects.update(licence="")
    page = asked(researcher, draft, "open")
    for says in (
        "All are written.",
        "30 pairs are asked for and 3 can be rated",
        "2 in a session are asked for and 1 marked",
        "Not written for: test.",
        "Expect about",
        "never be a draft again",
    ):
        assert says in page
    Source.objects.update(licence="CC BY 4.0")
    assert "test: CC BY 4.0." in asked(researcher, draft, "open")


def test_opening_points_out_groups_that_may_show_one_person(researcher: Client, draft: Study) -> None:
    address = reverse("datasets:groups", args=[draft.project.slug])
    assert address not in asked(researcher, draft, "open")
    pairs = list(draft.project.pairs.order_by("pk"))
    for path, pair in zip(("v/ann.png", "w/ann.png", "x/ben.png", "y/dan.png"), pairs, strict=True):
        Pair.objects.filter(pk=pair.pk).update(original_path=path)
    page = asked(researcher, draft, "open")
    assert "the file name ann" in page
    assert address in page
    groups = {"group": [pair.group for pair in pairs[:2]]}
    researcher.post(reverse("datasets:groups-merge", args=[draft.project.slug]), groups)
    assert address not in asked(researcher, draft, "open")


def test_opening_names_hours_and_cost_where_the_study_has_a_pay(researcher: Client, draft: Study) -> None:
    assert "an hour they cost" not in asked(researcher, draft, "open")
    Study.objects.update(pay_per_hour=Decimal("12.50"), pay_currency="EUR")
    page = asked(researcher, draft, "open")
    expected = opening.expected(Study.objects.get())
    assert expected is not None
    assert "At 12.50 EUR an hour they cost about" in page
    assert f"{expected.cost:.2f} EUR, without fees" in page
    assert expected.cost == pytest.approx(12.5 * expected.hours)
    forecast = reverse("annotation:forecast", args=[draft.project.slug])
    assert 'value="12.50"' in researcher.get(forecast, {"study": draft.public_id}).content.decode()


def test_a_first_opening_wants_the_name_and_a_later_one_does_not(researcher: Client, draft: Study) -> None:
    address = reverse("annotation:state", args=[draft.public_id])
    assert researcher.post(address, {"state": "open"}).status_code == 400
    assert Study.objects.get().state == Study.State.DRAFT
    researcher.post(address, {"state": "open", "typed": draft.short_name})
    for state in ("paused", "open"):
        researcher.post(address, {"state": state})
        assert Study.objects.get().state == state


def test_a_draft_without_pairs_is_told_so_before_anything_is_asked(researcher: Client, draft: Study) -> None:
    draft.items.all().delete()
    reply = researcher.get(reverse("annotation:state", args=[draft.public_id]), {"state": "open"}, follow=True)
    assert "This study has no pairs" in reply.content.decode()


def test_closing_says_whom_it_reaches_and_a_look_closes_nothing(researcher: Client, draft: Study) -> None:
    study = make.study(draft.project, n_pairs=0, session_size=3)
    make.rate(make.participation(study), 5)
    page = asked(researcher, study, "closed")
    assert "1 rate at the moment" in page
    assert "1 of " in page
    study.refresh_from_db()
    assert study.is_open
    overview = researcher.get(reverse("annotation:study", args=[study.public_id])).content.decode()
    assert reverse("annotation:state", args=[study.public_id]) + "?state=closed" in overview
