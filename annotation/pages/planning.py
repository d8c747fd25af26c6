"""The planner's page: what a study will take, from numbers that anybody can change."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from annotation.models.studies import Study
from annotation.studies.forecast import ASSUMED_RELIABILITY, ASSUMED_SD, MINUTES_AROUND
from annotation.studies.forms.forecast import ForecastForm
from annotation.studies.settings import SESSION
from annotation.watching import agreement, progress
from datasets.access import LoggedIn, managed_project
from datasets.models.projects import Project
from scoring.measures.means import Spread

SOME_PAY = 12  # per hour; a number to begin with
EXAMPLE = {"n_pairs": 700, "n_originals": 100}  # of a project that has no pairs yet


@require_GET
def planner(request: LoggedIn, project: str) -> HttpResponse:
    """A forecast for numbers in the address; at first those of a study, or of all pairs of the project."""
    found = managed_project(request, project)
    study = _study(found, request.GET["study"]) if "study" in request.GET else None
    measured = agreement.study_spread(study) if study else None
    numbers = _of_study(study, measured) if study else _of_project(found)
    form = ForecastForm(numbers | request.GET.dict())
    forecast = form.forecast()
    context = {
        "project": found,
        "study": study,
        "measured": measured,
        "assumed": {"sd": ASSUMED_SD, "reliability": ASSUMED_RELIABILITY},
        "form": form,
        "forecast": forecast,
    }
    return render(request, "annotation/planner.html", context, status=200 if forecast else 400)


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
        "pay": SOME_PAY,
        "pay_per": "hour",
        "sd": ASSUMED_SD,
        "reliability": ASSUMED_RELIABILITY,
    }
