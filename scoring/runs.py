"""The life of a training run: asked for, trained by another process, taken up again when that dies, taken in."""

import errno
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, close_old_connections, transaction
from django.urls import reverse

from datasets import jobs, removal, splits
from datasets.audit import record
from datasets.files import media_path
from datasets.jobs import Attempt, JobFailed, WorkDied, cancel_job, handles, leads_to, queue_job
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.models.projects import Project
from datasets.models.releases import Release
from datasets.refusals import Refusal
from scoring import results, trainer
from scoring.models import Checkpoint, Epoch, TrainingRun
from scoring.recipe import BadRecipe, Recipe
from scoring.states import DISK_FULL, ORPHANED

GIVEN = ("mode", "scale_min", "scale_max")  # by the release, not by whoever trains
LOG_TAIL = 4000  # characters shown of what a training wrote


class CannotQueue(Refusal):
    """This release cannot be trained on by this recipe, in words for the person who asked."""


def recipe_for(release: Release, **choices: Any) -> Recipe:
    """The release says mode and scale, the person the rest. Raises BadRecipe."""
    return Recipe(**choices | {name: getattr(release, name) for name in GIVEN})


@transaction.atomic
def queue_run(release: Release, recipe: Recipe, *, by: AbstractBaseUser | None = None) -> TrainingRun:
    """Ask for a training. Raises TooSmallToSplit, and CannotQueue where the recipe is for another release or this one
    is retracted."""
    if release.is_retracted():
        raise CannotQueue(f"{release} is retracted; its page says why. Train on another version.")
    if any(getattr(recipe, name) != getattr(release, name) for name in GIVEN):
        raise CannotQueue(f"The recipe is for another mode or scale than {release}.")
    splits.parts(list(release.labels.order_by("number")), recipe.scheme, seed=recipe.split_seed)
    job = queue_job("train_release", release.project, by=by)
    record(What.TRAINING_STARTED, by=by, on=job, project=release.project, after={"release": str(release.public_id)})
    return TrainingRun.objects.create(project=release.project, release=release, recipe=recipe.to_dict(), job=job)


def run_again(run: TrainingRun, *, by: AbstractBaseUser | None = None) -> TrainingRun:
    """A new run of the same recipe on the same release."""
    try:
        return queue_run(run.release, run.parsed_recipe(), by=by)
    except BadRecipe as error:  # of an older version, which allowed more
        raise CannotQueue(f"The recipe is no longer possible: {error}") from error


class NoModel(Refusal):
    sentence = "This run has no model to compare or to use."


class RunIsNeeded(Refusal):
    """The run is at work, or its model is in use."""


def check_deletable(run: TrainingRun) -> None:
    """Raises RunIsNeeded."""
    if not run.job.is_finished:
        raise RunIsNeeded("This run is not finished; cancel it first.")
    if hasattr(run, "checkpoint") and run.checkpoint.in_use:
        raise RunIsNeeded("The model of this run is in use; put another one in use first.")


@transaction.atomic
def delete_run(run: TrainingRun, *, by: AbstractBaseUser | None = None) -> None:
    """Delete a run that failed or was superseded: its model, predictions, comparison and files go with it."""
    # Whoever puts a model in use, or takes the job up again, meanwhile waits; and is waited for.
    Project.objects.select_for_update(no_key=True).get(pk=run.project_id)
    Job.objects.select_for_update().get(pk=run.job_id)
    run = TrainingRun.objects.with_lineage().get(pk=run.pk)
    check_deletable(run)
    Checkpoint.objects.filter(run=run).delete()
    job, folder = run.job, media_path(run.folder)
    record(What.RUN_DELETED, by=by, on=run, project=run.project)
    run.delete()
    job.delete()
    transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


@removal.trains
def models_of(releases: list[Release]) -> list[str]:
    """Every run on these releases, since one that has not ended may have a state to go on from."""
    runs = list(TrainingRun.objects.with_lineage().filter(release__in=releases).order_by("pk"))
    for run in runs:
        # Of what has not ended, as it holds the picture; afterwards, as its worker may wait for what is locked now.
        transaction.on_commit(partial(cancel_job, run.job))
    return [_model_in_words(run) for run in runs]


def _model_in_words(run: TrainingRun) -> str:
    if not hasattr(run, "checkpoint"):
        return f"{run}: no model by then"
    return f"{run}: model {run.checkpoint}{', in use' if run.checkpoint.in_use else ''}"


def log_tail(run: TrainingRun) -> str:
    """The end of what the newest attempt wrote."""
    newest = _newest(run, "log.txt")
    if newest is None:
        return ""
    return newest.read_text(errors="replace")[-LOG_TAIL:]


def lineage(run: TrainingRun) -> dict[str, Any]:
    """Where the run's model comes from, as meta.json says; before there is a model, what the newest attempt runs on."""
    if hasattr(run, "checkpoint"):
        meta = dict(run.checkpoint.meta)
    elif newest := _newest(run, "meta.json"):
        meta = json.loads(newest.read_text())
    else:
        return {}
    return meta | {"versions": dict(sorted(meta.get("versions", {}).items()))}


def _newest(run: TrainingRun, name: str) -> Path | None:
    return max(media_path(run.folder).glob(f"attempt-*/{name}"), key=trainer.attempt_number, default=None)


@handles("train_release", lane="train")
def train_release(attempt: Attempt) -> dict[str, Any]:
    """Train in a child process, or go on where an earlier attempt was after its last whole epoch."""
    run = TrainingRun.objects.select_related("release", "project").get(job=attempt.job)
    if not hasattr(run, "checkpoint"):  # else an attempt before this one died between its result and its end
        folder = trainer.prepare(run, attempt.number)
        with trainer.training(folder) as child:
            _follow(attempt, run, child)
        results.take_in(attempt, run, folder)
    _remove_what_is_over(run)
    return {"run": run.pk, "checkpoint": run.checkpoint.sha256}


@leads_to("train_release", "compare_run")
def page_of(job: Job) -> tuple[str, str] | None:
    """The run that a job trains; the comparison that it made."""
    named = {"pk": job.arguments.get("run")} if job.kind == "compare_run" else {"job": job}
    run = TrainingRun.objects.filter(**named).first()
    if run is None:
        return None
    if job.kind == "compare_run" and job.state == Job.State.DONE:
        return "To the comparison", reverse("scoring:comparison", args=[run.public_id])
    return "To the run", reverse("scoring:run", args=[run.public_id])


def _follow(attempt: Attempt, run: TrainingRun, child: trainer.Child) -> None:
    """Store each epoch as it ends, until the child has. Leaving early, by whatever exception, ends the child."""
    n_epochs = run.parsed_recipe().epochs
    while child.is_running():
        if jobs.stopping.is_set():
            raise SystemExit("the worker was told to stop")  # the job goes back to the queue
        try:
            _store_epochs(attempt, run, child.new_epochs(), n_epochs)
            attempt.check()
        except DatabaseError:  # away for a moment: no reason to stop a training of hours
            jobs.log.warning("run %s: the database is away, the training goes on", run.pk, exc_info=True)
            close_old_connections()
            child.reread_epochs()
    _store_epochs(attempt, run, child.new_epochs(), n_epochs)
    if child.reason is not None:
        raise JobFailed(child.reason)
    if child.status == ORPHANED:
        raise WorkDied("The training heard nothing from its worker as long as a lease lasts, and ended itself.")
    if child.status == DISK_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as if it had been met here
    if child.status < 0:
        raise WorkDied(f"The training process was killed by signal {-child.status}. Often memory was too small for it.")
    if child.status:
        raise JobFailed("The training process ended with an error that was not foreseen; see the end of its log.")


def _store_epochs(attempt: Attempt, run: TrainingRun, epochs: list[dict[str, Any]], n_epochs: int) -> None:
    if not epochs:
        return
    has_news = epochs[-1]["epoch"] > run.epochs.count()  # an attempt that goes on tells again what was before it
    rows = [
        Epoch(
            run=run,
            number=epoch["epoch"],
            **{name: epoch[name] for name in ("train_loss", "val_loss", "lr", "seconds")},
        )
        for epoch in epochs
    ]
    with attempt.writing(n_done=epochs[-1]["epoch"], n_total=n_epochs):
        Epoch.objects.bulk_create(rows, ignore_conflicts=True)
    if has_news:
        attempt.outlive()


def _remove_what_is_over(run: TrainingRun) -> None:
    """States to go on from, and the folders of attempts that came to nothing."""
    kept = media_path(str(run.checkpoint.file.name)).parent
    for folder in media_path(run.folder).glob("attempt-*"):
        if folder != kept:
            shutil.rmtree(folder, ignore_errors=True)
    for state in kept.glob("epoch-*"):
        shutil.rmtree(state, ignore_errors=True)
