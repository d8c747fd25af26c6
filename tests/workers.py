"""Real workers on a test's own site, to be killed and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction

from datasets.models.jobs import Job

REPOSITORY = Path(__file__).parents[1]
# Nobody waits long for a dead worker's job; tests that are marked long, and one of the others, have the site's own.
SHORT_LEASE = {"JOB_LEASE_SECONDS": "3", "JOB_HEARTBEAT_SECONDS": "1"}
TAKEN_OVER_WITHIN = 30  # seconds: the site's lease of 15, and time to start a worker
PATIENCE = 120  # seconds, on a busy machine

Worker = subprocess.Popen[bytes]
Start = Callable[..., Worker]


@pytest.fixture
def media_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "site" / "media"


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts `manage.py work` on the test's own site; none survives the test."""
    started: list[Worker] = []
    is_long = request.node.get_closest_marker("long") is not None

    def start(*, own_lease: bool = is_long, **env: str) -> Worker:
        lease = {} if own_lease else SHORT_LEASE
        with (tmp_path / f"worker{len(started)}.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "manage.py", "work"],
                cwd=REPOSITORY,
                env=site_of_this_test() | lease | env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        started.append(worker)
        return worker

    yield start
    for worker in started:
        kill(worker)


def site_of_this_test() -> dict[str, str]:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        login = database["USER"] + (f":{database['PASSWORD']}" if database["PASSWORD"] else "")
        url = f"postgres://{login}@{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}"
    return os.environ | {"DATABASE_URL": url, "STUDIO_VAR": str(settings.MEDIA_ROOT.parent)}


def kill(worker: Worker) -> None:
    """SIGKILL for the worker and for what it has forked: nothing of it can say a last word."""
    if worker.poll() is None:
        for pid in [worker.pid, *children(worker.pid)]:
            with suppress(ProcessLookupError):  # what it has forked may have ended in this instant
                os.kill(pid, signal.SIGKILL)
    worker.wait()


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in listed for child in file.read_text().split()]


def pause_between_transactions(worker: Worker, job: Job) -> None:
    """SIGSTOP. A process that stops within a transaction keeps its locks, and everybody waits for it to go on."""
    while True:
        os.kill(worker.pid, signal.SIGSTOP)
        os.waitpid(worker.pid, os.WUNTRACED)
        if is_free(job):
            return
        os.kill(worker.pid, signal.SIGCONT)
        sleep(0.01)


def is_free(job: Job) -> bool:
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA busy_timeout = 100")
    try:
        with transaction.atomic():
            return Job.objects.select_for_update(nowait=True).filter(pk=job.pk).exists()
    except OperationalError:
        return False
    finally:
        connection.close()


def wait_until(is_so: Callable[[], Any], *, seconds: float = PATIENCE) -> None:
    end = monotonic() + seconds
    while not is_so():
        if monotonic() > end:
            pytest.fail(f"not so within {seconds} s; jobs: {list(Job.objects.values())}")
        sleep(0.01)


def has_progress(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk, n_done__gt=0).exists()


def is_taken_over(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk, attempt=2).exists()


def finished(job: Job) -> Job:
    wait_until(lambda: Job.objects.get(pk=job.pk).is_finished)
    return Job.objects.get(pk=job.pk)
