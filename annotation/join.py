"""How a person comes into a study."""

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from annotation.assign import expired_leases
from annotation.models.people import Annotator, Invitation, Participation
from annotation.models.studies import Study, StudyText


class CannotJoin(Exception):
    """Why this person cannot take part; `code` chooses the page's words."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def refusal(study: Study, invitation: Invitation | None = None) -> str | None:
    """Why nobody new can begin now: `revoked`, `closed`, `full`, or None."""
    if invitation and invitation.revoked_at:
        return "revoked"
    if not study.is_open or study.simulated:  # a program's ratings and people's are never mixed
        return "closed"
    if study.items.wanting_ratings().exists() or expired_leases(study).exists():
        return None
    return "full"


@transaction.atomic
def join_by_invitation(invitation: Invitation, *, agreed_to: StudyText) -> Participation:
    """Begin, or go on where the holder of a personal link has begun. `agreed_to` is the text they were shown."""
    # Two clicks on a personal link at once: the second waits, then finds the first one's participation.
    invitation = (
        Invitation.objects.select_for_update(of=("self",)).select_related("study__campaign").get(pk=invitation.pk)
    )
    if begun := personal_participation(invitation):
        return begun
    if code := refusal(invitation.study, invitation):
        raise CannotJoin(code)
    annotator = Annotator.objects.create(project=invitation.study.project)
    return _begin(invitation.study, annotator, invitation, agreed_to)


def personal_participation(invitation: Invitation) -> Participation | None:
    """What a personal link opens, until it is revoked."""
    if invitation.kind != Invitation.Kind.PERSONAL or invitation.revoked_at:
        return None
    return invitation.participations.select_related("study").first()


def join_as_member(study: Study, user_id: int, *, agreed_to: StudyText) -> Participation:
    """Begin or go on as a member of the project, under the same pseudonym in all its studies."""
    annotator, _ = Annotator.objects.get_or_create(project=study.project, user_id=user_id)
    begun = (
        Participation.objects.select_related("study").filter(annotator=annotator, campaign=study.campaign_id).first()
    )
    if begun is None:
        if code := refusal(study):
            raise CannotJoin(code)
        try:
            with transaction.atomic():
                return _begin(study, annotator, None, agreed_to)
        except IntegrityError:  # the same person in another tab
            begun = Participation.objects.select_related("study").get(annotator=annotator, campaign=study.campaign_id)
    if begun.study_id != study.pk:
        raise CannotJoin("other_study")
    return begun


def _begin(study: Study, annotator: Annotator, invitation: Invitation | None, agreed_to: StudyText) -> Participation:
    return Participation.objects.create(
        study=study,
        campaign=study.campaign,
        annotator=annotator,
        invitation=invitation,
        language=study.language,
        consent_text=agreed_to,
        consented_at=Now(),
        n_planned=min(study.session_size, study.items.filter(Q(state="open")).count()),
    )
