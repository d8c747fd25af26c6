"""What is open to whom beside the table of roles (tests/test_roles.py): log-ins, headers, pictures."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from config.known import COOKIE, is_known, is_known_as
from datasets.models.projects import Membership, Project
from tests import make
from tests.addresses import (
    addresses,
    something_for_everything,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def arguments() -> dict[str, Any]:
    return something_for_everything()


def logged_in(user: Any) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


# Log-ins ----------------------------------------------------------------------------------------------------------


def test_a_superuser_who_was_deactivated_reaches_nothing() -> None:
    make.study()
    user = make.user(is_superuser=True, is_active=False)
    assert not Project.objects.managed_by(user).exists()
    assert not Study.objects.managed_by(user).exists()


def test_who_is_logged_in_and_no_staff_is_told_so_in_the_admin_and_not_asked_to_log_in_again() -> None:
    browser = Client()
    browser.force_login(make.user("ann"))
    reply = browser.get("/admin/", follow=True)
    assert reply.status_code == 403
    assert "You are logged in as <strong>ann</strong>" in reply.content.decode()


def test_the_admins_log_in_is_the_sites_log_in() -> None:
    assert Client().get("/admin/login/?next=/admin/").url == reverse("login") + "?next=/admin/"  # type: ignore[attr-defined]


def test_a_browser_remembers_who_has_logged_in_with_it(client: Client) -> None:
    alice = make.user("alice")
    client.post(reverse("login"), {"username": "alice", "password": "wrong"})
    assert not is_known(values_of(client))
    client.post(reverse("login"), {"username": "alice", "password": "a-good-password"})
    client.post(reverse("logout"))
    assert is_known_as(values_of(client), alice.pk)
    assert not is_known_as(values_of(client), make.user().pk)
    assert not is_known({COOKIE: values_of(client)[COOKIE].replace(":", "x:", 1)})


def values_of(browser: Client) -> dict[str, str]:
    return {name: each.value for name, each in browser.cookies.items()}


def test_who_was_removed_from_the_project_rates_and_sees_nothing_more() -> None:
    study = make.study(n_pairs=2)
    member = make.member(study.project)
    mine = make.participation(study, by=member)
    pages = [
        reverse(f"annotation:{name}", args=[mine.public_id])
        for name in ("rate", "instructions", "rest", "end", "your-data")
    ]
    pages.append(picture_url(mine, make.leases(mine)[0].anonymized_key))
    browsers = [logged_in(member), make.browser(mine)]
    assert {browser.get(url).status_code for browser in browsers for url in pages[1:3] + pages[4:]} == {200}
    Membership.objects.get(user=member).delete()
    make.member(make.project()).memberships.update(user=member)  # of another project still
    assert {browser.get(url).status_code for browser in browsers for url in pages} == {404}
    answer_url = reverse("annotation:answer", args=[mine.public_id])
    assert {browser.post(answer_url, {"answers": []}, "application/json").status_code for browser in browsers} == {404}


# Headers ----------------------------------------------------------------------------------------------------------


def test_every_page_has_the_strict_content_security_policy(arguments: dict[str, Any]) -> None:
    participation = Participation.objects.latest("pk")
    browser = make.browser(participation)
    browser.force_login(make.member(Project.objects.get(), is_staff=True, is_superuser=True))
    replies = [browser.get(url) for url in addresses(arguments)]
    pages = [reply for reply in replies if reply.headers.get("Content-Type", "").startswith("text/html")]
    assert len(pages) > 30
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy + ";"
        assert "unsafe-" not in policy
        assert "*" not in policy


def test_every_answer_says_what_browsers_may_not_do_with_it(client: Client) -> None:
    for url in (
        "/static/studio.css",
        reverse("login"),
        reverse("health"),
        "/nowhere/",
        reverse("annotation:answer", args=[uuid4()]),
    ):
        headers = client.get(url).headers
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_pages_run_no_inline_script_or_style(arguments: dict[str, Any]) -> None:
    browser = make.browser(Participation.objects.latest("pk"))
    browser.force_login(make.member(Project.objects.get()))
    ours = {url: name for url, name in addresses(arguments).items() if not url.startswith("/admin/")}
    for url, name in ours.items():
        reply = browser.get(url)
        if reply.headers.get("Content-Type", "").startswith("text/html"):
            page = reply.content.decode()
            assert "<style" not in page, name
            assert " style=" not in page, name
            assert " onclick=" not in page, name
            assert "javascript:" not in page, name


# Pictures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def participation() -> Participation:
    return make.participation(make.study(n_pairs=2, mode="HA2"))


@pytest.fixture
def lease(participation: Participation) -> Assignment:
    return make.leases(participation)[0]


def picture_url(of: Participation, key: Any) -> str:
    return reverse("annotation:picture", args=[of.public_id, key])


def keys_of(lease: Assignment) -> list[Any]:
    return [lease.original_key, lease.anonymized_key]


def test_both_pictures_of_a_pair_open_for_its_holder(lease: Assignment) -> None:
    browser, pair = make.browser(lease.participation), lease.item.pair
    for key, image in zip(keys_of(lease), [pair.original, pair.anonymized], strict=True):
        reply = browser.get(picture_url(lease.participation, key))
        with image.display.open() as file:
            assert (reply.status_code, b"".join(reply), reply["Content-Type"]) == (200, file.read(), "image/png")


def test_a_picture_comes_without_name_and_is_kept_by_nobody(lease: Assignment) -> None:
    reply = make.browser(lease.participation).get(picture_url(lease.participation, lease.anonymized_key))
    assert reply["Cache-Control"] == "private, no-store"
    assert not {"Content-Disposition", "ETag", "Last-Modified"} & set(reply.headers)
    image = lease.item.pair.anonymized
    sent = str(reply.headers) + reply.request["PATH_INFO"]
    assert not [secret for secret in (image.sha256, image.display_sha256, "secret-name", "blur") if secret in sent]


def test_a_picture_may_still_be_looked_at_after_the_answer(lease: Assignment) -> None:
    browser = make.browser(lease.participation)
    make.rate(lease.participation, 5)
    assert browser.get(picture_url(lease.participation, lease.anonymized_key)).status_code == 200


@pytest.mark.parametrize("side", [0, 1])
def test_a_picture_opens_to_nobody_else(lease: Assignment, side: int) -> None:
    study = lease.item.study
    other = make.participation(study)
    url = picture_url(lease.participation, keys_of(lease)[side])
    others = [make.browser(other), Client(), logged_in(make.member(study.project))]
    assert [browser.get(url).status_code for browser in others] == [404, 404, 404]
    assert others[0].get(picture_url(other, keys_of(lease)[side])).status_code == 404


@pytest.mark.parametrize("end", ["finished_at", "withdrawn_at"])
def test_no_picture_opens_after_the_end(lease: Assignment, end: str) -> None:
    Participation.objects.update(**{end: lease.participation.consented_at})
    browser = make.browser(lease.participation)
    assert [browser.get(picture_url(lease.participation, key)).status_code for key in keys_of(lease)] == [404, 404]


def test_an_ha1_original_has_no_address() -> None:
    participation = make.participation(make.study(mode="HA1"))
    assert {each.original_key for each in make.leases(participation)} == {None}


def test_a_made_up_address_shows_nothing(lease: Assignment) -> None:
    assert make.browser(lease.participation).get(picture_url(lease.participation, uuid4())).status_code == 404


@pytest.mark.parametrize("side", [0, 1])
def test_a_picture_costs_one_query(lease: Assignment, side: int) -> None:
    browser, url = make.browser(lease.participation), picture_url(lease.participation, keys_of(lease)[side])
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(url).status_code == 200
    assert len(captured) == 1


def test_a_picture_is_for_looking_only(lease: Assignment) -> None:
    url = picture_url(lease.participation, lease.anonymized_key)
    assert make.browser(lease.participation).post(url).status_code == 405


def test_a_form_of_ten_thousand_fields_is_refused_in_plain_words(client: Client) -> None:
    reply = client.post(reverse("login"), {f"field {n}": "x" for n in range(10_000)})
    assert reply.status_code == 400
    assert "The request could not be understood" in reply.content.decode()
