"""The steps of a study that ask first: opened for the first time, closed, deleted."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.access import managed_study
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from annotation.studies import life, opening
from annotation.watching.progress import study_progress
from datasets.access import LoggedIn
from datasets.forms import TypedName
from datasets.telling import told_on

State = Study.State


@never_cache
@require_http_methods(["GET", "POST"])
@told_on("annotation:study")
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
@require_http_methods(["GET", "POST"])
@told_on("annotation:study")
def delete_draft(request: LoggedIn, study: UUID) -> HttpResponse:
    found = managed_study(request, study)
    life.check_draft(found)
    form = TypedName(found.short_name, request.POST or None)
    if request.method == "POST" and form.is_valid():
        life.delete_draft(found)
        messages.success(request, f"The draft {found.name} is deleted.")
        return redirect("annotation:project", found.project.slug)
    context = {
        "study": found,
        "project": found.project,
        "form": form,
        "n_pairs": found.items.count(),
        "n_roles": found.items.exclude(role="main").count(),
        "n_texts": found.texts.count(),
        "n_links": found.invitations.count(),
    }
    return render(request, "annotation/steps/delete.html", context, status=400 if form.errors else 200)
