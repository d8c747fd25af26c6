"""The page where a withdrawal code erases what somebody has left here, without cookie or log-in; or they themselves do,
from their own page."""

from contextlib import suppress

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation.access import forget, participation_required
from annotation.languages import in_their_language
from annotation.models.people import Participation
from annotation.privacy import erase_participation, participation_with_code
from datasets.visitors import visitor_address

# One sentence for whatever is wrong with a code: it must not say whether a study or a person exists.
WRONG = gettext_noop(
    "Nothing is stored under this code. Look at it again: it has twelve letters and digits, without 0, O, 1 and I."
)
TOO_MANY = gettext_noop("Too many wrong codes came from your network. Wait a quarter of an hour, then try again.")
LONGEST_CODE = 100  # characters, as typed


@in_their_language
@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest) -> HttpResponse:
    """Asks for a code, says what will go, and erases it when that is confirmed."""
    if request.method == "GET":
        return _page(request)
    if _n_wrong(request) >= settings.AXES_FAILURE_LIMIT:
        return _page(request, error=gettext(TOO_MANY), status=429)
    code = request.POST.get("code", "")[:LONGEST_CODE]
    participation = participation_with_code(code)
    if participation is None:
        _count_wrong(request)
        return _page(request, error=gettext(WRONG), typed=code)
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
        erase_participation(participation)
    messages.success(request, gettext("Your participation and all its answers are erased."))
    return forget(redirect("annotation:withdrawal"), participation)


def _page(
    request: HttpRequest, *, found: Participation | None = None, error: str = "", typed: str = "", status: int = 200
) -> HttpResponse:
    context = {"found": found, "error": error, "typed": typed}
    return render(request, "annotation/annotators/withdraw.html", context, status=status)


# Guessing is as limited as at the log-in, and counted in memory only: no address is kept.


def _n_wrong(request: HttpRequest) -> int:
    return int(cache.get(_counter(request), 0))


def _count_wrong(request: HttpRequest) -> None:
    cache.add(_counter(request), 0, timeout=settings.AXES_COOLOFF_TIME * 3600)
    with suppress(ValueError):  # it ran out between these two lines
        cache.incr(_counter(request))


def _counter(request: HttpRequest) -> str:
    return f"withdraw:{visitor_address(request)}"
