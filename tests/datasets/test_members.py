"""Who is in a project: what its admins may do at the same moment, and whom a link lets in."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from datasets.members import (
    AlreadyMember,
    InvitationOver,
    LastAdmin,
    NoMember,
    NotAdmin,
    accept,
    accept_as_new,
    give_role,
    invitation_by,
    invite,
    link_to_show,
    take_out,
    withdraw_invitation,
)
from datasets.models.audit import AuditEntry, What
from datasets.models.invitations import ProjectInvitation
from datasets.models.projects import Membership, Project, Role
from datasets.refusals import Refusal
from tests import make
from tests.races import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
REPEATS = 8
GOOD = "five-quiet-horses-rest"


def membership(of: Project, role: str, **fields: Any) -> Membership:
    return make.member(of, role, **fields).memberships.get()


def invited(of: Project, role: str = Role.RESEARCHER) -> tuple[ProjectInvitation, str]:
    """With the token of its link."""
    made = invite(of, role=role, by=make.member(of, Role.ADMIN))
    return made, str(link_to_show(made, str))


def or_refused(act: Any) -> Any:
    """The class of the refusal where there is one."""
    try:
        return act()
    except Refusal as refusal:
        return type(refusal)


# Roles -------------------------------------------------------------------------------------------------------------


def test_of_two_admins_who_demote_each_other_at_once_one_stays() -> None:
    for _ in range(REPEATS):
        project = make.project()
        ann, bob = (membership(project, Role.ADMIN) for _ in range(2))
        acts = [partial(give_role, bob, Role.ANNOTATOR, by=ann.user), partial(take_out, ann, by=bob.user)]
        said = at_once(*(partial(or_refused, act) for act in acts))
        assert sorted(map(str, said)) in (sorted(map(str, [None, NotAdmin])), sorted(map(str, [None, LastAdmin])))
        assert project.memberships.filter(role=Role.ADMIN).count() == 1


def test_the_last_admin_is_neither_demoted_nor_taken_out_by_anybody() -> None:
    project = make.project()
    admin = membership(project, Role.ADMIN)
    membership(project, Role.ADMIN, is_active=False)  # who cannot act for the project
    for by in (admin.user, make.user(is_superuser=True), None):
        for act in (partial(give_role, admin, Role.RESEARCHER, by=by), partial(take_out, admin, by=by)):
            with pytest.raises(LastAdmin):
                act()
    assert project.memberships.get(pk=admin.pk).role == Role.ADMIN


def test_who_is_admin_no_more_or_elsewhere_changes_nobody() -> None:
    project = make.project()
    person = membership(project, Role.RESEARCHER)
    for by in (make.member(project), make.member(make.project(), Role.ADMIN)):
        for act in (
            partial(give_role, person, Role.ADMIN, by=by),
            partial(take_out, person, by=by),
            partial(invite, project, role=Role.ADMIN, by=by),
        ):
            with pytest.raises(NotAdmin):
                act()


def test_who_was_taken_out_a_moment_ago_is_given_no_role() -> None:
    project = make.project()
    person, by = membership(project, Role.RESEARCHER), make.member(project, Role.ADMIN)
    take_out(person, by=by)
    with pytest.raises(NoMember):
        give_role(Membership(pk=person.pk, project=project), Role.ADMIN, by=by)


def test_the_log_keeps_who_gave_or_took_which_role() -> None:
    project = make.project()
    by = make.member(project, Role.ADMIN)
    give_role(membership(project, Role.ANNOTATOR, name="ann"), Role.RESEARCHER, by=by)
    take_out(membership(project, Role.ANNOTATOR, name="bob"), by=by)
    given, taken = AuditEntry.objects.order_by("pk")
    assert (given.what, given.object_name, given.user_name) == (What.ROLE_GIVEN, "ann", by.username)
    assert (given.before, given.after) == ({"role": "annotator"}, {"role": "researcher"})
    assert (taken.what, taken.object_name, taken.before) == (What.ROLE_TAKEN, "bob", {"role": "annotator"})


# Invitations -------------------------------------------------------------------------------------------------------


def test_a_link_used_twice_at_once_lets_one_person_in() -> None:
    for _ in range(REPEATS):
        project = make.project()
        invitation, _ = invited(project)
        people = [make.user(), User(username=f"new{invitation.pk}", password="!")]
        said = at_once(
            partial(or_refused, partial(accept, invitation, by=people[0])),
            partial(or_refused, partial(accept_as_new, invitation, people[1])),
        )
        assert InvitationOver in said
        [member] = project.memberships.filter(role=Role.RESEARCHER)
        assert member.user in people
        assert User.objects.filter(username=people[1].username).exists() == (member.user == people[1])


def test_of_two_who_choose_the_same_name_at_once_one_has_it_and_the_other_link_stays_good() -> None:
    for n in range(REPEATS):
        project = make.project()
        account = {"username": f"new{n}", "email": "a@example.org", "password1": GOOD, "password2": GOOD}
        links = [make.link_into(project, by=make.member(project, Role.ADMIN)) for _ in range(2)]
        replies = at_once(*(partial(Client().post, link, account) for link in links))
        assert sorted(reply.status_code for reply in replies) == [302, 400]
        assert project.memberships.filter(user__username=f"new{n}").count() == 1
        assert project.invitations.waiting().count() == 1


def test_a_link_that_is_used_withdrawn_or_too_old_lets_nobody_in() -> None:
    project = make.project()
    used, withdrawn, old = (invited(project) for _ in range(3))
    accept(used[0], by=make.user())
    withdraw_invitation(withdrawn[0], by=withdrawn[0].made_by)
    ProjectInvitation.objects.filter(pk=old[0].pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    for invitation, token in (used, withdrawn, old):
        assert invitation_by(token) is None
        with pytest.raises(InvitationOver):
            accept(invitation, by=make.user())
    for invitation, _ in (used, withdrawn):
        with pytest.raises(InvitationOver):
            withdraw_invitation(invitation, by=withdrawn[0].made_by)


@pytest.mark.parametrize("change", ["demoted", "taken out", "may not log in"])
def test_the_link_of_somebody_who_is_no_admin_any_more_lets_nobody_in(change: str) -> None:
    project = make.project()
    invitation, token = invited(project)
    assert invitation_by(token) == invitation
    mine = Membership.objects.filter(user=invitation.made_by)
    if change == "demoted":
        mine.update(role=Role.RESEARCHER)
    elif change == "taken out":
        mine.delete()
    else:
        User.objects.filter(pk=invitation.made_by.pk).update(is_active=False)
    assert invitation_by(token) is None
    with pytest.raises(InvitationOver):
        accept(invitation, by=make.user())


def test_who_is_a_member_keeps_their_role_and_the_link_is_good_for_somebody_else() -> None:
    project = make.project()
    invitation, token = invited(project, Role.ANNOTATOR)
    with pytest.raises(AlreadyMember):
        accept(invitation, by=invitation.made_by)
    assert project.memberships.get().role == Role.ADMIN
    assert invitation_by(token) == invitation


def test_a_link_is_shown_once_and_no_row_holds_it() -> None:
    invitation, token = invited(make.project())
    assert link_to_show(invitation, str) is None
    assert token not in str(list(ProjectInvitation.objects.values()))
    assert token not in str(list(AuditEntry.objects.values()))
