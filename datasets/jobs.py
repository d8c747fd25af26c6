"""Background work that survives the death of whoever does it.

A `Job` row is the truth; the queue (django-tasks, in the same database) only carries its id. A worker claims a job by
raising its `attempt`, renews a lease while it works, and writes only in transactions that begin with an update fenced
by that attempt. When a lease runs out, the reaper gives the job back to the queue; the next worker starts it again
under a higher attempt, and the earlier one, should it wake up, finds that its fenced update hits no row.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import Count, DateTimeField, ExpressionWrapper, F, Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now
from django_tasks import task

from datasets.audit import record
from datasets.closing import hold_open
from datasets.hosts import trouble_for_jobs
from datasets.models.audit import What
from datasets.models.jobs import Job, JobQuerySet
from datasets.models.projects import Project
from datasets.refusals import Refusal

log = logging.getLogger(__name__)

MAX_DEATHS = 5  # a job that takes its worker down five times is not tried again
MAX_RETURNS = 5  # a job that as many attempts give back, because their hosts are unfit for it, is not tried again
STAY_AWAY_SECONDS = 10.0  # so long whoever gave a job back leaves it to others
FORGOTTEN_AFTER = 10  # seconds: queued rows that no worker took are handed to the queue again
FORGOTTEN_IN_BUSY_LANE_AFTER = 120
LOOK_EVERY_SECONDS = 0.5
LOOK_WITHIN_SECONDS = 1.0  # of a job that was cancelled

stopping = threading.Event()  # set when this worker is told to stop; a long job then raises SystemExit

Handler = Callable[["Attempt"], dict[str, Any] | None]
_handlers: dict[str, tuple[Handler, str]] = {}
_in_closed_projects: set[str] = set()  # kinds
ResultPage = Callable[[Job], tuple[str, str] | None]
_result_pages: dict[str, ResultPage] = {}
repeated: dict[Callable[[], None], float] = {}  # what workers do unasked, and every how many seconds


class JobFailed(Refusal):
    """Raised by a handler when the job cannot be done, in words for the person who asked for it."""


class LostLease(Exception):
    """Another worker has this job now, or it was taken back: stop, and write nothing more."""


class JobCancelled(Exception):
    """Somebody asked for this job to stop. A handler that catches it may say what stays, for the person who asked."""


class WorkDied(Exception):
    """A process that works for the job was killed from outside: the job is taken up again, as when its worker dies."""


class NotRetryable(Refusal):
    """Only a failed or cancelled job can be tried again."""


def handles(kind: str, *, lane: str = "short", in_closed_projects: bool = False) -> Callable[[Handler], Handler]:
    """Register the function that does jobs of this kind; in closed projects too where it but looks at what is there."""
    if lane not in settings.LANES:
        raise ImproperlyConfigured(f"{kind}: there is no lane {lane!r}")

    def register(handler: Handler) -> Handler:
        _handlers[kind] = (handler, lane)
        if in_closed_projects:
            _in_closed_projects.add(kind)
        return handler

    return register


def leads_to(*kinds: str) -> Callable[[ResultPage], ResultPage]:
    """Register what finds the page of what jobs of these kinds are about."""

    def register(page: ResultPage) -> ResultPage:
        _result_pages.update(dict.fromkeys(kinds, page))
        return page

    return register


def result_page(job: Job) -> tuple[str, str] | None:
    """The words of a link and its address; None where there is nothing to see."""
    page = _result_pages.get(job.kind)
    return page(job) if page else None


def repeats(*, every: float) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a verb that each worker calls again and again, so many seconds apart. Several may call it at once."""

    def register(verb: Callable[[], None]) -> Callable[[], None]:
        repeated[verb] = every
        return verb

    return register


def in_seconds(seconds: float) -> ExpressionWrapper:
    """A moment from now by the database's clock, the only one that all workers share."""
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


# Asking -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def queue_job(kind: str, project: Project, *, by: AbstractBaseUser | None = None, **arguments: Any) -> Job:
    """Ask for work. It starts once the surrounding transaction has committed. Raises ProjectClosed."""
    _, lane = _handlers[kind]
    _hold_open(project, kind)
    job = Job.objects.create(
        kind=kind, lane=lane, project=project, arguments=arguments, created_by_id=by.pk if by else None, queued_at=Now()
    )
    job.refresh_from_db()
    transaction.on_commit(lambda: _hand_to_queue(job))
    return job


def may_begin(kind: str, project: Project) -> bool:
    """Whether such a job can be asked for."""
    return not project.closed_at or kind in _in_closed_projects


def _hold_open(project: Project, kind: str) -> None:
    if kind not in _in_closed_projects:
        hold_open(project)


def unfinished_work(project: Project) -> JobQuerySet:
    """Jobs under way that change something."""
    return Job.objects.unfinished().filter(project=project).exclude(kind__in=_in_closed_projects)


def _hand_to_queue(job: Job) -> None:
    run_job.using(queue_name=job.lane).enqueue(job.pk)


@transaction.atomic
def cancel_job(job: Job, *, by: AbstractBaseUser | None = None) -> None:
    """A queued job is cancelled at once, a running one at its next step."""
    unstarted = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
    running = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, cancel_requested=False)
    # The second where a worker claimed it meanwhile.
    if unstarted.update(state=Job.State.CANCELLED, finished_at=Now()) or running.update(cancel_requested=True):
        _log_training(What.TRAINING_CANCELLED, job, by)


def _log_training(what: What, job: Job, by: AbstractBaseUser | None) -> None:
    if job.lane == "train":
        record(what, by=by, on=job, project=job.project)


@transaction.atomic
def retry_job(job: Job, *, by: AbstractBaseUser | None = None) -> None:
    """Queue a failed or cancelled job once more. Raises NotRetryable, and ProjectClosed."""
    _hold_open(job.project, job.kind)
    again = Job.objects.filter(pk=job.pk, state__in=[Job.State.FAILED, Job.State.CANCELLED])
    fresh = {
        "cancel_requested": False,
        "error": "",
        "traceback": "",
        "finished_at": None,
        "n_deaths": 0,
        "n_returns": 0,
    }
    if not again.update(state=Job.State.QUEUED, queued_at=Now(), **fresh):
        raise NotRetryable(f"{job} is {job.get_state_display()}; only a failed or cancelled job can be tried again.")
    _log_training(What.TRAINING_STARTED, job, by)
    transaction.on_commit(lambda: _hand_to_queue(job))


# Doing ------------------------------------------------------------------------------------------------------------


class Attempt:
    """A worker's hold on a job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.number = job.attempt
        self.arguments: dict[str, Any] = job.arguments
        self.no_longer_needed: list[Path] = []  # files to remove once the job is done; until then it may start anew
        self._lost = threading.Event()
        self._begun = self._looked = time.monotonic()

    @property
    def _row(self) -> Any:
        return Job.objects.filter(pk=self.job.pk, attempt=self.number, state=Job.State.RUNNING)

    @contextmanager
    def writing(self, *, n_done: int | None = None, n_total: int | None = None) -> Iterator[None]:
        """A transaction that holds only while the job is still ours; progress given here is stored with it.

        The fenced update comes first: it takes the row's lock, so the reaper cannot give the job away before commit.
        """
        progress = {name: n for name, n in (("n_done", n_done), ("n_total", n_total)) if n is not None}
        with transaction.atomic():
            if self._lost.is_set() or not self._row.update(
                leased_until=in_seconds(settings.JOB_LEASE_SECONDS), **progress
            ):
                raise LostLease(f"{self.job} attempt {self.number}")
            if self._row.filter(cancel_requested=True).exists():
                raise JobCancelled
            yield

    def progress(self, n_done: int, n_total: int | None = None) -> None:
        """Say how far the work is. Raises if it was cancelled or given to another worker."""
        with self.writing(n_done=n_done, n_total=n_total):
            pass

    def note(self, **known: Any) -> None:
        """Keep something of the result while `writing`, for the attempt that may have to take over."""
        self.job.result |= known
        self._row.update(result=self.job.result)

    def check(self) -> None:
        """Raises if the job was cancelled or given to another worker; writes nothing."""
        mine = self._row.values_list("cancel_requested", flat=True).first()
        if self._lost.is_set() or mine is None:
            raise LostLease(f"{self.job} attempt {self.number}")
        if mine:
            raise JobCancelled

    def look(self) -> None:
        """The same, from within work that goes on for long: however often it is called, it asks once a second.

        Raises JobFailed too where the job takes longer than the site allows.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_WITHIN_SECONDS:
            return
        self._looked = now
        self.check()
        if self.job.lane == "short" and now - self._begun > settings.JOB_MAX_SECONDS:
            raise JobFailed(
                f"This took longer than {settings.JOB_MAX_SECONDS / 3600:g} hours and was ended, so that others get "
                "their turn. Do it in parts, or ask an admin of the site to raise JOB_MAX_SECONDS."
            )

    def renew(self) -> None:
        if not self._row.update(leased_until=in_seconds(settings.JOB_LEASE_SECONDS)):
            self._lost.set()

    def end(self, state: str, **fields: Any) -> bool:
        """Close the job. False if another worker has it by now; then nothing is written."""
        if self._row.update(state=state, finished_at=Now(), leased_until=None, **fields):
            return True
        log.warning("job %s attempt %s: another attempt has taken over, nothing written", self.job.pk, self.number)
        return False

    def give_back(self, **fields: Any) -> None:
        """To the queue, for this process is about to end: nobody has to wait until the lease runs out."""
        if self._row.update(state=Job.State.QUEUED, leased_until=None, queued_at=Now(), **fields):
            log.warning("job %s attempt %s: interrupted, queued again", self.job.pk, self.number)
            _hand_to_queue(self.job)

    def outlive(self) -> None:
        """The job got further than ever: the deaths that it has cost so far count no more."""
        if self.job.n_deaths and self._row.update(n_deaths=0):
            self.job.n_deaths = 0

    def survive(self, death: WorkDied) -> None:
        """Give the job back, unless it has cost too many lives."""
        if self.job.n_deaths + 1 < MAX_DEATHS:
            self.give_back(n_deaths=F("n_deaths") + 1)
        else:
            self.end(Job.State.FAILED, error=f"{death} This happened {MAX_DEATHS} times; then the job was given up.")

    def hand_on(self, trouble: str) -> None:
        """Give the job back for another host, as this one is unfit for it, unless too many were."""
        if self.job.n_returns + 1 < MAX_RETURNS:
            self.give_back(
                n_returns=F("n_returns") + 1, error=f"{trouble} The job waits for another host, or for room."
            )
        else:
            says = f"{trouble} The job was given back {MAX_RETURNS} times and then given up: mend it, then try again."
            self.end(Job.State.FAILED, error=says)


@contextmanager
def _heartbeat(attempt: Attempt) -> Iterator[None]:
    """Renew the lease from a thread of its own while the work goes on."""
    stop = threading.Event()

    def beat() -> None:
        try:
            while not stop.wait(settings.JOB_HEARTBEAT_SECONDS):
                try:
                    attempt.renew()
                except DatabaseError:  # a database that is away for a moment; the lease outlives two missed beats
                    log.warning("job %s: heartbeat missed", attempt.job.pk, exc_info=True)
                    close_old_connections()
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name=f"heartbeat-{attempt.job.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def claim(job_id: int) -> Attempt | None:
    """Take a queued job. None when another worker was faster, or when it is no longer queued."""
    queued = Job.objects.filter(pk=job_id, state=Job.State.QUEUED)
    claimed = queued.update(
        state=Job.State.RUNNING,
        attempt=F("attempt") + 1,
        leased_until=in_seconds(settings.JOB_LEASE_SECONDS),
        started_at=Now(),
        n_done=0,
        n_total=None,
        error="",
        traceback="",
    )
    return Attempt(Job.objects.select_related("project").get(pk=job_id)) if claimed else None


def run(job_id: int) -> bool:
    """Claim a job and do it to its end, whatever that is; False where another worker was faster."""
    attempt = claim(job_id)
    if attempt is None:
        return False
    log.info("job %s attempt %s started: %s", job_id, attempt.number, attempt.job.kind)
    with _heartbeat(attempt):
        try:
            _do(attempt)
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or a worker that is told to stop for the second time
            attempt.give_back()
            raise
    return True


def in_turn(lane: str) -> JobQuerySet:
    """The queued jobs of a lane in the order in which they are done.

    Round by round between projects, so that the many of one hold up nobody's first; the oldest of each project first.
    """
    of_project = Job.objects.filter(lane=lane, project=OuterRef("project")).order_by().values("project")
    running = of_project.filter(state=Job.State.RUNNING).annotate(n=Count("pk")).values("n")
    begun = of_project.annotate(last=Max("started_at")).values("last")
    queued = Job.objects.filter(lane=lane, state=Job.State.QUEUED)
    return queued.annotate(n_running=Coalesce(Subquery(running), 0), last_begun=Subquery(begun)).order_by(
        "n_running", F("last_begun").asc(nulls_first=True), "created_at", "pk"
    )


@task(queue_name="short")
def run_job(job_id: int) -> None:
    """What the queue calls: it is the turn of a job of this one's lane, whichever is next.

    A worker whose host is unfit takes no job: it leaves it to others, and waits.
    """
    waiting = Job.objects.filter(pk=job_id, state=Job.State.QUEUED)
    if trouble := trouble_for_jobs():
        log.error("No jobs are done here until this is mended (manage.py doctor): %s", trouble)
        if job := waiting.first():
            _hand_to_queue(job)
        while trouble_for_jobs() and not stopping.wait(LOOK_EVERY_SECONDS):
            close_old_connections()
        return
    lane = Job.objects.filter(pk=job_id).values_list("lane", flat=True).first()
    if lane is None:  # it went with its project; whoever waits for this turn is handed to the queue again
        return
    for job in in_turn(lane):
        if run(job.pk):
            if Job.objects.filter(pk=job.pk, state=Job.State.QUEUED, n_returns__gt=0).exists():
                stopping.wait(STAY_AWAY_SECONDS)
            return


def finish(job: Job, *, while_waiting: Callable[[Job], None] = lambda job: None) -> None:
    """Do a job in this process. Where a worker was faster wait for it, and take the job up again should it die."""
    run(job.pk)
    job.refresh_from_db()
    while not job.is_finished:
        while_waiting(job)
        time.sleep(LOOK_EVERY_SECONDS)
        reap()
        run(job.pk)
        job.refresh_from_db()


def _do(attempt: Attempt) -> None:
    handler, _ = _handlers[attempt.job.kind]
    if trouble := trouble_for_jobs():
        attempt.hand_on(trouble)
        return
    try:
        result = handler(attempt)
    except LostLease:
        log.warning("job %s attempt %s lost its lease and stopped", attempt.job.pk, attempt.number)
    except JobCancelled as cancelled:
        attempt.end(Job.State.CANCELLED, error=str(cancelled))
    except WorkDied as death:
        attempt.survive(death)
    except Exception as error:  # noqa: BLE001  the edge: it is recorded on the job
        _fail(attempt, error)
    else:
        if attempt.end(Job.State.DONE, result=result or {}, n_done=Coalesce("n_total", "n_done")):
            for path in attempt.no_longer_needed:
                path.unlink(missing_ok=True)


def _fail(attempt: Attempt, error: Exception) -> None:
    """Where the host is at fault, even of what reads as a refusal (a file that is missing), another may do the job."""
    if trouble := trouble_for_jobs(error):
        log.error("job %s attempt %s: %s", attempt.job.pk, attempt.number, trouble)
        attempt.hand_on(trouble)
    elif isinstance(error, Refusal):
        attempt.end(Job.State.FAILED, error=str(error))
    else:
        log.error("job %s attempt %s failed", attempt.job.pk, attempt.number, exc_info=error)
        attempt.end(
            Job.State.FAILED,
            error=f"Unexpected {type(error).__name__}. An admin finds the details on the job.",
            traceback="".join(traceback.format_exception(error)),
        )


# Watching ---------------------------------------------------------------------------------------------------------


def reap() -> None:
    """Give the jobs of dead workers back to the queue, and hand over queued jobs that the queue forgot."""
    dead = Job.objects.filter(state=Job.State.RUNNING, leased_until__lt=Now())
    worn_out = dead.filter(n_deaths__gte=MAX_DEATHS - 1)
    worn_out.update(
        state=Job.State.FAILED,
        finished_at=Now(),
        leased_until=None,
        error=f"The worker died {MAX_DEATHS} times over this job. See the worker's log, then retry.",
    )
    dead.filter(cancel_requested=True).update(state=Job.State.CANCELLED, finished_at=Now(), leased_until=None)
    for job in dead:
        # Two reapers may see the same dead job: the one whose update hits hands it on.
        if dead.filter(pk=job.pk, attempt=job.attempt).update(
            state=Job.State.QUEUED, leased_until=None, queued_at=Now(), n_deaths=F("n_deaths") + 1
        ):
            log.warning("job %s attempt %s: worker gone, queued again", job.pk, job.attempt)
            _hand_to_queue(job)
    # Where the lane is busy a queued job most likely waits its turn, and is looked after more slowly.
    busy = Job.objects.filter(state=Job.State.RUNNING).values("lane")
    forgotten = Q(state=Job.State.QUEUED, queued_at__lt=in_seconds(-FORGOTTEN_AFTER)) & (
        ~Q(lane__in=busy) | Q(queued_at__lt=in_seconds(-FORGOTTEN_IN_BUSY_LANE_AFTER))
    )
    for job in Job.objects.filter(forgotten):
        # Should it not be forgotten after all, its second ticket is a turn of whichever job is next.
        if Job.objects.filter(forgotten, pk=job.pk).update(queued_at=Now()):
            _hand_to_queue(job)
