from django.db import models

from datasets.models.jobs import Job
from datasets.models.projects import Project
from datasets.models.releases import Mode, Release


class TrainingRun(models.Model):
    """One training of PerceptAnon: a recipe, a release and the job that runs it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="runs")
    recipe = models.JSONField()
    job = models.OneToOneField(Job, on_delete=models.PROTECT, related_name="run")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"run {self.pk} on {self.release}"


class Checkpoint(models.Model):
    """The weights a run ended with. At most one is in use per project and mode."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="checkpoints")
    run = models.ForeignKey(TrainingRun, on_delete=models.PROTECT, related_name="checkpoints")
    mode = models.CharField(max_length=3, choices=Mode)
    file = models.FileField(max_length=200)
    sha256 = models.CharField(max_length=64)
    in_use = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "mode"], condition=models.Q(in_use=True), name="one_checkpoint_in_use_per_mode"
            )
        ]

    def __str__(self) -> str:
        return f"{self.mode} {self.sha256[:12]}"
