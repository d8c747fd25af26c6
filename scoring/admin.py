"""Trainings of all projects in lists. They are started, and looked at one by one, on the site's own pages."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from datasets.access import LoggedIn
from datasets.admin import ReadOnly
from datasets.jobs import cancel_job
from datasets.models.projects import Role
from datasets.refusals import Refusal
from scoring.models import Checkpoint, Comparison, TrainingRun
from scoring.runs import run_again


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnly):
    path_to_project = "project"
    roles = (Role.ADMIN,)
    list_display = ["__str__", "state", "progress", "problem", "project", "has_model", "created_at"]
    list_filter = ["job__state", "project"]
    list_select_related = ["project", "release", "job", "checkpoint"]
    search_fields = ["public_id", "release__slug", "release__title"]
    actions = ["cancel", "run_again"]

    def has_train_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scoring.add_trainingrun")

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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """On the site's own pages, where the project's admins find it too."""
        run = self.get_object(request, object_id)
        if run is None:
            raise Http404("no such run")
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        return redirect("scoring:run", run.public_id)

    @admin.action(description="Cancel the chosen runs", permissions=["train"])
    def cancel(self, request: LoggedIn, runs: QuerySet[TrainingRun]) -> None:
        unfinished = [run for run in runs.select_related("job") if not run.job.is_finished]
        for run in unfinished:
            cancel_job(run.job, by=request.user)
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
        chosen[0].use(by=request.user)
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
