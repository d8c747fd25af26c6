import uuid
from datetime import datetime
from typing import Self, TypeVar

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from annotation.models.people import Participation
from annotation.models.studies import MAX_SCORE, MIN_SCORE, Item, Study
from datasets.models.releases import CueKind

Row = TypeVar("Row", bound=models.Model)


def counting_through(assignment: str) -> models.Q:
    """Which answers count: main ones of people who have not withdrawn. `assignment` is the way there: "assignments__".

    Practice, warm-up, checks and repeats serve other ends, and whoever withdraws takes back what they said. Whom a
    decision sets aside is another question: their answers count to a pair's goal, and are left out where they are used.
    """
    return models.Q(
        **{f"{assignment}purpose": Assignment.Purpose.MAIN, f"{assignment}participation__withdrawn_at": None}
    )


class OfAssignmentsQuerySet(models.QuerySet[Row]):
    """Assignments, and whatever hangs from them: what people answered, marked and reported."""

    assignment = ""  # the way to the assignment, as a filter spells it

    def of_study(self, study: Study) -> Self:
        # By the person, not by the pair: they are looked up anyway, to leave out whoever has withdrawn.
        return self.filter(**{f"{self.assignment}participation__study": study})

    def not_withdrawn(self) -> Self:
        """Of the others nothing is shown and nothing computed any more."""
        return self.filter(**{f"{self.assignment}participation__withdrawn_at": None})

    def counting(self) -> Self:
        """Main answers of people who have not withdrawn: agreement and releases rest on these alone."""
        return self.filter(counting_through(self.assignment))

    def with_known_answer(self) -> Self:
        """Checks and practice pairs: what is said of them, or not said, tells something of the person."""
        known = (Assignment.Purpose.CHECK, Assignment.Purpose.PRACTICE)
        return self.filter(**{f"{self.assignment}purpose__in": known})


class AssignmentQuerySet(OfAssignmentsQuerySet["Assignment"]):
    def unanswered(self) -> Self:
        return self.filter(answered_at=None)

    def held(self) -> Self:
        """Given to a person who still has time to answer."""
        return self.filter(answered_at=None, returned_at=None)


class Assignment(models.Model):
    """One pair given to one person, at one position of their session. Ids and picture addresses are random."""

    class Purpose(models.TextChoices):
        PRACTICE = "practice"
        WARM_UP = "warm_up", "warm-up"
        MAIN = "main"
        CHECK = "check"
        REPEAT = "repeat"

    class Side(models.TextChoices):
        LEFT = "left"
        RIGHT = "right"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="assignments")
    # No index of its own: two of the constraints below begin with it, and PostgreSQL must not prefer it to them.
    participation = models.ForeignKey(
        Participation, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    occurrence = models.PositiveSmallIntegerField(default=0)
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.MAIN)
    position = models.PositiveIntegerField()  # from 1
    original_side = models.CharField(max_length=5, choices=Side, default=Side.LEFT)
    # Why this item: the rule, and what the draw started from, so that it can be replayed.
    reason = models.CharField(max_length=24)
    draw_start = models.BigIntegerField(null=True, blank=True)
    draw_n_held = models.PositiveIntegerField(null=True, blank=True)
    original_key = models.UUIDField(default=uuid.uuid4, null=True, unique=True, editable=False)
    anonymized_key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    reserved_at = models.DateTimeField()
    served_at = models.DateTimeField(null=True, blank=True)  # first sent to the person's browser
    painted_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    # When its person's time ran out and the item was given free for others. A later answer is kept, and marked late.
    returned_at = models.DateTimeField(null=True, blank=True)
    # When its person chose not to rate it; from then on it is theirs no more.
    skipped_at = models.DateTimeField(null=True, blank=True)

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering = ["participation", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["participation", "item", "occurrence"], name="one_assignment_per_occurrence"
            ),
            models.UniqueConstraint(fields=["participation", "position"], name="one_assignment_per_position"),
        ]
        indexes = [
            # What a person holds is found without walking through what they have answered.
            models.Index(
                fields=["participation", "position"],
                condition=models.Q(answered_at=None),
                name="assignment_unanswered",
            )
        ]

    def __str__(self) -> str:
        return f"no. {self.position} of {self.participation}"


class RatingQuerySet(OfAssignmentsQuerySet["Rating"]):
    assignment = "assignment__"


class Rating(models.Model):
    """The current answer to an assignment: the head of its revisions."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="rating")
    score = models.PositiveSmallIntegerField()
    # From all pictures painted to the first answer, without hidden-tab time; empty without JavaScript. A revision keeps
    # its own.
    seconds = models.FloatField(null=True)
    hidden_seconds = models.FloatField(null=True)  # with the tab in the background, since the pair was painted
    is_late = models.BooleanField(default=False)
    # How the pair was looked at, see viewing.py; empty without JavaScript and from programs that do not say.
    viewing = models.JSONField(null=True)
    created_at = models.DateTimeField()

    objects = RatingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(score__gte=MIN_SCORE, score__lte=MAX_SCORE), name="rating_score_is_1_to_10"
            ),
            models.CheckConstraint(
                condition=models.Q(seconds=None) | models.Q(seconds__gte=0), name="rating_seconds_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.score} for {self.assignment}"


class RevisionQuerySet(OfAssignmentsQuerySet["Revision"]):
    assignment = "rating__assignment__"

    def newest_by(self, moment: datetime) -> Self:
        """Each answer as it stood at a moment: what was said later is as if it had not been said yet."""
        later = Revision.objects.filter(
            created_at__lte=moment, rating=models.OuterRef("rating"), number__gt=models.OuterRef("number")
        )
        return self.filter(~models.Exists(later), created_at__lte=moment)


class Revision(models.Model):
    """One answer as it was given. Rows are only ever added; the first is the first answer."""

    rating = models.ForeignKey(Rating, on_delete=models.CASCADE, related_name="revisions", db_index=False)
    number = models.PositiveSmallIntegerField()
    key = models.UUIDField(unique=True)  # made by the client, so that an answer sent twice is stored once
    score = models.PositiveSmallIntegerField()
    seconds = models.FloatField(null=True)
    created_at = models.DateTimeField()

    objects = RevisionQuerySet.as_manager()

    class Meta:
        ordering = ["rating", "number"]
        constraints = [
            models.UniqueConstraint(fields=["rating", "number"], name="one_revision_per_number"),
            models.CheckConstraint(
                condition=models.Q(score__gte=MIN_SCORE, score__lte=MAX_SCORE), name="revision_score_is_1_to_10"
            ),
        ]

    def __str__(self) -> str:
        return f"revision {self.number} of {self.rating}"


class Remark(models.Model):
    """What somebody said beside a score. Never a name; it stays with the project and enters no release."""

    class Knows(models.TextChoices):
        NO = "no", pgettext_lazy("whether I know who or where this is", "No")
        MAYBE = "maybe", pgettext_lazy("whether I know who or where this is", "think so")
        YES = "yes", pgettext_lazy("whether I know who or where this is", "Yes")

    rating = models.OneToOneField(Rating, on_delete=models.CASCADE, related_name="remark")
    note = models.TextField(blank=True)
    knows = models.CharField(max_length=5, choices=Knows, blank=True)  # who or where this is

    def __str__(self) -> str:
        return f"remark on {self.rating}"


class ReportQuerySet(OfAssignmentsQuerySet["Report"]):
    assignment = "assignment__"

    def to_look_at(self) -> Self:
        """Of pictures that may be wrong, not of people who could not say."""
        return self.not_withdrawn().filter(kind__in=Report.OF_PICTURES, settled_at=None)


class Report(models.Model):
    """Why somebody did not rate a pair."""

    class Kind(models.TextChoices):
        CANNOT_TELL = "cannot_tell", _("I cannot say")
        BROKEN = "broken", _("the picture is broken or does not load")
        DISTRESSING = "distressing", _("the picture distresses me")
        OTHER = "other", _("another reason")

    OF_PICTURES = (Kind.BROKEN, Kind.DISTRESSING)

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="report")
    kind = models.CharField(max_length=11, choices=Kind)
    words = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True, blank=True)  # somebody has seen it, or withdrawn the pair

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.assignment}"


class CueQuerySet(OfAssignmentsQuerySet["Cue"]):
    assignment = "revision__rating__assignment__"

    def current(self) -> Self:
        """Of answers as they stand: of the newest revision of each."""
        newer = Revision.objects.filter(rating=models.OuterRef("revision__rating"))
        return self.filter(~models.Exists(newer.filter(number__gt=models.OuterRef("revision__number"))))


class Cue(models.Model):
    """A box on what gives identity or place away, in pixels of the display picture, as said with one revision."""

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="cues")
    kind = models.CharField(max_length=8, choices=CueKind)
    x = models.PositiveIntegerField()  # of its left edge
    y = models.PositiveIntegerField()  # of its upper edge
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()

    objects = CueQuerySet.as_manager()

    class Meta:
        ordering = ["revision", "pk"]
        constraints = [
            models.CheckConstraint(condition=models.Q(width__gte=1, height__gte=1), name="cue_is_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} in {self.revision}"
