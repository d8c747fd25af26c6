"""Somebody sets up a security key and an app on their telephone, and logs in with the key; the pages of that are as
axe-core and a ruler want them."""

import re
import time

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from tests.browser.axe import Looker, expect_fonts
from tests.browser.conftest import PASSWORD, People, Site, log_in

pytestmark = pytest.mark.browser
A_KEY = {
    "protocol": "ctap2",
    "transport": "usb",
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def plug_in_a_key(page: Page) -> None:
    """One of Chromium's own, which is touched at once; it stays with the page."""
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": A_KEY})


def say_who(page: Page) -> None:
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()


def code_now(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def test_whoever_has_set_up_a_key_and_an_app_logs_in_with_the_key(site: Site, people: People) -> None:
    # Chromium has keys for names, not for numbers.
    site = Site(site.var, site.port, host="localhost")
    site.manage("shell", "-v", "0", "-c", MAKE_A_USER)
    page, looker = people.page(), Looker()
    expect_fonts(page)
    plug_in_a_key(page)
    log_in(page, site, "keyholder")
    page.get_by_role("link", name="keyholder").click()
    looker.look(page, "account")
    page.get_by_role("link", name="Set up").click()
    looker.look(page, "no second factor yet")

    page.goto(f"{site.url}/account/second-factor/webauthn/add/")
    looker.look(page, "is it still you")
    say_who(page)
    looker.look(page, "a new key")
    page.get_by_label("Name").fill("Blue key")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("Unused codes")).to_be_visible()
    looker.look(page, "recovery codes")
    page.goto(f"{site.url}/account/second-factor/webauthn/")
    expect(page.get_by_text("Blue key")).to_be_visible()
    looker.look(page, "keys")

    page.goto(f"{site.url}/account/second-factor/totp/activate/")
    looker.look(page, "a new app")
    secret = page.get_by_label("Authenticator secret").input_value()
    page.get_by_label("Code").fill(code_now(secret))
    page.get_by_role("button", name="Activate").click()
    page.goto(f"{site.url}/account/second-factor/")
    expect(page.get_by_text("Authentication using an authenticator app is active.")).to_be_visible()
    looker.look(page, "second factors")
    page.goto(f"{site.url}/account/sessions/")
    expect(page.get_by_text("(this one)")).to_be_visible()
    looker.look(page, "sessions")
    for name in ("e-mail", "password"):
        page.goto(f"{site.url}/account/{name}/")
        looker.look(page, name)

    page.get_by_role("button", name="Log out").click()
    password_alone(page, site)
    looker.look(page, "asked for the second factor")
    page.get_by_role("button", name="Use a security key").click()
    page.wait_for_url(f"{site.url}/")

    elsewhere = people.page()
    password_alone(elsewhere, site)
    elsewhere.get_by_label("Code").fill("000000")
    elsewhere.get_by_role("button", name="Sign In").click()
    expect(elsewhere.get_by_text("Incorrect code.")).to_be_visible()
    looker.look(elsewhere, "a wrong code")
    assert looker.faults == []


def password_alone(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/login/")
    page.get_by_label("Username").fill("keyholder")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile("/authenticate/"))


MAKE_A_USER = f"""
from django.contrib.auth.models import User
User.objects.create_user("keyholder", "keyholder@example.org", {PASSWORD!r})
"""
