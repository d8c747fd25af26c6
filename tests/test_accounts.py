"""Somebody's own account: the second factor, the password and the address, where they are logged in, and whether it is
still them."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.sessions import BEGAN, SEEN
from datasets.confirm import LOGGED_IN
from datasets.jobs import repeated
from datasets.models.projects import Role
from datasets.models.tries import Tally
from datasets.sessions import forget_ended_sessions
from tests import make
from tests.test_lockout import log_in

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
PASSWORD, NEW = "a-good-password", "kx7-qpz-41mw-new"
CODE, INDEX = reverse("mfa_authenticate"), reverse("mfa_index")


def of(user: User) -> Client:
    """A browser in which they have just logged in."""
    browser = Client()
    browser.force_login(user)
    return browser


def with_app(user: User) -> str:
    """The secret of the app on their telephone."""
    secret: str = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def code_of(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def pass_seconds(browser: Client, name: str, seconds: float) -> None:
    session = browser.session
    session[name] -= seconds
    session.save()


# A second factor ------------------------------------------------------------------------------------------------------


def test_whoever_has_a_second_factor_is_in_after_it_and_not_before() -> None:
    secret, browser = with_app(make.user("alice")), Client()
    reply = log_in(password=PASSWORD, by=browser)
    assert reply.url == CODE
    assert browser.get("/").status_code == 302
    assert browser.post(CODE, {"code": code_of(secret)}).status_code == 302
    assert browser.get("/").status_code == 200


def test_a_code_is_tried_as_seldom_as_a_password() -> None:
    secret, browser = with_app(make.user("alice")), Client()
    log_in(password=PASSWORD, by=browser)
    assert [browser.post(CODE, {"code": "000000"}).status_code for _ in range(11)] == [200] * 10 + [429]
    assert browser.post(CODE, {"code": code_of(secret)}).status_code == 429
    Tally.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert browser.post(CODE, {"code": code_of(secret)}).status_code == 302


def test_a_code_lets_in_once() -> None:
    secret = with_app(make.user("alice"))
    first, second = Client(), Client()
    for browser in (first, second):
        log_in(password=PASSWORD, by=browser)
    code = code_of(secret)
    assert [browser.post(CODE, {"code": code}).status_code for browser in (first, second)] == [302, 200]


def test_secrets_are_not_in_the_database_as_they_are() -> None:
    secret = with_app(user := make.user("alice"))
    browser = of(user)
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    browser.post(reverse("mfa_generate_recovery_codes"))
    codes = browser.get(reverse("mfa_view_recovery_codes")).context["unused_codes"]
    assert len(codes) == 10
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert [shown for shown in (secret, *codes) if shown in stored] == []
    stranger = Client()
    log_in(password=PASSWORD, by=stranger)
    assert [stranger.post(CODE, {"code": codes[0]}).status_code for _ in range(1)] == [302]


@pytest.fixture
def required(settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = True


@pytest.mark.usefixtures("required")
def test_superusers_and_project_admins_set_up_a_second_factor_before_anything_else() -> None:
    project = make.project()
    for user in (make.user("root", is_superuser=True, is_staff=True), make.member(project, Role.ADMIN)):
        browser = of(user)
        for page in ("/", reverse("annotation:project", args=[project.slug])):
            reply = browser.get(page)
            assert (reply.status_code, reply.headers.get("Location")) == (302, INDEX)
        assert "needs a second factor" in browser.get(INDEX).content.decode()
        assert browser.get(reverse("account")).status_code == 200
        with_app(user)
        assert browser.get("/").status_code == 200


@pytest.mark.usefixtures("required")
def test_whoever_needs_a_second_factor_cannot_take_the_last_one_away() -> None:
    admin = make.member(make.project(), Role.ADMIN)
    with_app(admin)
    browser = of(admin)
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    reply = browser.post(reverse("mfa_deactivate_totp"))
    assert "You cannot deactivate two-factor authentication." in reply.content.decode()
    assert Authenticator.objects.filter(user=admin, type="totp").exists()


@pytest.mark.usefixtures("required")
def test_of_researchers_and_annotators_it_is_not_asked() -> None:
    project = make.project()
    for role in (Role.RESEARCHER, Role.ANNOTATOR):
        assert of(make.member(project, role)).get("/").status_code == 200
    mine = make.participation(make.study(), by=None)
    assert make.browser(mine).get(reverse("annotation:instructions", args=[mine.public_id])).status_code == 200


def test_an_admin_of_the_machine_takes_lost_factors_away(capsys: Any) -> None:
    with_app(user := make.user("alice"))
    call_command("reset_mfa", "alice")
    assert "1 second factors of alice are gone" in capsys.readouterr().out
    assert not Authenticator.objects.filter(user=user).exists()
    assert log_in(password=PASSWORD).url == "/"


# Password and address -------------------------------------------------------------------------------------------------


def link_in(message: Any) -> str:
    [found] = re.findall(r"http://testserver(/account/\S+)", message.body)
    return str(found)


def test_a_forgotten_password_is_set_anew_by_a_link_that_works_once() -> None:
    user = make.user("alice", email="alice@example.org")
    reply = Client().post(reverse("account_reset_password"), {"email": "alice@example.org"}, follow=True)
    assert reply.status_code == 200
    link = link_in(mail.outbox[0])
    browser = Client()
    form = browser.get(link, follow=True).request["PATH_INFO"]
    assert browser.post(form, {"password1": "short", "password2": "short"}).status_code == 200
    assert browser.post(form, {"password1": NEW, "password2": NEW}).status_code == 302
    user.refresh_from_db()
    assert user.check_password(NEW)
    assert "password1" not in Client().get(link, follow=True).content.decode()


def test_nobody_learns_whether_an_address_has_an_account_and_no_stranger_is_written_to() -> None:
    make.user("alice", email="alice@example.org")
    asked = {
        address: Client().post(reverse("account_reset_password"), {"email": address}, follow=True)
        for address in ("alice@example.org", "nobody@example.org")
    }
    assert len({(reply.status_code, reply.request["PATH_INFO"]) for reply in asked.values()}) == 1
    assert [message.to for message in mail.outbox] == [["alice@example.org"]]


def test_no_address_is_written_to_more_than_five_times_an_hour() -> None:
    make.user("alice", email="alice@example.org")
    for _ in range(7):
        Client().post(reverse("account_reset_password"), {"email": "alice@example.org"})
    assert len(mail.outbox) == 5


def test_a_site_without_mail_says_whom_to_ask(settings: Any) -> None:
    settings.EMAIL_URL = ""
    reply = Client().get(reverse("account_reset_password"))
    assert (reply.status_code, "sends no mail" in reply.content.decode()) == (404, True)


def test_a_password_is_changed_by_whoever_knows_the_old_one_and_ends_other_log_ins() -> None:
    user = make.user("alice")
    browser, elsewhere, form = of(user), of(user), {"password1": NEW, "password2": NEW}
    page = reverse("account_change_password")
    assert browser.post(page, form | {"oldpassword": "wrong"}).status_code == 200
    assert browser.post(page, form | {"oldpassword": PASSWORD}).status_code == 302
    assert (browser.get("/").status_code, elsewhere.get("/").status_code) == (200, 302)
    user.refresh_from_db()
    assert user.check_password(NEW)


def test_a_new_address_is_ones_own_once_its_mail_was_read() -> None:
    user = make.user("alice", email="old@example.org")
    browser = of(user)
    browser.post(reverse("account_email"), {"email": "new@example.org", "action_add": ""})
    user.refresh_from_db()
    assert user.email == "old@example.org"
    [message] = mail.outbox
    assert message.to == ["new@example.org"]
    browser.post(link_in(message))
    user.refresh_from_db()
    assert user.email == "new@example.org"


# Still them? ----------------------------------------------------------------------------------------------------------


def deletion() -> str:
    return reverse("annotation:close-project", args=[make.project().slug])


def test_what_cannot_be_undone_asks_again_once_the_log_in_lies_back() -> None:
    browser, page = of(make.user("root", is_superuser=True)), deletion()
    assert browser.get(page).status_code == 200
    pass_seconds(browser, LOGGED_IN, 601)
    again = f"{reverse('account_reauthenticate')}?next={page.replace('/', '%2F')}"
    assert [browser.get(page).headers["Location"], browser.post(page).headers["Location"]] == [again] * 2
    assert browser.post(again, {"password": "wrong"}).status_code == 200
    assert browser.post(again, {"password": PASSWORD, "next": page}).headers["Location"] == page
    assert browser.get(page).status_code == 200


def test_whoever_guesses_at_it_is_locked_out_there_too() -> None:
    browser = of(make.user("root", is_superuser=True))
    again = reverse("account_reauthenticate")
    assert [browser.post(again, {"password": "wrong"}).status_code for _ in range(11)] == [200] * 10 + [429]


# Log-ins that last ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "seconds"), [(SEEN, 12 * 3600 + 1), (BEGAN, 14 * 24 * 3600 + 1)])
def test_a_log_in_ends_when_it_lies_idle_and_after_two_weeks(which: str, seconds: float) -> None:
    browser = of(make.user())
    pass_seconds(browser, which, seconds - 60)
    assert browser.get("/").status_code == 200
    pass_seconds(browser, which, seconds)
    assert browser.get("/").status_code == 302


def test_a_log_in_is_written_down_at_most_every_five_minutes(django_assert_num_queries: Any) -> None:
    browser = of(make.user())
    page = reverse("account")
    browser.get(page)
    before = Session.objects.get().session_data
    browser.get(page)
    assert Session.objects.get().session_data == before
    pass_seconds(browser, SEEN, 301)
    browser.get(page)
    assert Session.objects.get().session_data != before


@pytest.fixture
def two() -> Iterator[tuple[Client, Client]]:
    """Browsers of one person."""
    make.user("alice")
    browsers = Client(headers={"User-Agent": "Firefox"}), Client(headers={"User-Agent": "Chromium"})
    for browser in browsers:
        log_in(password=PASSWORD, by=browser, address="192.0.2.77")
    return browsers


def test_somebody_sees_where_they_are_logged_in_and_logs_out_elsewhere(two: tuple[Client, Client]) -> None:
    here, elsewhere = two
    page = here.get(reverse("usersessions_list")).content.decode()
    assert ("Firefox" in page, "Chromium" in page, "192.0.2.0" in page, "192.0.2.77" in page) == (
        True,
        True,
        True,
        False,
    )
    here.post(reverse("usersessions_list"))
    assert (here.get("/").status_code, elsewhere.get("/").status_code) == (200, 302)


@pytest.mark.usefixtures("two")
def test_workers_forget_log_ins_that_have_ended() -> None:
    Session.objects.filter(session_key=UserSession.objects.earliest("pk").session_key).update(
        expire_date=timezone.now() - timedelta(seconds=1)
    )
    forget_ended_sessions()
    assert (Session.objects.count(), UserSession.objects.count()) == (1, 1)
    assert forget_ended_sessions in repeated
