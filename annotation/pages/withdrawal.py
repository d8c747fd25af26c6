"""The page where a withdrawal code erases what somebody has left here, without cookie or log-in; or they themselves do,
from their own page."""

from contextlib import suppress

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_noop, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation.access import forget, participation_required
from annotation.languages import in_their_language
from annotation.models.people import Participation
from annotation.privacy import erase_participation, participation_with_code
from datasets.models.audit import Actor
from datasets.tries import Count, Slowing, TooMany, give_back, take
from datasets.visitors import visitor_address

# One sentence for whatever is wrong with a code: it must not say whether a study or a person exists.
WRONG = gettext_noop(
    "Nothing is stored under this code. Look at it again: it has twelve letters and digits, without 0, O, 1 and I."
)
# Too long to guess, codes are slowed and never locked: whoever has one must get to erase.
PACE = Slowing(at_once=5, longest=30, seconds=3600)
LONGEST_CODE = 100  # characters, as typed


@in_their_language
@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest) -> HttpResponse:
    """Asks for a code, says what will go, and erases it when that is confirmed."""
    if request.method == "GET":
        return _page(request)
    code = request.POST.get("code", "")[:LONGEST_CODE]
    try:
        counted = take([Count("codes", visitor_address(request), PACE)])
    except TooMany as refused:
        return _too_soon(request, refused.seconds, typed=code)
    participation = participation_with_code(code)
    if participation is None:
        return _page(request, error=gettext(WRONG), typed=code)
    give_back(counted)
    if not request.POST.get("confirm"):
        return _page(request, found=participation, typed=code)
    return _erased(request, participation)


@participation_required
@require_POST
def erase(request: HttpRequest, participation: Participation) -> HttpResponse:
    """The same for whoever rates here, who needs no code."""
    if not request.POST.get("confirm"):
        return _page(request, found=participation)
    return _erased(request, participation)


def _erased(request: HttpRequest, participation: Participation) -> HttpResponse:
    with suppress(Participation.DoesNotExist):  # in another tab, a moment ago
        erase_participation(participation, by=Actor.ANNOTATOR)
    messages.success(request, gettext("Your participation and all its answers are erased."))
    return forget(redirect("annotation:withdrawal"), participation)


def _page(
    request: HttpRequest, *, found: Participation | None = None, error: str = "", typed: str = "", status: int = 200
) -> HttpResponse:
    context = {"found": found, "error": error, "typed": typed}
    return render(request, "annotation/annotators/withdraw.html", context, status=status)


def _too_soon(request: HttpRequest, seconds: int, *, typed: str) -> HttpResponse:
    sentence = ngettext(
        "Wrong codes came from your network, so each has to wait a little. Send yours again in %(n)s second.",
        "Wrong codes came from your network, so each has to wait a little. Send yours again in %(n)s seconds.",
        seconds,
    )
    response = _page(request, error=sentence % {"n": seconds}, typed=typed, status=429)
    response.headers["Retry-After"] = str(seconds)
    return response
