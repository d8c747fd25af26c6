"""Pages for researchers: a project's pairs, its releases and its jobs."""

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Q
from django.forms import modelformset_factory
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets.access import LoggedIn, managed_project
from datasets.alike import examples_of, groups_alike, request_comparing, unseen_originals
from datasets.audit import record, record_hourly
from datasets.audited_forms import record_form
from datasets.closing import check_open
from datasets.confirm import confirmed
from datasets.export import Retracted, archive_name, request_export, zips_made
from datasets.files import file_response, media_path
from datasets.forms import ImportForm, PairForm, RetractForm, SourceForm, TypedName
from datasets.images import picture_response
from datasets.jobs import cancel_job, may_begin, queue_job, result_page, retry_job
from datasets.layout import sample_lines
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from datasets.models.releases import Release
from datasets.models.removals import Removal
from datasets.once import once
from datasets.pair_changes import FACTS, change_pairs, facts_of, merge_groups, remove_pairs, use_of
from datasets.quotas import held_by, quota_of
from datasets.release_key import key_lines, names_originals
from datasets.removal import counted, remove_image, taken_with
from datasets.reports import report_name
from datasets.retraction import retract_release
from datasets.telling import told_in, told_on
from datasets.uploads import discard_unread, keep_upload, takes_files, upload_of

PAIRS_PER_PAGE = 24
CHANGES_PER_PAGE = 50


@require_GET
def pairs(request: LoggedIn, project: str) -> HttpResponse:
    """The pictures of a project, to look at."""
    found = managed_project(request, project)
    listed = found.pairs.select_related("original", "anonymized", "source").order_by("group", "number")
    page = Paginator(listed, PAIRS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "datasets/pairs.html", {"project": found, "page": page})


@require_GET
def pair(request: LoggedIn, project: str, pair: int) -> HttpResponse:
    """One pair, to mend or to remove while nothing uses it."""
    found = managed_project(request, project)
    one = get_object_or_404(found.pairs.select_related("original", "anonymized", "source"), number=pair)
    facts = facts_of(one)
    form = PairForm(facts | {"parameters": json.dumps(facts["parameters"])}, label_suffix="")
    changes = found.pair_changes.filter(pair=pair).select_related("by")
    context = {
        "project": found,
        "pair": one,
        "use": use_of(one),
        "form": form,
        "changes": changes,
        "is_administered": found.is_administered_by(request.user),
    }
    return render(request, "datasets/pair.html", context)


@require_POST
@told_on("datasets:pair")
def pair_change(request: LoggedIn, project: str, pair: int) -> HttpResponse:
    one = get_object_or_404(managed_project(request, project).pairs, number=pair)
    told = {fact: request.POST[fact] for fact in FACTS if fact in request.POST}
    change_pairs(Pair.objects.filter(pk=one.pk), told, by=request.user)
    messages.success(request, "The pair is changed.")
    return redirect("datasets:pair", project, pair)


@require_POST
@told_on("datasets:pair")
def pair_remove(request: LoggedIn, project: str, pair: int) -> HttpResponse:
    one = get_object_or_404(managed_project(request, project).pairs, number=pair)
    remove_pairs(Pair.objects.filter(pk=one.pk), by=request.user)
    messages.success(request, f"Pair {pair} is removed.")
    return redirect("datasets:pairs", project)


@require_GET
def pair_changes(request: LoggedIn, project: str) -> HttpResponse:
    """Who changed or removed which pairs, those among them that are no more."""
    found = managed_project(request, project)
    page = Paginator(found.pair_changes.select_related("by"), CHANGES_PER_PAGE).get_page(request.GET.get("page"))
    there = found.pairs.filter(number__in=[change.pair for change in page]).values_list("number", flat=True)
    removals = found.removals.select_related("by") if found.is_administered_by(request.user) else None
    context = {"project": found, "page": page, "there": set(there), "removals": removals}
    return render(request, "datasets/changes.html", context)


@require_http_methods(["GET", "POST"])
def sources(request: LoggedIn, project: str) -> HttpResponse:
    """What allows us to show each source's pictures, and how it is cited: as releases will say."""
    found = managed_project(request, project)
    formset = modelformset_factory(Source, form=SourceForm, extra=0, edit_only=True)
    forms = formset(request.POST or None, queryset=found.sources.order_by("name"), form_kwargs={"label_suffix": ""})
    if request.method == "POST" and forms.is_valid():
        with transaction.atomic():
            forms.save()
            for form in forms:
                record_form(form, by=request.user, project=found)
        messages.success(request, "Saved. Releases frozen from now on say so.")
        return redirect("datasets:sources", project)
    return render(request, "datasets/sources.html", {"project": found, "forms": forms})


@require_GET
def groups(request: LoggedIn, project: str) -> HttpResponse:
    """Groups that may show one person, to be merged."""
    found = managed_project(request, project)
    page = Paginator(groups_alike(found.pairs.all()), PAIRS_PER_PAGE).get_page(request.GET.get("page"))
    shown = examples_of(found, (group for alike in page for group in alike.groups))
    rows = [(alike, [shown[group] for group in alike.groups if group in shown]) for alike in page]
    context = {"project": found, "page": page, "rows": rows, "n_unseen": unseen_originals(found).count()}
    return render(request, "datasets/groups.html", context)


@require_POST
@told_on("datasets:groups")
def groups_compare(request: LoggedIn, project: str) -> HttpResponse:
    """Look for originals that look nearly the same, those of earlier versions too."""
    job = request_comparing(managed_project(request, project), by=request.user)
    return redirect("datasets:job", job.public_id)


@require_POST
@told_on("datasets:groups")
def groups_merge(request: LoggedIn, project: str) -> HttpResponse:
    found, named = managed_project(request, project), set(request.POST.getlist("group"))
    groups = sorted(named.intersection(found.pairs.values_list("group", flat=True).distinct()) - {""})
    n = merge_groups(found, groups, into=groups[0], by=request.user) if len(groups) > 1 else 0
    messages.success(request, f"{n} pairs were put into the group of the others.")
    return redirect("datasets:groups", project)


@require_GET
def picture(request: LoggedIn, project: str, image: int) -> HttpResponseBase:
    mine = Image.objects.filter(project__in=Project.objects.managed_by(request.user), project__slug=project)
    found = get_object_or_404(mine.exclude(display="").select_related("project"), pk=image)
    if Pair.objects.filter(Q(original=found) | Q(original__renewed=found)).exists():
        record_hourly(What.ORIGINALS_SEEN, by=request.user, project=found.project)
    return picture_response(request, str(found.display.name), found.content_type)


@confirmed
@require_http_methods(["GET", "POST"])
@once
def picture_remove(request: LoggedIn, project: str, image: int) -> HttpResponse:
    """For the project's admins: take out a picture because somebody shown in it asked, and all made from it."""
    mine = Image.objects.filter(project__in=Project.objects.administered_by(request.user), project__slug=project)
    found = get_object_or_404(mine.exclude(display="").select_related("project"), pk=image)
    taken = taken_with(found)
    form = TypedName(str(found.pk), request.POST or None)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            return redirect("datasets:removal", project, remove_image(found, by=request.user).public_id)
    context = {"project": found.project, "image": found, "taken": taken, "counts": counted(taken), "form": form}
    return render(request, "datasets/remove_picture.html", context, status=400 if form.errors else 200)


@require_GET
def removal(request: LoggedIn, project: str, removal: UUID) -> HttpResponse:
    """What went with a picture, and which models have seen it."""
    mine = Removal.objects.filter(project__in=Project.objects.administered_by(request.user), project__slug=project)
    found = get_object_or_404(mine.select_related("project", "by"), public_id=removal)
    return render(request, "datasets/removal.html", {"project": found.project, "removal": found})


@takes_files(managed_project)
@require_http_methods(["GET", "POST"])
@told_on("datasets:import")
def import_pairs(request: LoggedIn, project: str) -> HttpResponse:
    found = managed_project(request, project)
    if request.method == "POST":
        check_open(found)  # before anything is kept
    form = ImportForm(request.POST or None, request.FILES or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            archive = keep_upload(form.cleaned_data["archive"])
            try:
                return _begin_import(request, found, archive=archive, leave_columns=form.cleaned_data["leave_columns"])
            finally:
                discard_unread(archive)  # of the same form sent twice at once, the second one's
    context = {"project": found, "form": form, "held": held_by(found), "quota": quota_of(found)}
    return render(request, "datasets/import.html", context, status=400 if form.errors else 200)


@once
def _begin_import(request: LoggedIn, project: Project, **arguments: Any) -> HttpResponse:
    job = queue_job("import_pairs", project, by=request.user, **arguments)
    return redirect("datasets:job", job.public_id)


@require_GET
def sample_manifest(request: LoggedIn, project: str) -> HttpResponse:
    managed_project(request, project)
    headers = {"Content-Disposition": 'attachment; filename="manifest.csv"'}
    return HttpResponse("".join(sample_lines()), content_type="text/csv; charset=utf-8", headers=headers)


@require_POST
@told_on("datasets:job")
@once
def import_previewed(request: LoggedIn, job: UUID) -> HttpResponse:
    """Import what a job has shown; asked twice, the second import changes nothing."""
    found = managed_job(request, job)
    if found.kind != "import_pairs" or "preview" not in found.result:
        messages.info(request, "This job has shown no rows that wait to be imported.")
        return redirect("datasets:job", found.public_id)
    arguments = found.arguments | {"as_previewed": True}
    return redirect("datasets:job", queue_job("import_pairs", found.project, by=request.user, **arguments).public_id)


# Jobs --------------------------------------------------------------------------------------------------------------


def managed_job(request: LoggedIn, public_id: UUID) -> Job:
    return get_object_or_404(Job.objects.managed_by(request.user).select_related("project"), public_id=public_id)


@never_cache
@require_GET
def job(request: LoggedIn, job: UUID) -> HttpResponse:
    found = managed_job(request, job)
    release = None
    if found.state == Job.State.DONE and (pk := found.result.get("release") or found.arguments.get("release")):
        release = Release.objects.frozen().filter(project=found.project, pk=pk).first()
    upload = upload_of(found)
    context = {
        "job": found,
        "project": found.project,
        "release": release,
        "result_page": result_page(found),
        "may_steer": may_steer(request, found),
        "has_upload": upload is not None and upload.exists(),
        "may_retry": may_begin(found.kind, found.project) and (upload is None or upload.exists()),
        "has_report": found.is_finished and media_path(report_name(found)).exists(),
    }
    return render(request, "datasets/job.html", context)


@require_GET
def job_report(request: LoggedIn, job: UUID) -> HttpResponseBase:
    """All that an import's check found wrong, as CSV."""
    found = managed_job(request, job)
    name = report_name(found)
    if not media_path(name).exists():
        messages.info(request, "This job has no report, or it was too old to be kept.")
        return redirect("datasets:job", found.public_id)
    return file_response(request, name, content_type="text/csv; charset=utf-8", download_as="import-problems.csv")


def may_steer(request: LoggedIn, job: Job) -> bool:
    """Trainings are the project's admins'; every other job its researchers may cancel and try again."""
    return job.lane != "train" or job.project.is_administered_by(request.user)


def _job_to_steer(request: LoggedIn, public_id: UUID) -> Job:
    found = managed_job(request, public_id)
    if not may_steer(request, found):
        raise PermissionDenied("Trainings are cancelled and run again by admins.")
    return found


@require_POST
def job_cancel(request: LoggedIn, job: UUID) -> HttpResponse:
    found = _job_to_steer(request, job)
    if found.is_finished:
        messages.info(request, f"This job is {found.get_state_display()} already; there is nothing to cancel.")
    else:
        cancel_job(found, by=request.user)
        messages.success(request, "Cancelling: a running job stops at its next step.")
    return redirect("datasets:job", found.public_id)


@require_POST
@told_on("datasets:job")
@once
def job_retry(request: LoggedIn, job: UUID) -> HttpResponse:
    found = _job_to_steer(request, job)
    retry_job(found, by=request.user)
    return redirect("datasets:job", found.public_id)


@require_POST
def job_discard(request: LoggedIn, job: UUID) -> HttpResponse:
    """Delete the upload of an import that came to nothing, before it is swept away by itself."""
    found = _job_to_steer(request, job)
    upload = upload_of(found)
    if not found.is_finished or upload is None or not upload.exists():
        messages.info(request, "There is no upload of this job that could be deleted.")
    else:
        upload.unlink(missing_ok=True)
        messages.success(request, "The upload is deleted.")
    return redirect("datasets:job", found.public_id)


# Releases ----------------------------------------------------------------------------------------------------------


def managed_release(request: LoggedIn, project: str, slug: str, version: int) -> Release:
    mine = Release.objects.frozen().managed_by(request.user).select_related("project")
    return get_object_or_404(mine, project__slug=project, slug=slug, version=version)


@require_GET
def release(request: LoggedIn, project: str, slug: str, version: int) -> HttpResponse:
    found = managed_release(request, project, slug, version)
    labels = found.labels.select_related("original", "anonymized").order_by("number")
    context = {
        "release": found,
        "project": found.project,
        "page": Paginator(labels, PAIRS_PER_PAGE).get_page(request.GET.get("page")),
        "notices": found.notices.all(),
        "is_retracted": found.is_retracted(),
        "numbered": "# Row" if found.format == 1 else "# Pair",
        "zips": zips_made(found),
        "archive_exists": media_path(archive_name(found)).exists(),
        "is_administered": found.project.is_administered_by(request.user),
        "frozen_anew_from": UUID(found.origins["study_id"]) if names_originals(found) else None,
    }
    return render(request, "datasets/release.html", context)


@require_GET
def release_key(request: LoggedIn, project: str, slug: str, version: int) -> StreamingHttpResponse:
    """For the project's researchers alone: a release never holds it."""
    found = managed_release(request, project, slug, version)
    record(What.KEY_DOWNLOADED, by=request.user, on=found, project=found.project)
    response = StreamingHttpResponse(key_lines(found), content_type="text/csv")
    response["Content-Disposition"] = f'attachment; filename="{found.slug}-v{found.version}-key.csv"'
    return response


@require_http_methods(["GET", "POST"])
@once
def release_retract(request: LoggedIn, project: str, slug: str, version: int) -> HttpResponse:
    found = managed_release(request, project, slug, version)
    form = RetractForm(f"{found.slug}-v{found.version}", request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            retract_release(found, reason=form.cleaned_data["reason"], by=request.user)
            messages.success(request, "The release is retracted.")
            return redirect("datasets:release", project, slug, version)
    context = {"release": found, "project": found.project, "form": form, "n_labels": found.labels.count()}
    return render(request, "datasets/retract.html", context)


@require_POST
@told_on("datasets:release")
def release_export(request: LoggedIn, project: str, slug: str, version: int) -> HttpResponse:
    found = managed_release(request, project, slug, version)
    return redirect("datasets:job", request_export(found, by=request.user).public_id)


@require_GET
def release_download(request: LoggedIn, project: str, slug: str, version: int) -> HttpResponseBase:
    found = managed_release(request, project, slug, version)
    name = archive_name(found)
    if found.is_retracted():
        messages.error(request, str(Retracted.sentence))
        return redirect("datasets:release", project, slug, version)
    if not media_path(name).exists():
        messages.info(request, "The archive has not been made yet. Make it first, then download it.")
        return redirect("datasets:release", project, slug, version)
    record(What.DOWNLOADED, by=request.user, on=found, project=found.project)
    return file_response(request, name, content_type="application/zip", download_as=name.rsplit("/", 1)[-1])
