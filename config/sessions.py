"""How long a log-in lasts: until it has lain idle, and no longer than the longest, however it is used."""

import time
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import SESSION_KEY, user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

BEGAN, SEEN = "began", "seen"  # in a session, in seconds of the clock
NOTED_EVERY_SECONDS = 300  # a rating must not cost a write for its session


@receiver(user_logged_in)
def _begin(request: HttpRequest | None, **kwargs: Any) -> None:
    if request is not None:
        request.session[BEGAN] = request.session[SEEN] = time.time()


def limited(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware, inside Django's for sessions."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and SESSION_KEY in request.session:
            _end_or_note(request, time.time())
        return get_response(request)

    return middleware


def _end_or_note(request: HttpRequest, now: float) -> None:
    session = request.session
    began, seen = session.get(BEGAN, now), session.get(SEEN, now)
    if now - seen > settings.SESSION_IDLE_SECONDS or now - began > settings.SESSION_LONGEST_SECONDS:
        session.flush()
    elif BEGAN not in session or now - seen > NOTED_EVERY_SECONDS:
        session[BEGAN], session[SEEN] = began, now
        UserSession.objects.filter(session_key=session.session_key).update(last_seen_at=timezone.now())
