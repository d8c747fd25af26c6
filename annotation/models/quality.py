"""What is known of how people rated, what was preregistered to be done about it, and what a person decided."""

from typing import Self

from django.conf import settings
from django.db import models

from annotation.models.people import Participation
from annotation.models.studies import Study


class Preregistration(models.Model):
    """What is decided before anybody has rated: the headline figure and whom the study's rule sets aside.

    Draft until the study first opens. Then `fixed` keeps it, with the goal and the design, under a hash; what is
    changed later stands in `headline` and `rule` and is recorded as a deviation (a `StudyChange`).
    """

    class Headline(models.TextChoices):
        INTERVAL = "interval", "Krippendorff's alpha, interval"
        ORDINAL = "ordinal", "Krippendorff's alpha, ordinal"
        NOMINAL = "nominal", "Krippendorff's alpha, nominal"

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="preregistration")
    headline = models.CharField(max_length=8, choices=Headline, default=Headline.INTERVAL)
    rule = models.JSONField(default=dict, blank=True)  # the fields of `preregistration.ExclusionRule` that are used
    fixed = models.JSONField(null=True, editable=False)
    sha256 = models.CharField(max_length=64, blank=True, editable=False)  # of `fixed` as canonical JSON
    fixed_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return f"preregistration of {self.study}"


class Card(models.Model):
    """How a person rated, as last computed in the background (see assessment.py for what `figures` holds)."""

    participation = models.OneToOneField(Participation, on_delete=models.CASCADE, related_name="card")
    figures = models.JSONField()
    assessed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"card of {self.participation}"


class FlagQuerySet(models.QuerySet["Flag"]):
    def to_decide(self) -> Self:
        return self.filter(is_current=True, settled_at=None, participation__withdrawn_at=None)


class Flag(models.Model):
    """Something about how a person rated that somebody should look at. It decides nothing."""

    class Reason(models.TextChoices):
        FAILED_INSTRUCTIONS = "failed_instructions", "instructions not followed"
        FAILED_CHECKS = "failed_checks", "checks failed"
        INCONSISTENT = "inconsistent", "rates the same pair differently"
        FAST = "fast", "very fast"
        HIDDEN = "hidden", "page in the background"
        STRAIGHT_LINING = "straight_lining", "the same score again and again"
        DRIFT = "drift", "scores change with the position"
        DISAGREES = "disagrees", "rates unlike the others"

    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="flags")
    reason = models.CharField(max_length=19, choices=Reason)
    evidence = models.JSONField(default=dict)  # the numbers and the threshold
    is_current = models.BooleanField(default=True)  # whether the last check found it again
    raised_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    settlement = models.TextField(blank=True)

    objects = FlagQuerySet.as_manager()

    class Meta:
        ordering = ["participation", "reason"]
        constraints = [models.UniqueConstraint(fields=["participation", "reason"], name="one_flag_per_reason")]

    def __str__(self) -> str:
        return f"{self.get_reason_display()}: {self.participation}"


class Decision(models.Model):
    """What a person decided of a participation. The latest of its kind counts; none is ever changed."""

    class Kind(models.TextChoices):
        USE = "use", "used in releases"
        PAY = "pay", "paid"

    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=4, choices=Kind)
    verdict = models.BooleanField()
    reason = models.TextField()
    effect = models.JSONField(default=dict, blank=True)  # alpha with and without this person, when it was decided
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["decided_at", "pk"]

    def __str__(self) -> str:
        return f"{'' if self.verdict else 'not '}{self.get_kind_display()}: {self.participation}"
