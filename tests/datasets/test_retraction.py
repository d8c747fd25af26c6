"""A retracted release: its page, its hash and the reason stay; its files go, and nothing is made of it any more."""

from functools import partial

import pytest
from django.test import Client
from django.urls import reverse

from annotation.freeze import doubts
from datasets import jobs
from datasets.export import Retracted, archive_name, request_export
from datasets.files import media_path
from datasets.models.jobs import Job
from datasets.models.releases import Release
from datasets.retraction import CannotRetract, retract_release
from scoring.runs import CannotQueue, queue_run
from tests import make
from tests.perceptanon.make import recipe
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def release() -> Release:
    study = make.rated_study(n_people=2)
    study.project.sources.update(licence="CC0", citation="Somebody 2026")
    return make.release(study)


def address(release: Release, name: str) -> str:
    return reverse(f"datasets:{name}", args=[release.project.slug, release.slug, release.version])


def test_a_researcher_retracts_it_by_its_name_and_whoever_comes_reads_why(
    release: Release, client: Client, django_capture_on_commit_callbacks: object
) -> None:
    path, name = make.archive(release), f"{release.slug}-v{release.version}"
    client.force_login(make.member(release.project))
    assert address(release, "retract") in client.get(address(release, "release")).content.decode()
    page = client.post(address(release, "retract"), {"reason": "A person was shown.", "name": "x"}).content.decode()
    assert f"Type {name} as it stands there." in page
    assert path.exists()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        client.post(address(release, "retract"), {"reason": "A person was shown.", "name": name})
    assert not path.exists()
    page = client.get(address(release, "release")).content.decode()
    assert "A person was shown." in page
    assert release.content_hash in page
    assert "Make the zip" not in page
    assert address(release, "retract") not in page
    for verb, send in (("download", client.get), ("export", client.post)):
        assert "it has no files any more" in send(address(release, verb), follow=True).content.decode()


def test_nothing_is_exported_or_trained_and_the_study_can_be_frozen_again(release: Release) -> None:
    study = release.project.campaigns.get().studies.get()
    assert len(doubts(study)) == 1
    retract_release(release, reason="A person was shown.")
    with pytest.raises(Retracted):
        request_export(release)
    with pytest.raises(CannotQueue, match="is retracted"):
        queue_run(release, recipe(mode="HA2"))
    assert (list(Release.objects.in_force()), doubts(study)) == ([], [])
    assert make.release(study).version == 2


def test_it_is_retracted_once_and_with_a_reason(release: Release) -> None:
    with pytest.raises(CannotRetract, match="Say why"):
        retract_release(release, reason=" \n")
    retract_release(release, reason="A person was shown.")
    with pytest.raises(CannotRetract, match="already"):
        retract_release(release, reason="Again.")
    assert release.notices.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_export_that_is_under_way_leaves_no_file_of_a_retracted_release() -> None:
    release = make.release(make.rated_study(n_people=2))
    job = request_export(release)
    at_once(partial(jobs.run, job.pk), partial(retract_release, release, reason="A person was shown."))
    job.refresh_from_db()
    assert job.state in {Job.State.DONE, Job.State.FAILED}
    assert not media_path(archive_name(release)).exists()


def test_only_who_manages_the_project_retracts(release: Release, client: Client) -> None:
    client.force_login(make.member(release.project, "annotator"))
    sent = {"reason": "x", "name": f"{release.slug}-v{release.version}"}
    assert client.post(address(release, "retract"), sent).status_code == 404
    assert not release.is_retracted()
