"""Accounts that are deleted, by whatever way: so that a backup from before does not bring them back."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from datasets import ledger
from datasets.traces import wipe_soon


def _in_ledger(user: User) -> str:
    """A number alone might be another's on a database that is new; a name can be taken again."""
    return f"account {user.pk} joined {user.date_joined.isoformat()}"


@receiver(pre_delete, sender=User)
def enter_account(instance: User, **sent: Any) -> None:
    ledger.enter(_in_ledger(instance))
    wipe_soon()


@ledger.replays
@transaction.atomic
def _delete_again(is_erased: ledger.IsErased) -> int:
    back = [user for user in User.objects.all() if is_erased(_in_ledger(user))]
    for user in back:
        user.delete()
    return len(back)
