"""Training in the admin: the one place where runs are started. What came of them is looked at, never edited."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from datasets.access import LoggedIn
from datasets.admin import ReadOnly
from datasets.forms import TypedName
from datasets.jobs import cancel_job, retry_job
from datasets.models.projects import Project, Role
from datasets.models.releases import Release
from datasets.once import once
from datasets.refusals import Refusal
from datasets.splits import SEED
from datasets.telling import told_in, told_on
from scoring.at_hand import devices_in_words, parts_of
from scoring.compare import request_comparison
from scoring.forms import RecipeForm
from scoring.models import Checkpoint, Comparison, TrainingRun
from scoring.recipe import Recipe
from scoring.runs import RunIsNeeded, check_deletable, delete_run, queue_run, run_again
from scoring.views import run_context


def row_id(text: str) -> int:
    """The id in an address; 0, which no row has, for anything that cannot be one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


RUN_PAGE = "admin:scoring_trainingrun_change"


def run_page(run: TrainingRun) -> HttpResponse:
    return redirect(RUN_PAGE, run.pk)


@once
def _begin_run(request: HttpRequest, release: Release, recipe: Recipe) -> HttpResponse:
    return run_page(queue_run(release, recipe, by=cast("User", request.user)))


@once
def _begin_again(request: LoggedIn, run: TrainingRun) -> HttpResponse:
    again = run_again(run, by=request.user)
    messages.success(request, "This is a new run of the same recipe.")
    return run_page(again)


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnly):
    path_to_project = "project"
    roles = (Role.ADMIN,)
    list_display = ["__str__", "state", "progress", "problem", "project", "has_model", "created_at"]
    list_filter = ["job__state", "project"]
    list_select_related = ["project", "release", "job", "checkpoint"]
    search_fields = ["public_id", "release__slug", "release__title"]
    actions = ["cancel", "run_again"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("scoring.add_trainingrun")

    has_train_permission = has_add_permission

    @admin.display(description="state", ordering="job__state")
    def state(self, run: TrainingRun) -> str:
        return run.job.get_state_display()

    @admin.display(description="epochs")
    def progress(self, run: TrainingRun) -> str:
        return f"{run.job.n_done} of {run.recipe['epochs']}"

    @admin.display(description="reason")
    def problem(self, run: TrainingRun) -> str:
        return run.job.error[:160]

    @admin.display(description="model", boolean=True)
    def has_model(self, run: TrainingRun) -> bool:
        return hasattr(run, "checkpoint")

    # Pages ------------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        verbs = {
            "cancel": self.cancel_view,
            "again": self.again_view,
            "go_on": self.go_on_view,
            "compare": self.compare_view,
            "use": self.use_view,
        }
        ours = [
            path(f"<int:object_id>/{name}/", self.admin_site.admin_view(view), name=f"scoring_trainingrun_{name}")
            for name, view in verbs.items()
        ]
        return ours + super().get_urls()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Choose a release, then the recipe."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        projects = Project.objects.administered_by(request.user)
        releases = Release.objects.frozen().filter(project__in=projects).select_related("project")
        wanted = request.GET.get("release")
        release = get_object_or_404(releases, pk=row_id(wanted)) if wanted else None
        context = {**self.admin_site.each_context(request), "opts": self.opts, "release": release}
        if release is None:
            open_ones = releases.filter(project__closed_at=None)
            context |= {"title": "Train PerceptAnon: on which release?", "releases": open_ones}
            return TemplateResponse(request, "admin/scoring/choose_release.html", context)
        form = RecipeForm(release, request.POST or None)
        is_good = request.method == "POST" and form.is_valid()
        if is_good and "look" not in request.POST:
            with told_in(form):
                return _begin_run(request, release, form.recipe)
        asked = form.recipe if is_good else None
        context |= {
            "title": f"Train on {release}",
            "project": release.project,
            "form": form,
            "devices": devices_in_words(),
            "split_seed": asked.split_seed if asked else SEED,
            "parts": parts_of(release, seed=asked.split_seed, also=asked.scheme)
            if asked
            else parts_of(release, seed=SEED),
        }
        return TemplateResponse(request, "admin/scoring/recipe.html", context, status=400 if form.errors else 200)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The run as it trains."""
        run = self._found(request, object_id)
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(run),
            **run_context(run, request.user),
        }
        return TemplateResponse(request, "admin/scoring/run.html", context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Asks with counts. What is at work or in use is refused."""
        if not request.user.has_perm("scoring.delete_trainingrun"):
            raise PermissionDenied
        run = self._found(request, object_id)
        try:
            check_deletable(run)
            form = TypedName(str(run.public_id)[:8], request.POST if request.method == "POST" else None)
            if request.method == "POST" and form.is_valid():
                delete_run(run)
                self.message_user(request, f"Deleted: {run}.")
                return redirect("admin:scoring_trainingrun_changelist")
        except RunIsNeeded as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return run_page(run)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Delete {run}?",
            "run": run,
            "form": form,
            "n_epochs": run.epochs.count(),
            "n_predictions": run.predictions.count(),
        }
        page = "admin/scoring/delete_run.html"
        return TemplateResponse(request, page, context, status=400 if form.errors else 200)

    def _found(self, request: HttpRequest, object_id: str | int) -> TrainingRun:
        runs = TrainingRun.objects.with_lineage().filter(pk__in=self.get_queryset(request))
        return get_object_or_404(runs, pk=row_id(str(object_id)))

    # Verbs ------------------------------------------------------------------------------------------------------------

    def _permitted(self, request: LoggedIn, object_id: int) -> TrainingRun:
        if not self.has_train_permission(request):
            raise PermissionDenied
        return self._found(request, object_id)

    @method_decorator(require_POST)
    def cancel_view(self, request: LoggedIn, object_id: int) -> HttpResponse:
        run = self._permitted(request, object_id)
        if run.job.is_finished:
            self.message_user(request, f"This run is {run.job.get_state_display()} already.", messages.INFO)
        else:
            cancel_job(run.job)
            self.message_user(request, "Cancelling: a running training stops within a step.")
        return run_page(run)

    @method_decorator([require_POST, told_on(RUN_PAGE)])
    def again_view(self, request: LoggedIn, object_id: int) -> HttpResponse:
        return _begin_again(request, self._permitted(request, object_id))

    @method_decorator([require_POST, told_on(RUN_PAGE)])
    def go_on_view(self, request: LoggedIn, object_id: int) -> HttpResponse:
        run = self._permitted(request, object_id)
        retry_job(run.job)
        self.message_user(request, "Queued again: it goes on after its last whole epoch.")
        return run_page(run)

    @method_decorator(require_POST)
    def compare_view(self, request: LoggedIn, object_id: int) -> HttpResponse:
        run = self._permitted(request, object_id)
        if hasattr(run, "checkpoint"):
            request_comparison(run, by=request.user)
            self.message_user(request, "The comparison is being made; it takes a minute or so.")
        else:
            self.message_user(request, "This run has no model to compare.", messages.ERROR)
        return run_page(run)

    @method_decorator(require_POST)
    def use_view(self, request: LoggedIn, object_id: int) -> HttpResponse:
        run = self._permitted(request, object_id)
        if hasattr(run, "checkpoint"):
            run.checkpoint.use()
            self.message_user(request, f"In use for {run.checkpoint.mode} in {run.project} from now on.")
        else:
            self.message_user(request, "This run has no model to use.", messages.ERROR)
        return run_page(run)

    @admin.action(description="Cancel the chosen runs", permissions=["train"])
    def cancel(self, request: LoggedIn, runs: QuerySet[TrainingRun]) -> None:
        unfinished = [run for run in runs.select_related("job") if not run.job.is_finished]
        for run in unfinished:
            cancel_job(run.job)
        self.message_user(request, f"{len(unfinished)} runs cancelled; a running one stops within a step.")

    @admin.action(description="Run the chosen runs again", permissions=["train"])
    def run_again(self, request: LoggedIn, runs: QuerySet[TrainingRun]) -> None:
        n_queued = 0
        for run in runs.with_lineage():  # type: ignore[attr-defined]
            try:
                run_again(run, by=request.user)
                n_queued += 1
            except Refusal as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
        self.message_user(request, f"{n_queued} runs queued.")


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly):
    path_to_project = "project"
    roles = (Role.ADMIN,)
    list_display = ["__str__", "project", "mode", "in_use", "run"]
    list_filter = ["in_use", "mode", "project"]
    fields = ["project", "run", "release", "mode", "in_use", "sha256", "where", "meta"]
    list_select_related = ["project", "run__release"]
    actions = ["use"]

    @admin.display(description="release")
    def release(self, checkpoint: Checkpoint) -> str:
        return f"{checkpoint.run.release}, content hash {checkpoint.run.release.content_hash}"

    @admin.display(description="file, below the media folder")
    def where(self, checkpoint: Checkpoint) -> str:
        return str(checkpoint.file.name)  # no link: the file is not served

    def has_use_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scoring.add_trainingrun")

    @admin.action(description="Use this checkpoint", permissions=["use"])
    def use(self, request: LoggedIn, checkpoints: QuerySet[Checkpoint]) -> None:
        chosen = list(checkpoints.select_related("project"))
        if len(chosen) != 1:
            self.message_user(request, "Choose one checkpoint: one is in use per project and mode.", messages.WARNING)
            return
        chosen[0].use()
        self.message_user(request, f"In use for {chosen[0].mode} in {chosen[0].project}: {chosen[0].sha256}")


@admin.register(Comparison)
class ComparisonAdmin(ReadOnly):
    path_to_project = "run__project"
    roles = (Role.ADMIN,)
    list_display = ["run", "created_at"]
    fields = ["run", "created_at"]  # the figures stand on the run's page
    list_select_related = ["run__release"]

    def get_view_on_site_url(self, obj: Comparison | None = None) -> str | None:
        return reverse("scoring:comparison", args=[obj.run.public_id]) if obj else None
