"""Links into a study: made, found again, taken back. Who comes in by one is for `annotation.giving.join`."""

from django.db.models.functions import Now

from annotation.models.people import Invitation
from annotation.models.studies import Study


def invite(study: Study, *, kind: str = Invitation.Kind.MANY, note: str = "") -> Invitation:
    return Invitation.objects.create(study=study, kind=kind, note=note)


def standing_invitation(study: Study) -> Invitation:
    """A link for many people that is still good, made if there is none."""
    valid = study.invitations.filter(kind=Invitation.Kind.MANY, revoked_at=None)
    return valid.first() or invite(study)


def revoke_invitation(invitation: Invitation) -> None:
    """Nobody new comes in by this link, and a personal one opens nothing more; whoever has begun goes on."""
    Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(revoked_at=Now())
