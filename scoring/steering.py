"""The pages of a project's admin: a training is begun, steered, put in use and deleted. To researchers they are not
there; the pages on which runs are looked at are in `views.py`."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from datasets.access import LoggedIn
from datasets.forms import TypedName
from datasets.jobs import cancel_job, retry_job
from datasets.models.projects import Project
from datasets.models.releases import Release
from datasets.once import once
from datasets.splits import SEED
from datasets.telling import told_in, told_on
from scoring.at_hand import devices_in_words, parts_of
from scoring.compare import request_comparison
from scoring.forms import RecipeForm
from scoring.models import Checkpoint, TrainingRun
from scoring.recipe import Recipe
from scoring.runs import NoModel, check_deletable, delete_run, queue_run, run_again

RUN_PAGE = "scoring:run"


def administered_run(request: LoggedIn, public_id: UUID) -> TrainingRun:
    runs = TrainingRun.objects.filter(project__in=Project.objects.administered_by(request.user))
    return get_object_or_404(runs.with_lineage(), public_id=public_id)


def model_of(run: TrainingRun) -> Checkpoint:
    if not hasattr(run, "checkpoint"):
        raise NoModel
    return run.checkpoint


def to_page_of(run: TrainingRun) -> HttpResponse:
    return redirect(RUN_PAGE, run.public_id)


@never_cache
@require_http_methods(["GET", "POST"])
def train(request: LoggedIn, project: str, slug: str, version: int) -> HttpResponse:
    """The recipe of a training on this release; with *look* the parts by another split seed, and no training."""
    mine = Release.objects.frozen().filter(project__in=Project.objects.administered_by(request.user))
    release = get_object_or_404(mine.select_related("project"), project__slug=project, slug=slug, version=version)
    form = RecipeForm(release, request.POST or None)
    is_good = request.method == "POST" and form.is_valid()
    if is_good and "look" not in request.POST:
        with told_in(form):
            return _begin_run(request, release, form.recipe)
    seed, also = (form.recipe.split_seed, form.recipe.scheme) if is_good else (SEED, "")
    context = {
        "release": release,
        "project": release.project,
        "form": form,
        "devices": devices_in_words(),
        "split_seed": seed,
        "parts": parts_of(release, seed=seed, also=also),
    }
    return render(request, "scoring/train.html", context, status=400 if form.errors else 200)


@once
def _begin_run(request: LoggedIn, release: Release, recipe: Recipe) -> HttpResponse:
    return to_page_of(queue_run(release, recipe, by=request.user))


@require_POST
def cancel(request: LoggedIn, run: UUID) -> HttpResponse:
    found = administered_run(request, run)
    if found.job.is_finished:
        messages.info(request, f"This run is {found.job.get_state_display()} already.")
    else:
        cancel_job(found.job, by=request.user)
        messages.success(request, "Cancelling: a running training stops within a step.")
    return to_page_of(found)


@require_POST
@told_on(RUN_PAGE)
@once
def again(request: LoggedIn, run: UUID) -> HttpResponse:
    new = run_again(administered_run(request, run), by=request.user)
    messages.success(request, "This is a new run of the same recipe.")
    return to_page_of(new)


@require_POST
@told_on(RUN_PAGE)
def go_on(request: LoggedIn, run: UUID) -> HttpResponse:
    found = administered_run(request, run)
    retry_job(found.job, by=request.user)
    messages.success(request, "Queued again: it goes on after its last whole epoch.")
    return to_page_of(found)


@require_POST
@told_on(RUN_PAGE)
def compare(request: LoggedIn, run: UUID) -> HttpResponse:
    found = administered_run(request, run)
    request_comparison(model_of(found).run, by=request.user)
    messages.success(request, "The comparison is being made; it takes a minute or so.")
    return to_page_of(found)


@require_POST
@told_on(RUN_PAGE)
def use(request: LoggedIn, run: UUID) -> HttpResponse:
    found = administered_run(request, run)
    model_of(found).use(by=request.user)
    messages.success(request, f"In use for {found.checkpoint.mode} in {found.project} from now on.")
    return to_page_of(found)


@require_POST
@told_on(RUN_PAGE)
def out_of_use(request: LoggedIn, run: UUID) -> HttpResponse:
    found = administered_run(request, run)
    model_of(found).take_out_of_use(by=request.user)
    messages.success(request, f"No model is in use for {found.checkpoint.mode} in {found.project} any more.")
    return to_page_of(found)


@never_cache
@require_http_methods(["GET", "POST"])
@told_on(RUN_PAGE)
def delete(request: LoggedIn, run: UUID) -> HttpResponse:
    """Asks with counts. What is at work or in use is refused."""
    found = administered_run(request, run)
    check_deletable(found)
    form = TypedName(str(found.public_id)[:8], request.POST or None)
    if request.method == "POST" and form.is_valid():
        delete_run(found, by=request.user)
        messages.success(request, f"Deleted: {found}.")
        return redirect("scoring:runs", found.project.slug)
    context = {
        "run": found,
        "project": found.project,
        "form": form,
        "n_epochs": found.epochs.count(),
        "n_predictions": found.predictions.count(),
    }
    return render(request, "scoring/delete.html", context, status=400 if form.errors else 200)
