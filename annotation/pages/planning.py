"""What is settled before anybody rates: what a study will take, and what is fixed when it first opens."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.access import managed_study
from annotation.models.studies import Study
from annotation.studies.forecast import ASSUMED_RELIABILITY, ASSUMED_SD, MINUTES_AROUND
from annotation.studies.forms.forecast import ForecastForm
from annotation.studies.forms.preregistration import PreregistrationForm
from annotation.studies.preregistration import ExclusionRule, change_preregistration, deviations, preregistration_of
from annotation.studies.settings import SESSION
from annotation.watching import agreement, progress
from datasets.access import LoggedIn, managed_project
from datasets.models.projects import Project
from datasets.telling import told_on
from scoring.measures.means import Spread

SOME_PAY = 12  # per hour; a number to begin with
EXAMPLE = {"n_pairs": 700, "n_originals": 100}  # of a project that has no pairs yet


@require_GET
def forecast(request: LoggedIn, project: str) -> HttpResponse:
    """From numbers in the address; at first those of a study, or of all pairs of the project."""
    found = managed_project(request, project)
    study = _study(found, request.GET["study"]) if "study" in request.GET else None
    measured = agreement.study_spread(study) if study else None
    numbers = _of_study(study, measured) if study else _of_project(found)
    form = ForecastForm(numbers | request.GET.dict())
    foretold = form.forecast()
    context = {
        "project": found,
        "study": study,
        "measured": measured,
        "assumed": {"sd": ASSUMED_SD, "reliability": ASSUMED_RELIABILITY},
        "form": form,
        "forecast": foretold,
    }
    return render(request, "annotation/planning/forecast.html", context, status=200 if foretold else 400)


def _study(project: Project, public_id: str) -> Study:
    try:
        named = UUID(public_id)
    except ValueError as error:
        raise Http404 from error
    return get_object_or_404(Study.objects.filter(campaign__project=project), public_id=named)


def _of_project(project: Project) -> dict[str, Any]:
    n_pairs, n_originals = project.pairs.count(), project.pairs.order_by().values("group").distinct().count()
    return _settings(Study()) | ({"n_pairs": n_pairs, "n_originals": n_originals} if n_pairs else EXAMPLE)


def _of_study(study: Study, measured: Spread | None) -> dict[str, Any]:
    numbers = _settings(study) | progress.study_size(study)
    if measured and measured.sd > 0:
        numbers["sd"] = round(measured.sd, 2)
    if measured and measured.reliability and measured.reliability > 0:
        numbers["reliability"] = max(round(measured.reliability, 3), 0.001)
    return numbers


def _settings(study: Study) -> dict[str, Any]:
    return {name: getattr(study, name) for name in ["goal", *SESSION]} | {
        "seconds": study.seconds_per_pair,
        "minutes_around": MINUTES_AROUND,
        "pay": study.pay_per_hour or SOME_PAY,
        "pay_per": "hour",
        "sd": ASSUMED_SD,
        "reliability": ASSUMED_RELIABILITY,
    }


@never_cache
@require_http_methods(["GET", "POST"])
@told_on("annotation:preregistration")
def preregistration(request: LoggedIn, study: UUID) -> HttpResponse:
    found = managed_study(request, study)
    current = preregistration_of(found)
    form = PreregistrationForm(found, current, request.POST or None)
    if request.method == "POST" and form.is_valid():
        messages.success(request, change_preregistration(found, **form.decided(), by=request.user))
        return redirect("annotation:preregistration", found.public_id)
    context = {
        "study": found,
        "project": found.project,
        "preregistration": current,
        "fixed_rule": ExclusionRule.of(current.fixed["rule"]).in_words() if current.fixed else None,
        "rule": ExclusionRule.of(current.rule).in_words(),
        "deviations": deviations(found).select_related("changed_by"),
        "form": form,
    }
    return render(request, "annotation/planning/preregistration.html", context, status=400 if form.errors else 200)
