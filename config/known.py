"""Browsers in which somebody has logged in: each keeps a signed cookie that says as whom, for a year.

It opens nothing: it tells the web server, which asks no database, from whom it takes files (config/web.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth import user_logged_in
from django.core import signing
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import constant_time_compare, salted_hmac

COOKIE = "known-as"
AGE_SECONDS = 365 * 24 * 3600
_SALT = "a browser in which somebody has logged in"


@receiver(user_logged_in)
def _note(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if request is not None:
        request.logged_in_as = user.pk  # type: ignore[attr-defined]


def remembered(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: whoever logs in, on whatever page, is remembered by their browser."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if account := getattr(request, "logged_in_as", None):
            remember(response, account)
        return response

    return middleware


def remember(response: HttpResponseBase, account: int) -> None:
    value = signing.dumps(_name(account), salt=_SALT)
    response.set_cookie(COOKIE, value, max_age=AGE_SECONDS, secure=settings.HTTPS, httponly=True, samesite="Lax")


def is_known(cookies: Mapping[str, str]) -> bool:
    """Whether anybody has logged in with this browser."""
    return _kept(cookies) is not None


def is_known_as(cookies: Mapping[str, str], account: int) -> bool:
    """Whether it was this account that logged in last."""
    kept = _kept(cookies)
    return kept is not None and constant_time_compare(kept, _name(account))


def _name(account: int) -> str:
    """No number of ours: it would tell how many accounts there are."""
    return salted_hmac(_SALT, str(account), algorithm="sha256").hexdigest()[:32]


def _kept(cookies: Mapping[str, str]) -> str | None:
    try:
        return str(signing.loads(cookies.get(COOKIE, ""), salt=_SALT, max_age=AGE_SECONDS))
    except signing.BadSignature:
        return None
