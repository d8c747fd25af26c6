from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets.files import media_path
from datasets.models.jobs import Job
from datasets.models.projects import Project
from tests import make
from tests.scoring import trained

pytestmark = pytest.mark.django_db


def test_a_message_waits_for_a_page_that_is_read_while_a_script_watches_a_job(client: Client) -> None:
    project = make.project()
    client.force_login(make.member(project))
    job = Job.objects.create(project=project, kind="import_pairs", queued_at=timezone.now())
    client.post(f"/jobs/{job.public_id}/cancel/")
    assert b"Cancelling" not in client.get(f"/jobs/{job.public_id}/?again=1").content
    assert b"Cancelling" in client.get(f"/jobs/{job.public_id}/").content


def a_job(project: Project, **fields: Any) -> Job:
    return Job.objects.create(project=project, queued_at=timezone.now(), **{"kind": "import_pairs"} | fields)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")]
)
def test_a_job_says_how_long_it_took(client: Client, seconds: float, words: str) -> None:
    project, now = make.project(), timezone.now()
    client.force_login(make.member(project))
    job = a_job(project, state="done", started_at=now - timedelta(seconds=seconds), finished_at=now)
    assert f"Took {words}." in client.get(f"/jobs/{job.public_id}/").content.decode()


def test_a_failed_import_offers_another_file_and_to_delete_the_upload(client: Client) -> None:
    project = make.project()
    client.force_login(make.member(project))
    upload = media_path("incoming/sent.zip")
    upload.parent.mkdir(parents=True, exist_ok=True)
    upload.touch()
    job = a_job(project, state="failed", arguments={"archive": str(upload)})
    page = client.get(f"/jobs/{job.public_id}/").content.decode()
    for offered in ("Try again", "Import another file", "Delete the upload"):
        assert offered in page
    page = client.post(f"/jobs/{job.public_id}/discard/", follow=True).content.decode()
    assert "The upload is deleted." in page
    assert "Import another file" in page
    assert "Try again" not in page
    assert not upload.exists()


def test_an_upload_that_is_being_read_and_a_file_of_somebody_elses_stay(client: Client, tmp_path: Path) -> None:
    project = make.project()
    client.force_login(make.member(project))
    upload, theirs = media_path("incoming/read.zip"), tmp_path / "theirs.zip"
    upload.parent.mkdir(parents=True, exist_ok=True)
    for path in (upload, theirs):
        path.touch()
    reading = a_job(project, arguments={"archive": str(upload)})
    failed = a_job(project, state="failed", arguments={"archive": str(theirs)})
    for job in (reading, failed):
        client.post(f"/jobs/{job.public_id}/discard/")
    assert upload.exists()
    assert theirs.exists()
    assert "Try again" in client.get(f"/jobs/{failed.public_id}/").content.decode()


def test_a_trainings_job_leads_to_its_run_and_a_comparisons_to_what_it_found(client: Client) -> None:
    run = trained.compared()
    client.force_login(make.member(run.project))
    assert f"/runs/{run.public_id}/" in client.get(f"/jobs/{run.job.public_id}/").content.decode()
    job = a_job(run.project, kind="compare_run", state="done", arguments={"run": run.pk})
    assert reverse("scoring:comparison", args=[run.public_id]) in client.get(f"/jobs/{job.public_id}/").content.decode()
