"""Who did what, kept for a set time and changed by nobody: the database refuses to (migration 0022)."""

from typing import Any

from django.db import models
from django.utils import timezone


class What(models.TextChoices):
    """In the words of the log's pages. A further one needs no migration."""

    LOG_IN = "log-in"
    LOG_IN_REFUSED = "log-in refused"
    LOCKED_OUT = "locked out"
    LOG_OUT = "log-out"
    USER_CHANGED = "user changed"
    ROLE_GIVEN = "role given"
    ROLE_TAKEN = "role taken"
    INVITED = "person invited"
    INVITATION_WITHDRAWN = "invitation withdrawn"
    ERASED = "person erased"
    DECIDED = "decision"
    STUDY_MADE = "study made"
    STUDY_OPENED = "study opened"
    STUDY_PAUSED = "study paused"
    STUDY_CLOSED = "study closed"
    STUDY_CHANGED = "study changed"
    STUDY_DELETED = "study deleted"
    PROJECT_CLOSED = "project closed"
    PROJECT_REOPENED = "project reopened"
    PROJECT_DELETED = "project deleted"
    FROZEN = "release frozen"
    RETRACTED = "release retracted"
    DOWNLOADED = "download"
    KEY_DOWNLOADED = "key downloaded"
    ORIGINALS_SEEN = "originals seen"
    PICTURE_REMOVED = "picture removed"
    NAMES_SEEN = "names in releases seen"
    TRAINING_STARTED = "training started"
    TRAINING_CANCELLED = "training cancelled"
    RUN_DELETED = "run deleted"
    CHECKPOINT_USED = "checkpoint put in use"
    CHECKPOINT_RESTED = "checkpoint taken out of use"
    SETTINGS_CHANGED = "settings changed"
    BACKED_UP = "backup made"
    RESTORED = "backup taken back"
    UNLOCKED = "counts of tries forgotten"
    ADOPTED = "key or media folder adopted"


def whats() -> list[tuple[str, str]]:
    return [(what, what) for what in What.values]


class Actor(models.TextChoices):
    """From which role somebody acted. Of annotators the log never says which."""

    SUPERUSER = "superuser"
    ADMIN = "project admin"
    RESEARCHER = "researcher"
    STAFF = "staff"
    USER = "user"  # with a log-in and none of these roles here
    ANNOTATOR = "annotator"
    VISITOR = "visitor"  # who is not logged in
    COMMAND = "command"


def in_words(facts: dict[str, Any] | None) -> list[tuple[str, str]]:
    return [(name, _in_words(value)) for name, value in (facts or {}).items()]


def _in_words(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


class AuditEntry(models.Model):
    """Names and ids as they were, and no foreign key: an entry outlasts what it tells of."""

    at = models.DateTimeField(default=timezone.now, editable=False)
    what = models.CharField(max_length=40, choices=whats)
    role = models.CharField(max_length=20, choices=Actor)
    user_number = models.PositiveBigIntegerField(null=True)
    user_name = models.CharField(max_length=150, blank=True)
    kind = models.CharField(max_length=60, blank=True)  # of the object
    object_id = models.CharField(max_length=60, blank=True)
    object_name = models.CharField(max_length=200, blank=True)
    project_number = models.PositiveBigIntegerField(null=True)
    project_name = models.CharField(max_length=120, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    # Of what is kept once an hour; all others have none.
    once = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001  NULLs may be many

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["project_number", "at"], name="audit_project"),
            models.Index(fields=["what", "at"], name="audit_what"),
            models.Index(fields=["at"], name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.user_name or self.get_role_display()}: {self.get_what_display()}"

    def told_before(self) -> list[tuple[str, str]]:
        return in_words(self.before)

    def told_after(self) -> list[tuple[str, str]]:
        return in_words(self.after)
