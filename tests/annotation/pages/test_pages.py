"""The researcher's pages: what they show, and that they cost the same for little and much."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models.studies import Study
from annotation.studies.wording import standard_wording
from datasets.models.projects import Project, Role
from tests import make
from tests.races import at_once

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
        "name": "Faces", "campaign": "new", "new_campaign": "Autumn", "mode": "HA2", "language": "en",
        "goal": 3, "session_size": 12,
        "seconds_per_pair": 10, "lease_seconds": 600, "n_practice": 0, "n_warm_up": 5, "n_checks": 0,
        "repeat_percent": 5, "repeat_distance": 20, "side": "left", "spacing": 5,
        "min_ratings": 5, "max_ratings": 15, "half_width": 0.75, "core_percent": 20,
    } | fields  # fmt: skip


def test_a_study_is_set_up_worded_opened_and_paused_by_page(researcher: Client, project: Project) -> None:
    make.pairs(project, 3)
    researcher.post(reverse("annotation:study-new", args=[project.slug]), study_form())
    study = Study.objects.get()
    assert (study.items.count(), study.campaign.slug, study.state) == (3, "autumn", "draft")
    wording = standard_wording("HA2") | {"question": "Who is on the right?"}
    researcher.post(reverse("annotation:wording", args=[study.public_id]), wording)
    for state in ("open", "paused", "open", "closed"):
        asked = {"state": state, "typed": study.short_name}
        researcher.post(reverse("annotation:state", args=[study.public_id]), asked)
        study.refresh_from_db()
        assert study.state == state
    assert study.texts.get(kind="question").body == "Who is on the right?"


def test_a_study_over_some_methods_holds_only_their_pairs(researcher: Client, project: Project) -> None:
    make.pair(project, method="mask")
    make.pair(project, method="blur")
    form = study_form(methods=[json.dumps(["test", "global", "mask"])])
    researcher.post(reverse("annotation:study-new", args=[project.slug]), form)
    assert [item.pair.method for item in Study.objects.get().items.select_related("pair")] == ["mask"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": ""}, "This field is required"),
        ({"new_campaign": ""}, "Give the new campaign a name"),
        ({"goal": 0}, "greater than or equal to 1"),
        ({"goal": 70_000}, "less than or equal to 1000"),
        ({"session_size": 0}, "greater than or equal to 1"),
        ({"seconds_per_pair": 0}, "greater than or equal to 1"),
        ({"seconds_per_pair": 601}, "less than or equal to 600"),
        ({"lease_seconds": 59}, "greater than or equal to 60"),
        ({"session_size": "x"}, "Enter a whole number"),
        ({"mode": "HA3"}, "Select a valid choice"),
        ({"campaign": "12345"}, "Select a valid choice"),
        ({"methods": ["no|such|thing"]}, "Select a valid choice"),
        ({"n_warm_up": 7}, "leave 5 that count; at least half must"),
        ({"n_practice": 3, "n_warm_up": 2, "n_checks": 2}, "leave 5 that count"),
        ({"session_size": 20, "n_warm_up": 9, "repeat_percent": 10}, "repeats (2) leave 9 that count"),
        ({"repeat_percent": 51}, "less than or equal to 50"),
        ({"person_limit": 11}, "cannot finish a session of 12"),
        ({"side": "above"}, "Select a valid choice"),
        ({"min_ratings": 1}, "greater than or equal to 2"),
        ({"min_ratings": 9, "max_ratings": 8}, "at least the fewest"),
        ({"half_width": 0}, "greater than or equal to 0.05"),
        ({"core_percent": 101}, "less than or equal to 100"),
        ({"pay_per_hour": "12.50"}, "Name the currency of the pay"),
        ({"pay_currency": "EUR"}, "Say how much"),
        ({"pay_per_hour": "12.505", "pay_currency": "EUR"}, "no more than 2 decimal places"),
        ({"pay_per_hour": "0", "pay_currency": "EUR"}, "greater than or equal to 0.01"),
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


def test_the_plan_of_a_session_is_kept_as_it_was_set(researcher: Client, project: Project) -> None:
    make.pairs(project, 1)
    chosen = {"n_practice": 1, "n_warm_up": 2, "n_checks": 1, "repeat_percent": 10, "repeat_distance": 3,
              "side": "balanced", "spacing": 4, "person_limit": 24, "stops_adaptively": True, "min_ratings": 4,
              "max_ratings": 9, "half_width": 0.5, "is_ordered_by_model": True, "core_percent": 30,
              "pay_per_hour": Decimal("12.50"), "pay_currency": "EUR"}  # fmt: skip
    form = study_form(**chosen)
    assert "allows_swipe" not in form  # as a browser sends a box that is not ticked
    researcher.post(reverse("annotation:study-new", args=[project.slug]), form)
    assert Study.objects.values(*chosen, "allows_swipe").get() == chosen | {"allows_swipe": False}


def test_the_form_begins_with_the_models_defaults_and_the_biased_rules_off(
    researcher: Client, project: Project
) -> None:
    form = researcher.get(reverse("annotation:study-new", args=[project.slug])).context["form"]
    names = ("n_warm_up", "repeat_percent", "repeat_distance", "allows_swipe", "stops_adaptively", "core_percent")
    assert [form[name].value() for name in names] == [5, 5, 20, True, False, 20]
    assert not form.is_biased


def test_every_setting_of_the_form_has_its_place_on_the_page(researcher: Client, project: Project) -> None:
    reply = researcher.get(reverse("annotation:study-new", args=[project.slug]))
    page = reply.content.decode()
    assert [name for name in reply.context["form"].fields if page.count(f'name="{name}"') < (name != "methods")] == []
    assert "they bias figures" in page


def test_an_error_among_the_biased_rules_is_not_hidden(researcher: Client, project: Project) -> None:
    make.pairs(project, 1)
    reply = researcher.post(reverse("annotation:study-new", args=[project.slug]), study_form(core_percent=101))
    assert "<details open>" in reply.content.decode()


def test_names_of_methods_may_hold_any_sign(researcher: Client, project: Project) -> None:
    make.pair(project, method="a|b", scope='"x"')
    make.pair(project, method="blur")
    form = study_form(methods=[json.dumps(["test", '"x"', "a|b"])])
    researcher.post(reverse("annotation:study-new", args=[project.slug]), form)
    assert Study.objects.get().items.get().pair.method == "a|b"


def test_campaigns_are_named_in_any_alphabet(researcher: Client, project: Project) -> None:
    make.pairs(project, 1)
    address = reverse("annotation:study-new", args=[project.slug])
    for name in ("研究", "ἔρευνα", "研究"):
        answer = researcher.post(address, study_form(new_campaign=name))
    assert "There is a campaign of this name" in answer.content.decode()
    assert list(project.campaigns.order_by("pk").values_list("slug", "name")) == [
        ("campaign-1", "研究"),
        ("campaign-2", "ἔρευνα"),
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_form_sent_twice_at_once_makes_one_study(project: Project, is_new: bool) -> None:
    make.pairs(project, 3)
    campaign = "new" if is_new else str(project.campaigns.create(slug="c", name="C").pk)
    address, member = reverse("annotation:study-new", args=[project.slug]), make.member(project)
    browsers = [Client() for _ in range(4)]
    for browser in browsers:
        browser.force_login(member)
    answers = at_once(*[lambda each=each: each.post(address, study_form(campaign=campaign)) for each in browsers])
    assert sorted(answer.status_code for answer in answers) == [302, 400, 400, 400]
    assert Study.objects.get().items.count() == 3
    assert project.campaigns.count() == 1


@pytest.mark.parametrize(("kind", "most"), [("question", 300), ("low_label", 60), ("consent", 20_000)])
def test_texts_have_a_length_that_fits_their_place(researcher: Client, project: Project, kind: str, most: int) -> None:
    study = make.study(project, is_open=False)
    address = reverse("annotation:wording", args=[study.public_id])
    wording = standard_wording("HA2")
    assert researcher.post(address, wording | {kind: "x" * most}).status_code == 302
    assert researcher.post(address, wording | {kind: "x" * (most + 1)}).status_code == 400


def test_more_pairs_of_the_kinds_that_a_study_holds_are_added_and_no_others(
    researcher: Client, project: Project
) -> None:
    study = make.study(project, n_pairs=2)
    more = [make.pair(project), make.pair(project)]
    make.pair(project, method="mask")
    make.pair(project, source="elsewhere")
    make.pair(project, original=None)
    page = researcher.get(reverse("annotation:study", args=[study.public_id])).content.decode()
    assert "Add 2 more pairs" in page
    assert "3 other pairs of the project cannot be added" in page
    researcher.post(reverse("annotation:more-pairs", args=[study.public_id]))
    assert study.items.filter(pair__in=more).count() == 2
    assert study.items.count() == 4


def test_an_empty_draft_takes_any_kind_of_pair(researcher: Client, project: Project) -> None:
    study = make.study(project, n_pairs=0, is_open=False)
    make.pair(project, method="mask")
    researcher.post(reverse("annotation:more-pairs", args=[study.public_id]))
    assert study.items.count() == 1


def test_a_draft_is_deleted_and_its_campaign_takes_another_study(researcher: Client, project: Project) -> None:
    study = make.study(project, is_open=False)
    address = reverse("annotation:delete-study", args=[study.public_id])
    page = researcher.get(reverse("annotation:study", args=[study.public_id])).content.decode()
    assert "Delete this draft" in page
    assert f"Type {study.short_name} to confirm" in researcher.get(address).content.decode()
    assert "is deleted" in researcher.post(address, {"typed": study.short_name}, follow=True).content.decode()
    assert not Study.objects.exists()
    assert make.study(project, n_pairs=0, campaign=study.campaign).items.count() == 4


def test_a_study_that_somebody_has_rated_in_is_not_deleted(researcher: Client, project: Project) -> None:
    study = make.study(project)
    make.rate(make.participation(study), 5)
    page = researcher.post(reverse("annotation:delete-study", args=[study.public_id]), follow=True).content.decode()
    assert "close it instead" in page
    assert reverse("annotation:delete-study", args=[study.public_id]) not in page
    assert Study.objects.exists()


def test_a_draft_is_not_deleted_until_its_name_is_typed(researcher: Client, project: Project) -> None:
    study = make.study(project, is_open=False)
    address = reverse("annotation:delete-study", args=[study.public_id])
    assert "<dt>Pairs</dt> <dd>4</dd>" in " ".join(researcher.get(address).content.decode().split())
    for typed in ("", "something-else", study.short_name.lower()):
        assert researcher.post(address, {"typed": typed}).status_code == 400
    assert Study.objects.exists()


def test_nobody_else_deletes_a_draft(project: Project) -> None:
    study = make.study(project, is_open=False)
    for person in (make.member(project, Role.ANNOTATOR), make.member(make.project())):
        (client := Client()).force_login(person)
        assert client.post(reverse("annotation:delete-study", args=[study.public_id])).status_code == 404
    assert Study.objects.exists()


def test_a_project_costs_the_same_with_one_study_and_with_five(researcher: Client, project: Project) -> None:
    def visit() -> Any:
        return researcher.get(reverse("annotation:project", args=[project.slug]))

    make.rate(make.participation(make.study(project, n_pairs=3)), 5)
    few = n_queries(visit)
    for _ in range(4):
        make.rate(make.participation(make.study(project, n_pairs=0)), 5, 6)
    assert n_queries(visit) == few
    assert visit().content.decode().count("2 of 6") == 4


def test_the_ratings_are_counted_once_for_the_page_of_a_study(researcher: Client, project: Project) -> None:
    study = make.study(project)
    with CaptureQueriesContext(connection) as captured:
        researcher.get(reverse("annotation:study", args=[study.public_id]))
    assert len([query for query in captured if '"annotation_rating"."score"' in query["sql"]]) == 1


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
    study = make.study(project, n_pairs=2, goal=10)
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
