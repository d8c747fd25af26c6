"""People rate, and beside them every kind of heavy job is asked for and done."""

import io
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from pathlib import Path
from threading import Event
from uuid import uuid4

import numpy as np
from django.conf import settings
from django.db.models import Max
from django.utils import timezone
from PIL import Image as PillowImage

from annotation.answering.turn import take_turn
from annotation.freeze import request_freeze
from annotation.models.people import Annotator as Person
from annotation.models.people import Participation
from annotation.models.studies import Campaign, Study
from annotation.studies import life, setup
from annotation.studies.wording import current_texts
from bench.annotators import Annotator, Tally, rate_together
from bench.site import whole_product
from bench.study import build_study, check_ratings, database_version
from datasets import jobs
from datasets.export import request_export
from datasets.jobs import queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode, Release
from scoring.runs import queue_run, recipe_for

__all__ = ["Seen", "database_version", "measured", "report"]

KINDS = ("train_release", "freeze_study", "export_release", "import_pairs", "compare_run")
PATIENCE = 900  # seconds, for the jobs to end
N_RELEASED = 120  # pairs of the release that is trained on and exported
N_RATERS = 3
RECIPE = {"backbone": "tiny", "weights": "random", "size": 32, "batch_size": 16}


@dataclass(frozen=True)
class Seen:
    tally: Tally
    warm: float  # seconds since 1970, as are all moments here; from here on answers count as "before"
    queued: float
    jobs: list[Job]

    @property
    def faults(self) -> list[str]:
        faults = [f"a person met {error}" for error in self.tally.errors]
        faults += [f"no job {kind} was made" for kind in KINDS if kind not in {job.kind for job in self.jobs}]
        begun, ended = min(self.tally.answered_at, default=inf), max(self.tally.answered_at, default=0)
        for job in self.jobs:
            if job.state != Job.State.DONE:
                faults.append(f"{job.kind} is {job.state}, attempt {job.attempt}: {job.error} {job.traceback}")
            elif job.attempt != 1:
                faults.append(f"{job.kind} was begun {job.attempt} times")
            elif not begun < moment(job, "started_at") < moment(job, "finished_at") < ended:
                faults.append(f"{job.kind} did not run from start to end while people rated")
        return faults

    def answers_during(self, job: Job) -> int:
        return len(self.between(moment(job, "started_at"), moment(job, "finished_at")))

    def between(self, start: float, end: float) -> list[float]:
        """The round trips of the answers acknowledged then."""
        moments = zip(self.tally.answered_at, self.tally.answers, strict=True)
        return [seconds for at, seconds in moments if start <= at <= end]


def moment(job: Job, name: str) -> float:
    at = getattr(job, name)
    return at.timestamp() if at else 0.0


def measured(*, n_annotators: int, seconds: float, pause: float, n_items: int, n_imported: int, n_epochs: int) -> Seen:
    invitation = build_study(n_items, n_warm_up=0)  # answers of a warm-up are not released
    release = rated_release()
    folder = pictures_to_import(n_imported)
    last = Job.objects.aggregate(last=Max("pk"))["last"]
    over = Event()
    with whole_product() as port, ThreadPoolExecutor(1) as crowd:
        annotators = [Annotator(port, invitation.token, sees_pictures=True) for _ in range(n_annotators)]
        begun = time.time()
        rating = crowd.submit(rate_together, annotators, PATIENCE + seconds, pause=pause, over=over)
        try:
            time.sleep(seconds / 2)
            wait_for_an_answer(invitation.study, rating)  # coming in takes longer than that on a slow machine
            queued = time.time()
            queue_everything(invitation.study, release, folder, n_epochs)
            wait_for_the_jobs(last, rating)
            time.sleep(max(begun + seconds - time.time(), 2 * pause + 1))  # so that the last job ends among answers
        finally:
            over.set()
        tally = rating.result()
    check_ratings(invitation.study, acknowledged=len(tally.answers))
    made = list(Job.objects.filter(pk__gt=last, kind__in=KINDS).order_by("started_at"))
    return Seen(tally, begun + seconds / 6, queued, made)


def queue_everything(study: Study, release: Release, folder: Path, n_epochs: int) -> None:
    """By the verbs of the pages; the study that is frozen is the one being rated."""
    queue_run(release, recipe_for(release, **RECIPE, epochs=n_epochs))
    request_freeze(study)
    request_export(release)
    queue_job("import_pairs", study.project, root=str(folder), manifest=str(folder / "manifest.csv"))


def wait_for_an_answer(study: Study, rating: "Future[Tally]") -> None:
    """Without one there is nothing to freeze."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not rating.done() and not study.items.filter(n_rated__gt=0).exists():
        time.sleep(0.5)


def wait_for_the_jobs(last: int, rating: "Future[Tally]") -> None:
    """Until all have ended, nobody rates any more, or it takes too long: the jobs' states tell."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not rating.done():
        asked = Job.objects.filter(pk__gt=last, kind__in=KINDS)
        if {job.kind for job in asked if job.is_finished} == set(KINDS):
            return
        if any(job.state in (Job.State.FAILED, Job.State.CANCELLED) for job in asked):
            return
        time.sleep(0.5)


def rated_release() -> Release:
    """A small study that is rated to its end and frozen, in a project of its own."""
    project = Project.objects.create(slug="trained", name="Trained on")
    add_small_pairs(project)
    study = setup.create_study(
        project,
        campaign=Campaign.objects.create(project=project, slug="trained", name="Trained on"),
        mode=Mode.HA2,
        name="Trained on",
        pairs=Pair.objects.filter(project=project),
        goal=N_RATERS,
        session_size=N_RELEASED,
        n_warm_up=0,
        repeat_percent=0,
    )
    life.change_state(study, Study.State.OPEN)
    for number in range(N_RATERS):
        rate_all(study, number)
    frozen = request_freeze(study)
    jobs.finish(frozen)
    return Release.objects.get(pk=frozen.result["release"])


def add_small_pairs(project: Project) -> None:
    folder = pictures_to_import(N_RELEASED, name="trained")  # through the same door as everybody's
    job = queue_job("import_pairs", project, root=str(folder), manifest=str(folder / "manifest.csv"))
    jobs.finish(job)
    if job.state != Job.State.DONE:
        raise SystemExit(f"The pairs to train on did not come in: {job.error} {job.traceback}")


def rate_all(study: Study, number: int) -> None:
    person = Participation.objects.create(
        study=study,
        campaign=study.campaign,
        annotator=Person.objects.create(project=study.project),
        consent_text=current_texts(study)["consent"],
        consented_at=timezone.now(),
        instructed_at=timezone.now(),
        n_planned=study.session_size,
    )
    random = np.random.default_rng(number)
    leases = take_turn(person, [])["leases"]
    while leases:
        answer = {"key": uuid4(), "assignment": leases[0]["assignment"], "score": int(random.integers(1, 11))}
        leases = take_turn(person, [answer])["leases"]


def pictures_to_import(n_rows: int, *, name: str = "imported") -> Path:
    """A folder with a manifest of pairs, every picture unlike all others; about 100 kB each."""
    folder = Path(settings.VAR_DIR) / name
    folder.mkdir()
    random = np.random.default_rng(n_rows)
    lines = ["original,anonymized,source,method,scope"]
    for number in range(n_rows):
        for kind in ("original", "anonymized"):
            (folder / f"{kind}{number}.png").write_bytes(noise_png(random))
        lines.append(f"original{number}.png,anonymized{number}.png,{name},blur,global")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def noise_png(random: np.random.Generator) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(random.integers(0, 256, (160, 220, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def report(seen: Seen) -> str:
    ended = max([moment(job, "finished_at") for job in seen.jobs], default=seen.queued)
    phases = {"before the jobs": (seen.warm, seen.queued), "during the jobs": (seen.queued, ended)}
    lines = [
        "| | seconds | answers | answers/s | p50 ms | p95 ms | p99 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_phase(name, seen.between(*span), span[1] - span[0]) for name, span in phases.items()),
        "",
        "| job | state | waited s | ran s | answers meanwhile |",
        "| --- | --- | ---: | ---: | ---: |",
        *(_job(job, seen) for job in seen.jobs),
        "",
        f"{len(seen.tally.answers)} answers and {len(seen.tally.pictures)} pictures, {len(seen.tally.errors)} errors",
    ]
    return "\n".join(lines)


def _phase(name: str, answers: list[float], seconds: float) -> str:
    times = [f"{np.percentile(answers, q) * 1000:.0f}" if answers else "-" for q in (50, 95, 99)]
    return f"| {name} | {seconds:.0f} | {len(answers)} | {len(answers) / seconds:.1f} | {' | '.join(times)} |"


def _job(job: Job, seen: Seen) -> str:
    started, finished = moment(job, "started_at"), moment(job, "finished_at")
    waited = started - moment(job, "created_at")
    return f"| {job.kind} | {job.state} | {waited:.1f} | {finished - started:.1f} | {seen.answers_during(job)} |"
