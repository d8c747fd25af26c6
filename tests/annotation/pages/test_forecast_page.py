"""The page of the forecast: prefilled, computed without a script, and clear about what it cannot compute."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models.studies import Study
from datasets.models.projects import Project
from tests import make
from tests.annotation.said import said

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make.project()


@pytest.fixture
def researcher(project: Project) -> Client:
    client = Client()
    client.force_login(make.member(project))
    return client


def shown(researcher: Client, project: Project, status: int = 200, **numbers: Any) -> Any:
    reply = researcher.get(reverse("annotation:forecast", args=[project.slug]), numbers)
    assert reply.status_code == status
    return reply


def field(reply: Any, name: str) -> Any:
    return reply.context["form"][name].value()


def test_a_projects_forecast_begins_with_its_pairs_and_originals(researcher: Client, project: Project) -> None:
    make.pairs(project, 6, per_group=3)
    reply = shown(researcher, project)
    assert (field(reply, "n_pairs"), field(reply, "n_originals")) == (6, 2)
    assert "are assumptions" in reply.content.decode()


def test_a_project_without_pairs_has_an_example(researcher: Client, project: Project) -> None:
    assert field(shown(researcher, project), "n_pairs") == 700


def test_a_change_is_computed_and_the_rest_stays(researcher: Client, project: Project) -> None:
    make.pairs(project, 6, per_group=3)
    numbers = {"n_pairs": 8400, "n_originals": 1200, "goal": 8, "session_size": 90, "n_warm_up": 0}
    reply = shown(researcher, project, **numbers, repeat_percent=0, pay=4, pay_per="session")
    assert (reply.context["forecast"].n_people, reply.context["forecast"].cost) == (747, 4 * 747)
    assert "747, each for one session, for 67200 ratings" in reply.content.decode()
    assert field(reply, "seconds") == 12


def test_a_studys_forecast_has_its_settings(researcher: Client, project: Project) -> None:
    study = make.study(project, n_pairs=4, per_group=2, goal=7, session_size=11, seconds_per_pair=20, n_warm_up=2)
    reply = shown(researcher, project, study=study.public_id)
    names = ("n_pairs", "n_originals", "goal", "session_size", "seconds", "n_warm_up")
    assert [field(reply, name) for name in names] == [4, 2, 7, 11, 20, 2]


def test_a_study_with_ratings_plans_with_its_own_spread(researcher: Client, project: Project) -> None:
    study = make.study(project, n_pairs=2, n_warm_up=0)
    said(study, [[4, 6], [9, 9], [8, 8]])  # three people, two pairs
    reply = shown(researcher, project, study=study.public_id)
    assert "from 6 ratings of 2 pairs" in reply.content.decode()
    assert field(reply, "sd") == pytest.approx(2.16, abs=0.005)  # 4, 9, 8 and 6, 9, 8: sqrt((14 + 4.67) / 4)


def test_a_study_that_agrees_on_nothing_plans_with_the_assumed_reliability(
    researcher: Client, project: Project
) -> None:
    study = make.study(project, n_pairs=2, n_warm_up=0)
    said(study, [[1, 9], [9, 1]])
    reply = shown(researcher, project, study=study.public_id)
    assert reply.context["measured"].reliability < 0
    assert field(reply, "reliability") == 0.3


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"n_pairs": "many"}, "Enter a whole number"),
        ({"goal": 0}, "greater than or equal to 1"),
        ({"n_pairs": 3, "n_originals": 5}, "no more than there are pairs"),
        ({"session_size": 6, "n_warm_up": 5}, "at least half must"),
        ({"pay_per": "year"}, "Select a valid choice"),
        ({"seconds": "nan"}, "Enter a number"),
        ({"sd": "inf"}, "Enter a number"),
        ({"n_pairs": "9" * 5000}, "Enter a whole number"),
    ],
)
def test_impossible_numbers_are_answered_in_words(
    researcher: Client, project: Project, numbers: dict[str, Any], says: str
) -> None:
    reply = shown(researcher, project, status=400, **numbers)
    assert says in reply.content.decode()
    assert reply.context["forecast"] is None


@pytest.mark.parametrize("named", ["nonsense", "fb366505-e3c7-4f23-9356-30531f4976bd"])
def test_a_study_that_is_not_there_is_not_found(researcher: Client, project: Project, named: str) -> None:
    shown(researcher, project, status=404, study=named)


def test_another_projects_study_is_not_found(researcher: Client, project: Project) -> None:
    shown(researcher, project, status=404, study=make.study().public_id)


def test_the_forecast_is_linked_from_project_and_study(researcher: Client, project: Project) -> None:
    study = make.study(project, n_pairs=2)
    address = reverse("annotation:forecast", args=[project.slug])
    for page in (
        reverse("annotation:project", args=[project.slug]),
        reverse("annotation:study", args=[study.public_id]),
    ):
        assert address in researcher.get(page).content.decode()


def test_the_forecast_costs_the_same_for_little_and_much(researcher: Client, project: Project) -> None:
    costs = []
    for n_pairs in (2, 12):
        study: Study = make.study(project, n_pairs=n_pairs)
        said(study, [[5] * n_pairs, [6] * n_pairs])
        with CaptureQueriesContext(connection) as captured:
            shown(researcher, project, study=study.public_id)
        costs.append(len(captured))
    assert costs[0] == costs[1] <= 8


@pytest.mark.parametrize("role", ["annotator", None])
def test_the_forecast_opens_to_nobody_else(project: Project, role: str | None) -> None:
    other = Client()
    other.force_login(make.member(project if role else make.project(), role or "admin"))
    shown(other, project, status=404)
