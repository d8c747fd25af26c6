"""How a refusal is told, in one way each: on a page, in a form, by a command, in JSON."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django import forms
from django.contrib import messages
from django.core.management.base import BaseCommand, CommandError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from rest_framework.response import Response
from rest_framework.views import exception_handler

from datasets.refusals import Refusal


def told_on(page: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """A view whose refusals lead back to a page, which has the same arguments in its address, and are told there."""

    def decorated(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return view(request, *args, **kwargs)
            except Refusal as refusal:
                messages.error(request, str(refusal))
                return redirect(page, *args, **kwargs)

        return wrapped

    return decorated


@contextmanager
def told_in(form: forms.BaseForm, field: str | None = None) -> Iterator[None]:
    """What is refused within is told above the form, or above a field of it; then the form is shown again."""
    try:
        yield
    except Refusal as refusal:
        form.add_error(field, str(refusal))


class TellingCommand(BaseCommand):
    """A command that ends with what is refused, in a sentence and not in a traceback."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal


def in_json(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's handler of exceptions, for programs."""
    if isinstance(error, Refusal):
        return Response({"detail": str(error)}, status=error.status)
    return exception_handler(error, context)
