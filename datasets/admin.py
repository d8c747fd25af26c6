from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator

from datasets.audit import record
from datasets.audited_forms import CHANGED
from datasets.forms import TypedName
from datasets.guarded import Guarded
from datasets.jobs import cancel_job, queue_job, retry_job
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.models.pictures import Source
from datasets.models.projects import Membership, Project, Role, is_superuser
from datasets.models.releases import Release, ReleaseNotice
from datasets.once import once
from datasets.refusals import Refusal

DELETE_PROJECT = "delete_project"  # the kind of job; it is done where studies are known


class ReadOnly(Guarded):
    """What came to be by work or by people's answers is looked at here, never edited."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


admin.site.unregister(User)


@admin.register(User)
class AccountAdmin(Guarded, UserAdmin):
    @method_decorator(transaction.atomic)
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002  Django's
        return super().user_change_password(request, id, form_url)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """A new password has a page of its own, without formsets, which tells of it by this alone."""
        if formsets is None:
            record(What.USER_CHANGED, by=request.user, on=form.user, after={"password": CHANGED})
        return super().construct_change_message(request, form, formsets, add)


class MembershipInline(admin.TabularInline[Membership, Project]):
    model = Membership
    extra = 1
    autocomplete_fields = ["user"]


@admin.register(Project)
class ProjectAdmin(Guarded):
    """Who makes a project, and who is in it, superusers say: it decides what staff see of all the rest."""

    path_to_project = "pk"
    roles = (Role.ADMIN,)
    list_display = ["name", "slug", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [MembershipInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request.user) and super().has_add_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> list[str]:
        return [] if is_superuser(request.user) else ["max_pairs", "max_bytes"]

    def get_inlines(self, request: HttpRequest, obj: Project | None) -> list[Any]:
        return [*super().get_inlines(request, obj)] if is_superuser(request.user) else []

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without Django's deleting of many: it collects every row, and then the pairs protect their pictures."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Asks with counts, and lets a job do it. A project with a frozen release stays."""
        project = self.get_object(request, object_id)
        if project is None:
            raise Http404("no such project")
        if not self.has_delete_permission(request, project):
            raise PermissionDenied
        releases = project.releases.frozen().count()
        form = TypedName(project.slug, request.POST or None)
        if request.method == "POST" and not releases and form.is_valid():
            return _begin_deletion(request, project)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Delete the project {project}?",
            "project": project,
            "form": form,
            "n_releases": releases,
            **_counts(project),
        }
        page = "admin/datasets/project/delete.html"
        return TemplateResponse(request, page, context, status=400 if form.errors else 200)


@once
def _begin_deletion(request: HttpRequest, project: Project) -> HttpResponse:
    queue_job(DELETE_PROJECT, project, by=cast("User", request.user))
    messages.success(request, f"{project} is being deleted by a job.")
    return redirect("admin:datasets_project_changelist")


def _counts(project: Project) -> dict[str, int]:
    """What goes with a project."""
    paths = {
        "n_pairs": "pairs",
        "n_studies": "campaigns__studies",
        "n_people": "annotators",
        "n_ratings": "annotators__participations__assignments__rating",
    }
    mine = Project.objects.filter(pk=project.pk).order_by()
    return {name: mine.aggregate(n=Count(path))["n"] for name, path in paths.items()}


@admin.register(Source)
class SourceAdmin(Guarded):
    """Imports make sources by name; what allows us to show their pictures is written here, and goes into releases."""

    path_to_project = "project"
    list_display = ["name", "project", "licence"]
    list_filter = ["project"]
    list_select_related = ["project"]
    readonly_fields = ["project", "name"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Release)
class ReleaseAdmin(ReadOnly):
    path_to_project = "project"
    list_display = ["title", "version", "project", "mode", "simulated", "frozen_at", "content_hash"]
    list_filter = ["mode", "simulated", "project"]
    list_select_related = ["project"]
    search_fields = ["title", "slug", "content_hash"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Release]:
        return super().get_queryset(request).exclude(frozen_at=None)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """With the way to a training for those who may ask for one."""
        may_train = context["original"].project.is_administered_by(request.user)
        return super().render_change_form(request, context | {"may_train": may_train}, *args, **kwargs)


@admin.register(ReleaseNotice)
class ReleaseNoticeAdmin(ReadOnly):
    """Written by what they tell of: one put here by hand would call a release retracted whose files are still there."""

    path_to_project = "release__project"
    list_display = ["release", "kind", "text", "created_at"]
    list_select_related = ["release"]


@admin.register(Job)
class JobAdmin(ReadOnly):
    path_to_project = "project"
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
            cancel_job(job, by=cast("User", request.user))
        self.message_user(request, f"{len(unfinished)} jobs cancelled; a running one stops at its next step.")

    @admin.action(description="Try the chosen jobs again", permissions=["manage"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        n_queued = 0
        for job in jobs:
            try:
                retry_job(job, by=cast("User", request.user))
                n_queued += 1
            except Refusal as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
        self.message_user(request, f"{n_queued} jobs queued again.")
