"""The pages of the person who runs a study."""

from collections.abc import Iterator
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import managed_study
from annotation.freeze import doubts, is_freezable, request_freeze
from annotation.languages import in_english
from annotation.models.studies import MAX_GOAL, Study
from annotation.studies import deleting, filling, life, pairs
from annotation.studies.forms.setup import StudyForm
from annotation.studies.forms.study_page import CompletionForm, FreezeForm, GoalForm, InvitationForm
from annotation.studies.forms.wording import WordingForm
from annotation.studies.invitations import invite as invite_by
from annotation.studies.invitations import revoke_invitation
from annotation.studies.setup import set_up_study
from annotation.studies.wording import supplied_texts, write_texts
from annotation.watching import agreement, assessment, background, connectivity, decisions, downloads, items, people
from annotation.watching.progress import held_beyond_answers, progress_of, study_progress
from datasets.access import LoggedIn, managed_project
from datasets.audit import record
from datasets.closing import check_open
from datasets.forms import understood
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.once import once
from datasets.telling import told_in, told_on

CHANGES_SHOWN = 20
UNASKED = (connectivity.KIND, assessment.KIND)  # what workers check by themselves


def csv_download(request: LoggedIn, study: Study, what: str, lines: Iterator[str]) -> StreamingHttpResponse:
    """A table of a study, under a name that says which."""
    record(What.DOWNLOADED, by=request.user, on=study, project=study.project, after={"table": what})
    response = StreamingHttpResponse(lines, content_type="text/csv")
    response["Content-Disposition"] = f'attachment; filename="{study.short_name}-{what}.csv"'
    return response


@require_GET
def project(request: LoggedIn, project: str) -> HttpResponse:
    """A project at a glance: pairs, studies, releases, jobs."""
    found = managed_project(request, project)
    listed = Study.objects.filter(campaign__project=found).select_related("campaign").order_by("campaign__name", "mode")
    progress = progress_of(listed)
    context = {
        "project": found,
        "n_pairs": found.pairs.count(),
        "studies": [{"study": study, "progress": progress[study.pk]} for study in listed],
        "releases": found.releases.exclude(frozen_at=None),
        "jobs": found.jobs.exclude(kind__in=UNASKED)[:8],
        "changes": found.changes.select_related("by")[:CHANGES_SHOWN],
        "is_administered": found.is_administered_by(request.user),
    }
    return render(request, "annotation/researchers/project.html", context)


@require_http_methods(["GET", "POST"])
@told_on("annotation:study-new")
@once
def study_new(request: LoggedIn, project: str) -> HttpResponse:
    found = managed_project(request, project)
    if request.method == "POST":
        check_open(found)
    form = StudyForm(found, request.POST or None)
    if request.method == "POST" and form.is_valid() and (made := _created(form, by=request.user)):
        study, job = made
        if job:
            messages.success(request, f"{study.name} is a draft that is being filled with its pairs.")
            return redirect("datasets:job", job.public_id)
        messages.success(request, f"{study.name} is a draft with {study.items.count()} pairs. Check its wording.")
        return redirect("annotation:wording", study.public_id)
    context = {"project": found, "form": form}
    return render(request, "annotation/researchers/study_new.html", context, status=400 if form.errors else 200)


def _created(form: StudyForm, *, by: AbstractBaseUser) -> tuple[Study, Job | None] | None:
    """The draft, and the job that fills it if any; or None: then the form says why not, and nothing is kept."""
    try:
        with told_in(form):
            return set_up_study(form.project, **form.chosen(), by=by)
    except IntegrityError:  # the same form, sent twice at once
        form.add_error(None, "This study was set up a moment ago; you find it on the project's page.")
    return None


@never_cache
@require_GET
def study(request: LoggedIn, study: UUID) -> HttpResponse:
    """Progress and agreement of one study, its people, its links, and what can be done with it."""
    found = managed_study(request, study)
    invitations = [
        {"invitation": each, "url": request.build_absolute_uri(reverse("annotation:join", args=[each.token]))}
        for each in found.invitations.all()
    ]
    counts, groups = agreement.rating_counts(found)
    unused = decisions.set_aside(found)
    histogram = agreement.score_histogram(counts)
    n_further = pairs.further_pairs(found).count()
    context = {
        "study": found,
        "project": found.project,
        "progress": study_progress(found),
        "held": held_beyond_answers(found),
        "agreement": agreement.agreement(counts, groups),
        "used_agreement": agreement.agreement(*agreement.rating_counts(found, without=unused)) if unused else None,
        "n_set_aside": len(unused),
        "n_flagged": people.n_flagged(found),
        "n_reported": items.reports_of(found).count(),
        "core_agreement": agreement.core_agreement(found) if found.has_core else None,
        "cue_counts": items.cue_counts(found) if found.asks_cues else None,
        "histogram": histogram,
        "most": max((n for _, n in histogram), default=0),
        "people": people.people_of(found),
        "invitations": invitations,
        "invitation_form": InvitationForm(),
        "is_deletable": deleting.is_deletable(found),
        "steps": life.possible_steps(found),
        "connectivity": background.last_check(found, connectivity.KIND),
        "goal_form": GoalForm(initial={"goal": found.goal}, auto_id="id_goal_%s"),
        "completion_form": CompletionForm(instance=found),
        "changes": found.changes.select_related("changed_by"),
        "n_further_pairs": n_further,
        "freeze_form": FreezeForm(),
        "is_freezable": is_freezable(found),
        "filling": filling.fillings(found).first(),
        "n_left_out": pairs.other_pairs(found).count() - n_further,
    }
    return render(request, "annotation/researchers/study.html", context)


@require_http_methods(["GET", "POST"])
def wording(request: LoggedIn, study: UUID, language: str | None = None) -> HttpResponse:
    """The study's texts in its own language, or in a further one for the people who read that."""
    found = managed_study(request, study)
    chosen, names = language or found.language, in_english()
    if chosen not in names and language:
        raise Http404("no such language")
    form = WordingForm(found, request.POST or None, language=chosen)
    if request.method == "POST" and form.is_valid():
        write_texts(found, form.cleaned_data, language=chosen, by=request.user)
        messages.success(request, "The wording is saved.")
        return redirect("annotation:study", found.public_id)
    supplied = supplied_texts(found)
    context = {
        "study": found,
        "project": found.project,
        "form": form,
        "chosen": chosen,
        "chosen_name": names.get(chosen, chosen),
        "languages": [{"code": code, "name": name, "is_supplied": code in supplied} for code, name in names.items()],
    }
    return render(request, "annotation/researchers/wording.html", context, status=400 if form.errors else 200)


@require_POST
@told_on("annotation:study")
def goal(request: LoggedIn, study: UUID) -> HttpResponse:
    found = managed_study(request, study)
    hint = f"Say how many ratings each pair should have, from 1 to {MAX_GOAL}, and why."
    life.change_goal(found, **understood(GoalForm(request.POST), hint), by=request.user)
    messages.success(request, f"Each pair wants {found.goal} ratings now.")
    return redirect("annotation:study", found.public_id)


@require_POST
@told_on("annotation:study")
def completion(request: LoggedIn, study: UUID) -> HttpResponse:
    """Another completion code, or address to go back to, on the last page."""
    found = managed_study(request, study)
    said = understood(CompletionForm(request.POST), "Nothing was changed.")
    life.change_completion(found, **said, by=request.user)
    messages.success(request, "The last page shows it from now on, also to whoever comes back to it.")
    return redirect("annotation:study", found.public_id)


@require_POST
@told_on("annotation:study")
@once
def more_pairs(request: LoggedIn, study: UUID) -> HttpResponse:
    """Add the project's pairs of the kinds that this study holds already."""
    found = managed_study(request, study)
    added = filling.add_further_pairs(found, by=request.user)
    if isinstance(added, Job):
        return redirect("datasets:job", added.public_id)
    messages.success(request, f"{added} pairs were added.")
    return redirect("annotation:study", found.public_id)


@require_POST
@told_on("annotation:study")
@once
def invite(request: LoggedIn, study: UUID) -> HttpResponse:
    found = managed_study(request, study)
    hint = "Choose whether the link is for many people or for one."
    invite_by(found, **understood(InvitationForm(request.POST), hint), by=request.user)
    messages.success(request, "The link is ready: copy it below and send it.")
    return redirect("annotation:study", found.public_id)


@require_POST
def revoke(request: LoggedIn, study: UUID, invitation: int) -> HttpResponse:
    found = managed_study(request, study)
    revoke_invitation(get_object_or_404(found.invitations, pk=invitation), by=request.user)
    messages.success(request, "Nobody new can come in by this link; whoever has begun goes on.")
    return redirect("annotation:study", found.public_id)


@require_POST
@told_on("annotation:study")
def freeze(request: LoggedIn, study: UUID) -> HttpResponse:
    """Once asked where there is a reason to; the page it asks on sends the same again, confirmed."""
    found = managed_study(request, study)
    check_open(found.project)  # before anything is asked
    form = FreezeForm(request.POST)
    wanted = understood(form)
    if "confirmed" not in request.POST and (reasons := doubts(found, **wanted)):
        context = {"study": found, "project": found.project, "doubts": reasons, "freeze_form": form}
        return render(request, "annotation/researchers/freeze.html", context)
    return _begin_freeze(request, found, **wanted)


@once
def _begin_freeze(request: LoggedIn, study: Study, **wanted: bool) -> HttpResponse:
    return redirect("datasets:job", request_freeze(study, **wanted, by=request.user).public_id)


@require_GET
def ratings(request: LoggedIn, study: UUID) -> StreamingHttpResponse:
    """The ratings so far, to compute on; pseudonyms as in the project. For publication, freeze a release."""
    found = managed_study(request, study)
    return csv_download(request, found, "ratings", downloads.rating_lines(found))


@require_GET
def remarks(request: LoggedIn, study: UUID) -> StreamingHttpResponse:
    """Viewing conditions, notes, skips and reports: for the project's researchers, never for publication."""
    found = managed_study(request, study)
    return csv_download(request, found, "remarks", downloads.remark_lines(found))


@require_GET
def cues(request: LoggedIn, study: UUID) -> StreamingHttpResponse:
    """The boxes beside these ratings; none where the study does not ask for them."""
    found = managed_study(request, study)
    return csv_download(request, found, "cues", downloads.cue_lines(found))
