"""What a person decides about how somebody rated: whether it is used, and whether it is paid. Nothing else decides.

The two are apart, each can be taken back, and all that was ever decided stays, with who, when, why and the effect on
alpha as it was known then.
"""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from annotation.models.people import Participation
from annotation.models.quality import Card, Decision, Flag
from annotation.models.studies import Study
from datasets.audit import record
from datasets.models.audit import What
from datasets.refusals import Refusal


class CannotDecide(Refusal):
    """The decision changes nothing or has nobody to be about; the message says which."""


@transaction.atomic
def decide(
    participation: Participation, kind: str, *, verdict: bool, reason: str, by: AbstractBaseUser | None = None
) -> Decision:
    """Record a decision; the person's flags are settled with it. Raises CannotDecide, with nothing stored."""
    person = _locked(participation)
    if is_so(person, kind) == verdict:
        raise CannotDecide("That is decided already; the history below says by whom and why.")
    decision = Decision.objects.create(
        participation=person,
        kind=kind,
        verdict=verdict,
        reason=reason,
        effect=_effect(person),
        decided_by_id=by.pk if by else None,
    )
    _log(person, by, {"decision": decision.pk, "about": kind, "verdict": verdict})
    _settle(person, by=by, settlement=f"{describe(decision)}: {reason}")
    return decision


@transaction.atomic
def settle_flags(participation: Participation, *, reason: str, by: AbstractBaseUser | None = None) -> int:
    """Look no further at what is flagged of a person, without deciding anything else."""
    person = _locked(participation)
    _log(person, by, {"flags": list(_to_settle(person).order_by("pk").values_list("pk", flat=True))})
    return _settle(person, by=by, settlement=reason)


def _log(person: Participation, by: AbstractBaseUser | None, after: dict[str, Any]) -> None:
    """Of whom it was, the row of the decision or flag knows, which goes with the person; the log cannot forget."""
    record(What.DECIDED, by=by, on=person.study, project=person.study.project, after=after)


def is_so(participation: Participation, kind: str) -> bool:
    """What counts now: everybody is used and paid until somebody decides otherwise."""
    latest = participation.decisions.filter(kind=kind).order_by("decided_at", "pk").last()
    return latest is None or latest.verdict


def describe(decision: Decision) -> str:
    return f"{'' if decision.verdict else 'not '}{decision.get_kind_display()}"


def _locked(participation: Participation) -> Participation:
    """Of two people who decide at once the second sees what the first decided."""
    here = Participation.objects.not_withdrawn().select_for_update(no_key=True)
    person = here.filter(pk=participation.pk).first()
    if person is None:
        raise CannotDecide("This person has withdrawn; there is nothing left to decide.")
    return person


def _settle(person: Participation, *, by: AbstractBaseUser | None, settlement: str) -> int:
    return _to_settle(person).update(settled_at=Now(), settled_by=by.pk if by else None, settlement=settlement)


def _to_settle(person: Participation) -> QuerySet[Flag]:
    return Flag.objects.to_decide().filter(participation=person)


def _effect(person: Participation) -> dict[str, Any]:
    card = Card.objects.filter(participation=person).first()
    if card is None:
        return {}
    known = {name: card.figures[name] for name in ("alpha", "alpha_without")}
    return {**known, "assessed_at": card.assessed_at.isoformat()}


def set_aside(study: Study, *, by: datetime | None = None) -> list[int]:
    """Participations whose latest decision on their use is no; by a moment, where one is given."""
    decisions = Decision.objects.filter(participation__study=study, kind=Decision.Kind.USE)
    decisions = decisions.filter(decided_at__lte=by) if by else decisions
    latest = dict(decisions.order_by("decided_at", "pk").values_list("participation", "verdict"))
    return [participation for participation, is_used in latest.items() if not is_used]
