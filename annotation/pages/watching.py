"""The pages on which somebody watches over a study: flags to decide, people and pairs."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import managed_study
from annotation.models.people import Participation
from annotation.models.quality import Decision, Flag
from annotation.models.studies import Item, Study
from annotation.pages.researchers import csv_download
from annotation.studies.displays import shown_pictures
from annotation.watching import assessment, background, connectivity, decisions, flags, people, role_files, roles
from annotation.watching.forms import DecisionForm, ReasonForm, RoleForm, role_initial
from annotation.watching.items import SHOWS, answers_to, cues_on, items_to_show, reports_of, reports_on, with_statistics
from datasets.access import LoggedIn
from datasets.telling import told_in, told_on

PEOPLE_PER_PAGE = 50
ITEMS_PER_PAGE = 50
REPORTS_SHOWN = 50
CUE_NUMBERS = 20  # of a picture's longer side: the height of the number on a box


# People ------------------------------------------------------------------------------------------------------------


@never_cache
@require_GET
def quality(request: LoggedIn, study: UUID) -> HttpResponse:
    """Flags to decide, then everybody's figures."""
    found = managed_study(request, study)
    flagged = _people(found).filter(flags__in=Flag.objects.to_decide()).distinct()
    page = Paginator(_people(found), PEOPLE_PER_PAGE).get_page(request.GET.get("page"))
    context = _context(found) | {
        "last_check": background.last_check(found, assessment.KIND),
        "connectivity": background.last_check(found, connectivity.KIND),
        "is_checking": background.checks_of(found, assessment.KIND).unfinished().exists(),
        "reports": reports_of(found)[:REPORTS_SHOWN],
        "flagged": [_facts(person) for person in flagged[:PEOPLE_PER_PAGE]],
        "n_more_flagged": max(0, people.n_flagged(found) - PEOPLE_PER_PAGE),
        "page": page,
        "people": [_facts(person) for person in page],
    }
    return render(request, "annotation/watching/quality.html", context)


@require_POST
def check_again(request: LoggedIn, study: UUID) -> HttpResponse:
    found = managed_study(request, study)
    background.request_check(found, assessment.KIND, by=request.user)
    messages.success(request, "A worker looks at everybody's answers now; load this page again in a moment.")
    return redirect("annotation:quality", found.public_id)


@never_cache
@require_GET
def annotator(request: LoggedIn, study: UUID, person: UUID) -> HttpResponse:
    """One person's card: figures, flags with their evidence, checks and repeats, and what was decided."""
    found = managed_study(request, study)
    return _annotator_page(request, found, _person(found, person))


@require_POST
@told_on("annotation:annotator")
def decide(request: LoggedIn, study: UUID, person: UUID) -> HttpResponse:
    found = managed_study(request, study)
    about, form = _person(found, person), DecisionForm(request.POST)
    if not form.is_valid():
        return _annotator_page(request, found, about, refused=form)
    kind, verdict = form.decided()
    reason = form.cleaned_data["reason"]
    made = decisions.decide(about, kind, verdict=verdict, reason=reason, by=request.user)
    messages.success(request, f"{about.annotator} is {decisions.describe(made)} from now on.")
    return redirect("annotation:annotator", found.public_id, about.public_id)


@require_POST
@told_on("annotation:annotator")
def settle(request: LoggedIn, study: UUID, person: UUID) -> HttpResponse:
    found = managed_study(request, study)
    about, form = _person(found, person), ReasonForm(request.POST)
    if not form.is_valid():
        return _annotator_page(request, found, about, refused=form)
    n = decisions.settle_flags(about, reason=form.cleaned_data["reason"], by=request.user)
    messages.success(request, f"{n} flag{'' if n == 1 else 's'} settled; nothing else has changed.")
    return redirect("annotation:annotator", found.public_id, about.public_id)


def _annotator_page(request: LoggedIn, study: Study, person: Participation, *, refused: Any = None) -> HttpResponse:
    context = _context(study) | {
        "about": _facts(person),
        "checks": people.checked_answers(person),
        "skipped_checks": people.skipped_checks(person),
        "repeats": people.repeated_answers(person),
        "history": person.decisions.select_related("decided_by"),
        "form": refused or ReasonForm(),
        "last_check": background.last_check(study, assessment.KIND),
    }
    return render(request, "annotation/watching/annotator.html", context, status=400 if refused else 200)


def _person(study: Study, public_id: UUID) -> Participation:
    return get_object_or_404(_people(study), public_id=public_id)


def _people(study: Study) -> QuerySet[Participation]:
    """With all that a card shows, in three queries."""
    return (
        Participation.objects.filter(study=study)
        .select_related("annotator", "card")
        .prefetch_related(
            Prefetch("flags", Flag.objects.select_related("settled_by")),
            Prefetch("decisions", Decision.objects.order_by("decided_at", "pk")),
        )
        .order_by("consented_at", "pk")
    )


def _facts(person: Participation) -> dict[str, Any]:
    """A person as the pages show them; from what is loaded already."""
    latest = {each.kind: each.verdict for each in person.decisions.all()}
    card = person.card.figures if hasattr(person, "card") else None
    raised = list(person.flags.all())
    return {
        "person": person,
        "card": card,
        "to_decide": [_flag(each) for each in raised if each.is_current and each.settled_at is None],
        "settled": [_flag(each) for each in raised if each.settled_at is not None],
        "is_used": latest.get(Decision.Kind.USE, True),
        "is_paid": latest.get(Decision.Kind.PAY, True),
        "proposes_no_pay": card is not None and flags.proposes_no_pay(card),
    }


def _flag(flag: Flag) -> dict[str, Any]:
    return {"flag": flag, "name": flag.get_reason_display(), "evidence": flags.in_words(flag.reason, flag.evidence)}


# Pairs -------------------------------------------------------------------------------------------------------------


@never_cache
@require_GET
def items(request: LoggedIn, study: UUID) -> HttpResponse:
    """The study's pairs with what was said of them; those on which people differ most first, if asked."""
    found = managed_study(request, study)
    shown = request.GET.get("show", "all")
    by_spread = request.GET.get("order") == "spread"
    page = Paginator(items_to_show(found, shown, by_spread=by_spread), ITEMS_PER_PAGE).get_page(request.GET.get("page"))
    context = _context(found) | {
        "page": page,
        "items": with_statistics(found, page.object_list),
        "show": shown,
        "shows": SHOWS,
        "by_spread": by_spread,
        "query": f"show={shown if shown in SHOWS else 'all'}{'&order=spread' if by_spread else ''}&",
    }
    return render(request, "annotation/watching/items.html", context)


@require_GET
def items_csv(request: LoggedIn, study: UUID) -> StreamingHttpResponse:
    """All pairs with numbers, names in the import and roles: to find one's own pictures again, and give them roles."""
    found = managed_study(request, study)
    return csv_download(request, found, "pairs", role_files.pair_lines(found))


@never_cache
@require_GET
def item(request: LoggedIn, study: UUID, item: int) -> HttpResponse:
    """One pair: its pictures, everybody's answers, and what it is for."""
    found = managed_study(request, study)
    return _item_page(request, found, _item(found, item))


@require_POST
def give_role(request: LoggedIn, study: UUID, item: int) -> HttpResponse:
    found = managed_study(request, study)
    one, form = _item(found, item), RoleForm(request.POST)
    if form.is_valid():
        with told_in(form):
            roles.give_role(found, one, form.cleaned_data["pair_role"], by=request.user)
            messages.success(request, "Saved.")
            return redirect("annotation:item", found.public_id, one.pk)
    return _item_page(request, found, one, refused=form)


@require_POST
def withdraw(request: LoggedIn, study: UUID, item: int) -> HttpResponse:
    """Take a pair out, or put it back."""
    found = managed_study(request, study)
    one, form = _item(found, item), ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why; the history keeps it.")
    elif request.POST.get("verb") == "put_back":
        roles.put_back_item(found, one, reason=form.cleaned_data["reason"], by=request.user)
        messages.success(request, "The pair is given out again.")
    else:
        roles.withdraw_item(found, one, reason=form.cleaned_data["reason"], by=request.user)
        messages.success(request, "The pair is shown to nobody any more; what was said of it stays.")
    return redirect("annotation:item", found.public_id, one.pk)


@require_POST
def seen(request: LoggedIn, study: UUID, item: int) -> HttpResponse:
    """What was reported of a pair has been looked at, and the pair stays."""
    found = managed_study(request, study)
    one = _item(found, item)
    roles.settle_reports(one)
    messages.success(request, "The reports are settled; the pair stays.")
    return redirect("annotation:item", found.public_id, one.pk)


def _item(study: Study, pk: int) -> Item:
    with_pictures = study.items.select_related("pair__anonymized", "pair__original", "pair__source")
    return get_object_or_404(with_pictures, pk=pk)


def _item_page(request: LoggedIn, study: Study, one: Item, *, refused: RoleForm | None = None) -> HttpResponse:
    [statistics] = with_statistics(study, [one])
    original = shown_pictures(study, [one.pair.original]).get(one.pair.original_id or 0)
    context = _context(study) | {
        "item": one,
        "original": original,
        "anonymized": statistics.picture,
        "statistics": statistics,
        "answers": list(answers_to(one)),
        "cues": list(cues_on(one)) if study.asks_cues else [],
        "cue_number_size": max(statistics.picture.width, statistics.picture.height) / CUE_NUMBERS,
        "reports": reports_on(one),
        "role_form": refused or RoleForm(initial=role_initial(one)),
        "reason_form": ReasonForm(auto_id="id_withdraw_%s"),
        "was_given": one.assignments.exists(),
    }
    return render(request, "annotation/watching/item.html", context, status=400 if refused else 200)


def _context(study: Study) -> dict[str, Any]:
    return {"study": study, "project": study.project}
