import uuid
from typing import Self

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models

from datasets.models.pictures import Image
from datasets.models.projects import Project, managed_through


class Mode(models.TextChoices):
    HA1 = "HA1", "HA1: the anonymized picture alone"
    HA2 = "HA2", "HA2: beside its original"


class ReleaseQuerySet(models.QuerySet["Release"]):
    def frozen(self) -> Self:
        return self.exclude(frozen_at=None)

    def in_force(self) -> Self:
        """Frozen and not retracted."""
        return self.frozen().exclude(notices__kind=ReleaseNotice.Kind.RETRACTED)

    def managed_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        return self.filter(managed_through("project", user))


class Release(models.Model):
    """A frozen, numbered, hashed copy of what people said: all that exports and training ever read.

    `frozen_at` is empty only while its rows are still being written.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="releases")
    slug = models.SlugField(max_length=70)  # room for the campaign's slug and the mode
    version = models.PositiveIntegerField()
    title = models.CharField(max_length=160)
    mode = models.CharField(max_length=3, choices=Mode)
    scale_min = models.FloatField(default=1)
    scale_max = models.FloatField(default=10)
    # +1: a higher score means more anonymous.
    direction = models.SmallIntegerField(default=1)
    simulated = models.BooleanField(default=False)
    origins = models.JSONField(default=dict)  # the study, its wording with hashes, and the cut-off time
    counting_rule = models.TextField()
    agreement = models.JSONField(default=dict)
    content_hash = models.CharField(max_length=64, blank=True)
    format = models.PositiveSmallIntegerField(default=1)  # of its files (datasets/content.py)
    facts = models.JSONField(default=dict)  # as its manifest says them
    readme = models.TextField(blank=True)
    told_hash = models.CharField(max_length=64, blank=True)  # of agreement, facts and README: release_texts.py
    frozen_at = models.DateTimeField(null=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["slug", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug", "version"], name="one_release_per_version"),
            models.CheckConstraint(condition=models.Q(direction__in=[-1, 1]), name="release_direction_is_up_or_down"),
            models.CheckConstraint(
                condition=models.Q(scale_min__lt=models.F("scale_max")), name="release_scale_has_a_range"
            ),
            models.CheckConstraint(
                condition=models.Q(frozen_at=None) | ~models.Q(content_hash=""), name="frozen_release_has_a_hash"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slug} v{self.version}" + (" (simulated ratings)" if self.simulated else "")

    @property
    def names_files(self) -> bool:
        """Whether its labels tell the files' names as they were imported: chosen when it was frozen."""
        return bool(self.origins.get("names_files"))

    def is_retracted(self) -> bool:
        return self.notices.filter(kind=ReleaseNotice.Kind.RETRACTED).exists()

    def n_removed(self) -> int:
        """How many of its rows are about pictures that were removed: they have no files any more."""
        return self.labels.removed().count()

    def has_core(self) -> bool:
        """Whether the figures of all pairs are biased, and those of some, drawn before the first rating, are not."""
        return self.labels.exclude(is_core=None).exists()


class LabelQuerySet(models.QuerySet["Label"]):
    def removed(self) -> Self:
        return self.filter(models.Q(original__display="") | models.Q(anonymized__display=""))


class Label(models.Model):
    """What a release says of one pair. The pair's facts are copied, so that later edits change nothing here."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="labels")
    number = models.PositiveIntegerField()  # row in labels.csv, from 1
    pair = models.PositiveIntegerField()  # its number in the project; in format 1 the row's number again
    # In HA1 too, where there is one: pictures are compared with it here, but it does not leave with the release.
    original = models.ForeignKey(Image, on_delete=models.PROTECT, null=True, related_name="+")
    anonymized = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+")
    original_sha256 = models.CharField(max_length=64, blank=True)  # of the display files, as exported; empty in HA1
    anonymized_sha256 = models.CharField(max_length=64)
    original_file = models.CharField(max_length=400, blank=True)  # as imported, where the release names files
    anonymized_file = models.CharField(max_length=400, blank=True)
    group = models.CharField(max_length=120)  # as imported; parts are made of it, and it stays on the site
    public_group = models.CharField(max_length=120)  # as released: from format 2 on a name for this release alone
    part = models.CharField(max_length=5)  # train, val or test, by the group as it was imported
    source = models.CharField(max_length=80)
    method = models.CharField(max_length=40, blank=True)
    scope = models.CharField(max_length=20, blank=True)
    parameters = models.JSONField(default=dict)
    n = models.PositiveIntegerField()
    mean = models.FloatField()
    median = models.FloatField()
    std = models.FloatField(null=True)  # with n - 1; empty for a single rating
    corrected = models.FloatField(null=True)  # mean corrected for each annotator's bias and noise
    corrected_se = models.FloatField(null=True)
    # Of a study whose rules bias figures: whether the pair is of the core that they never touch. Empty in all others.
    is_core = models.BooleanField(null=True)

    objects = LabelQuerySet.as_manager()

    class Meta:
        ordering = ["release", "number"]
        constraints = [
            models.UniqueConstraint(fields=["release", "number"], name="one_label_per_row"),
            models.UniqueConstraint(fields=["release", "pair"], name="one_label_per_pair"),
        ]

    def __str__(self) -> str:
        return f"row {self.number} of {self.release}"

    @property
    def is_removed(self) -> bool:
        """Whether one of its pictures was; what is said of it stays."""
        return self.anonymized.is_removed or (self.original is not None and self.original.is_removed)


class FrozenRating(models.Model):
    """One rating as released, under the annotator's pseudonym in this release."""

    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="ratings")
    annotator = models.CharField(max_length=24)
    occurrence = models.PositiveSmallIntegerField(default=0)
    score = models.FloatField()
    seconds = models.FloatField(null=True)
    position = models.PositiveIntegerField(null=True)
    is_late = models.BooleanField(default=False)
    n_revisions = models.PositiveSmallIntegerField(default=1)

    class Meta:
        ordering = ["label", "annotator", "occurrence"]
        constraints = [
            models.UniqueConstraint(
                fields=["label", "annotator", "occurrence"], name="one_frozen_rating_per_occurrence"
            )
        ]

    def __str__(self) -> str:
        return f"{self.score:g} by {self.annotator} on {self.label}"


class SetAsideRating(models.Model):
    """A rating that a decision keeps out of the labels: here so that what the decision changed can be computed."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="set_aside")
    # As in labels.csv. In format 1 a number beyond its last row is a pair without a rating that is used.
    pair = models.PositiveIntegerField()
    group = models.CharField(max_length=120)
    annotator = models.CharField(max_length=24)
    score = models.FloatField()

    class Meta:
        ordering = ["release", "pair", "annotator"]
        constraints = [
            models.UniqueConstraint(fields=["release", "pair", "annotator"], name="one_set_aside_rating_per_pair")
        ]

    def __str__(self) -> str:
        return f"{self.score:g} by {self.annotator}, set aside in {self.release}"


class OtherAnswer(models.Model):
    """An answer that no label rests on: to a repeat, a check, a practice pair or a warm-up. Here so that how far people
    agree with themselves, and pass checks, can be computed again."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="other_answers")
    pair = models.PositiveIntegerField()  # its number in the project, in labels.csv or not
    annotator = models.CharField(max_length=24)
    purpose = models.CharField(max_length=8)
    occurrence = models.PositiveSmallIntegerField()
    score = models.FloatField()
    seconds = models.FloatField(null=True)
    position = models.PositiveIntegerField()
    is_late = models.BooleanField()
    n_revisions = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["release", "pair", "annotator", "occurrence"]
        constraints = [
            models.UniqueConstraint(
                fields=["release", "pair", "annotator", "occurrence"], name="one_other_answer_per_occurrence"
            )
        ]

    def __str__(self) -> str:
        return f"{self.score:g} by {self.annotator} to a {self.purpose} of {self.release}"


class CueKind(models.TextChoices):
    """What may give an identity or a place away."""

    FACE = "face"
    BODY = "body"
    TEXT = "text"
    VEHICLE = "vehicle"
    PLACE = "place"
    OBJECT = "object"
    OTHER = "other"


class FrozenCue(models.Model):
    """A box drawn by an annotator on what gives identity or place away, in pixels of the display picture."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="cues")
    pair = models.PositiveIntegerField()  # as in labels.csv
    annotator = models.CharField(max_length=24)
    kind = models.CharField(max_length=8, choices=CueKind)
    x = models.PositiveIntegerField()  # of its left edge
    y = models.PositiveIntegerField()  # of its upper edge
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    image_width = models.PositiveIntegerField()
    image_height = models.PositiveIntegerField()
    is_set_aside = models.BooleanField(default=False)  # with the rating it stood beside

    class Meta:
        ordering = ["release", "pair", "annotator", "pk"]

    def __str__(self) -> str:
        return f"{self.kind} by {self.annotator} on pair {self.pair} of {self.release}"


class ReleaseNotice(models.Model):
    """What became known after a release was frozen. It stands beside the release and never changes its bytes."""

    class Kind(models.TextChoices):
        WITHDRAWN = "withdrawn", "a person withdrew"
        REMOVED = "removed", "a picture was removed"
        RETRACTED = "retracted", "the release is retracted"

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=10, choices=Kind)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.release}"
