"""Links into a study: made, found again, taken back. Who comes in by one is for `annotation.giving.join`."""

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from annotation.models.people import Invitation
from annotation.models.studies import Study
from datasets.audit import record
from datasets.models.audit import What


@transaction.atomic
def invite(
    study: Study, *, kind: str = Invitation.Kind.MANY, note: str = "", by: AbstractBaseUser | None = None
) -> Invitation:
    record(What.STUDY_CHANGED, by=by, on=study, project=study.project, after={"link made": kind})
    return Invitation.objects.create(study=study, kind=kind, note=note)


def standing_invitation(study: Study) -> Invitation:
    """A link for many people that is still good, made if there is none."""
    valid = study.invitations.filter(kind=Invitation.Kind.MANY, revoked_at=None)
    return valid.first() or invite(study)


@transaction.atomic
def revoke_invitation(invitation: Invitation, *, by: AbstractBaseUser | None = None) -> None:
    """Nobody new comes in by this link, and a personal one opens nothing more; whoever has begun goes on."""
    if Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(revoked_at=Now()):
        study, after = invitation.study, {"link taken back": invitation.kind}
        record(What.STUDY_CHANGED, by=by, on=study, project=study.project, after=after)
