"""The audit log is written here, in the transaction that makes the change: neither is there without the other.

What may stand in it: names and numbers of accounts that run studies, of studies, releases and the like; what a setting
was and is. What may not: who rates, what they wrote, codes, passwords, links and addresses.
"""

from datetime import datetime
from hashlib import sha256
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model
from django.utils import timezone

from datasets.models.audit import Actor, AuditEntry, What
from datasets.models.projects import MANAGING_ROLES, Membership, Project, Role, is_superuser

By = AbstractBaseUser | AnonymousUser | Actor | None  # None: a command, which has no user

_ROLES = {Role.ADMIN: Actor.ADMIN, Role.RESEARCHER: Actor.RESEARCHER, Role.ANNOTATOR: Actor.ANNOTATOR}


def record(
    what: What,
    *,
    by: By,
    on: Model | None = None,
    project: Project | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Call it where the change is made, while `on` still has its name."""
    _entry(what, by=by, on=on, project=project, before=before, after=after).save(force_insert=True)


def record_hourly(what: What, *, by: By, on: Model | None = None, project: Project | None = None) -> None:
    """What happens again and again, such as a page of pictures being looked at: the first of an hour is kept."""
    entry = _entry(what, by=by, on=on, project=project)
    entry.once = _of_the_hour(entry)
    if not AuditEntry.objects.filter(once=entry.once).exists():
        AuditEntry.objects.bulk_create([entry], ignore_conflicts=True)  # another request may be as early


def record_role(project: Project, user: AbstractBaseUser, *, before: str | None, after: str | None, by: By) -> None:
    """Somebody's role in a project was given, changed or taken. Nothing where it is as it was."""
    if before != after:
        what, (was, becomes) = What.ROLE_GIVEN if after else What.ROLE_TAKEN, ({"role": before}, {"role": after})
        record(what, by=by, on=user, project=project, before=was, after=becomes)


def _of_the_hour(entry: AuditEntry) -> str:
    same = (entry.what, entry.role, entry.user_number, entry.kind, entry.object_id, entry.project_number)
    return sha256(repr((*same, _hour(entry.at))).encode()).hexdigest()


def _hour(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H}"


def _entry(what: What, *, by: By, on: Model | None, project: Project | None, **changed: Any) -> AuditEntry:
    role = role_of(by, project)
    user = by if isinstance(by, AbstractBaseUser) and role != Actor.ANNOTATOR else None
    return AuditEntry(
        at=timezone.now(),
        what=what,
        role=role,
        user_number=user.pk if user else None,
        user_name=user.get_username() if user else "",
        project_number=project.pk if project else None,
        project_name=project.name if project else "",
        **_named(on),
        **changed,
    )


def role_of(by: By, project: Project | None) -> Actor:
    """The highest that they have in this project, or in any where it is about none."""
    if by is None:
        return Actor.COMMAND
    if isinstance(by, Actor):
        return by
    if not by.is_authenticated:
        return Actor.VISITOR
    if is_superuser(by):
        return Actor.SUPERUSER
    mine = Membership.objects.filter(user_id=by.pk)
    held = set((mine.filter(project=project) if project else mine).values_list("role", flat=True))
    if held.intersection(MANAGING_ROLES) or not getattr(by, "is_staff", False):
        return next((actor for role, actor in _ROLES.items() if role in held), Actor.USER)
    return Actor.STAFF


def _named(on: Model | None) -> dict[str, str]:
    if on is None:
        return {}
    known_by = next(name for name in ("public_id", "slug", "pk") if hasattr(on, name))
    return {
        "kind": str(on._meta.verbose_name),
        "object_id": str(getattr(on, known_by)),
        "object_name": str(on)[:200],
    }
