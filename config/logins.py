"""Log-ins in the audit log: whose they were, whose were refused, who was locked out.

Of a refused one the name is kept only where there is such an account: else it may be a password in the wrong field.
Those of nobody's, and of whoever is locked out already, are kept once an hour, so that guesses do not fill the disk.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model, user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from datasets.audit import record, record_hourly, role_of
from datasets.models.audit import Actor, What


@receiver(user_logged_in)
def _in(user: Any, **kwargs: Any) -> None:
    record(What.LOG_IN, by=user)


@receiver(user_logged_out)
def _out(user: Any, **kwargs: Any) -> None:
    if user is not None:
        record(What.LOG_OUT, by=user)


@receiver(user_login_failed)
def _refused(credentials: Mapping[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    account = get_user_model().objects.filter(username=credentials.get("username") or "").first()
    if account is not None and role_of(account, None) == Actor.ANNOTATOR:  # never which
        account = None
    refused = getattr(request, "refused_try", None)
    if refused and refused.code == "at once":  # too many passwords are being hashed: it says nothing of this one
        return
    if refused:
        record_hourly(What.LOCKED_OUT, by=Actor.VISITOR, on=account)
    elif account is None:
        record_hourly(What.LOG_IN_REFUSED, by=Actor.VISITOR)
    else:
        record(What.LOG_IN_REFUSED, by=Actor.VISITOR, on=account)
