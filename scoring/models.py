import uuid
from dataclasses import fields
from typing import Any, Self

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models, transaction

from datasets.audit import record
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.models.projects import Project, managed_through
from datasets.models.releases import Label, Mode, Release
from scoring.recipe import Recipe, recipe_from


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    def managed_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        return self.filter(managed_through("project", user))

    def with_lineage(self) -> Self:
        return self.select_related("project", "release", "job", "checkpoint")


class TrainingRun(models.Model):
    """One training of PerceptAnon: a recipe, a release and the job that runs it."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="runs")
    recipe = models.JSONField()
    job = models.OneToOneField(Job, on_delete=models.PROTECT, related_name="run")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"run {str(self.public_id)[:8]} on {self.release}"

    @property
    def folder(self) -> str:
        """Below MEDIA_ROOT; each attempt has a folder of its own in it."""
        return f"runs/{self.public_id}"

    def parsed_recipe(self) -> Recipe:
        """Raises BadRecipe where an older version allowed what this one does not."""
        return recipe_from(self.recipe)

    @property
    def choices(self) -> dict[str, Any]:
        """The recipe in its own order, which PostgreSQL's JSON does not keep."""
        return {field.name: self.recipe[field.name] for field in fields(Recipe) if field.name in self.recipe}


class Epoch(models.Model):
    """One pass over the training part, and the mean losses on it and on the validation part."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="epochs")
    number = models.PositiveIntegerField()
    train_loss = models.FloatField()
    val_loss = models.FloatField()
    lr = models.FloatField()
    seconds = models.FloatField()

    class Meta:
        ordering = ["run", "number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="one_row_per_epoch")]

    def __str__(self) -> str:
        return f"epoch {self.number} of {self.run}"


class Checkpoint(models.Model):
    """The weights a run ended with. At most one is in use per project and mode."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="checkpoints")
    run = models.OneToOneField(TrainingRun, on_delete=models.PROTECT, related_name="checkpoint")
    mode = models.CharField(max_length=3, choices=Mode)
    file = models.FileField(max_length=200)
    sha256 = models.CharField(max_length=64)
    meta = models.JSONField(default=dict)  # where it comes from, as meta.json beside the file says
    in_use = models.BooleanField(default=False)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "mode"], condition=models.Q(in_use=True), name="one_checkpoint_in_use_per_mode"
            )
        ]

    def __str__(self) -> str:
        return f"{self.mode} {self.sha256[:12]}"

    @transaction.atomic
    def use(self, *, by: AbstractBaseUser | None = None) -> None:
        """Put this checkpoint in service, in the place of the one that was."""
        Project.objects.select_for_update(no_key=True).get(pk=self.project_id)  # two admins choose at once
        others = Checkpoint.objects.filter(project=self.project_id, mode=self.mode, in_use=True)
        before = others.values_list("sha256", flat=True).first()
        others.exclude(pk=self.pk).update(in_use=False)
        self.in_use = True
        self.save(update_fields=["in_use"])
        was, becomes = {"sha256": before}, {"sha256": self.sha256}
        record(What.CHECKPOINT_USED, by=by, on=self, project=self.project, before=was, after=becomes)

    @transaction.atomic
    def take_out_of_use(self, *, by: AbstractBaseUser | None = None) -> None:
        """No model is in use for its mode then; where this one was not, nothing is changed."""
        if Checkpoint.objects.filter(pk=self.pk, in_use=True).update(in_use=False):
            record(What.CHECKPOINT_RESTED, by=by, on=self, project=self.project, before={"sha256": self.sha256})


class Prediction(models.Model):
    """What a run's model says of a label, and what it was to learn there, in the release's scale."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="predictions")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    split = models.CharField(max_length=5)
    target = models.FloatField()
    score = models.FloatField()

    class Meta:
        ordering = ["run", "label"]
        constraints = [models.UniqueConstraint(fields=["run", "label"], name="one_prediction_per_label")]

    def __str__(self) -> str:
        return f"{self.score:.2f} for {self.label}"


class BaselineScore(models.Model):
    """What a classical metric says of a label's two pictures; empty with a reason where it says nothing."""

    class Metric(models.TextChoices):
        PSNR = "psnr", "PSNR"
        MSE = "mse", "MSE"
        SSIM = "ssim", "SSIM"

    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="baselines")
    metric = models.CharField(max_length=8, choices=Metric)
    value = models.FloatField(null=True)  # PSNR of identical pictures is infinite
    reason = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["label", "metric"]
        constraints = [
            models.UniqueConstraint(fields=["label", "metric"], name="one_score_per_metric"),
            models.CheckConstraint(
                condition=models.Q(value__isnull=False) | ~models.Q(reason=""), name="missing_score_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.label}"


class Comparison(models.Model):
    """How a run's model, the classical metrics and people agree with people, on the run's test part."""

    run = models.OneToOneField(TrainingRun, on_delete=models.CASCADE, related_name="comparison")
    figures = models.JSONField()
    created_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"comparison of {self.run}"
