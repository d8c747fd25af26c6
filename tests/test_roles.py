"""The table of roles and pages in docs/admins.md is what the site does: each address, opened and sent, by each role."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from annotation.models.people import Invitation, Participation
from annotation.models.quality import Decision, Preregistration
from annotation.models.ratings import Assignment, Rating
from annotation.models.studies import Study, StudyChange
from datasets.models.invitations import ProjectInvitation
from datasets.models.jobs import Job
from datasets.models.projects import Membership, Project, Role
from datasets.models.releases import Release
from scoring.models import Checkpoint, TrainingRun
from tests import make
from tests.addresses import (
    MAY,
    OF_THE_ADMIN,
    PERSONAL,
    PUBLIC,
    ROLES,
    addresses,
    is_of_an_account,
    is_of_the_admin,
    something_for_everything,
)

pytestmark = pytest.mark.django_db

DONE = {200, 302, 400, 415}  # an empty form is understood, or refused for what it lacks
NOT_THERE = {403, 404, 405}
BROWSERS: dict[str, Callable[[Project], Client]] = {
    "nobody": lambda project: Client(),
    "by a link": lambda project: make.browser(Participation.objects.latest("pk")),
    "annotator": lambda project: logged_in(make.member(project, Role.ANNOTATOR)),
    "researcher": lambda project: logged_in(make.member(project, Role.RESEARCHER)),
    "admin": lambda project: logged_in(make.member(project, Role.ADMIN)),
    "admin elsewhere": lambda project: logged_in(make.member(make.project(), Role.ADMIN)),
    "staff": lambda project: logged_in(staff()),
    "superuser": lambda project: logged_in(make.user(is_staff=True, is_superuser=True)),
}


def staff() -> User:
    user = make.user(is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    return user


def logged_in(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def ask(browser: Client, method: str, url: str, *, undone: bool) -> Any:
    """By a browser with the same cookies, so that a log-out ends with the question; what it did is taken back."""
    twin = Client()
    twin.cookies = browser.cookies.copy()
    with transaction.atomic():
        reply = twin.generic(method, url, content_type="application/x-www-form-urlencoded")
        transaction.set_rollback(undone)
    return reply


def leads_to_login(reply: Any) -> bool:
    """With where to go on, but for the page of a second factor: that comes after a password alone."""
    to_login = (reverse("login") + "?", reverse("admin-login") + "?")
    came_too_early = reply.status_code == 302 and reply.request["PATH_INFO"] == reverse("mfa_authenticate")
    return reply.status_code == 302 and (reply.url.startswith(to_login) or came_too_early)


def traces() -> list[int]:
    """What a refused request might have left."""
    models = (
        Project, Membership, ProjectInvitation, User, Study, StudyChange, Preregistration, Invitation, Participation,
        Assignment, Rating, Decision, Release, Job, TrainingRun,
    )  # fmt: skip
    n_roles = [Membership.objects.filter(role=role).count() for role in Role.values]
    return [
        *(model.objects.count() for model in models),
        Checkpoint.objects.filter(in_use=True).count(),
        ProjectInvitation.objects.filter(withdrawn_at=None).count(),
        *n_roles,
    ]


def test_each_address_stands_in_the_table_and_each_of_the_table_is_there() -> None:
    found = addresses(something_for_everything()).items()
    assert {OF_THE_ADMIN if is_of_the_admin(url, name) else name for url, name in found} == set(MAY)
    assert len(MAY) > 100


def test_the_roles_of_the_table_are_those_that_are_tried() -> None:
    assert list(BROWSERS) == ROLES


@pytest.mark.parametrize("role", BROWSERS)
def test_each_role_may_what_the_table_says_and_nothing_else(role: str) -> None:
    """Of the admin the table says only to whom nothing there opens: for all others it asks for its own permissions."""
    arguments = something_for_everything()
    browser = BROWSERS[role](Project.objects.get(slug=arguments["project"]))
    wrong, before = [], traces()
    for url, name in addresses(arguments).items():
        in_admin = is_of_the_admin(url, name)
        may = MAY[OF_THE_ADMIN if in_admin else name][role]
        if (in_admin and (may or name == "admin:logout")) or (is_of_an_account(name) and may):
            continue
        for method in ("GET", "POST"):
            reply = ask(browser, method, url, undone=method in may)
            is_turned_away = reply.status_code in NOT_THERE or leads_to_login(reply)
            if method in may and (is_turned_away or reply.status_code not in DONE):
                wrong.append(f"{method} {name} is refused: {reply.status_code}")
            if method not in may and not is_turned_away:
                wrong.append(f"{method} {name} is answered: {reply.status_code}")
    assert wrong == []
    assert traces() == before


@pytest.mark.parametrize("role", ["nobody", "by a link"])
def test_who_is_not_logged_in_is_led_to_the_log_in_and_learns_of_no_page_whether_it_is_there(role: str) -> None:
    arguments = something_for_everything()
    browser = BROWSERS[role](Project.objects.get(slug=arguments["project"]))
    private = {url: name for url, name in addresses(arguments).items() if name not in PUBLIC | PERSONAL}
    assert len(private) > 100
    for url, name in private.items():
        for method in ("GET", "POST"):
            assert leads_to_login(ask(browser, method, url, undone=False)), f"{method} {name}"


def test_a_participation_opens_to_nobody_else_who_takes_part() -> None:
    arguments = something_for_everything()
    browser, before = make.browser(make.participation(Study.objects.get())), traces()
    for url, name in addresses(arguments).items():
        if name in PERSONAL:
            assert ask(browser, "GET", url, undone=False).status_code == 404, name
            assert ask(browser, "POST", url, undone=False).status_code in {404, 405}, name
    assert traces() == before
