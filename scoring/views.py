"""Pages for researchers: a project's runs, one run as it trains, and its comparison with people."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from datasets.access import LoggedIn, managed_project
from datasets.audit import record
from datasets.models.audit import What
from datasets.models.jobs import Job
from scoring import charts
from scoring.compare import prediction_lines, rows_of
from scoring.models import Comparison, TrainingRun
from scoring.runs import lineage, log_tail

FURTHEST = 50  # pairs listed below the scatter plot


def managed_run(request: LoggedIn, public_id: UUID) -> TrainingRun:
    mine = TrainingRun.objects.managed_by(request.user).with_lineage()
    return get_object_or_404(mine, public_id=public_id)


def run_context(run: TrainingRun, user: User | AnonymousUser) -> dict[str, Any]:
    """What the run's page shows."""
    epochs = list(run.epochs.all())
    comparing = Job.objects.filter(kind="compare_run", project=run.project, arguments__run=run.pk).first()
    return {
        "run": run,
        "project": run.project,
        "job": run.job,
        "epochs": epochs,
        "comparing": comparing,
        "is_settled": run.job.is_finished and (comparing is None or comparing.is_finished),
        "losses": charts.losses(epochs, run.recipe["epochs"]),
        "log": log_tail(run),
        "meta": lineage(run),
        "checkpoint": getattr(run, "checkpoint", None),
        "figures": Comparison.objects.filter(run=run).values_list("figures", flat=True).first(),
        "may_train": run.project.is_administered_by(user),
    }


@never_cache
@require_GET
def runs(request: LoggedIn, project: str) -> HttpResponse:
    found = managed_project(request, project)
    context = {
        "project": found,
        "runs": found.runs.with_lineage().select_related("comparison"),
        "trainable": found.releases.frozen()
        if found.is_administered_by(request.user) and not found.closed_at
        else None,
        "in_use": found.checkpoints.filter(in_use=True).select_related("run__release").order_by("mode"),
    }
    return render(request, "scoring/runs.html", context)


@never_cache
@require_GET
def run(request: LoggedIn, run: UUID) -> HttpResponse:
    return render(request, "scoring/run.html", run_context(managed_run(request, run), request.user))


@never_cache
@require_GET
def comparison(request: LoggedIn, run: UUID) -> HttpResponse:
    found = managed_run(request, run)
    compared = Comparison.objects.filter(run=found).first()
    if compared is None:
        raise Http404("This run has no comparison yet.")
    rows = list(rows_of(found, "test"))
    context = {
        "run": found,
        "project": found.project,
        "checkpoint": found.checkpoint,
        "meta": lineage(found),
        "figures": compared.figures,
        "scatter": charts.scatter(rows, low=found.recipe["scale_min"], high=found.recipe["scale_max"]),
        "furthest": sorted(rows, key=lambda row: -abs(row.off))[:FURTHEST],
    }
    return render(request, "scoring/comparison.html", context)


@never_cache
@require_GET
def predictions(request: LoggedIn, run: UUID) -> StreamingHttpResponse:
    """Every pair of the run with all that was said of it, to compute on."""
    found = managed_run(request, run)
    if not hasattr(found, "checkpoint"):
        raise Http404("This run has no predictions yet.")
    record(What.DOWNLOADED, by=request.user, on=found, project=found.project, after={"table": "predictions"})
    response = StreamingHttpResponse(prediction_lines(found), content_type="text/csv")
    name = f"{found.release.slug}-v{found.release.version}-{str(found.public_id)[:8]}-predictions.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
