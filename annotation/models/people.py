import secrets
import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.crypto import salted_hmac

from annotation.models.studies import Campaign, Study, StudyText, new_seed
from datasets.models.projects import Project
from datasets.models.releases import Release


def new_token() -> str:
    # 128 bits: nobody guesses an invitation. In hex it never begins with "-", which a command takes for an option.
    return secrets.token_hex(16)


# What is read out and typed again: without 0 and O, 1 and I.
CODE_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_LENGTH = 12  # of 32 letters: 60 bits


def new_withdrawal_code() -> str:
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))


def hash_of_code(code: str) -> str:
    """What is stored of a withdrawal code: its HMAC under a key of its own, made of the site's pseudonym key."""
    key_salt = "annotation.withdrawal_code"
    return salted_hmac(key_salt, code, secret=settings.PSEUDONYM_KEY, algorithm="sha256").hexdigest()


def new_pseudonym() -> str:
    return f"A-{secrets.token_hex(4)}"


class Annotator(models.Model):
    """A person who rates in a project: a member with a log-in, or someone who came by a link."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="annotators")
    # A user who has rated cannot be deleted past us: `privacy.erase_participation` gives the places back first.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="annotators"
    )
    pseudonym = models.CharField(max_length=24, default=new_pseudonym)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_annotator_per_user"),
            models.UniqueConstraint(fields=["project", "pseudonym"], name="one_annotator_per_pseudonym"),
        ]

    def __str__(self) -> str:
        return self.pseudonym


class NameInRelease(models.Model):
    """What a person is called in a frozen release. The row goes with them; there, the name is nobody's from then on."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="names")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="names_in_releases")
    name = models.CharField(max_length=24)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["annotator", "release"], name="one_name_per_release"),
            models.UniqueConstraint(fields=["release", "name"], name="one_person_per_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Invitation(models.Model):
    """A link into a study: for many people, or for one."""

    class Kind(models.TextChoices):
        MANY = "many", "for many people"
        PERSONAL = "personal", "for one person"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="invitations")
    token = models.CharField(max_length=32, unique=True, default=new_token, editable=False)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.MANY)
    note = models.CharField(max_length=120, blank=True)
    # A personal one's consent. It stays when the person is erased: the link lets nobody else in.
    used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.study}"


class ParticipationQuerySet(models.QuerySet["Participation"]):
    def not_withdrawn(self) -> Self:
        return self.filter(withdrawn_at=None)

    def active(self) -> Self:
        """Those who may still see pictures and answer."""
        return self.not_withdrawn().filter(finished_at=None)


class Participation(models.Model):
    """One person in one study, from consent to the end."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="participations")
    # The study's, here so that the database can hold everyone to one study of a campaign.
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="participations")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="participations")
    invitation = models.ForeignKey(
        Invitation, on_delete=models.PROTECT, null=True, blank=True, related_name="participations"
    )
    consent_text = models.ForeignKey(StudyText, on_delete=models.PROTECT, related_name="+")
    language = models.CharField(max_length=10, default="en")
    seed = models.BigIntegerField(default=new_seed)
    # Whoever has the code may erase the participation, without cookie or log-in, at any time. None until one is shown.
    code_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001  of many none
    # What answering/introduction.py records of the beginning: tries at the questions, the screen.
    conditions = models.JSONField(default=dict, blank=True)
    n_planned = models.PositiveIntegerField()
    n_answered = models.PositiveIntegerField(default=0)  # of all purposes
    # Until when the pairs given to this person wait for them; every request of theirs renews it.
    leased_until = models.DateTimeField(null=True, blank=True)
    consented_at = models.DateTimeField()
    instructed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = ParticipationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "annotator"], name="one_study_of_a_campaign_per_person"),
        ]
        indexes = [models.Index(fields=["study", "consented_at"], name="participation_study")]

    def __str__(self) -> str:
        return f"{self.annotator} in {self.study}"
