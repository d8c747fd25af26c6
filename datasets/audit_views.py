"""The audit log's pages: of a project for its admins, of the site for superusers."""

from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from datasets.access import LoggedIn, administered_project
from datasets.audit import record
from datasets.audit_log import LogForm, log_lines, page_before
from datasets.models.audit import AuditEntry, What
from datasets.models.projects import Project, is_superuser


@never_cache
@require_GET
def project_log(request: LoggedIn, project: str) -> HttpResponse:
    return _page(request, administered_project(request, project))


@require_GET
def project_log_csv(request: LoggedIn, project: str) -> HttpResponse | StreamingHttpResponse:
    return _csv(request, administered_project(request, project))


@never_cache
@require_GET
def site_log(request: LoggedIn) -> HttpResponse:
    _of_superusers(request)
    return _page(request, None)


@require_GET
def site_log_csv(request: LoggedIn) -> HttpResponse | StreamingHttpResponse:
    _of_superusers(request)
    return _csv(request, None)


def _of_superusers(request: LoggedIn) -> None:
    if not is_superuser(request.user):
        raise Http404("no such page")


def _entries(project: Project | None) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(project_number=project.pk) if project else AuditEntry.objects.all()


def _page(request: LoggedIn, project: Project | None) -> HttpResponse:
    form = LogForm(request.GET, label_suffix="")
    entries, further = list[AuditEntry](), None
    if form.is_valid():
        entries, further = page_before(form.chosen(_entries(project)), form.cleaned_data["before"])
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "project": project,
        "form": form,
        "entries": entries,
        "further": further,
        "query": query.urlencode(),
        "sees_all": is_superuser(request.user),
    }
    return render(request, "datasets/log.html", context, status=400 if form.errors else 200)


def _csv(request: LoggedIn, project: Project | None) -> HttpResponse | StreamingHttpResponse:
    """What the page would show, all pages in one. That the log was taken away stands in it, too."""
    form = LogForm(request.GET)
    if not form.is_valid():
        return _page(request, project)
    record(What.DOWNLOADED, by=request.user, on=project, project=project, after={"table": "audit log"})
    response = StreamingHttpResponse(log_lines(form.chosen(_entries(project))), content_type="text/csv")
    response["Content-Disposition"] = f'attachment; filename="{project.slug if project else "site"}-log.csv"'
    return response
