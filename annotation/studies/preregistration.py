"""What a study decides before anybody has rated: its headline figure, and the rule by which people are set aside.

It is fixed and hashed in the transaction that first opens the study. Later changes are possible and stay visible:
each is a dated deviation, and a release reports what the fixed rule says as well.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from typing import Any, Self

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from annotation.models.quality import Preregistration
from annotation.models.studies import Study, StudyChange
from annotation.studies.history import locked_study, record_change
from annotation.studies.settings import DESIGN
from datasets.refusals import Refusal

DEVIATIONS = (StudyChange.Kind.GOAL, StudyChange.Kind.PREREGISTRATION)


class ReasonMissing(Refusal):
    """The study has opened: its preregistration is departed from only with a reason."""


@dataclass(frozen=True)
class ExclusionRule:
    """Sets a person aside whose card meets any part; None: the part is not used. Shares are percentages.

    What a card does not know sets nobody aside: no repeats, no inconsistency.
    """

    fewer_ratings_than: int | None = None
    failed_checks: int | None = None  # so many or more
    failed_instructions: int | None = None
    repeat_difference_above: float | None = None  # mean absolute difference in score points
    fast_percent_above: float | None = None
    correlation_below: float | None = None  # leave-one-out Spearman's rho

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{each.name: data.get(each.name) for each in fields(cls)})

    def used(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def sets_aside(self, figures: Mapping[str, Any]) -> list[str]:
        """The parts that a card meets (`figures` as assessment.py computes them)."""
        return [name for name, limit in self.used().items() if MEETS[name](figures, limit)]

    def in_words(self) -> list[str]:
        return [WORDS[name].format(value) for name, value in self.used().items()]


def _above(value: float | None, limit: float) -> bool:
    return value is not None and value > limit


MEETS = {
    "fewer_ratings_than": lambda card, limit: card["n"] < limit,
    "failed_checks": lambda card, limit: card["checks"]["n_failed"] >= limit,
    "failed_instructions": lambda card, limit: card["instructions"]["n_failed"] >= limit,
    "repeat_difference_above": lambda card, limit: _above(card["repeats"]["mean_difference"], limit),
    "fast_percent_above": lambda card, limit: _above(card["time"]["fast_share"], limit / 100),
    "correlation_below": lambda card, limit: card["others"]["rho"] is not None and card["others"]["rho"] < limit,
}
WORDS = {
    "fewer_ratings_than": "fewer than {} ratings that count",
    "failed_checks": "{} or more checks failed",
    "failed_instructions": "{} or more instructions not followed",
    "repeat_difference_above": "repeats differ by more than {} points on average",
    "fast_percent_above": "more than {} % of the answers very fast",
    "correlation_below": "correlation with the mean of the others below {}",
}


def preregistration_of(study: Study) -> Preregistration:
    """The study's; a new draft, not yet stored, where there is none."""
    return Preregistration.objects.filter(study=study).first() or Preregistration(study=study)


def preregister(study: Study) -> None:
    """Keep it for good, with goal and design. Called in the transaction that opens a study for the first time."""
    kept = preregistration_of(study)
    kept.fixed = {
        "headline": kept.headline,
        "rule": kept.rule,
        "goal": study.goal,
        "n_pairs": study.items.rated().count(),
        "design": {name: getattr(study, name) for name in DESIGN},
    }
    kept.sha256 = hash_of(kept.fixed)
    kept.fixed_at = timezone.now()
    kept.save()


def hash_of(fixed: Mapping[str, Any]) -> str:
    """SHA-256 of what was fixed, as JSON: keys sorted, no spaces, UTF-8."""
    text = json.dumps(fixed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


@transaction.atomic
def change_preregistration(
    study: Study, *, headline: str, rule: ExclusionRule, by: AbstractBaseUser | None = None, reason: str = ""
) -> str:
    """Replace a draft's; after the first opening the change is a deviation. What was done, in words.

    Raises ReasonMissing for a deviation without one.
    """
    study = locked_study(study)
    kept = preregistration_of(study)
    before, after = choices_of(kept), {"headline": headline, "rule": rule.used()}
    if before == after:
        return "The preregistration says so already; nothing has changed."
    if study.has_begun and not reason:  # it may have opened since somebody began to write
        raise ReasonMissing("This study has been open, and its preregistration is fixed; say why you depart from it.")
    kept.headline, kept.rule = headline, rule.used()
    kept.save()
    if not study.has_begun:
        return "The preregistration is saved."
    record_change(study, StudyChange.Kind.PREREGISTRATION, before=before, after=after, by=by, reason=reason)
    return "The change is recorded as a deviation."


def choices_of(kept: Preregistration) -> dict[str, Any]:
    return {"headline": kept.headline, "rule": kept.rule}


def deviations(study: Study) -> QuerySet[StudyChange]:
    """What was changed since it was fixed, in order."""
    fixed_at = Preregistration.objects.filter(study=study).values("fixed_at")
    return study.changes.filter(kind__in=DEVIATIONS, changed_at__gt=fixed_at)
