"""The completion code and the address to go back to are changed after the study was set up."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from annotation.models.studies import Study, StudyChange
from annotation.studies.history import NotPossible
from annotation.studies.life import change_completion
from datasets.models.projects import Role
from tests import make
from tests.annotation.answering.test_introduction import NOT_ON_THE_WEB

pytestmark = pytest.mark.django_db
OLD = {"completion_code": "C1X9", "completion_url": "https://panel.example/done"}
NEW = {"completion_code": "C2Y8", "completion_url": "https://panel.example/done?cc=C2Y8"}


@pytest.fixture
def study() -> Study:
    return make.study(n_pairs=2, **OLD)


@pytest.fixture
def researcher(study: Study) -> Client:
    client = Client()
    client.force_login(make.member(study.project, name="ada"))
    return client


def address(name: str, study: Study) -> str:
    return reverse(f"annotation:{name}", args=[study.public_id])


def sent(researcher: Client, study: Study, **fields: Any) -> str:
    """The page that comes after the form was sent."""
    reply = researcher.post(address("completion", study), fields, follow=True)
    return " ".join(reply.content.decode().split())


def of(study: Study) -> dict[str, str]:
    return dict(Study.objects.values(*OLD).get(pk=study.pk))


def changes(study: Study) -> list[StudyChange]:
    return list(study.changes.filter(kind=StudyChange.Kind.COMPLETION))


def test_whoever_finishes_gets_the_new_code_and_whoever_has_finished_too(researcher: Client, study: Study) -> None:
    mine = make.participation(study)
    make.rate_all(mine)
    last_page = reverse("annotation:end", args=[mine.public_id])
    assert ">C1X9</code>" in make.browser(mine).get(last_page).content.decode()
    assert "The last page shows it from now on" in sent(researcher, study, **NEW)
    page = make.browser(mine).get(last_page).content.decode()
    assert ">C2Y8</code>" in page
    assert 'href="https://panel.example/done?cc=C2Y8"' in page
    assert "C1X9" not in page


def test_the_history_keeps_what_was_changed_by_whom_and_why(researcher: Client, study: Study) -> None:
    page = sent(researcher, study, **OLD | {"completion_code": "C2Y8"}, reason="the panel has a new project")
    [change] = changes(study)
    assert (change.before, change.after) == ({"completion_code": "C1X9"}, {"completion_code": "C2Y8"})
    assert (str(change.changed_by), change.reason) == ("ada", "the panel has a new project")
    assert "Last page changed" in page
    assert "the panel has a new project" in page


def test_the_form_begins_with_what_is_there(researcher: Client, study: Study) -> None:
    form = researcher.get(address("study", study)).context["completion_form"]
    assert {name: form[name].value() for name in OLD} == OLD


def test_both_can_be_taken_away(researcher: Client, study: Study) -> None:
    sent(researcher, study, completion_code="", completion_url="")
    assert of(study) == {"completion_code": "", "completion_url": ""}
    assert changes(study)[0].before == OLD


@pytest.mark.parametrize("url", NOT_ON_THE_WEB)
def test_an_address_that_is_none_is_refused_as_when_a_study_is_set_up(
    researcher: Client, study: Study, url: str
) -> None:
    assert "https://" in sent(researcher, study, completion_code="C2Y8", completion_url=url)
    assert (of(study), changes(study)) == (OLD, [])


@pytest.mark.parametrize(
    "fields", [{"completion_code": "x" * 61}, {"completion_url": "https://a.example/" + "x" * 500}]
)
def test_what_is_too_long_is_refused(researcher: Client, study: Study, fields: dict[str, str]) -> None:
    assert "Nothing was changed." in sent(researcher, study, **OLD | fields)
    assert (of(study), changes(study)) == (OLD, [])


def test_what_changes_nothing_leaves_no_trace(researcher: Client, study: Study) -> None:
    assert "nothing has changed" in sent(researcher, study, **OLD)
    with pytest.raises(NotPossible):
        change_completion(study, **OLD)
    assert changes(study) == []


@pytest.mark.parametrize("state", Study.State.values)
def test_it_can_be_changed_in_every_state(researcher: Client, study: Study, state: str) -> None:
    Study.objects.update(state=state)
    sent(researcher, study, **NEW)
    assert of(study) == NEW


@pytest.mark.parametrize("role", [Role.ANNOTATOR, None])
def test_only_the_projects_researchers_change_it(study: Study, role: str | None) -> None:
    client = Client()
    client.force_login(make.member(study.project if role else make.project(), role or Role.ADMIN))
    assert client.post(address("completion", study), NEW).status_code == 404
    assert (of(study), changes(study)) == (OLD, [])


def test_it_is_no_deviation_from_the_plan(researcher: Client, study: Study) -> None:
    sent(researcher, study, **NEW)
    assert list(researcher.get(address("preregistration", study)).context["deviations"]) == []


def test_it_is_changed_by_command_under_the_same_rules(study: Study) -> None:
    name = f"{study.project.slug}/{study.campaign.slug}/{study.mode}"
    call_command("study", name, "--completion", *NEW.values(), "--reason", "a new panel")
    assert (of(study), changes(study)[0].reason) == (NEW, "a new panel")
    for code, url in (("C3", "javascript:alert(1)"), ("x" * 61, ""), tuple(NEW.values())):
        with pytest.raises(CommandError):
            call_command("study", name, "--completion", code, url)
    call_command("study", name, "--completion", "", "")
    assert of(study) == {"completion_code": "", "completion_url": ""}
