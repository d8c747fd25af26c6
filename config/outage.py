"""What a visitor is told while the database is away or a disk is full: to come back, never that the site is broken.

Django's `handler500`, and not a middleware: between any two middlewares an exception has become a response already, so
that none of them sees the error of another one (the log-in's look at the session is the usual first victim), and
`process_exception` hears of views alone. Here all of them arrive, those that REST framework raises again too. The
broken connection is closed by Django between requests, and each asks whether its connection lives (CONN_HEALTH_CHECKS).
"""

import logging
import sys
from time import monotonic

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext, gettext_noop
from django.views import defaults

from datasets import disk

log = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 2
SAY_EVERY_SECONDS = 10
DETAIL = gettext_noop(
    "The database cannot be reached at the moment. Nothing is lost; please try again in a few seconds."
)
FULL = gettext_noop(
    "A disk of the server is full. What you sent just now was not stored; please keep this page open and try again "
    "in a few minutes."
)


class Seldom:
    """Says a thing at most once in so many seconds, however often it happens: one line for all requests of a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.begin_anew()

    def begin_anew(self) -> None:
        self._last = -self._seconds

    def is_due(self) -> bool:
        is_due = monotonic() - self._last >= self._seconds
        if is_due:
            self._last = monotonic()
        return is_due


said = Seldom(SAY_EVERY_SECONDS)


def server_error(request: HttpRequest) -> HttpResponseBase:
    error = sys.exc_info()[1]
    if disk.is_full(error):
        return unavailable(request, error, FULL, "a disk is full")
    if isinstance(error, OperationalError | InterfaceError):
        return unavailable(request, error, DETAIL, "the database is away")
    return defaults.server_error(request)


def unavailable(request: HttpRequest, error: BaseException | None, detail: str, reason: str) -> HttpResponse:
    if said.is_due():  # without a traceback: no code is at fault
        log.error("%s, requests are answered 503: %s", reason, " ".join(str(error).split()))
    response: HttpResponse
    if request.get_preferred_type(["text/plain", "application/json"]) == "application/json":
        response = JsonResponse({"detail": gettext(detail)}, status=503)
    else:
        response = HttpResponse(gettext(detail) + "\n", status=503, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    response["Cache-Control"] = "no-store"
    return response
