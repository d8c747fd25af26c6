"""What the commands that start a job have in common: do it here, or follow the worker that was faster."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from datasets import jobs
from datasets.models.jobs import Job
from datasets.models.projects import Project


def named_project(slug: str) -> Project:
    try:
        return Project.objects.get(slug=slug)
    except Project.DoesNotExist as error:
        known = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no project {slug!r}. Projects: {known}.") from error


def finish_here(command: BaseCommand, job: Job) -> dict[str, Any]:
    """Do a queued job in this process, or wait for whoever took it. Raises CommandError when it fails."""

    def tell(job: Job) -> None:
        command.stderr.write(f"A worker is doing {job}: {job.n_done} of {job.n_total or '?'}")

    jobs.finish(job, while_waiting=tell)
    if job.state != Job.State.DONE:
        raise CommandError(job.error or f"{job} was {job.get_state_display()}.")
    return dict(job.result)


def found_job(jobs_: QuerySet[Job], named: str) -> Job:
    """A job by its id or the beginning of it."""
    try:
        found = list(jobs_.filter(public_id=UUID(named)))
    except ValueError:  # no whole id
        found = list(jobs_.filter(public_id__startswith=named)[:2]) if named else []
    if len(found) != 1:
        raise CommandError(f"{'Several jobs begin' if found else 'No job begins'} with {named!r}; see manage.py jobs.")
    return found[0]
