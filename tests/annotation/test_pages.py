"""The researcher's pages: what they show, and that they cost the same for little and much."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models.studies import Study
from annotation.wording import standard_wording
from datasets.models.projects import Project, Role
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make.project()


@pytest.fixture
def researcher(project: Project) -> Client:
    client = Client()
    client.force_login(make.member(project))
    return client


def n_queries(visit: Callable[[], Any]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert visit().status_code == 200
    return len(captured)


def study_form(**fields: Any) -> dict[str, Any]:
    return {
        "name": "Faces", "campaign": "new", "new_campaign": "Autumn", "mode": "HA2", "goal": 3, "session_size": 12,
        "seconds_per_pair": 10, "lease_seconds": 600,
    } | fields  # fmt: skip


def test_a_study_is_set_up_worded_opened_and_paused_by_page(researcher: Client, project: Project) -> None:
    make.pairs(project, 3)
    researcher.post(reverse("annotation:study-new", args=[project.slug]), study_form())
    study = Study.objects.get()
    assert (study.items.count(), study.campaign.slug, study.state) == (3, "autumn", "draft")
    wording = standard_wording("HA2") | {"question": "Who is on the right?"}
    researcher.post(reverse("annotation:wording", args=[study.public_id]), wording)
    for state in ("open", "paused", "open", "closed"):
        researcher.post(reverse("annotation:state", args=[study.public_id]), {"state": state})
        study.refresh_from_db()
        assert study.state == state
    assert study.texts.get(kind="question").body == "Who is on the right?"


def test_a_study_over_some_methods_holds_only_their_pairs(researcher: Client, project: Project) -> None:
    make.pair(project, method="mask")
    make.pair(project, method="blur")
    form = study_form(methods=["test|global|mask"])
    researcher.post(reverse("annotation:study-new", args=[project.slug]), form)
    assert [item.pair.method for item in Study.objects.get().items.select_related("pair")] == ["mask"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": ""}, "This field is required"),
        ({"new_campaign": ""}, "Give the new campaign a name"),
        ({"goal": 0}, "goal"),
        ({"session_size": "x"}, "Enter a whole number"),
        ({"mode": "HA3"}, "Select a valid choice"),
        ({"campaign": "12345"}, "Select a valid choice"),
        ({"methods": ["no|such|thing"]}, "Select a valid choice"),
    ],
)
def test_a_bad_study_form_is_refused_with_words(
    researcher: Client, project: Project, fields: dict[str, Any], says: str
) -> None:
    make.pairs(project, 1)
    response = researcher.post(reverse("annotation:study-new", args=[project.slug]), study_form(**fields))
    assert response.status_code == 400
    assert says in response.content.decode()
    assert not Study.objects.exists()
    assert not project.campaigns.exists()


def test_a_campaign_has_one_study_per_mode(researcher: Client, project: Project) -> None:
    first = make.study(project)
    form = study_form(campaign=str(first.campaign_id))
    response = researcher.post(reverse("annotation:study-new", args=[project.slug]), form)
    assert "already has an HA2 study" in response.content.decode()


def test_ha2_needs_originals(researcher: Client, project: Project) -> None:
    make.pair(project, original=None)
    response = researcher.post(reverse("annotation:study-new", args=[project.slug]), study_form())
    assert "some of these pairs have none" in response.content.decode()


def test_an_unknown_state_and_an_impossible_step_are_refused(researcher: Client, project: Project) -> None:
    study = make.study(project, is_open=False)
    address = reverse("annotation:state", args=[study.public_id])
    for state in ("paused", "burning", ""):
        assert researcher.post(address, {"state": state}, follow=True).status_code == 200
        study.refresh_from_db()
        assert study.state == "draft"


def test_an_empty_study_is_not_frozen(researcher: Client, project: Project) -> None:
    study = make.study(project)
    page = researcher.post(reverse("annotation:freeze", args=[study.public_id]), follow=True)
    assert "there is nothing to freeze" in page.content.decode()
    assert not project.jobs.exists()


def test_alpha_says_why_it_is_undefined(researcher: Client, project: Project) -> None:
    study = make.study(project, n_pairs=2)
    page = researcher.get(reverse("annotation:study", args=[study.public_id])).content.decode()
    assert "no pair has two ratings yet" in page


def test_the_pages_cost_the_same_for_little_and_much(researcher: Client, project: Project) -> None:
    study = make.study(project, n_pairs=2)
    make.rate_all(make.participation(study))
    pages = [
        reverse("annotation:study", args=[study.public_id]),
        reverse("datasets:pairs", args=[project.slug]),
        reverse("home"),
    ]
    few = [n_queries(lambda page=page: researcher.get(page)) for page in pages]
    make.pairs(project, 20)
    for _ in range(6):
        make.invitation(study)
        make.rate_all(make.participation(study))
    assert [n_queries(lambda page=page: researcher.get(page)) for page in pages] == few


def test_an_annotators_home_shows_studies_and_no_projects(project: Project) -> None:
    make.study(project, name="Faces beside originals")
    client = Client()
    client.force_login(make.member(project, Role.ANNOTATOR))
    page = client.get(reverse("home")).content.decode()
    assert "Faces beside originals" in page
    assert "Your projects" not in page
