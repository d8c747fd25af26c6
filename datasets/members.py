"""Who is in a project: roles given and taken, and people invited, by its admins.

Whoever changes the members of a project holds its row: of two admins who demote each other at once, one stays.
"""

from collections.abc import Callable
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, User
from django.core.mail import send_mail
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from datasets.audit import record, record_role
from datasets.models.audit import What
from datasets.models.invitations import ProjectInvitation, hash_of_token, new_token
from datasets.models.projects import Membership, Project, Role
from datasets.refusals import Refusal

LASTS = timedelta(days=7)
MAIL = """Somebody invites you to take part in a project of PerceptAnon Studio, as {role}.

Open this link within seven days to accept; it lets in one person, once:

{link}

If you did not expect it, ignore this mail: nothing happens.
"""


class NotAdmin(Refusal):
    sentence = "You are not an admin of this project any more."


class NoMember(Refusal):
    sentence = "This person is not a member any more."


class LastAdmin(Refusal):
    sentence = "This is the only admin of the project. Make somebody else admin first."


class AlreadyMember(Refusal):
    """Their role is another admin's to change: an invitation must not make less of somebody."""


class InvitationOver(Refusal):
    sentence = "This link opens nothing any more."


@transaction.atomic
def give_role(member: Membership, role: str, *, by: AbstractBaseUser | None) -> None:
    """Raises NotAdmin, NoMember, LastAdmin."""
    held = _held(member, by=by)
    before = held.role
    if before == role:
        return
    if before == Role.ADMIN:
        _check_another_admin(held)
    held.role = role
    held.save(update_fields=["role"])
    record_role(held.project, held.user, before=before, after=role, by=by)


@transaction.atomic
def take_out(member: Membership, *, by: AbstractBaseUser | None) -> None:
    """Raises NotAdmin, NoMember, LastAdmin. What they have rated stays, and opens to them no more."""
    held = _held(member, by=by)
    if held.role == Role.ADMIN:
        _check_another_admin(held)
    record_role(held.project, held.user, before=held.role, after=None, by=by)
    held.delete()


def _held(member: Membership, *, by: AbstractBaseUser | None) -> Membership:
    """As they are now, and until the end of the transaction."""
    _hold(member.project, by=by)
    found = Membership.objects.select_related("project", "user").filter(pk=member.pk).first()
    if found is None:
        raise NoMember
    return found


def _hold(project: Project, *, by: AbstractBaseUser | None) -> None:
    """Wait for whoever changes the members of this project; that may have taken away the right to."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    if by is not None and not project.is_administered_by(by):
        raise NotAdmin


def _check_another_admin(member: Membership) -> None:
    admins = member.project.memberships.filter(role=Role.ADMIN, user__is_active=True)
    if not admins.exclude(pk=member.pk).exists():
        raise LastAdmin


# Invitations -------------------------------------------------------------------------------------------------------


@transaction.atomic
def invite(project: Project, *, role: str, email: str = "", by: User) -> ProjectInvitation:
    """Raises NotAdmin. The link comes with `link_to_show`."""
    _hold(project, by=by)
    record(What.INVITED, by=by, project=project, after={"role": role})
    expires_at = timezone.now() + LASTS
    return ProjectInvitation.objects.create(project=project, role=role, email=email, made_by=by, expires_at=expires_at)


def link_to_show(invitation: ProjectInvitation, address: Callable[[str], str]) -> str | None:
    """The link, for the one time that it can be shown: only a hash of it is kept. None where it has been."""
    token = new_token()
    unseen = ProjectInvitation.objects.waiting().filter(pk=invitation.pk, token_hash=None)
    if not unseen.update(token_hash=hash_of_token(token)):
        return None
    return address(token)


def mail_link(invitation: ProjectInvitation, link: str) -> bool:
    """Whether it was sent: there may be no address, and the mail server may not take it."""
    if not invitation.email:
        return False
    text = MAIL.format(role=invitation.role, link=link)
    try:
        return bool(send_mail("An invitation to PerceptAnon Studio", text, None, [invitation.email]))
    except (SMTPException, OSError):
        return False


def may_mail() -> bool:
    return bool(settings.EMAIL_URL)


@transaction.atomic
def withdraw_invitation(invitation: ProjectInvitation, *, by: AbstractBaseUser) -> None:
    """Raises NotAdmin, and InvitationOver where it was used, or withdrawn, a moment ago."""
    _hold(invitation.project, by=by)
    waiting = ProjectInvitation.objects.filter(pk=invitation.pk, used_at=None, withdrawn_at=None)
    if not waiting.update(withdrawn_at=Now()):
        raise InvitationOver
    record(What.INVITATION_WITHDRAWN, by=by, project=invitation.project, before={"role": invitation.role})


def invitation_by(token: str) -> ProjectInvitation | None:
    good = ProjectInvitation.objects.good().select_related("project", "made_by")
    return good.filter(token_hash=hash_of_token(token)).first()


@transaction.atomic
def accept(invitation: ProjectInvitation, *, by: AbstractBaseUser) -> Membership:
    """Raises AlreadyMember, which uses nothing up, and InvitationOver."""
    project = Project.objects.select_for_update(no_key=True).get(pk=invitation.project_id)
    if there := project.memberships.filter(user_id=by.pk).first():
        raise AlreadyMember(f"You are a member of this project already, as {there.role}.")
    if not ProjectInvitation.objects.good().filter(pk=invitation.pk).update(used_at=Now()):
        raise InvitationOver
    member = project.memberships.create(user_id=by.pk, role=invitation.role)
    record_role(project, by, before=None, after=member.role, by=by)
    return member


@transaction.atomic
def accept_as_new(invitation: ProjectInvitation, account: User) -> Membership:
    """An account is made, and is in the project; or neither. Raises InvitationOver."""
    account.save()
    return accept(invitation, by=account)
