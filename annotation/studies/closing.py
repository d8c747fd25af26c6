"""A project is closed with all its studies: what was published stays to be read, and nothing begins any more."""

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from annotation.models.studies import Study
from annotation.studies.life import change_state
from datasets.audit import record
from datasets.jobs import unfinished_work
from datasets.models.audit import What
from datasets.models.projects import Project, ProjectChange
from datasets.refusals import Refusal

Kind = ProjectChange.Kind


OPEN_ALREADY = "This project is open already."


class CannotClose(Refusal):
    """The project is closed, or open, already; or work in it has not ended."""


def check_closable(project: Project) -> None:
    """Raises CannotClose."""
    if project.closed_at:
        raise CannotClose("This project is closed already.")
    if unfinished_work(project).exists():
        raise CannotClose("A job of this project is not finished. Cancel it or wait for it, then close the project.")


def running(project: Project) -> QuerySet[Study]:
    """Its studies that are open or paused."""
    return Study.objects.filter(campaign__project=project, state__in=[Study.State.OPEN, Study.State.PAUSED])


@transaction.atomic
def close_project(project: Project, *, by: AbstractBaseUser | None = None) -> None:
    """Close its studies, and let nothing begin in it until it is reopened. Raises CannotClose."""
    # In the order in which a freeze takes them: first studies, then the project. Whoever queues a job or opens a study
    # holds the project until that is there: they are waited for and seen below, or wait and are refused.
    list(Study.objects.filter(campaign__project=project).select_for_update(of=("self",), no_key=True).order_by("pk"))
    locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    check_closable(locked)
    closes = list(running(locked).select_related("campaign__project").order_by("pk"))
    for study in closes:
        change_state(study, Study.State.CLOSED, by=by, reason="The project was closed.")
    Project.objects.filter(pk=locked.pk).update(closed_at=Now())
    closed = ", ".join(study.short_name for study in closes)
    locked.changes.create(kind=Kind.CLOSED, by_id=by.pk if by else None, facts={"closed with it": closed or "no study"})
    record(What.PROJECT_CLOSED, by=by, on=project, project=project)
    project.refresh_from_db(fields=["closed_at"])


def check_reopenable(project: Project) -> None:
    """Raises CannotClose."""
    if not project.closed_at:
        raise CannotClose(OPEN_ALREADY)


@transaction.atomic
def reopen_project(project: Project, *, by: AbstractBaseUser | None = None) -> None:
    """Its studies stay closed; each can be opened again. Raises CannotClose."""
    if not Project.objects.filter(pk=project.pk).exclude(closed_at=None).update(closed_at=None):
        raise CannotClose(OPEN_ALREADY)
    project.changes.create(kind=Kind.REOPENED, by_id=by.pk if by else None)
    record(What.PROJECT_REOPENED, by=by, on=project, project=project)
    project.refresh_from_db(fields=["closed_at"])
