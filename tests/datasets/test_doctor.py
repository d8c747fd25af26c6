"""`manage.py doctor`: what it finds, what mends it, and whether something stops the site."""

import tempfile
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.models.functions import Now

from datasets import hosts, workers
from datasets.jobs import queue_job
from datasets.models.hosts import Worker
from datasets.models.jobs import Job
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres, pytest.mark.usefixtures("media_of_its_own")]

WITHOUT_GPU = pytest.mark.skipif(Path("/proc/driver/nvidia/gpus").exists(), reason="this machine has a GPU")


@pytest.fixture(autouse=True)
def _a_site_for_this_machine(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]


def examined() -> tuple[list[str], int]:
    """The lines, and the exit code."""
    out = StringIO()
    try:
        call_command("doctor", stdout=out)
    except CommandError as error:
        return out.getvalue().splitlines(), error.returncode
    return out.getvalue().splitlines(), 0


def lines_on(what: str) -> list[str]:
    return [line for line in examined()[0] if line[5:].startswith(f"{what}: ")]


def test_a_site_that_is_well_has_nothing_that_stops_it() -> None:
    hosts.check_in()
    for _ in range(2):
        workers.appear(["short", "train"])
    lines, code = examined()
    assert code == 0
    said = {line[5:].partition(":")[0]: line[:4].strip() for line in lines}
    assert said.keys() == {
        *("database", "migrations", "static files", "storage", "SECRET_KEY", "PSEUDONYM_KEY", "disk", "lane short"),
        *("lane train", "jobs", "HTTPS", "mail", "GPU", "weights", "who can read", "backup", "second factors"),
    }
    assert {said[what] for what in said if what not in {"weights", "disk", "backup"}} == {"ok"}
    [lane] = [line for line in lines if "lane train" in line]
    assert lane == f"ok   lane train: 2 workers ({hosts.this_host()})."


def test_what_differs_stops_the_host_and_says_what_mends_it(settings: Any) -> None:
    hosts.check_in()
    settings.PSEUDONYM_KEY = "another-secret-for-tests-only-0123456789"
    [line], (_, code) = lines_on("PSEUDONYM_KEY"), examined()
    assert line.startswith("STOP")
    assert line.endswith("run: manage.py adopt PSEUDONYM_KEY")
    assert code == 1


def test_what_other_users_of_the_machine_can_read_is_named_at_the_start_too(
    settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MEDIA_ROOT = tmp_path / "open" / "media"
    hosts.check_in()
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o700  # as any process of a site makes it
    assert caplog.messages == []
    for folder in (settings.MEDIA_ROOT, settings.MEDIA_ROOT.parent):
        folder.chmod(0o755)
    hosts.check_in()
    [said] = caplog.messages
    assert f"{settings.MEDIA_ROOT}: other users of this machine can read it. Run: chmod -R go-rwx" in said
    assert any(said in line for line in lines_on("who can read"))


def test_a_database_that_is_away_is_named_and_the_rest_looked_at() -> None:
    def refuse(*args: Any) -> Any:
        raise OperationalError("connection to server failed")

    with connection.execute_wrapper(refuse):
        lines, code = examined()
    assert lines[0].startswith("STOP database: it cannot be reached: connection to server failed.")
    assert not [line for line in lines if "lane" in line]
    assert [line for line in lines if line.startswith("ok   HTTPS")]
    assert code == 1


def test_a_lane_without_a_worker_names_the_command_and_who_waits() -> None:
    job = queue_job("train_release", make.project())
    Job.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(minutes=7))
    worker = workers.appear(["short"])
    assert lines_on("lane train") == [
        "mend lane train: no worker; 1 jobs wait, the first for 7 minutes. Start one: manage.py work --lane train"
    ]
    assert lines_on("lane short")[0].startswith("ok ")
    Worker.objects.filter(pk=worker.pk).update(seen_at=Now() - timedelta(minutes=1))
    assert lines_on("lane short")[0].startswith("mend lane short: no worker.")
    workers.say_there(worker)
    assert lines_on("lane short")[0].startswith("ok ")
    workers.leave(worker)
    assert lines_on("lane short")[0].startswith("mend")


def test_workers_that_died_long_ago_are_forgotten() -> None:
    workers.appear(["short"])
    Worker.objects.update(seen_at=Now() - timedelta(days=2))
    workers.appear(["short"])
    assert Worker.objects.count() == 1


def test_jobs_that_failed_or_were_given_back_are_named() -> None:
    job = queue_job("import_pairs", make.project())
    Job.objects.filter(pk=job.pk).update(n_returns=1, error="The disk of the host web1 is full.")
    queue_job("import_pairs", make.project())
    Job.objects.exclude(pk=job.pk).update(state="failed", finished_at=Now())
    returned, failed = lines_on("jobs")
    assert returned.startswith(f"mend jobs: {job} was given back: The disk of the host web1 is full.")
    assert failed.startswith("mend jobs: 1 have failed within a day.")


@pytest.mark.parametrize(
    ("changes", "what", "says"),
    [
        ({"DEBUG": True}, "DEBUG", "Set DEBUG=false."),
        ({"ALLOWED_HOSTS": ["*"], "HTTPS": True, "PROXY_COUNT": 1}, "ALLOWED_HOSTS", "Name the site's own."),
        ({"HTTPS": True}, "PROXY_COUNT", "Set it to how many proxies"),
        ({"ALLOWED_HOSTS": ["studio.example"]}, "HTTPS", "set HTTPS=true"),
        pytest.param({"TRAIN_DEVICE": "cuda:7"}, "GPU", "Set TRAIN_DEVICE=auto or cpu", marks=WITHOUT_GPU),
        ({"WEIGHTS_DIR": tempfile.gettempdir()}, "weights", "Set WEIGHTS_DIR"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, changes: dict[str, Any], what: str, says: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name, value in changes.items():
        setattr(settings, name, value)
    [line] = lines_on(what)
    assert line.startswith("mend")
    assert says in line


def test_a_disk_without_room_stops_the_site(settings: Any) -> None:
    settings.DISK_LEAST_FREE_BYTES = 2**80
    assert lines_on("disk")[0].startswith("STOP disk: the disk is full: ")
