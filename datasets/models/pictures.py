from django.conf import settings
from django.db import models

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
    """A picture as it came (original bytes) and as it is shown (display file: upright, without metadata)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="images")
    sha256 = models.CharField(max_length=64)
    original = models.FileField(max_length=200)
    display_sha256 = models.CharField(max_length=64)
    display = models.FileField(max_length=200)
    content_type = models.CharField(max_length=20)  # of the display file
    width = models.PositiveIntegerField()  # pixels of the display file
    height = models.PositiveIntegerField()
    n_bytes = models.PositiveBigIntegerField()  # of the original
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "sha256"], name="one_image_per_hash")]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.width} x {self.height})"


class Pair(models.Model):
    """The unit that is rated: an anonymized picture and, for HA2, its original."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="pairs")
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

    class Meta:
        constraints = [
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


class PairChange(models.Model):
    """That somebody mended or removed a pair which nothing used. It outlives the pair."""

    class Verb(models.TextChoices):
        CHANGED = "changed"
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
