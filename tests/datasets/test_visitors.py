"""Whose address a limit is counted for: nobody chooses it by a header."""

from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from datasets.visitors import visitor_address
from tests import make

VISITOR, EDGE, INNER = "203.0.113.9", "198.51.100.1", "10.0.0.2"


def address_of(connected: str, header: str | None = None) -> str | None:
    headers = {} if header is None else {"X-Forwarded-For": header}
    return visitor_address(RequestFactory().get("/", REMOTE_ADDR=connected, headers=headers))


@pytest.mark.parametrize(
    ("n_proxies", "connected", "header"),
    [
        (0, VISITOR, None),
        (0, VISITOR, "192.0.2.1"),  # forged: nobody of ours wrote it
        (1, EDGE, VISITOR),
        (1, EDGE, f"192.0.2.1, {VISITOR}"),
        (1, EDGE, f"192.0.2.1,192.0.2.2 , {VISITOR}"),
        (2, INNER, f"{VISITOR}, {EDGE}"),
        (2, INNER, f"192.0.2.1, {VISITOR}, {EDGE}"),
        (2, INNER, f", {VISITOR}, {EDGE}"),
        (1, VISITOR, None),  # past the proxies
        (1, VISITOR, ""),
        (2, VISITOR, "192.0.2.1"),
        (1, VISITOR, "unknown"),
        (2, VISITOR, f"<script>, {EDGE}"),
        (1, EDGE, f"{VISITOR}:4711"),
        (1, EDGE, f"::ffff:{VISITOR}"),
        (1, EDGE, f"[::ffff:{VISITOR}]:4711"),
        (1, EDGE, f"::FFFF:{VISITOR}%eth0"),
        (1, EDGE, f"\t{VISITOR} "),
        (0, f"64:ff9b::{VISITOR}", None),  # translated by the network in front
        (0, "2002:cb00:7109::1", None),  # 6to4
        (0, "2002:cb00:7109:ffff::1", None),
        (1, VISITOR, ","),
        (1, VISITOR, " , ,"),
        (1, VISITOR, "[192.0.2.1"),
        (1, VISITOR, "192.0.2.1:80:80"),
        (1, VISITOR, "192.000.002.001"),
        (1, VISITOR, "192.0.2.1 192.0.2.2"),
        (2, VISITOR, "192.0.2.1;" + " " * 9000),
    ],
)
def test_the_address_is_the_one_that_the_first_of_our_proxies_saw(
    settings: Any, n_proxies: int, connected: str, header: str | None
) -> None:
    settings.PROXY_COUNT = n_proxies
    assert address_of(connected, header) == VISITOR


def test_who_has_an_ipv6_line_is_one_visitor_by_all_its_addresses() -> None:
    assert address_of("2001:db8:1:2:3::4") == address_of("2001:db8:1:2::ffff") == "2001:db8:1:2::"
    assert address_of("2001:db8:1:3::4") != address_of("2001:db8:1:2::4")


@pytest.mark.parametrize("connected", ["", "localhost"])
def test_a_connection_by_a_socket_has_no_address(connected: str) -> None:
    assert address_of(connected) is None


@pytest.mark.django_db
@pytest.mark.parametrize("n_proxies", [0, 1, 2])
@pytest.mark.parametrize(
    ("page", "wrong"),
    [("login", {"username": "alice", "password": "guess"}), ("annotation:withdrawal", {"code": "wrong"})],
)
def test_another_forged_header_each_time_does_not_pass_a_limit(
    settings: Any, n_proxies: int, page: str, wrong: dict[str, str]
) -> None:
    settings.PROXY_COUNT = n_proxies
    make.user("alice")
    written_by_ours = ["", f", {VISITOR}", f", {VISITOR}, {EDGE}"][n_proxies]
    guesser = Client(REMOTE_ADDR=[VISITOR, EDGE, INNER][n_proxies])
    replies = [
        guesser.post(reverse(page), wrong, headers={"X-Forwarded-For": f"192.0.2.{n}{written_by_ours}"})
        for n in range(11)
    ]
    assert replies[-1].status_code == 429
