"""The steps of a study that ask first: opened for the first time, closed, deleted; and those of a whole
project, which are its admins'."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.access import managed_study
from annotation.models.people import Invitation, Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from annotation.studies import closing, deleting, life, opening
from annotation.watching.progress import study_progress
from datasets.access import LoggedIn, administered_project
from datasets.confirm import confirmed
from datasets.forms import TypedName
from datasets.models.projects import Project, ProjectChange
from datasets.once import once
from datasets.telling import told_on

State = Study.State


@never_cache
@require_http_methods(["GET", "POST"])
@told_on("annotation:study")
@once
def state(request: LoggedIn, study: UUID) -> HttpResponse:
    """Asks, and does it when sent. What the first opening fixes is fixed for good, so that wants the name typed."""
    found = managed_study(request, study)
    wanted = request.POST.get("state", request.GET.get("state", ""))
    life.check_step(found, wanted)
    is_first = wanted == State.OPEN and not found.has_begun
    form = TypedName(found.short_name, request.POST or None) if is_first else None
    if request.method == "POST" and (form is None or form.is_valid()):
        life.change_state(found, wanted, by=request.user)
        messages.success(request, f"The study is {found.get_state_display()} now.")
        return redirect("annotation:study", found.public_id)
    context = {"study": found, "project": found.project, "form": form, "wanted": wanted}
    context |= _opening(found) if is_first else _under_way(found)
    page = "annotation/steps/open.html" if is_first else "annotation/steps/change.html"
    return render(request, page, context, status=400 if form and form.errors else 200)


def _opening(study: Study) -> dict[str, Any]:
    return {
        "points": opening.checklist(study),
        "forecast": opening.expected(study),
        "becomes_fixed": opening.becomes_fixed(study),
    }


def _under_way(study: Study) -> dict[str, Any]:
    """Whom and what a step reaches."""
    people = Participation.objects.filter(study=study).active()
    return {
        "progress": study_progress(study),
        "n_active": people.count(),
        "n_held": Assignment.objects.filter(participation__in=people).held().count(),
        "n_links": study.invitations.filter(revoked_at=None).count(),
    }


@never_cache
@confirmed
@require_http_methods(["GET", "POST"])
def delete_study(request: LoggedIn, study: UUID) -> HttpResponseBase:
    """A click that comes when another one has deleted the study is told what came of it."""
    if request.method == "POST" and (gone := _deleted(request, study)):
        return _told_deleted(request, gone)
    return _delete_study(request, study)


def _deleted(request: LoggedIn, study: UUID) -> ProjectChange | None:
    deleted = ProjectChange.objects.filter(kind=ProjectChange.Kind.STUDY_DELETED, facts__study_id=study.hex)
    mine = deleted.filter(project__in=Project.objects.managed_by(request.user))
    return mine.select_related("project").first()


def _told_deleted(request: LoggedIn, gone: ProjectChange) -> HttpResponse:
    messages.success(request, f"The study {gone.facts['study']} is deleted.")
    return redirect("annotation:project", gone.project.slug)


@told_on("annotation:study")
def _delete_study(request: LoggedIn, study: UUID) -> HttpResponse:
    found = managed_study(request, study)
    deleting.check_deletable(found)
    form = TypedName(found.short_name, request.POST or None)
    if request.method == "POST" and form.is_valid():
        deleting.delete_study(found, by=request.user)
        return _told_deleted(request, found.project.changes.get(facts__study_id=study.hex))
    context = {"study": found, "project": found.project, "form": form, "holdings": deleting.holdings(found)}
    return render(request, "annotation/steps/delete.html", context, status=400 if form.errors else 200)


@never_cache
@confirmed
@require_http_methods(["GET", "POST"])
@told_on("annotation:project")
@once
def close_project(request: LoggedIn, project: str) -> HttpResponse:
    """Closes the project with all its studies; asks first, with what it would do."""
    found = administered_project(request, project)
    closing.check_closable(found)
    form = TypedName(found.slug, request.POST or None)
    if request.method == "POST" and form.is_valid():
        closing.close_project(found, by=request.user)
        messages.success(request, "The project is closed. Its pages can be read; nothing begins in it.")
        return redirect("annotation:project", found.slug)
    people = Participation.objects.filter(study__in=closing.running(found)).active()
    context = {
        "project": found,
        "form": form,
        "studies": closing.running(found).order_by("campaign__name", "mode"),
        "n_active": people.count(),
        "n_held": Assignment.objects.filter(participation__in=people).held().count(),
        "n_links": Invitation.objects.filter(study__in=closing.running(found), revoked_at=None).count(),
        "n_releases": found.releases.frozen().count(),
    }
    return render(request, "annotation/steps/close_project.html", context, status=400 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "POST"])
@told_on("annotation:project")
@once
def reopen_project(request: LoggedIn, project: str) -> HttpResponse:
    found = administered_project(request, project)
    closing.check_reopenable(found)
    form = TypedName(found.slug, request.POST or None)
    if request.method == "POST" and form.is_valid():
        closing.reopen_project(found, by=request.user)
        messages.success(request, "The project is open again. Its studies are closed still; open those that go on.")
        return redirect("annotation:project", found.slug)
    studies = Study.objects.filter(campaign__project=found, state=State.CLOSED)
    context = {"project": found, "form": form, "n_closed": studies.count()}
    return render(request, "annotation/steps/reopen_project.html", context, status=400 if form.errors else 200)
