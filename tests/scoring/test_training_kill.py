"""A training whose worker, whose own process, or both are killed: it goes on after its last whole epoch, once.

Real processes and real signals, each after the training's first epoch, while eight people rate on the same database.
"""

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from annotation.models.ratings import Rating
from datasets.files import media_path
from datasets.jobs import cancel_job
from datasets.models.jobs import Job
from datasets.models.releases import Release
from scoring.models import Checkpoint, TrainingRun
from scoring.runs import queue_run, recipe_for
from tests import make
from tests.workers import TAKEN_OVER_WITHIN, Worker, children, finished, is_taken_over, wait_until

pytestmark = [
    pytest.mark.services,
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("media_of_its_own"),
]
LONG = pytest.mark.long
N_EPOCHS = 60
N_PEOPLE = 8
ENDED_WITHIN = 5  # seconds: how long a training may outlive its worker


@pytest.fixture
def release(transactional_db: None) -> Release:
    return make.release(make.rated_study(n_pairs=24, n_people=3))


@pytest.fixture
def run(release: Release) -> TrainingRun:
    return small_run(release, n_epochs=N_EPOCHS)


def small_run(release: Release, *, n_epochs: int) -> TrainingRun:
    choices = {"backbone": "tiny", "weights": "random", "size": 32, "batch_size": 4, "epochs": n_epochs}
    return queue_run(release, recipe_for(release, **choices))


def has_an_epoch(run: TrainingRun) -> bool:
    return run.epochs.exists()


def trainers(run: TrainingRun) -> list[int]:
    """The processes that train for this run, whoever started them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended while we looked
            continue
        if b"scoring.perceptanon.train" in command and any(str(run.public_id).encode() in part for part in command):
            found.append(int(process.name))
    return found


def kill_worker(worker: Worker, run: TrainingRun) -> None:
    worker.kill()
    worker.wait()


def kill_training(worker: Worker, run: TrainingRun) -> None:
    [child] = trainers(run)
    os.kill(child, signal.SIGKILL)


def kill_both(worker: Worker, run: TrainingRun) -> None:
    [child] = trainers(run)
    worker.kill()
    os.kill(child, signal.SIGKILL)
    worker.wait()


@contextmanager
def people_rating() -> Iterator[list[Any]]:
    """Eight people rate over HTTP, each in a browser of their own, until the block ends; what went wrong is listed."""
    study = make.study(n_pairs=400, goal=N_PEOPLE, session_size=400, mode="HA1")
    stop, trouble = Event(), []
    n_before = Rating.objects.count()

    def rate(person: Any) -> int:
        browser, url = make.browser(person), reverse("annotation:answer", args=[person.public_id])
        n_answered, leases = 0, browser.post(url, {"answers": []}, "application/json").json()["leases"]
        try:
            while leases and not stop.is_set():
                reply = browser.post(url, {"answers": [make.answer(leases[0]["assignment"])]}, "application/json")
                if reply.status_code != 200:
                    trouble.append((reply.status_code, reply.content))
                    return n_answered
                n_answered, leases = n_answered + 1, reply.json()["leases"]
                stop.wait(0.5)
        except Exception as error:  # noqa: BLE001  whatever a person would have met
            trouble.append(repr(error))
        finally:
            connection.close()
        return n_answered

    with ThreadPoolExecutor(N_PEOPLE) as pool:
        rating = [pool.submit(rate, make.participation(study)) for _ in range(N_PEOPLE)]
        try:
            yield trouble
        finally:
            stop.set()
        n_answered = sum(each.result() for each in rating)
    assert n_answered >= N_PEOPLE
    assert Rating.objects.count() == n_before + n_answered


def log_of(run: TrainingRun, attempt: int) -> str:
    log = media_path(run.folder) / f"attempt-{attempt}" / "log.txt"
    return log.read_text() if log.exists() else ""


def assert_trained_once_and_whole(run: TrainingRun, *, attempt: int) -> None:
    run.refresh_from_db()
    assert (run.job.state, run.job.attempt, run.job.error) == (Job.State.DONE, attempt, "")
    n_epochs = run.recipe["epochs"]
    assert list(run.epochs.values_list("number", flat=True)) == list(range(1, n_epochs + 1))
    checkpoint = Checkpoint.objects.get()
    assert run.predictions.count() == run.release.labels.count()
    kept = media_path(checkpoint.file.name).parent
    assert kept == media_path(run.folder) / f"attempt-{attempt}"
    assert len((kept / "epochs.jsonl").read_text().splitlines()) == n_epochs
    assert list(media_path(run.folder).iterdir()) == [kept]  # what came to nothing is gone
    assert Job.objects.filter(kind="compare_run").count() == 1


@pytest.mark.parametrize(
    "death", [kill_worker, pytest.param(kill_training, marks=LONG), pytest.param(kill_both, marks=LONG)]
)
def test_a_training_goes_on_after_its_last_whole_epoch(start_worker, run, death):
    with people_rating() as trouble:
        worker = start_worker()
        wait_until(lambda: has_an_epoch(run))
        death(worker, run)
        wait_until(lambda: len(trainers(run)) == 0 or is_taken_over(run.job), seconds=ENDED_WITHIN)
        if worker.poll() is not None:
            assert children(worker.pid) == []
            start_worker()
        wait_until(lambda: is_taken_over(run.job), seconds=TAKEN_OVER_WITHIN)
        finished(run.job)
    assert trouble == []
    went_on = re.search(r"going on after epoch (\d+)", log_of(run, 2))
    assert went_on
    assert 1 <= int(went_on[1]) < N_EPOCHS
    assert_trained_once_and_whole(run, attempt=2)
    assert trainers(run) == []


def test_a_worker_that_stands_still_loses_its_training_and_does_not_take_it_back(start_worker, run):
    frozen = start_worker()
    wait_until(lambda: has_an_epoch(run))
    os.kill(frozen.pid, signal.SIGSTOP)
    before = trainers(run)
    start_worker()
    wait_until(lambda: is_taken_over(run.job), seconds=TAKEN_OVER_WITHIN)
    wait_until(lambda: not set(before) & set(trainers(run)), seconds=TAKEN_OVER_WITHIN)
    finished(run.job)
    assert_trained_once_and_whole(run, attempt=2)
    os.kill(frozen.pid, signal.SIGCONT)
    other = queue_run(run.release, run.parsed_recipe())  # done by whichever is free: both are alive
    assert finished(other.job).state == Job.State.DONE
    run.refresh_from_db()
    assert (run.job.state, run.job.attempt) == (Job.State.DONE, 2)
    assert Checkpoint.objects.filter(run=run).count() == 1


@pytest.mark.rarely
def test_a_device_has_one_training_at_a_time_and_is_free_when_that_is_killed(start_worker, run, release):
    for _ in range(2):
        start_worker()
    wait_until(lambda: has_an_epoch(run))
    [holder] = trainers(run)
    os.kill(holder, signal.SIGSTOP)  # it trains no further, and lives
    other = small_run(release, n_epochs=2)
    wait_until(lambda: "waiting for cpu, on which another training runs" in log_of(other, 1))
    assert not has_an_epoch(other)
    os.kill(holder, signal.SIGKILL)
    assert finished(other.job).state == Job.State.DONE


@LONG
def test_a_training_whose_only_worker_stood_still_goes_on_with_it(start_worker, release):
    run = small_run(release, n_epochs=300)  # more than can be trained before the silence is heard
    worker = start_worker(own_lease=False)
    wait_until(lambda: has_an_epoch(run))
    os.kill(worker.pid, signal.SIGSTOP)
    wait_until(lambda: trainers(run) == [], seconds=TAKEN_OVER_WITHIN)  # it heard nothing for the length of a lease
    os.kill(worker.pid, signal.SIGCONT)
    done = finished(run.job)
    assert done.attempt >= 2
    assert_trained_once_and_whole(run, attempt=done.attempt)


@pytest.mark.rarely
def test_a_worker_that_is_told_to_stop_gives_its_training_back_at_once(start_worker, run):
    worker = start_worker()
    wait_until(lambda: has_an_epoch(run))
    worker.terminate()
    worker.wait(ENDED_WITHIN)
    run.job.refresh_from_db()
    assert (run.job.state, run.job.n_deaths) == (Job.State.QUEUED, 0)
    assert trainers(run) == []


@pytest.mark.rarely
def test_a_cancelled_training_stops_within_a_step_and_can_be_taken_up_again(start_worker, run):
    start_worker()
    wait_until(lambda: has_an_epoch(run))
    cancel_job(run.job)
    wait_until(lambda: trainers(run) == [], seconds=ENDED_WITHIN)
    assert finished(run.job).state == Job.State.CANCELLED
    n_trained = run.epochs.count()
    assert 1 <= n_trained < N_EPOCHS
    assert not Checkpoint.objects.exists()
    states = [path.name for path in (media_path(run.folder) / "attempt-1").glob("epoch-*")]
    assert len(states) == 1
    recorded = json.loads((media_path(run.folder) / "attempt-1" / states[0] / "state.json").read_text())
    assert len(recorded["epochs"]) >= n_trained
