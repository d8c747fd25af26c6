"""A form that starts something starts it once, however often it is sent: by two clicks, or by a browser on its own.

The form holds a key that was chosen when it was shown (`{% once %}`), and the verb behind it is marked `@once`.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from datasets.jobs import repeats
from datasets.models.forms import SentForm

FIELD = "once"  # in the form
KEPT = timedelta(days=1)
AGAIN = "The same form came twice and was done once. To do it once more, load its page anew."


def once(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view, or the part of one that does what was asked for, in a transaction: of the same form sent twice the second
    leads to where the first has led. What leads nowhere, since it was refused or is shown again, can be sent again.

    Files are moved outside of it: on SQLite nobody else can write meanwhile.
    """

    @wraps(view)
    def wrapped(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        key = _key(request)
        if key is None:
            return view(request, *args, **kwargs)
        with transaction.atomic():
            # Of two at once the second waits here for the end of the first one's transaction, and then finds its row.
            SentForm.objects.bulk_create([SentForm(user=request.user, key=key)], ignore_conflicts=True)
            sent = SentForm.objects.get(user=request.user, key=key)
            if sent.led_to:
                messages.info(request, AGAIN)
                return redirect(sent.led_to)
            response = view(request, *args, **kwargs)
            _keep(sent, response)
            return response

    return wrapped


def _key(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.POST[FIELD]) if request.method == "POST" else None
    except (KeyError, ValueError):
        return None


def _keep(sent: SentForm, response: HttpResponse) -> None:
    if response.status_code == 302:
        sent.led_to = response["Location"]
        sent.save(update_fields=["led_to"])
    else:
        sent.delete()


@repeats(every=3600)
def forget_sent_forms() -> None:
    SentForm.objects.filter(sent_at__lt=timezone.now() - KEPT).delete()
