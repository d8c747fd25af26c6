"""Who may try a password again, and when."""

import re
from datetime import timedelta
from threading import Event, Timer
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management import call_command
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.known import COOKIE
from config.lockout import Line
from datasets.jobs import repeated
from datasets.models.tries import Tally
from datasets.tries import BATCH, Count, Limit, TooMany, forget_what_counts_no_more, give_back, take
from tests import make
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

PASSWORD, WRONG = "a-good-password", "guess"


def log_in(name: str = "alice", password: str = WRONG, *, by: Client | None = None, address: str = "") -> Any:
    browser = by or Client()
    where = {"REMOTE_ADDR": address} if address else {}
    return browser.post(reverse("login"), {"username": name, "password": password}, **where)


def is_in(reply: Any) -> bool:
    return bool(reply.status_code == 302)


def known_browser(name: str) -> Client:
    """Of somebody who has logged in there before."""
    browser = Client()
    make.user(name)
    assert is_in(log_in(name, PASSWORD, by=browser))
    browser.post(reverse("logout"))
    return browser


def later(*, minutes: float) -> None:
    Tally.objects.update(ends_at=F("ends_at") - timedelta(minutes=minutes))


class WatchedHasher(PBKDF2PasswordHasher):
    iterations = 1
    seen: list[str] = []

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        self.seen.append(password)
        return super().encode(password, salt, iterations)


@pytest.fixture
def hashed(settings: Any) -> list[str]:
    """The passwords that were hashed."""
    settings.PASSWORD_HASHERS = [f"{__name__}.{WatchedHasher.__name__}"]
    WatchedHasher.seen.clear()
    return WatchedHasher.seen


# The limits -----------------------------------------------------------------------------------------------------------


def test_after_ten_wrong_passwords_for_a_name_its_right_one_is_not_even_hashed(hashed: list[str]) -> None:
    make.user("alice")
    hashed.clear()
    assert [log_in().status_code for _ in range(10)] == [200] * 10
    assert hashed == [WRONG] * 10
    reply = log_in(password=PASSWORD)
    assert reply.status_code == 429
    assert 600 < int(reply.headers["Retry-After"]) <= 900  # of a quarter of an hour that the first of them began
    assert re.search(r"Try again after 1\d minutes", reply.content.decode())
    assert hashed == [WRONG] * 10
    later(minutes=15)
    assert is_in(log_in(password=PASSWORD))


def test_one_password_for_many_names_is_refused_after_twenty_of_them() -> None:
    make.user("name40")
    replies = [log_in(f"name{n}", PASSWORD) for n in range(60)]
    assert [reply.status_code for reply in replies] == [200] * 20 + [429] * 40
    assert "from your network" in replies[-1].content.decode()


def test_an_address_has_so_many_wrong_passwords_in_all(settings: Any) -> None:
    settings.WRONG_PER_ADDRESS = (5, 900.0)
    assert [log_in(f"name{n % 3}").status_code for n in range(6)] == [200] * 5 + [429]
    make.user("bob")
    assert is_in(log_in("bob", PASSWORD, address="192.0.2.1"))


def test_the_same_name_in_other_letters_is_the_same_name() -> None:
    for n in range(10):
        log_in("alice" if n % 2 else "Alice")
    assert log_in("ALICE").status_code == 429


def test_right_passwords_are_not_counted_and_do_not_wipe_out_wrong_ones() -> None:
    make.user("mallory")
    for n in range(20):
        assert is_in(log_in("mallory", PASSWORD))
        assert log_in(f"name{n}").status_code == 200
    assert log_in("name20").status_code == 429


def test_a_class_of_fifteen_behind_one_address_logs_in_with_a_wrong_password_each() -> None:
    for n in range(15):
        make.user(f"pupil{n}")
        assert log_in(f"pupil{n}").status_code == 200
        assert is_in(log_in(f"pupil{n}", PASSWORD))


# Nobody locks others out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_tries", [60, pytest.param(1000, marks=pytest.mark.long)])
def test_wrong_tries_of_many_strangers_lock_nobody_out_of_their_own_browser(hashed: list[str], n_tries: int) -> None:
    own = known_browser("alice")
    hashed.clear()
    replies = [log_in(address=f"192.0.{n // 250}.{n % 250}") for n in range(n_tries)]
    assert len(hashed) == 50
    assert {reply.status_code for reply in replies[50:]} == {429}
    elsewhere = log_in(password=PASSWORD)
    assert elsewhere.status_code == 429
    assert "In a browser in which you have logged in before you need not wait" in elsewhere.content.decode()
    assert is_in(log_in(password=PASSWORD, by=own))


def test_one_address_alone_locks_no_name_for_others() -> None:
    make.user("alice")
    for _ in range(100):
        log_in(address="192.0.2.1")
    assert is_in(log_in(password=PASSWORD, address="192.0.2.2"))


def test_a_known_browser_is_counted_apart_too() -> None:
    own = known_browser("alice")
    assert [log_in(by=own).status_code for _ in range(11)] == [200] * 10 + [429]
    assert is_in(log_in(password=PASSWORD))


def test_who_is_known_as_somebody_is_a_stranger_under_any_other_name() -> None:
    own = known_browser("mallory")
    make.user("alice")
    assert [log_in(by=own).status_code for _ in range(11)] == [200] * 10 + [429]


def test_a_cookie_that_we_did_not_sign_makes_nobody_known() -> None:
    forger = known_browser("alice")
    forger.cookies[COOKIE] = forger.cookies[COOKIE].value.swapcase()
    for _ in range(10):
        log_in()
    assert log_in(password=PASSWORD, by=forger).status_code == 429


# Counting -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_fifty_tries_at_the_same_moment_no_more_pass_than_may() -> None:
    both = Count("both", "x", Limit(20, 60))
    counts = [both, Count("one", "y", Limit(10, 60)), Count("names", "z", Limit(5, 60), first_of=both)]

    def passes() -> bool:
        try:
            take(counts)
        except TooMany:
            return False
        return True

    assert sum(at_once(*[passes] * 50)) == 10
    assert sorted(Tally.objects.values_list("n", flat=True)) == [1, 10, 10]


@pytest.mark.django_db(transaction=True)
def test_tries_that_are_counted_and_given_back_at_the_same_moment_add_up() -> None:
    counts = [Count(what, "x", Limit(100, 60)) for what in "abcd"]
    at_once(*[lambda: give_back(take(counts)), lambda: give_back(take([*reversed(counts)])), lambda: take(counts)] * 5)
    assert set(Tally.objects.values_list("n", flat=True)) == {5}


def test_what_is_counted_tells_no_name_and_no_address() -> None:
    log_in("alice", address="192.0.2.77")
    stored = str(list(Tally.objects.values()))
    assert "alice" not in stored
    assert "192.0.2" not in stored


def test_workers_forget_what_counts_no_more() -> None:
    ended = timezone.now() - timedelta(seconds=1)
    Tally.objects.bulk_create(Tally(key=f"{n:064}", n=1, ends_at=ended) for n in range(2 * BATCH + 1))
    take([Count("new", "x", Limit(1, 60))])
    forget_what_counts_no_more()
    assert Tally.objects.count() == 1
    assert forget_what_counts_no_more in repeated


def test_unlock_lets_everybody_try_again(capsys: Any) -> None:
    make.user("alice")
    for _ in range(10):
        log_in()
    call_command("unlock")
    assert "4 counts forgotten" in capsys.readouterr().out
    assert is_in(log_in(password=PASSWORD))


def test_a_log_in_costs_the_same_few_statements_however_much_is_counted(django_assert_max_num_queries: Any) -> None:
    make.user("alice")
    for n in range(15):
        log_in(f"name{n}")
    with django_assert_max_num_queries(12):  # with the savepoints of a test's transaction
        log_in()
    for _ in range(10):
        log_in()
    with django_assert_max_num_queries(4):  # one says no; three see that the audit log has it already
        assert log_in().status_code == 429


# Hashing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("places", "outcome"), [(1, "at once"), (2, "hashed")])
def test_one_password_is_hashed_at_a_time_and_few_wait_for_their_turn(places: int, outcome: str) -> None:
    line, is_hashing, may_end = Line(places=places, patience=30), Event(), Event()

    def hash_slowly() -> None:
        with line.turn():
            is_hashing.set()
            may_end.wait(30)

    def come_meanwhile() -> str:
        is_hashing.wait(30)
        Timer(0.1, may_end.set).start()
        try:
            with line.turn():
                return "hashed" if may_end.is_set() else "hashed beside another"
        except TooMany as refused:
            return refused.code

    assert at_once(hash_slowly, come_meanwhile) == [None, outcome]


def test_whoever_comes_while_too_many_passwords_are_hashed_is_asked_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make.user("alice")
    monkeypatch.setattr("config.lockout.STRANGERS", Line(places=0, patience=2))
    reply = log_in(password=PASSWORD)
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "2")
    assert "Your password was not looked at" in reply.content.decode()
    assert not Tally.objects.exists()
