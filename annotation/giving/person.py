"""Whoever asks or answers at this moment: a participation whose row is locked, with the rules of its study."""

from dataclasses import dataclass, fields
from functools import cached_property
from math import ceil
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy

from annotation.giving import statements
from annotation.giving.session_plan import SessionPlan
from annotation.models.studies import Study
from annotation.sql import fetch_all, fetch_one
from datasets.refusals import Refusal

N_OF_PLAN = len(fields(SessionPlan))  # columns
TO_APPEAR_SECONDS = 300


class ParticipationErased(Refusal):
    """The participation was erased while its owner was asking for pairs."""

    code = "erased"
    status = 404
    sentence = gettext_lazy("There is no such participation, or it is not yours.")


@dataclass
class Person:
    """A participation whose row is locked, and the rules of its study."""

    pk: int
    public_id: UUID | str  # as the database stores it
    study: int
    annotator: int
    seed: int
    n_answered: int
    # Asked of those alone who have not answered yet.
    has_seen: bool  # some pair, on their screen
    seconds_since_consent: float
    seconds_since_first_sent: float | None
    has_ended: bool
    is_member: bool  # who may take part in other studies of the project too
    mode: str
    state: str
    window: int
    lease_seconds: int
    spacing: int
    side: str
    favours_wide: bool  # the study stops pairs adaptively or is ordered by a model
    core_percent: int
    asks_cues: bool
    plan: SessionPlan

    @property
    def n_planned(self) -> int:
        return self.plan.size

    @cached_property
    def named(self) -> dict[str, int]:
        """What the conditions of a draw may name of a person."""
        return {"participation": self.pk, "annotator": self.annotator, "study": self.study, "spacing": self.spacing}

    @property
    def is_open(self) -> bool:
        return self.state == Study.State.OPEN

    @property
    def n_left(self) -> int:
        return self.n_planned - self.n_answered

    def note_sent(self) -> None:
        if self.seconds_since_first_sent is None:
            self.seconds_since_first_sent = 0

    @property
    def seconds_to_wait(self) -> int:
        """For which their pairs wait from now on: as the study says, and less while they have seen none of them.

        Whoever agrees to take part and goes away keeps nobody else out for long, nor does asking again. The first pair
        that is sent has time to appear and, where no script says that it has, to be answered.
        """
        if self.n_answered or self.has_seen:
            return self.lease_seconds
        left = settings.FIRST_PAIR_SECONDS - self.seconds_since_consent
        if self.seconds_since_first_sent is not None:
            left = max(left, TO_APPEAR_SECONDS - self.seconds_since_first_sent)
        return min(self.lease_seconds, max(0, ceil(left)))

    @cached_property
    def has_few_originals(self) -> bool:
        """Whether the study has fewer originals than the session has pairs: only then versions may come again."""
        originals = fetch_all(statements.ORIGINALS, study=self.study, n=self.n_planned)
        return len(originals) < self.n_planned


def locked(participation: int) -> Person:
    """The participation, held until the transaction ends: of two tabs the second waits here. Call within `atomic`."""
    row = fetch_one(statements.LOCK, participation=participation)
    if row is None:
        raise ParticipationErased
    person = Person(*(*row[:-N_OF_PLAN], SessionPlan(*row[-N_OF_PLAN:])))
    if person.is_member:
        fetch_one(statements.LOCK_ANNOTATOR, annotator=person.annotator)
    return person
