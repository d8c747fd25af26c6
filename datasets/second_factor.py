"""A second factor beside the password: offered to all, asked of superusers and of those who administer projects."""

from collections.abc import Callable, Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from datasets.doctor import examines
from datasets.hosts import Finding
from datasets.models.projects import Membership, Role, is_superuser, user_id

PROVES = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)  # recovery codes alone are none: they run out
MEANWHILE = ("account", "mfa_", "usersessions_", "logout")  # what may be opened before there is one
ASKED = "Your account can change what others have done, so it needs a second factor. Set one up here to go on."


def needs_second_factor(user: AbstractBaseUser | AnonymousUser) -> bool:
    if not settings.SECOND_FACTOR_REQUIRED:
        return False
    return is_superuser(user) or Membership.objects.filter(user_id=user_id(user), role=Role.ADMIN).exists()


def has_second_factor(user: AbstractBaseUser | AnonymousUser) -> bool:
    return Authenticator.objects.filter(user_id=user_id(user), type__in=PROVES).exists()


class AskForSecondFactor:
    """Whoever needs one and has none is led to where it is set up. What needs no log-in needs no second factor."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        if not settings.SECOND_FACTOR_REQUIRED or not getattr(view, "login_required", True):
            return None
        match, user = request.resolver_match, request.user
        may_open = match is not None and (match.url_name or "").startswith(MEANWHILE)
        if may_open or not needs_second_factor(user) or has_second_factor(user):
            return None
        messages.warning(request, ASKED)
        return redirect("mfa_index")


@examines(asks_database=True)
def second_factors() -> Iterator[Finding]:
    """Whose password alone opens what others have done."""
    needing = User.objects.filter(Q(is_superuser=True) | Q(memberships__role=Role.ADMIN), is_active=True).distinct()
    without = needing.exclude(authenticator__type__in=PROVES).count()
    says = f"{without} of {needing.count()} accounts that need a second factor have none yet."
    asked = "They are asked to set one up when they log in."
    off = "Set SECOND_FACTOR_REQUIRED=true, its default."
    yield Finding("second factors", says, (asked if settings.SECOND_FACTOR_REQUIRED else off) if without else "")
