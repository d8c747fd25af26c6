from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from datasets.jobs import cancel_job, retry_job
from datasets.models.jobs import Job
from datasets.models.pictures import Source
from datasets.models.projects import Membership, Project
from datasets.models.releases import Release, ReleaseNotice
from datasets.refusals import Refusal


class ReadOnly(admin.ModelAdmin[Any]):
    """What came to be by work or by people's answers is looked at here, never edited."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class MembershipInline(admin.TabularInline[Membership, Project]):
    model = Membership
    extra = 1
    autocomplete_fields = ["user"]


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin[Project]):
    list_display = ["name", "slug", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [MembershipInline]


@admin.register(Source)
class SourceAdmin(admin.ModelAdmin[Source]):
    """Imports make sources by name; what allows us to show their pictures is written here, and goes into releases."""

    list_display = ["name", "project", "licence"]
    list_filter = ["project"]
    list_select_related = ["project"]
    readonly_fields = ["project", "name"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Release)
class ReleaseAdmin(ReadOnly):
    list_display = ["title", "version", "project", "mode", "simulated", "frozen_at", "content_hash"]
    list_filter = ["mode", "simulated", "project"]
    list_select_related = ["project"]
    search_fields = ["title", "slug", "content_hash"]
    exclude = ["pseudonym_key"]  # with the setting, it would join a person's names in two releases

    def get_queryset(self, request: HttpRequest) -> QuerySet[Release]:
        return super().get_queryset(request).exclude(frozen_at=None)


@admin.register(ReleaseNotice)
class ReleaseNoticeAdmin(admin.ModelAdmin[ReleaseNotice]):
    list_display = ["release", "kind", "text", "created_at"]
    list_select_related = ["release"]


@admin.register(Job)
class JobAdmin(ReadOnly):
    list_display = ["__str__", "state", "progress", "problem", "project", "lane", "attempt", "created_by", "created_at"]
    list_filter = ["state", "kind", "lane", "project"]
    list_select_related = ["project", "created_by"]
    search_fields = ["kind", "public_id", "error"]
    actions = ["cancel", "retry"]

    @admin.display(description="progress")
    def progress(self, job: Job) -> str:
        return f"{job.n_done} of {job.n_total}" if job.n_total else "-"

    @admin.display(description="error")
    def problem(self, job: Job) -> str:
        return job.error[:160]

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("datasets.change_job")

    @admin.action(description="Cancel the chosen jobs", permissions=["manage"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        unfinished = list(jobs.unfinished())  # type: ignore[attr-defined]
        for job in unfinished:
            cancel_job(job)
        self.message_user(request, f"{len(unfinished)} jobs cancelled; a running one stops at its next step.")

    @admin.action(description="Try the chosen jobs again", permissions=["manage"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        n_queued = 0
        for job in jobs:
            try:
                retry_job(job)
                n_queued += 1
            except Refusal as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
        self.message_user(request, f"{n_queued} jobs queued again.")
