from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from socket import gethostname
from time import monotonic, sleep
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django_tasks_db.models import DBTaskResult

from datasets import jobs
from datasets.files import media_path
from datasets.hosts import MARK, check_in
from datasets.jobs import Attempt, JobCancelled, JobFailed, LostLease, claim, in_seconds, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Source
from datasets.models.projects import Project
from datasets.rows import BadManifest
from tests import make
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
State = Job.State


@jobs.handles("count")
def count(attempt: Attempt) -> dict[str, Any]:
    """Work in three steps, each of which writes a row."""
    for n in range(1, 4):
        with attempt.writing(n_done=n, n_total=3):
            Source.objects.create(project=attempt.job.project, name=f"{attempt.number}.{n}")
    return {"counted": 3}


@jobs.handles("refuse")
def refuse(attempt: Attempt) -> None:
    raise REFUSALS[attempt.arguments.get("whose", "the job")]("The manifest has no rows.")


REFUSALS = {"the job": JobFailed, "what it called": BadManifest}


@jobs.handles("stumble")
def stumble(attempt: Attempt) -> None:
    raise ZeroDivisionError("the divisor is nought")


@jobs.handles("be_robbed")
def be_robbed(attempt: Attempt) -> None:
    """Another worker takes the job over in the middle of the work."""
    die(attempt)
    jobs.reap()
    assert claim(attempt.job.pk)
    attempt.progress(1)


@jobs.handles("be_interrupted")
def be_interrupted(attempt: Attempt) -> dict[str, Any]:
    """Ctrl-C in the middle of the work, the first time."""
    with attempt.writing(n_done=1):
        if attempt.number == 1:
            raise KeyboardInterrupt
    return {"attempt": attempt.number}


@jobs.handles("be_stopped")
def be_stopped(attempt: Attempt) -> None:
    jobs.cancel_job(attempt.job)
    with attempt.writing():
        Source.objects.create(project=attempt.job.project, name="after the request")


@jobs.handles("take_long")
def take_long(attempt: Attempt) -> dict[str, Any]:
    """Wait, without a word, until somebody has renewed the lease."""
    before, patience = Job.objects.get(pk=attempt.job.pk).leased_until, monotonic() + 30
    while Job.objects.get(pk=attempt.job.pk).leased_until == before and monotonic() < patience:
        sleep(0.02)
    return {"renewed": Job.objects.get(pk=attempt.job.pk).leased_until > before}


@jobs.handles("miss_a_file")
def miss_a_file(attempt: Attempt) -> None:
    """The host's media folder is gone in the middle of the work, and what is missing reads as a fault of the job's."""
    folder_gone()
    raise JobFailed("The file of a picture is missing.")


@jobs.handles("fill_the_disk")
def fill_the_disk(attempt: Attempt) -> None:
    Path("/dev/full").write_bytes(b"one byte too many")


def folder_gone() -> None:
    media_path(MARK).unlink()


@pytest.fixture
def project() -> Project:
    return make.project()


@pytest.fixture
def attempt(project: Project) -> Attempt:
    return claimed(queue_job("count", project))


def claimed(job: Job) -> Attempt:
    attempt = claim(job.pk)
    assert attempt
    return attempt


def die(attempt: Attempt) -> None:
    """What is seen of a worker that was killed: its lease has run out."""
    Job.objects.filter(pk=attempt.job.pk).update(leased_until=in_seconds(-1))


def stumble_while_writing(attempt: Attempt) -> None:
    with attempt.writing(n_done=7):
        Source.objects.create(project=attempt.job.project, name="seventh")
        stumble(attempt)


def ran(kind: str, project: Project, **arguments: str) -> Job:
    job = queue_job(kind, project, **arguments)
    jobs.run(job.pk)
    job.refresh_from_db()
    return job


def tickets(job: Job) -> int:
    return sum(ticket.args_kwargs["args"] == [job.pk] for ticket in DBTaskResult.objects.all())


# From request to result


def test_a_job_runs_from_queue_to_result(project):
    job = queue_job("count", project, by=(person := make.user()))
    assert (job.state, job.attempt, job.created_by) == (State.QUEUED, 0, person)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.n_done, job.n_total) == (State.DONE, 1, 3, 3)
    assert job.result == {"counted": 3}
    assert job.leased_until is None
    assert job.finished_at >= job.started_at


def test_the_queue_hears_of_a_job_only_after_the_commit(project, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = queue_job("count", project)
        assert tickets(job) == 0
    assert tickets(job) == 1


def test_the_ticket_goes_to_the_jobs_lane(project, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = queue_job("count", project)
    assert DBTaskResult.objects.get().queue_name == job.lane == "short"


def test_a_second_ticket_for_a_done_job_does_nothing(project):
    job = ran("count", project)
    jobs.run(job.pk)
    assert Job.objects.get(pk=job.pk).attempt == 1
    assert Source.objects.count() == 3


def test_a_kind_of_job_needs_a_lane_that_exists():
    with pytest.raises(ImproperlyConfigured, match="no lane 'express'"):
        jobs.handles("hurry", lane="express")


@pytest.mark.parametrize("whose", REFUSALS)
def test_a_handler_says_in_words_why_a_job_cannot_be_done(project, whose):
    job = ran("refuse", project, whose=whose)
    assert (job.state, job.error, job.traceback) == (State.FAILED, "The manifest has no rows.", "")
    assert job.leased_until is None


def test_an_unexpected_error_is_kept_for_whoever_mends_it_and_hidden_from_who_asked(project):
    job = ran("stumble", project)
    assert job.state == State.FAILED
    assert "ZeroDivisionError" in job.error
    assert "nought" not in job.error
    assert "the divisor is nought" in job.traceback


def test_a_worker_that_lost_its_job_leaves_it_to_the_next(project):
    job = ran("be_robbed", project)
    assert (job.state, job.attempt, job.n_done, job.error) == (State.RUNNING, 2, 0, "")


# Claims


def test_a_job_is_claimed_once(project):
    job = queue_job("count", project)
    assert claim(job.pk)
    assert claim(job.pk) is None
    assert Job.objects.get(pk=job.pk).attempt == 1


@pytest.mark.django_db(transaction=True)
def test_of_eight_workers_that_reach_for_a_job_one_gets_it(project):
    job = queue_job("count", project)
    attempts = at_once(*[lambda: claim(job.pk)] * 8)
    assert [each.number for each in attempts if each] == [1]
    assert Job.objects.get(pk=job.pk).attempt == 1


def test_a_claim_wipes_what_an_earlier_attempt_had_said(project):
    job = ran("stumble", project)
    jobs.retry_job(job)
    assert claimed(job).number == 2
    job.refresh_from_db()
    assert (job.n_done, job.n_total, job.error, job.traceback) == (0, None, "", "")


# Writing under the fence


def test_progress_is_stored_with_the_rows_it_tells_of(attempt):
    with attempt.writing(n_done=7, n_total=9):
        Source.objects.create(project=attempt.job.project, name="seventh")
    job = Job.objects.get(pk=attempt.job.pk)
    assert (job.n_done, job.n_total) == (7, 9)


def test_a_batch_that_fails_leaves_neither_rows_nor_progress(attempt):
    with pytest.raises(ZeroDivisionError):
        stumble_while_writing(attempt)
    assert not Source.objects.exists()
    assert Job.objects.get(pk=attempt.job.pk).n_done == 0


def test_an_attempt_that_was_overtaken_writes_nothing(attempt):
    die(attempt)
    jobs.reap()
    newer = claimed(attempt.job)
    with pytest.raises(LostLease), attempt.writing(n_done=99):
        Source.objects.create(project=attempt.job.project, name="from the grave")
    assert not Source.objects.exists()
    assert Job.objects.get(pk=attempt.job.pk).n_done == 0
    assert newer.number == 2


def test_an_attempt_that_was_overtaken_cannot_end_the_job(attempt):
    die(attempt)
    jobs.reap()
    claimed(attempt.job)
    assert not attempt.end(State.DONE, result={"counted": 0})
    job = Job.objects.get(pk=attempt.job.pk)
    assert (job.state, job.attempt, job.result) == (State.RUNNING, 2, {})


def test_an_attempt_whose_job_went_back_to_the_queue_writes_nothing(attempt):
    die(attempt)
    jobs.reap()
    with pytest.raises(LostLease):
        attempt.progress(1)


def test_a_heartbeat_that_finds_no_job_stops_the_work_at_its_next_step(attempt):
    Job.objects.filter(pk=attempt.job.pk).update(attempt=2)
    attempt.renew()
    Job.objects.filter(pk=attempt.job.pk).update(attempt=1)
    with pytest.raises(LostLease):
        attempt.progress(1)


def test_a_worker_whose_lease_ran_out_unnoticed_goes_on(attempt):
    die(attempt)
    attempt.progress(1)
    jobs.reap()
    assert Job.objects.get(pk=attempt.job.pk).state == State.RUNNING


# Leases


@pytest.mark.parametrize("renewal", [Attempt.renew, lambda attempt: attempt.progress(1)], ids=["heartbeat", "progress"])
def test_a_renewed_lease_is_counted_by_the_databases_clock(attempt, renewal: Callable[[Attempt], None], settings):
    settings.JOB_LEASE_SECONDS = 1000
    renewal(attempt)
    leased = Job.objects.filter(pk=attempt.job.pk)
    assert leased.filter(leased_until__gt=in_seconds(900), leased_until__lte=in_seconds(1000)).exists()


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_a_handler_says_nothing(project, settings):
    settings.JOB_HEARTBEAT_SECONDS = 0.05
    assert ran("take_long", project).result == {"renewed": True}


# Cancelling and trying again


def test_a_queued_job_is_cancelled_at_once(project):
    job = queue_job("count", project)
    jobs.cancel_job(job)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.CANCELLED, 0)
    assert job.finished_at


def test_a_running_job_is_cancelled_at_its_next_step_and_writes_no_more(project):
    job = ran("be_stopped", project)
    assert job.state == State.CANCELLED
    assert job.leased_until is None
    assert not Source.objects.exists()


def test_a_running_job_hears_of_the_request_at_its_next_step(attempt):
    jobs.cancel_job(attempt.job)
    with pytest.raises(JobCancelled):
        attempt.progress(1)


def test_a_job_that_is_done_stays_done(project):
    job = ran("count", project)
    jobs.cancel_job(job)
    job.refresh_from_db()
    assert (job.state, job.cancel_requested) == (State.DONE, False)


@pytest.mark.parametrize("kind", ["refuse", "stumble", "be_stopped"])
def test_a_failed_or_cancelled_job_can_be_tried_again(project, kind, django_capture_on_commit_callbacks):
    job = ran(kind, project)
    with django_capture_on_commit_callbacks(execute=True):
        jobs.retry_job(job)
    job.refresh_from_db()
    assert (job.state, job.cancel_requested, job.error, job.finished_at) == (State.QUEUED, False, "", None)
    assert tickets(job) == 1


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.DONE])
def test_no_other_job_can_be_tried_again(attempt, state):
    Job.objects.filter(pk=attempt.job.pk).update(state=state)
    with pytest.raises(jobs.NotRetryable, match="only a failed or cancelled job"):
        jobs.retry_job(attempt.job)
    assert Job.objects.get(pk=attempt.job.pk).state == state


# A host that is unfit for a job


@pytest.fixture
def a_host(media_of_its_own: None) -> None:
    check_in()


@pytest.fixture
def told_to_stop() -> Iterator[None]:
    """So that a worker that would wait does not."""
    jobs.stopping.set()
    yield
    jobs.stopping.clear()


def test_a_job_goes_back_for_another_host_when_its_own_has_lost_the_media_folder(a_host, project):
    job, mark = queue_job("miss_a_file", project), media_path(MARK).read_text()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.n_returns, job.leased_until, tickets(job)) == (State.QUEUED, 1, None, 1)
    assert f"On the host {gethostname()} the media folder is not the site's" in job.error
    media_path(MARK).write_text(mark)  # as another host has it
    Job.objects.update(kind="count")
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error, job.result) == (State.DONE, "", {"counted": 3})


def test_a_host_that_is_unfit_does_not_even_begin(a_host, project):
    folder_gone()
    job = ran("count", project)
    assert (job.state, job.n_returns, job.n_done) == (State.QUEUED, 1, 0)
    assert not Source.objects.exists()


def test_a_full_disk_is_called_so_and_ends_a_job_after_five_returns(a_host, project):
    job = queue_job("fill_the_disk", project)
    states = []
    for _ in range(5):
        jobs.run(job.pk)
        job.refresh_from_db()
        states.append(job.state)
    assert states == [State.QUEUED] * 4 + [State.FAILED]
    assert job.error.startswith(f"The disk of the host {gethostname()} is full")
    assert "given back 5 times" in job.error
    jobs.retry_job(job)
    job.refresh_from_db()
    assert job.n_returns == 0


def test_projects_take_turns_however_many_jobs_one_of_them_has(a_host):
    many, few, later = (make.project() for _ in range(3))
    queued = [queue_job("count", project) for project in (many, many, many, many, few, later, few)]
    named = {job.pk: f"{('many', 'few', 'later')[(many, few, later).index(job.project)]}" for job in queued}
    done = []
    for ticket in queued:
        before = {*Job.objects.exclude(state=State.QUEUED).values_list("pk", flat=True)}
        jobs.run_job.call(ticket.pk)
        [ran] = {*Job.objects.exclude(state=State.QUEUED).values_list("pk", flat=True)} - before
        done.append(named[ran])
    assert done == ["many", "few", "later", "many", "few", "many", "many"]
    of_many = Job.objects.filter(project=many).order_by("started_at")
    assert [job.pk for job in of_many] == [job.pk for job in queued[:4]]  # the oldest first


def test_a_project_with_a_job_at_work_comes_after_one_without(a_host):
    busy, idle = make.project(), make.project()
    assert claim(queue_job("count", busy).pk)
    waiting, fresh = queue_job("count", busy), queue_job("count", idle)
    assert [job.pk for job in jobs.in_turn("short")] == [fresh.pk, waiting.pk]
    assert not jobs.in_turn("train").exists()


@pytest.mark.django_db(transaction=True)
def test_tickets_that_are_taken_at_the_same_moment_do_each_job_once(a_host):
    queued = [queue_job("count", make.project()) for _ in range(6)]
    at_once(*[partial(jobs.run_job.call, job.pk) for job in queued])
    assert {(job.state, job.attempt) for job in Job.objects.all()} == {(State.DONE, 1)}


def test_a_worker_on_an_unfit_host_leaves_a_job_to_others(a_host, told_to_stop, project):
    job = queue_job("count", project)
    folder_gone()
    jobs.run_job.call(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.n_returns, tickets(job)) == (State.QUEUED, 0, 0, 1)


def test_a_missing_file_on_a_host_that_is_fit_is_the_jobs_own_failure(a_host, project):
    assert ran("refuse", project).state == State.FAILED


# The end of the process that does a job, and of one that waits for it


def test_an_interrupted_job_goes_back_to_the_queue_at_once(project):
    job = queue_job("be_interrupted", project)
    with pytest.raises(KeyboardInterrupt):
        jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.leased_until, job.n_deaths) == (State.QUEUED, None, 0)
    assert tickets(job) == 1
    jobs.finish(job)
    assert (job.state, job.result) == (State.DONE, {"attempt": 2})


def test_whoever_waits_for_a_job_takes_it_up_when_its_worker_dies(attempt):
    jobs.finish(job := attempt.job, while_waiting=lambda waited_for: die(attempt))
    assert (job.state, job.attempt, job.result) == (State.DONE, 2, {"counted": 3})


# The reaper


def test_the_job_of_a_dead_worker_is_queued_again_and_claimed_under_a_higher_attempt(attempt):
    die(attempt)
    jobs.reap()
    job = Job.objects.get(pk=attempt.job.pk)
    assert (job.state, job.attempt, job.leased_until) == (State.QUEUED, 1, None)
    assert tickets(job) == 1
    assert claimed(job).number == 2


def test_a_job_whose_lease_still_holds_is_left_alone(attempt):
    jobs.reap()
    assert Job.objects.get(pk=attempt.job.pk).state == State.RUNNING
    assert tickets(attempt.job) == 0


def test_two_reapers_hand_a_dead_job_on_once(attempt):
    die(attempt)
    jobs.reap()
    jobs.reap()
    assert tickets(attempt.job) == 1


def test_a_job_that_takes_five_workers_down_is_given_up_in_words(project):
    job = queue_job("count", project)
    for number in range(1, 6):
        attempt = claimed(job)
        assert attempt.number == number
        die(attempt)
        jobs.reap()
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert job.error == "The worker died 5 times over this job. See the worker's log, then retry."
    assert job.finished_at


def test_a_job_that_was_given_up_and_is_asked_for_again_may_lose_five_workers_more(project):
    job = queue_job("count", project)
    Job.objects.filter(pk=job.pk).update(state=State.FAILED, n_deaths=4, attempt=5)
    jobs.retry_job(job)
    die(claimed(job))
    jobs.reap()
    job.refresh_from_db()
    assert (job.state, job.n_deaths) == (State.QUEUED, 1)


def test_a_job_whose_worker_died_after_it_was_asked_to_stop_is_cancelled(attempt):
    jobs.cancel_job(attempt.job)
    die(attempt)
    jobs.reap()
    job = Job.objects.get(pk=attempt.job.pk)
    assert (job.state, tickets(job)) == (State.CANCELLED, 0)
    assert job.finished_at


def test_a_queued_job_that_the_queue_forgot_is_handed_over_again(project):
    job = queue_job("count", project)
    Job.objects.filter(pk=job.pk).update(queued_at=in_seconds(-60))
    jobs.reap()
    jobs.reap()
    assert tickets(job) == 1
    assert Job.objects.filter(pk=job.pk, queued_at__gt=in_seconds(-30)).exists()


def test_a_job_that_waits_behind_another_in_its_lane_is_not_forgotten(project):
    claimed(queue_job("count", project))
    waiting = queue_job("count", project)
    Job.objects.filter(pk=waiting.pk).update(queued_at=in_seconds(-60))
    jobs.reap()
    assert tickets(waiting) == 0


def test_a_job_that_was_queued_a_moment_ago_is_not_forgotten(project):
    job = queue_job("count", project)
    jobs.reap()
    assert tickets(job) == 0
