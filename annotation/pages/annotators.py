"""The pages of the person who rates."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import (
    consent_key,
    consented_id,
    forget,
    participation_required,
    picture_of,
    remember,
    remembered,
    resume_token,
    resumed_id,
)
from annotation.answering.cues import MAX_CUES, MIN_SIDE
from annotation.answering.introduction import (
    HIGH,
    LEAST_PICTURE,
    LOW,
    checked,
    is_complete,
    record_try,
    screen_conditions,
    unasked,
)
from annotation.answering.refusals import AlreadyRated
from annotation.answering.turn import take_turn
from annotation.answering.viewing import view_modes
from annotation.answering.wire import last_answer_data, session_data
from annotation.giving.join import (
    CannotJoin,
    begin_another_session,
    join_as_member,
    join_by_invitation,
    just_begun,
    minutes_until_free,
    n_further,
    refusal,
    session_length,
)
from annotation.giving.leases import keep_waiting, next_pairs
from annotation.giving.person import ParticipationErased
from annotation.languages import in_their_language, language_now
from annotation.models.people import Invitation, Participation
from annotation.models.ratings import Remark, Report
from annotation.models.studies import Study, StudyText
from annotation.pages.afterwards import Later
from annotation.privacy import code_to_show, void_code
from annotation.studies.forecast import MINUTES_AROUND
from annotation.studies.wording import supplied_texts, texts_for
from datasets.access import LoggedIn
from datasets.images import picture_response
from datasets.models.projects import user_id
from datasets.tries import Count, Limit, TooMany, give_back, look, take
from datasets.visitors import visitor_address

log = logging.getLogger(__name__)
TRIED = "tried"  # in the address: the questions were answered, and not all of them rightly
SOMEONE_ELSE = "someone-else"  # in the address: a new person at a browser where others have begun


def texts_of(study: Study) -> dict[str, Any]:
    """The study's wording for whoever reads the page now, with the language that it is in."""
    texts = texts_for(study, language_now())
    return {
        "texts": {kind: text.body for kind, text in texts.items()},
        "texts_language": texts[StudyText.Kind.CONSENT].language,
    }


# Coming in ---------------------------------------------------------------------------------------------------------


@in_their_language
@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """An invitation. A GET stores nothing: messengers and mail scanners fetch links. A personal one lets one person in,
    by their consent; from then on it opens nothing, in whoever's hands it is.
    """
    invitation = get_object_or_404(Invitation.objects.select_related("study__campaign__project"), token=token)
    with _not_deleted_meanwhile(invitation.study):
        return _join(request, invitation)


def _join(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    study = invitation.study
    if study.project.memberships.filter(user_id=user_id(request.user)).exists():
        return redirect("annotation:take-part", study.public_id)  # as a member one is the same person in every study
    begun_here = _begun_here(request, invitation)
    if invitation.kind == Invitation.Kind.MANY:
        if begun_here and SOMEONE_ELSE not in request.GET:
            return _begun_page(request, study, begun_here)
    elif begun := begun_here.first():  # whoever else has the link is not let in to what this person has begun
        return remember(redirect("annotation:rate", begun.public_id), begun)
    public_id = consented_id(request.POST.get("begins", ""))
    counts: list[Count] = []
    try:
        if not just_begun(invitation, public_id):
            counts = _counts_of_joining(request, invitation)
            _check(study, invitation)
            look(counts)
        if agreed_to := _agreed_text(request, study):
            with _counted(counts):
                begun = join_by_invitation(
                    invitation, agreed_to=agreed_to, public_id=public_id, rest=(later := Later())
                )
            return remember(later.redirect("annotation:your-data", begun.public_id), begun)
    except (CannotJoin, TooMany) as refused:
        if isinstance(refused, TooMany):
            log.warning("study %s: many have begun from one address (a proxy's? set PROXY_COUNT)", study.pk)
        return _consent_page(request, study, refused=refused)
    return _consent_page(request, study)


def _check(study: Study, invitation: Invitation | None = None) -> None:
    if code := refusal(study, invitation):
        raise CannotJoin(code)


def _counts_of_joining(request: HttpRequest, invitation: Invitation) -> list[Count]:
    """So that nobody takes all places of a study alone. Whoever has a link of their own takes one."""
    if invitation.kind == Invitation.Kind.PERSONAL:
        return []
    return [Count("joins", visitor_address(request), Limit(*settings.JOINS_PER_ADDRESS))]


@contextmanager
def _counted(counts: list[Count]) -> Iterator[None]:
    """A join counts for its address, unless it comes to nothing."""
    counted = take(counts)
    try:
        yield
    except CannotJoin:
        give_back(counted)
        raise


@contextmanager
def _not_deleted_meanwhile(study: Study) -> Iterator[None]:
    """Whoever comes in at the moment in which their study is deleted finds what everybody finds after it: nothing."""
    try:
        yield
    except (ObjectDoesNotExist, IntegrityError, ParticipationErased, KeyError) as error:  # KeyError: it has no text
        if Study.objects.filter(pk=study.pk).exists():
            raise
        raise Http404("This study was deleted.") from error


def _begun_here(request: HttpRequest, invitation: Invitation) -> QuerySet[Participation]:
    """What this browser may go on with: of a personal link only its own, whoever else sat here before."""
    here = Participation.objects.filter(public_id__in=remembered(request), withdrawn_at=None)
    if invitation.kind == Invitation.Kind.PERSONAL:
        return here.filter(invitation=invitation)
    return here.filter(campaign=invitation.study.campaign_id).order_by("-consented_at")


def _begun_page(request: HttpRequest, study: Study, begun_here: QuerySet[Participation]) -> HttpResponse:
    """The way back for whoever has begun in this browser, and the way in for the next person at it."""
    context = {
        "study": study,
        "unfinished": begun_here.filter(finished_at=None),
        "someone_else": f"{request.path}?{SOMEONE_ELSE}=1",
        "latest": begun_here[0],
    }
    return render(request, "annotation/annotators/begun.html", context)


@in_their_language
@never_cache
@require_http_methods(["GET", "POST"])
def take_part(request: LoggedIn, study: UUID) -> HttpResponse:
    """The same for members with a log-in."""
    found = get_object_or_404(
        Study.objects.filter(campaign__project__memberships__user_id=request.user.pk).select_related(
            "campaign__project"
        ),
        public_id=study,
    )
    with _not_deleted_meanwhile(found):
        return _take_part(request, found)


def _take_part(request: LoggedIn, found: Study) -> HttpResponse:
    mine = Participation.objects.filter(annotator__user_id=request.user.pk, campaign=found.campaign_id).first()
    if mine and mine.study_id == found.pk:
        return redirect("annotation:rate", mine.public_id)
    try:
        if mine:
            raise CannotJoin("other_study")
        _check(found)
        if agreed_to := _agreed_text(request, found):
            mine = join_as_member(found, request.user.pk, agreed_to=agreed_to, rest=(later := Later()))
            return later.redirect("annotation:your-data", mine.public_id)
    except CannotJoin as refused:
        return _consent_page(request, found, refused=refused)
    return _consent_page(request, found)


def _agreed_text(request: HttpRequest, study: Study) -> StudyText | None:
    """The consent text that was shown and agreed to, in whatever language; None when there is none, or a newer one."""
    if request.method != "POST" or not request.POST.get("agree"):
        return None
    shown = request.POST.get("consent")
    current = (texts[StudyText.Kind.CONSENT] for texts in supplied_texts(study).values())
    return next((text for text in current if text.edition == shown), None)


def _consent_page(request: HttpRequest, study: Study, *, refused: CannotJoin | TooMany | None = None) -> HttpResponse:
    """The consent text, or why nobody can begin; after a POST, with what kept this person from taking part."""
    error, status = None, 200
    if request.method == "POST" and refused:
        status = refused.status
    elif request.method == "POST" and not request.POST.get("agree"):
        error = gettext("Tick the box if you agree; without it you cannot take part.")
    elif request.method == "POST":
        error = gettext("This text has changed since you opened the page. Please read it again.")
        status = 409
    n_ratings = session_length(study)
    minutes = n_ratings * study.seconds_per_pair / 60 + MINUTES_AROUND
    context = {
        "study": study,
        "consent": None if refused else texts_for(study, language_now())[StudyText.Kind.CONSENT],
        "n_ratings": n_ratings,
        "is_shorter": study.items.wanting_ratings()[:n_ratings].count() < n_ratings,
        "minutes": round(minutes),
        "refused": refused and refused.code,
        "wait": _minutes_to_wait(study, refused),
        "begins": consent_key(),
        "error": error,
    }
    response = render(request, "annotation/annotators/join.html", context, status=status)
    if isinstance(refused, TooMany):
        response.headers["Retry-After"] = str(refused.seconds)
    return response


def _minutes_to_wait(study: Study, refused: CannotJoin | TooMany | None) -> int | None:
    if isinstance(refused, TooMany):
        return refused.minutes
    return minutes_until_free(study) if refused and refused.code == "held" else None


@in_their_language
@login_not_required
@never_cache
@require_GET
def resume(request: HttpRequest, token: str) -> HttpResponse:
    """The return address: whoever has it goes on where they stopped, on any device."""
    participation = get_object_or_404(Participation, public_id=resumed_id(token))
    return remember(redirect("annotation:rate", participation.public_id), participation)


# Rating ------------------------------------------------------------------------------------------------------------


@participation_required
@require_http_methods(["GET", "POST"])
def instructions(request: HttpRequest, participation: Participation) -> HttpResponse:
    """What to do, with examples; then the questions, until they are answered rightly. Asked once."""
    mode, asked = participation.study.mode, []
    said = request.POST if request.method == "POST" else request.GET
    if participation.instructed_at is None:
        asked = checked(mode, said) if request.method == "POST" or TRIED in said else unasked(mode)
    understood = not any(each["trouble"] for each in asked)
    if request.method == "POST":
        if asked and is_complete(mode, said):
            record_try(participation, understood=understood, screen=screen_conditions(said.get("screen", "")))
        if understood:
            return redirect("annotation:rate", participation.public_id)
        # What was chosen goes along in the address: so the back button shows a page rather than asks to send it again.
        chosen = {each["question"].name: each["chosen"] for each in asked if each["chosen"] in (LOW, HIGH)}
        return redirect(f"{request.path}?{urlencode({TRIED: 1} | chosen)}")
    page = {"asked": asked, "least_picture": LEAST_PICTURE, "has_trouble": not understood}
    return render(request, "annotation/annotators/instructions.html", _context(request, participation) | page)


@participation_required
@require_http_methods(["GET", "POST"])
def rate(request: HttpRequest, participation: Participation) -> HttpResponse:
    """The pair in front of the annotator. The form works without a script; the script makes it fast."""
    if participation.instructed_at is None:
        return redirect("annotation:instructions", participation.public_id)
    error, said = None, None
    if request.method == "POST":
        turn = take_turn(participation, [_posted_answer(request)])
        [acknowledgement] = turn["acknowledgements"]
        if acknowledgement.code == AlreadyRated.code:  # the back button: the person must know which answer counts
            messages.warning(request, acknowledgement.detail)
        elif acknowledgement.feedback:
            return _feedback_page(request, participation, acknowledgement.feedback)
        if acknowledgement.status == "stored" or acknowledgement.code == AlreadyRated.code:
            return redirect("annotation:rate", participation.public_id)
        error, said = acknowledgement.detail, _said(request)
    else:
        turn = session_data(next_pairs(participation))
    if turn["finished"]:
        return redirect("annotation:end", participation.public_id)
    leases, progress = turn["leases"], turn["progress"]
    may_change = progress["done"] and participation.study.state != Study.State.CLOSED
    shown = {"lease": leases[0], "leases": leases, "progress": progress, "may_change": may_change}
    return _pair_page(request, participation, shown, error=error, said=said)


@participation_required
@require_http_methods(["GET", "POST"])
def last_answer(request: HttpRequest, participation: Participation) -> HttpResponse:
    """The last answer, to be changed by whoever has no script; with one, the rating page does it by itself."""
    back = redirect("annotation:rate", participation.public_id)
    found = last_answer_data(participation)
    if found is None:
        messages.info(request, gettext("There is no answer that can be changed now."))
        return back
    error, said = None, {"score": found["score"]}
    if request.method == "POST":
        if request.POST.get("assignment") != found["lease"]["assignment"]:  # another tab has gone on meanwhile
            only_the_last = gettext("Not changed: only the last answer can be, and you have rated another one since.")
            messages.warning(request, only_the_last)
            return back
        # Without a script no box can be drawn; those that were there stay.
        kept = {"revises": True, "cues": found["cues"]}
        turn = take_turn(participation, [_posted_answer(request) | kept])
        [acknowledgement] = turn["acknowledgements"]
        if acknowledgement.status == "stored":
            now = gettext("Your last answer is %(score)s now.") % {"score": acknowledgement.score}
            messages.success(request, now)
            return back
        error, said = acknowledgement.detail, _said(request)
    progress = {"done": participation.n_answered - 1, "total": participation.n_planned}  # it stands where it stood
    shown = {"lease": found["lease"], "changes": found["score"], "progress": progress}
    return _pair_page(request, participation, shown, error=error, said=said)


CHOICES = {
    "skip_choices": Report.Kind.choices,
    "knows_choices": Remark.Knows.choices,
    "max_cues": MAX_CUES,
    "min_cue_side": MIN_SIDE,
}


def _pair_page(
    request: HttpRequest,
    participation: Participation,
    shown: dict[str, Any],
    *,
    error: str | None,
    said: dict[str, Any] | None,
) -> HttpResponse:
    """A pair with its form; with an error, what was said in it stands there again."""
    context = _context(request, participation) | CHOICES | shown
    context |= {"form_key": uuid4(), "error": error, "said": said}
    return render(request, "annotation/annotators/rate.html", context, status=400 if error else 200)


def _feedback_page(request: HttpRequest, participation: Participation, feedback: str) -> HttpResponse:
    """What is said to a practice pair, beside its pictures; where they cannot be shown any more, on the next page."""
    participation.refresh_from_db(fields=["n_answered", "finished_at"])
    found = last_answer_data(participation)
    if found is None:
        messages.info(request, feedback)
        return redirect("annotation:rate", participation.public_id)
    progress = {"done": participation.n_answered - 1, "total": participation.n_planned}
    shown = {"lease": found["lease"], "feedback": feedback, "progress": progress}
    return _pair_page(request, participation, shown, error=None, said=None)


def _posted_answer(request: HttpRequest) -> dict[str, Any]:
    named = {name: request.POST.get(name) for name in ("key", "assignment", "note", "knows")}
    if "skip" in request.POST:
        return named | {"skips": request.POST.get("skips", "")}
    return named | {"score": _posted_score(request)}


def _posted_score(request: HttpRequest) -> int | None:
    score = request.POST.get("score", "")
    return int(score) if score.isascii() and score.isdigit() and len(score) < 4 else None


def _said(request: HttpRequest) -> dict[str, Any]:
    """What stands in the form again when it was not accepted, so that nobody has to say it twice."""
    named = {name: request.POST.get(name, "") for name in ("note", "knows", "skips")}
    return named | {"skip": "skip" in request.POST, "score": _posted_score(request)}


@login_not_required
@require_GET
def picture(request: HttpRequest, participation: UUID, key: UUID) -> HttpResponseBase:
    """A picture of a pair, for the person it was sent to."""
    return picture_response(request, *picture_of(request, participation, key))


# Stopping ----------------------------------------------------------------------------------------------------------


@participation_required
@require_GET
def rest(request: HttpRequest, participation: Participation) -> HttpResponse:
    """A break, short or long. The pairs wait as long as after an answer."""
    keep_waiting(participation)
    return render(request, "annotation/annotators/rest.html", _context(request, participation))


@participation_required
@require_GET
def your_data(request: HttpRequest, participation: Participation) -> HttpResponse:
    """The way back, and the code by which everything can be erased: shown once, first after the consent."""
    context = _context(request, participation) | {"code": code_to_show(participation)}
    return render(request, "annotation/annotators/your_data.html", context)


@participation_required
@require_POST
def new_code(request: HttpRequest, participation: Participation) -> HttpResponse:
    """For whoever has lost it; the one before stops working."""
    void_code(participation)
    return redirect("annotation:your-data", participation.public_id)


@participation_required
@require_POST
def leave(request: HttpRequest, participation: Participation) -> HttpResponse:
    """On a shared computer: this browser opens the participation no more."""
    return forget(redirect("annotation:left"), participation)


@in_their_language
@login_not_required
@never_cache
@require_GET
def left(request: HttpRequest) -> HttpResponse:
    return render(request, "annotation/annotators/left.html")


@participation_required
@require_GET
def end(request: HttpRequest, participation: Participation) -> HttpResponse:
    """After the last pair; or when there is none to give now, with the way back."""
    session = next_pairs(participation)
    if session.leases:
        return redirect("annotation:rate", participation.public_id)
    participation.refresh_from_db(fields=["finished_at", "n_planned"])
    further = n_further(participation) if session.is_finished else 0
    context = _context(request, participation) | {"is_finished": session.is_finished, "n_further": further}
    return render(request, "annotation/annotators/end.html", context)


@participation_required
@require_POST
def another_session(request: HttpRequest, participation: Participation) -> HttpResponse:
    """Whoever has finished and may rate more begins again."""
    try:
        begin_another_session(participation, rest=(later := Later()))
    except CannotJoin as cannot:
        messages.info(request, _why_no_more(participation.study, cannot.code))
        return redirect("annotation:end", participation.public_id)
    return later.redirect("annotation:rate", participation.public_id)


def _why_no_more(study: Study, code: str) -> str:
    """In words, to whoever has finished and asked for more."""
    if code != "held":
        return gettext("There is nothing left to rate at the moment. Thank you.")
    n = minutes_until_free(study)
    return ngettext(
        "Others hold the pictures that are left. If they do not answer, you can have them: try again after %(n)s "
        "minute.",
        "Others hold the pictures that are left. If they do not answer, you can have them: try again after %(n)s "
        "minutes.",
        n,
    ) % {"n": n}


def _context(request: HttpRequest, participation: Participation) -> dict[str, Any]:
    resume_path = reverse("annotation:resume", args=[resume_token(participation)])
    return {
        "participation": participation,
        "study": participation.study,
        "view_modes": view_modes(participation.study),
        # Two of three requests may be lost; and no page waits for hours, whatever the study says.
        "renew_seconds": min(max(participation.study.lease_seconds // 3, 1), 3600),
        "progress": {
            "done": participation.n_answered,
            "total": participation.n_planned,
        },
        "resume_url": request.build_absolute_uri(resume_path),
        "withdraw_url": request.build_absolute_uri(reverse("annotation:withdrawal")),
    } | texts_of(participation.study)
