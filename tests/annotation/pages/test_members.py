"""The members' page of a project, its settings, and the page of whoever is invited."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from datasets.members import withdraw_invitation
from datasets.models.audit import AuditEntry, What
from datasets.models.invitations import ProjectInvitation
from datasets.models.projects import Membership, Project, Role
from datasets.models.tries import Tally
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

GOOD = "five-quiet-horses-rest"
NEW = {"username": "newcomer", "email": "new@example.org", "password1": GOOD, "password2": GOOD}


@pytest.fixture
def project() -> Project:
    return make.project(name="Faces of the north")


@pytest.fixture
def admin(project: Project) -> Client:
    return logged_in(make.member(project, Role.ADMIN, name="ada"))


def logged_in(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def page(name: str, project: Project, *arguments: Any) -> str:
    return reverse(f"annotation:{name}", args=[project.slug, *arguments])


def said(reply: Any) -> list[str]:
    return [str(message) for message in reply.context["messages"]]


def make_link(admin: Client, project: Project, **form: str) -> Any:
    return admin.post(page("member-invite", project), {"role": "researcher"} | form, follow=True)


# Members -----------------------------------------------------------------------------------------------------------


def test_an_admin_gives_roles_and_takes_people_out(project: Project, admin: Client) -> None:
    bob = make.member(project, Role.ANNOTATOR, name="bob").memberships.get()
    assert said(admin.post(page("member-role", project, bob.pk), {"role": "admin"}, follow=True)) == [
        "bob is admin now."
    ]
    assert Membership.objects.get(pk=bob.pk).role == Role.ADMIN
    reply = admin.post(page("member-out", project, bob.pk), follow=True)
    assert said(reply) == ["bob is no member any more."]
    assert [member.user.username for member in reply.context["members"]] == ["ada"]


def test_the_only_admin_reads_why_they_must_stay(project: Project, admin: Client) -> None:
    mine = project.memberships.get()
    for reply in (
        admin.post(page("member-role", project, mine.pk), {"role": "researcher"}, follow=True),
        admin.post(page("member-out", project, mine.pk), follow=True),
    ):
        assert "Make somebody else admin first." in said(reply)[0]
    assert project.memberships.get().role == Role.ADMIN


def test_an_admin_who_leaves_to_another_one_goes_home(project: Project, admin: Client) -> None:
    make.member(project, Role.ADMIN)
    mine = project.memberships.get(user__username="ada")
    reply = admin.post(page("member-out", project, mine.pk))
    assert reply.url == reverse("home")  # type: ignore[attr-defined]
    assert admin.get(page("members", project)).status_code == 404


def test_a_role_that_there_is_not_is_refused(project: Project, admin: Client) -> None:
    bob = make.member(project).memberships.get()
    assert said(admin.post(page("member-role", project, bob.pk), {"role": "owner"}, follow=True))[0].startswith("role:")
    assert Membership.objects.get(pk=bob.pk).role == Role.RESEARCHER


def test_members_of_another_project_are_not_found(project: Project, admin: Client) -> None:
    other = make.member(make.project()).memberships.get()
    for name in ("member-role", "member-out"):
        assert admin.post(page(name, project, other.pk), {"role": "annotator"}).status_code == 404
    assert Membership.objects.filter(pk=other.pk, role=Role.RESEARCHER).exists()


def test_the_page_costs_the_same_however_many_members_there_are(project: Project, admin: Client) -> None:
    def n_queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(page("members", project)).status_code == 200
        return len(captured)

    def one_more() -> None:
        make.link_into(project, by=make.member(project, Role.ADMIN))

    one_more()
    before = n_queries()
    for _ in range(3):
        one_more()
    assert n_queries() == before


def test_an_admin_renames_the_project_and_its_address_stays(project: Project, admin: Client) -> None:
    slug = project.slug
    admin.post(page("project-settings", project), {"name": "Faces", "slug": "faces"})
    project.refresh_from_db()
    assert (project.name, project.slug) == ("Faces", slug)
    changed = AuditEntry.objects.get(what=What.SETTINGS_CHANGED)
    assert (changed.before, changed.after) == ({"name": "Faces of the north"}, {"name": "Faces"})
    assert admin.post(page("project-settings", project), {"name": ""}).status_code == 400


# Inviting ----------------------------------------------------------------------------------------------------------


def test_the_link_is_shown_once_and_to_whoever_made_it(project: Project, admin: Client) -> None:
    shown = make_link(admin, project)
    link = shown.context["link"]
    assert link.startswith("http://testserver/invited/")
    assert link in shown.content.decode()
    address = shown.redirect_chain[-1][0]
    assert "The link is shown once" in admin.get(address).content.decode()


def test_another_admin_is_not_shown_the_link_and_does_not_use_it_up(project: Project, admin: Client) -> None:
    address = admin.post(page("member-invite", project), {"role": "researcher"}).url  # type: ignore[attr-defined]
    assert logged_in(make.member(project, Role.ADMIN)).get(address).context["link"] is None
    assert admin.get(address).context["link"]


def test_where_mail_is_set_up_the_link_is_sent_too(project: Project, admin: Client, settings: Any) -> None:
    settings.EMAIL_URL = "smtp://mail.example"
    reply = make_link(admin, project, email="new@example.org")
    [sent] = mail.outbox
    assert sent.to == ["new@example.org"]
    assert reply.context["link"] in sent.body
    assert project.name not in sent.subject + sent.body
    assert "The link was sent to new@example.org" in reply.content.decode()


def test_a_mail_that_cannot_be_sent_leaves_the_link_to_be_copied(
    project: Project, admin: Client, settings: Any
) -> None:
    settings.EMAIL_URL, settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp://127.0.0.1:1", "127.0.0.1", 1
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    text = make_link(admin, project, email="new@example.org").content.decode()
    assert "The mail could not be sent" in text
    assert "/invited/" in text


def test_where_mail_is_not_set_up_no_address_is_asked_for(project: Project, admin: Client, settings: Any) -> None:
    settings.EMAIL_URL = ""
    assert "E-mail" not in admin.get(page("members", project)).content.decode()
    make_link(admin, project, email="new@example.org")
    assert (mail.outbox, ProjectInvitation.objects.get().email) == ([], "")


def test_open_invitations_are_listed_and_withdrawn(project: Project, admin: Client) -> None:
    link = make_link(admin, project).context["link"]
    [waiting] = admin.get(page("members", project)).context["invitations"]
    reply = admin.post(page("member-withdraw", project, waiting.pk), follow=True)
    assert not reply.context["invitations"]
    assert Client().get(link).status_code == 404
    again = admin.post(page("member-withdraw", project, waiting.pk), follow=True)
    assert said(again) == ["This link opens nothing any more."]


# Being invited -----------------------------------------------------------------------------------------------------


def test_to_look_at_a_link_uses_nothing_up(project: Project) -> None:
    link = make.link_into(project)
    for browser in (Client(), logged_in(make.user()), Client()):
        assert "Faces of the north" in browser.get(link).content.decode()
    assert ProjectInvitation.objects.get().used_at is None
    assert Membership.objects.count() == 1


def test_who_has_no_account_makes_one_and_is_in_the_project(project: Project) -> None:
    browser = Client()
    reply = browser.post(make.link_into(project), NEW, follow=True)
    assert said(reply) == ["You are a member of the project now."]
    member = project.memberships.get(user__username="newcomer")
    assert (member.role, member.user.email, member.user.is_staff) == (Role.RESEARCHER, "new@example.org", False)
    assert browser.get(page("project", project)).status_code == 200
    assert browser.get(page("members", project)).status_code == 404


def test_who_has_an_account_logs_in_and_accepts(project: Project) -> None:
    make.user("bob")
    link, browser = make.link_into(project, Role.ADMIN), Client()
    log_in = reverse("login") + f"?next={link}"
    assert f'href="{log_in}"' in browser.get(link).content.decode()
    assert browser.post(log_in, {"username": "bob", "password": "a-good-password"}).url == link  # type: ignore[attr-defined]
    assert "Accept as bob" in browser.get(link).content.decode()
    browser.post(link)
    assert browser.get(page("members", project)).status_code == 200


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"password1": "short-pass1", "password2": "short-pass1"}, "password2"),
        ({"password1": "q1w2e3r4t5y6", "password2": "q1w2e3r4t5y6"}, "password2"),
        ({"password2": "another-good-password"}, "password2"),
        ({"email": ""}, "email"),
        ({"username": "TAKEN"}, "username"),
        ({"username": ""}, "username"),
    ],
)
def test_a_bad_account_is_explained_and_uses_nothing_up(project: Project, changed: dict[str, str], field: str) -> None:
    make.user("taken")
    link = make.link_into(project)
    reply = Client().post(link, NEW | changed)
    assert (reply.status_code, list(reply.context["form"].errors)) == (400, [field])
    assert Client().post(link, NEW).status_code == 302


def test_who_is_a_member_is_told_so_and_the_link_stays_good(project: Project, admin: Client) -> None:
    link = make.link_into(project, Role.ANNOTATOR)
    assert said(admin.post(link, follow=True)) == ["You are a member of this project already. The link is still good."]
    assert project.memberships.get(user__username="ada").role == Role.ADMIN
    assert Client().get(link).status_code == 200


def test_whatever_is_wrong_with_a_link_the_page_is_the_same_and_names_no_project(project: Project) -> None:
    used, withdrawn, old, void = (make.link_into(project) for _ in range(4))
    assert Client().post(used, NEW).status_code == 302
    rows = dict(zip(("withdrawn", "old", "void"), ProjectInvitation.objects.order_by("pk")[1:], strict=True))
    withdraw_invitation(rows["withdrawn"], by=rows["withdrawn"].made_by)
    ProjectInvitation.objects.filter(pk=rows["old"].pk).update(expires_at=timezone.now())
    Membership.objects.filter(user=rows["void"].made_by).update(role=Role.RESEARCHER)
    unknown = reverse("annotation:invited", args=["0" * 32])
    pages = set()
    for link in (used, withdrawn, old, void, unknown):
        Tally.objects.all().delete()
        for reply in (Client().get(link), Client().post(link, NEW)):
            assert reply.status_code == 404
            pages.add(reply.content.decode().split("<main")[1])
    [same] = pages
    assert project.name not in same


def test_wrong_links_slow_their_address_down(project: Project) -> None:
    wrong, good = reverse("annotation:invited", args=["0" * 32]), make.link_into(project)
    for _ in range(5):
        assert Client().get(good).status_code == 200
        assert Client().get(wrong).status_code == 404
    reply = Client().get(good)
    assert (reply.status_code, reply["Retry-After"]) == (429, "1")
    assert project.name not in reply.content.decode()
    Tally.objects.all().delete()
    assert Client().get(good).status_code == 200
