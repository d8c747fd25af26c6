"""Whoever asks or answers at this moment: a participation whose row is locked, with the rules of its study."""

from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.utils.translation import gettext_lazy

from annotation.giving.session_plan import SessionPlan
from annotation.models.studies import Study
from annotation.sql import fetch_all, fetch_one
from datasets.refusals import Refusal


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
    n_planned: int
    n_answered: int
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
    n_practice: int
    n_warm_up: int
    n_checks: int
    repeat_percent: int
    repeat_distance: int
    asks_cues: bool

    @property
    def plan(self) -> SessionPlan:
        return SessionPlan(
            self.n_planned,
            self.n_practice,
            self.n_warm_up,
            self.n_checks,
            self.repeat_percent,
            self.repeat_distance,
        )

    @property
    def is_open(self) -> bool:
        return self.state == Study.State.OPEN

    @property
    def n_left(self) -> int:
        return self.n_planned - self.n_answered

    @cached_property
    def has_few_originals(self) -> bool:
        """Whether the study has fewer originals than the session has pairs: only then versions may come again."""
        groups = fetch_all(GROUPS, self.study, self.n_planned)
        return len(groups) < self.n_planned


LOCK = """
SELECT p.id, p.public_id, p.study_id, p.annotator_id, p.seed, p.n_planned, p.n_answered,
  p.finished_at IS NOT NULL OR p.withdrawn_at IS NOT NULL,
  n.user_id IS NOT NULL,
  s.mode, s.state, s."window", s.lease_seconds, s.spacing, s.side,
  s.stops_adaptively OR s.is_ordered_by_model, s.core_percent,
  s.n_practice, s.n_warm_up, s.n_checks, s.repeat_percent, s.repeat_distance, s.asks_cues
FROM annotation_participation p
JOIN annotation_annotator n ON n.id = p.annotator_id
JOIN annotation_study s ON s.id = p.study_id
WHERE p.id = %s {lock_participation}"""

LOCK_ANNOTATOR = "SELECT id FROM annotation_annotator WHERE id = %s {lock}"

GROUPS = """
SELECT DISTINCT "group" FROM annotation_item WHERE study_id = %s AND role = 'main' AND state = 'open' LIMIT %s"""


def locked(participation: int) -> Person:
    """The participation, held until the transaction ends: of two tabs the second waits here. Call within `atomic`."""
    row = fetch_one(LOCK, participation)
    if row is None:
        raise ParticipationErased
    person = Person(*row)
    if person.is_member:
        fetch_one(LOCK_ANNOTATOR, person.annotator)
    return person
