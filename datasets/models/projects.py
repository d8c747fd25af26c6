from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models


class Role(models.TextChoices):
    ANNOTATOR = "annotator"
    RESEARCHER = "researcher"
    ADMIN = "admin"


# Who may set up studies, see ratings and release them.
MANAGING_ROLES = (Role.RESEARCHER, Role.ADMIN)


def user_id(user: AbstractBaseUser | AnonymousUser) -> int:
    """The user's id; 0, which no row has, for a visitor who is not logged in."""
    return user.pk or 0


def is_superuser(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Superusers manage every project without being members. They rate in those of which they are."""
    return bool(user.is_active and getattr(user, "is_superuser", False))


def managed_through(path: str, user: AbstractBaseUser | AnonymousUser) -> models.Q:
    """The condition that this user manages the project at the end of a path of foreign keys."""
    if is_superuser(user):
        return models.Q(**{f"{path}__isnull": False})
    memberships = f"{path}__memberships"
    return models.Q(**{f"{memberships}__user_id": user_id(user), f"{memberships}__role__in": MANAGING_ROLES})


class ProjectQuerySet(models.QuerySet["Project"]):
    def open_to(self, user: AbstractBaseUser | AnonymousUser, *roles: str) -> Self:
        """The projects in which this user has one of the roles (any role when none is named)."""
        memberships = Membership.objects.filter(user_id=user_id(user))
        if roles:
            memberships = memberships.filter(role__in=roles)
        return self.filter(pk__in=memberships.values("project"))

    def managed_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        return self.all() if is_superuser(user) else self.open_to(user, *MANAGING_ROLES)

    def administered_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        return self.all() if is_superuser(user) else self.open_to(user, Role.ADMIN)


class Project(models.Model):
    """The root of permission: everything belongs to a project, and people to projects by a membership."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)
    last_pair_number = models.PositiveIntegerField(default=0, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)  # by annotation/studies/closing.py alone
    # Where a superuser has given it another quota than the site's (datasets/quotas.py).
    max_pairs = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: PROJECT_MAX_PAIRS of the site.")
    max_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Of pictures, as they came. Empty: PROJECT_MAX_BYTES of the site."
    )
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="projects")

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def is_administered_by(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        return Project.objects.administered_by(user).filter(pk=self.pk).exists()


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_role_per_project"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.project}"


class ProjectChange(models.Model):
    """What was done to a project as a whole, or to a study that is not there any more to tell of it."""

    class Kind(models.TextChoices):
        CLOSED = "closed", "project closed"
        REOPENED = "reopened", "project reopened"
        STUDY_DELETED = "deleted", "study deleted"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=8, choices=Kind)
    facts = models.JSONField(default=dict)  # in the words of whoever reads the page, but for `study_id`
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="project_changes"
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.project}: {self.get_kind_display()}"
