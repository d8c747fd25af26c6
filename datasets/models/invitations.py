import secrets
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from datasets.models.projects import Membership, Project, Role


def new_token() -> str:
    return secrets.token_hex(16)  # 128 bits: nobody guesses it


def hash_of_token(token: str) -> str:
    """What is stored of a link: whoever reads the database cannot come in by it."""
    return salted_hmac("datasets.project_invitation", token, algorithm="sha256").hexdigest()


class ProjectInvitationQuerySet(models.QuerySet["ProjectInvitation"]):
    def waiting(self) -> Self:
        return self.filter(used_at=None, withdrawn_at=None, expires_at__gt=Now())

    def good(self) -> Self:
        """Those that let somebody in: waiting, and of somebody who may still invite."""
        mine = Membership.objects.filter(project=OuterRef("project"), user=OuterRef("made_by"), role=Role.ADMIN)
        return self.waiting().filter(Q(made_by__is_superuser=True) | Exists(mine), made_by__is_active=True)


class ProjectInvitation(models.Model):
    """A link by which one person becomes a member of a project; those into a study are `annotation`'s."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=12, choices=Role)
    email = models.EmailField(blank=True)  # where the link is sent; whoever has it may use it
    # None until the link is shown to whoever made it, which happens once.
    token_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001  of many none
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = ProjectInvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-made_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.project}"
