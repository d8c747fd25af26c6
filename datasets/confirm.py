"""Before what cannot be undone, or gives others power: whoever is logged in says once more who they are."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.contrib.auth import user_logged_in
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

LOGGED_IN = "logged-in-at"  # in a session, in seconds of the clock


@receiver(user_logged_in)
def _note(request: HttpRequest | None, **kwargs: Any) -> None:
    if request is not None:
        request.session[LOGGED_IN] = time.time()


def is_confirmed(request: HttpRequest) -> bool:
    """Whether they have logged in, or said who they are again, within CONFIRMED_SECONDS."""
    again = [record["at"] for record in get_authentication_records(request, request.user)]
    return 0 <= time.time() - max(request.session.get(LOGGED_IN, 0), *again, 0) < settings.CONFIRMED_SECONDS


P = ParamSpec("P")
View = Callable[Concatenate[Any, P], HttpResponseBase]


def confirmed(view: View[P]) -> View[P]:
    """A page that asks first, and leads back to itself. A form that comes too late is not kept meanwhile: it is shown
    anew."""

    @wraps(view)
    def asked(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated or is_confirmed(request):
            return view(request, *args, **kwargs)
        ways = get_adapter().get_reauthentication_methods(request.user)
        if not ways:
            raise PermissionDenied
        return redirect(f"{ways[0]['url']}?{urlencode({'next': _page_of(request)})}")

    return asked


def _page_of(request: HttpRequest) -> str:
    """Where they go on: the page whose form was sent, as the browser names it, else the address that was asked."""
    came_from = request.headers.get("Referer", "")
    if request.method == "POST" and url_has_allowed_host_and_scheme(came_from, {request.get_host()}):
        return came_from
    return request.get_full_path()
