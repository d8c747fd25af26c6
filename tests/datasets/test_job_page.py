import pytest
from django.test import Client
from django.utils import timezone

from datasets.models.jobs import Job
from tests import make

pytestmark = pytest.mark.django_db


def test_a_message_waits_for_a_page_that_is_read_while_a_script_watches_a_job(client: Client) -> None:
    project = make.project()
    client.force_login(make.member(project))
    job = Job.objects.create(project=project, kind="import_pairs", queued_at=timezone.now())
    client.post(f"/jobs/{job.public_id}/cancel/")
    assert b"Cancelling" not in client.get(f"/jobs/{job.public_id}/?again=1").content
    assert b"Cancelling" in client.get(f"/jobs/{job.public_id}/").content
