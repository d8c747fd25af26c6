"""A project that is closed: its studies close with it, its pages stay to be read, and nothing begins in it."""

import io
import zipfile
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from annotation.freeze import request_freeze
from annotation.models.studies import Study
from annotation.studies.closing import CannotClose, close_project, reopen_project
from annotation.studies.life import change_state
from annotation.watching.background import request_check
from annotation.watching.connectivity import KIND
from datasets import jobs
from datasets.closing import ProjectClosed
from datasets.export import request_export
from datasets.files import media_path
from datasets.models.jobs import Job
from datasets.models.projects import Project, Role
from datasets.models.releases import Release
from datasets.refusals import Refusal
from scoring.runs import queue_run
from tests import make
from tests.perceptanon.make import recipe
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres, pytest.mark.usefixtures("media_of_its_own")]
CLOSED = "This project is closed"


@pytest.fixture
def study() -> Study:
    return make.rated_study(n_pairs=12, n_people=2)


@pytest.fixture
def release(study: Study) -> Release:
    return make.release(study)


@pytest.fixture
def admin(study: Study) -> Client:
    client = Client()
    client.force_login(make.member(study.project, Role.ADMIN))
    return client


def test_an_admin_closes_it_by_its_name_and_opens_it_again(admin: Client, study: Study, release: Release) -> None:
    project, paused = study.project, make.study(study.project, n_pairs=0, name="Paused")
    change_state(paused, Study.State.PAUSED)
    draft = make.study(project, n_pairs=0, is_open=False)
    make.leases(make.participation(make.more_wanted(study)))
    address, home = (reverse(f"annotation:{name}", args=[project.slug]) for name in ("close-project", "project"))
    assert address in admin.get(home).content.decode()
    asked = " ".join(admin.get(address).content.decode().split())
    for says in (study.name, "Paused", "3 rate at the moment", "12", "1, which stay as they are"):
        assert says in asked
    assert admin.post(address, {"typed": "x"}).status_code == 400
    page = admin.post(address, {"typed": project.slug}, follow=True).content.decode()
    assert "This project was closed on" in page
    assert "Project closed" in page
    states = {each.pk: each.state for each in Study.objects.all()}
    assert states == {study.pk: "closed", paused.pk: "closed", draft.pk: "draft"}
    assert study.changes.get(after="closed").reason == "The project was closed."
    link = reverse("annotation:join", args=[make.invitation(study).token])
    assert "This study is not open" in Client().get(link).content.decode()
    again = admin.get(address, follow=True).content.decode()
    assert "closed already" in again
    reopen = reverse("annotation:reopen-project", args=[project.slug])
    assert "2 closed studies stay closed" in " ".join(admin.get(reopen).content.decode().split())
    assert "open again" in admin.post(reopen, {"typed": project.slug}, follow=True).content.decode()
    assert {each.state for each in Study.objects.exclude(pk=draft.pk)} == {"closed"}
    change_state(Study.objects.get(pk=study.pk), Study.State.OPEN)
    assert [change.kind for change in project.changes.all()] == ["reopened", "closed"]


def zipped() -> SimpleUploadedFile:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.csv", "anonymized,group\n")
    return SimpleUploadedFile("pairs.zip", file.getvalue())


def test_nothing_begins_in_it_and_each_is_told_why(admin: Client, study: Study, release: Release) -> None:
    failed = Job.objects.get()
    Job.objects.update(state=Job.State.FAILED)
    close_project(study.project)
    of_study, of_project = [study.public_id], [study.project.slug]
    posts: list[tuple[str, Any]] = [
        (reverse("annotation:freeze", args=of_study), {"confirmed": "yes"}),
        (reverse("annotation:state", args=of_study), {"state": "open"}),
        (reverse("datasets:job-retry", args=[failed.public_id]), {}),
        (reverse("datasets:import", args=of_project), {"archive": zipped()}),
    ]
    make.pair(study.project)
    for address, said in posts:
        assert CLOSED in admin.post(address, said, follow=True).content.decode(), address
    assert not list(media_path("incoming").glob("*"))
    with pytest.raises(ProjectClosed):
        queue_run(release, recipe(mode="HA2"))
    with pytest.raises(ProjectClosed):
        make.study(study.project, n_pairs=0)
    assert list(Job.objects.all()) == [failed]


def test_what_is_there_can_be_read_exported_and_looked_at(admin: Client, study: Study, release: Release) -> None:
    close_project(study.project)
    pages = [
        reverse("annotation:study", args=[study.public_id]),
        reverse("annotation:ratings", args=[study.public_id]),
        reverse("datasets:release", args=[study.project.slug, release.slug, release.version]),
        reverse("datasets:import", args=[study.project.slug]),
    ]
    assert {admin.get(page).status_code for page in pages} == {200}
    make.done(request_export(release))
    make.done(request_check(study, KIND))


def test_it_is_not_closed_while_work_in_it_goes_on(admin: Client, study: Study) -> None:
    job = request_freeze(study)
    address = reverse("annotation:close-project", args=[study.project.slug])
    page = admin.post(address, {"typed": study.project.slug}, follow=True).content.decode()
    assert "A job of this project is not finished" in page
    jobs.cancel_job(job)
    request_check(study, KIND)  # which changes nothing
    close_project(study.project)
    with pytest.raises(CannotClose, match="closed already"):
        close_project(study.project)
    reopen_project(study.project)
    with pytest.raises(CannotClose, match="open already"):
        reopen_project(study.project)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("begins", ["a freeze", "an import", "an opening"])
def test_of_closing_and_something_that_begins_at_once_nothing_is_left_running_in_a_closed_project(begins: str) -> None:
    study = make.rated_study(n_pairs=3, n_people=2)
    draft = make.study(study.project, n_pairs=0, is_open=False)
    begin = {
        "a freeze": partial(request_freeze, study),
        "an import": partial(jobs.queue_job, "import_pairs", study.project, archive="x"),
        "an opening": partial(change_state, draft, Study.State.OPEN),
    }[begins]
    at_once(partial(tried, begin), partial(tried, partial(close_project, study.project)))
    is_closed = Project.objects.get(pk=study.project.pk).closed_at is not None
    running = Study.objects.filter(state=Study.State.OPEN)
    assert is_closed != (Job.objects.unfinished().exists() or running.exists())


def tried(act: Any) -> None:
    with suppress(Refusal):
        act()


def test_the_page_that_opens_a_project_again_is_not_shown_for_one_that_is_open(client: Client) -> None:
    project = make.project()
    client.force_login(make.member(project, Role.ADMIN))
    page = client.get(reverse("annotation:reopen-project", args=[project.slug]), follow=True)
    assert page.redirect_chain == [(reverse("annotation:project", args=[project.slug]), 302)]
    assert "This project is open already." in page.content.decode()
