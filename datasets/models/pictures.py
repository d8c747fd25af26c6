import json
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F

from datasets.models.projects import Project


class Source(models.Model):
    """Where pictures come from, and what allows us to show them."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sources")
    name = models.CharField(max_length=80)
    licence = models.CharField(max_length=120, blank=True)
    citation = models.TextField(blank=True)
    legal_basis = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_source_per_name")]

    def __str__(self) -> str:
        return self.name


class Image(models.Model):
    """A picture as it came (original bytes) and as it is shown (display file: sRGB, without metadata).

    Pairs name the row that the import made. Where people or releases have its display file and a later version would
    show another, a second row stands beside it: for studies that open later, and for their releases.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="images")
    sha256 = models.CharField(max_length=64)
    original = models.FileField(max_length=200)
    display_sha256 = models.CharField(max_length=64)
    display = models.FileField(max_length=200)
    content_type = models.CharField(max_length=20)  # of the display file
    width = models.PositiveIntegerField()  # pixels of the display file, upright
    height = models.PositiveIntegerField()
    # What was changed for the display file (datasets.pictures.Picture.changes); None: stored before that was recorded.
    changes = models.JSONField(null=True, blank=True)
    n_bytes = models.PositiveBigIntegerField()  # of the original
    # What it looks like (datasets.looks); None: stored before that was computed.
    look = models.BigIntegerField(null=True, blank=True)
    # Of an original: the id of the first of those that look nearly the same, itself among them. None: none other does.
    alike = models.PositiveBigIntegerField(null=True, blank=True)
    # The row that pairs name, of the same bytes; None: this is it.
    renews = models.OneToOneField("self", on_delete=models.CASCADE, null=True, blank=True, related_name="renewed")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "sha256"], condition=models.Q(renews=None), name="one_image_per_hash"
            )
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.width} x {self.height})"

    @property
    def is_removed(self) -> bool:
        """Whether its files are gone for good, and the row stays for the releases that hold it."""
        return not self.display

    @property
    def in_pairs(self) -> int:
        """The id by which pairs name this picture."""
        return self.renews_id or self.pk


class PairQuerySet(models.QuerySet["Pair"]):
    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        pairs = list(objs)
        with transaction.atomic():
            give_numbers(pairs)
            return super().bulk_create(pairs, *args, **kwargs)


class PairManager(models.Manager["Pair"]):
    """Without those whose picture was removed: no list, study or import meets them again."""

    def get_queryset(self) -> PairQuerySet:
        return PairQuerySet(self.model, using=self._db).filter(removed_at=None)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        return self.get_queryset().bulk_create(objs, *args, **kwargs)


class Pair(models.Model):
    """The unit that is rated: an anonymized picture and, for HA2, its original."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="pairs")
    # Its one name for researchers: on their pages, in every CSV, in releases. Never given again, and nothing else is
    # called so. Annotators never see it: it would tell two of them that they talk about one picture.
    number = models.PositiveIntegerField(editable=False)
    original = models.ForeignKey(
        Image, on_delete=models.PROTECT, null=True, blank=True, related_name="pairs_as_original"
    )
    anonymized = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="pairs_as_anonymized")
    # Pairs of one original share a group: splits, spacing and bootstrap keep groups together.
    group = models.CharField(max_length=120)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="pairs")
    method = models.CharField(max_length=40, blank=True)
    scope = models.CharField(max_length=20, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    # The paths the manifest gave, for people who look for their own files; never shown to annotators.
    original_path = models.CharField(max_length=400, blank=True)
    anonymized_path = models.CharField(max_length=400)
    created_at = models.DateTimeField(auto_now_add=True)
    # A picture of it was removed (datasets/removal.py). The row stays where ratings or releases refer to it.
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = PairManager()
    with_removed = PairQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="one_number_per_pair"),
            models.UniqueConstraint(fields=["project", "original", "anonymized"], name="one_pair_per_two_images"),
            # NULLs are distinct in a unique index, so a pair without an original needs its own rule.
            models.UniqueConstraint(
                fields=["project", "anonymized"], condition=models.Q(original=None), name="one_lone_pair_per_image"
            ),
            models.CheckConstraint(condition=~models.Q(group=""), name="pair_has_a_group"),
        ]
        indexes = [models.Index(fields=["project", "group"], name="pair_group")]

    def __str__(self) -> str:
        return f"{self.group}: {self.scope} {self.method}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():
            give_numbers([self])
            super().save(*args, **kwargs)


def give_numbers(pairs: Iterable[Pair]) -> None:
    """To those that have none, the next of their projects. Call it in a transaction that stores them."""
    without = [pair for pair in pairs if pair.number is None]
    for project, its in groupby(sorted(without, key=attrgetter("project_id")), key=attrgetter("project_id")):
        new = list(its)
        of_project = Project.objects.filter(pk=project)
        of_project.update(last_pair_number=F("last_pair_number") + len(new))  # two imports at once wait here
        last = of_project.values_list("last_pair_number", flat=True).get()
        for number, pair in enumerate(new, start=last - len(new) + 1):
            pair.number = number


class PairChange(models.Model):
    """That somebody mended or removed a pair which nothing used. It outlives the pair."""

    class Verb(models.TextChoices):
        CHANGED = "changed"
        MERGED = "merged", "group merged"  # all pairs of its group were put into another
        REMOVED = "removed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="pair_changes")
    pair = models.PositiveBigIntegerField()  # its number, which no other pair gets
    anonymized_path = models.CharField(max_length=400)
    verb = models.CharField(max_length=10, choices=Verb)
    before = models.JSONField()  # group, source, method, scope, parameters
    after = models.JSONField()  # empty where the pair was removed
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="pair_changes"
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"pair {self.pair} {self.verb}"

    @property
    def told_before(self) -> list[tuple[str, str]]:
        """The facts that it changed, as they were; of a removed pair all of them."""
        return _told(self.before, without=self.after)

    @property
    def told_after(self) -> list[tuple[str, str]]:
        """The same facts as they are since; none of a removed pair."""
        return _told(self.after, without=self.before)


def _told(facts: dict[str, Any], *, without: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts that are not the same there, in words."""
    differing = {name: value for name, value in facts.items() if without.get(name) != value}
    return [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in differing.items()]
