import uuid
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models

from datasets.models.projects import Project, managed_through


class JobQuerySet(models.QuerySet["Job"]):
    def managed_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        return self.filter(managed_through("project", user))

    def unfinished(self) -> Self:
        return self.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])


class Job(models.Model):
    """One piece of background work, and the truth about it: the queue only carries its id.

    `attempt` is the fence. Whoever runs a job writes only where the row still has the attempt it claimed, so a
    worker that was thought dead and wakes up again finds no row and stops.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=40)
    lane = models.CharField(max_length=10, default="short")
    arguments = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    n_deaths = models.PositiveSmallIntegerField(default=0)  # workers lost over it since it was last asked for
    n_returns = models.PositiveSmallIntegerField(default=0)  # by hosts that were unfit for it, since then
    queued_at = models.DateTimeField()  # when it was last handed to the queue
    leased_until = models.DateTimeField(null=True, blank=True)
    n_done = models.PositiveBigIntegerField(default=0)
    n_total = models.PositiveBigIntegerField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)
    result = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)  # for the person who asked for the job
    traceback = models.TextField(blank=True)  # for whoever mends it
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="jobs"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["state", "leased_until"], name="job_lease")]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="running") | models.Q(leased_until__isnull=False),
                name="running_job_has_a_lease",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.public_id)[:8]}"

    @property
    def kind_words(self) -> str:
        return self.kind.replace("_", " ").capitalize()

    @property
    def is_finished(self) -> bool:
        return self.state in {self.State.DONE, self.State.FAILED, self.State.CANCELLED}

    @property
    def took(self) -> str:
        """How long its last attempt worked, in words; nothing where none has come to an end."""
        if not (self.started_at and self.finished_at):
            return ""
        seconds = max(0, round((self.finished_at - self.started_at).total_seconds()))
        hours, minutes = seconds // 3600, seconds // 60 % 60
        if hours:
            return f"{hours} h {minutes} min"
        return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
