"""The page of somebody's own account, and which of its pages need mail."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from datasets.models.projects import user_id
from datasets.second_factor import has_second_factor, needs_second_factor


def account_page(request: HttpRequest) -> HttpResponse:
    facts = {
        "has_mail": bool(settings.EMAIL_URL),
        "has_second_factor": has_second_factor(request.user),
        "needs_second_factor": needs_second_factor(request.user),
    }
    return render(request, "account/index.html", facts)


def own_address(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """An address that an admin has written down is somebody's until they have confirmed another."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user, written = request.user, getattr(request.user, "email", "")
        known = EmailAddress.objects.filter(user_id=user_id(user))
        if written and not known.filter(email__iexact=written).exists():
            is_free = not EmailAddress.objects.filter(email__iexact=written, verified=True).exists()
            known.filter(primary=True).delete()
            EmailAddress.objects.create(user_id=user_id(user), email=written, primary=True, verified=is_free)
        return view(request, *args, **kwargs)

    return answered


def with_mail(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Where the site cannot send any, its page says whom to ask instead."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.EMAIL_URL:
            return render(request, "account/no_mail.html", status=404)
        return view(request, *args, **kwargs)

    return answered
