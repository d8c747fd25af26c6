"""What people and programs are told while the database is away, and that all is well after it."""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.test import Client
from django.urls import reverse

from annotation.models.ratings import Rating
from config import outage
from tests import make

pytestmark = pytest.mark.postgres
JSON = "application/json"


@pytest.fixture(autouse=True)
def _nothing_was_said() -> None:
    outage.said.begin_anew()


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=False)


@contextmanager
def database_away(error: Exception | None = None) -> Iterator[None]:
    """Every statement fails, whoever asks."""

    def refuse(*args: Any) -> Any:
        raise error or OperationalError("connection to server failed:\n\tConnection refused")

    with connection.execute_wrapper(refuse):
        yield


def is_put_off(response: Any) -> bool:
    return (response.status_code, response.headers.get("Retry-After")) == (503, "2")


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("connection already closed")])
def test_a_page_asks_to_come_back_in_words(visitor: Client, error: Exception) -> None:
    address = reverse("annotation:join", args=[make.invitation(make.study()).token])
    with database_away(error):
        response = visitor.get(address, headers={"Accept": "text/html,*/*;q=0.8"})
    assert is_put_off(response)
    assert response["Content-Type"].startswith("text/plain")
    assert "try again" in response.content.decode()
    assert visitor.get(address).status_code == 200


@pytest.mark.django_db
def test_the_answering_protocol_is_told_in_json_and_the_answer_can_be_sent_again(visitor: Client) -> None:
    participation = make.participation(make.study())
    [lease, *_] = make.leases(participation)
    visitor.cookies = make.browser(participation).cookies
    body = {"answers": [{"key": str(uuid4()), "assignment": str(lease.public_id), "score": 4}]}

    def send() -> Any:
        address = reverse("annotation:answer", args=[participation.public_id])
        return visitor.post(address, json.dumps(body), content_type=JSON, headers={"Accept": JSON})

    with database_away():
        response = send()
    assert is_put_off(response)
    assert response.json() == {"detail": outage.DETAIL}
    assert send().status_code == 200
    assert Rating.objects.get().score == 4


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["home", "admin:index"])
def test_so_it_is_where_the_session_cannot_be_read(visitor: Client, name: str) -> None:
    """The log-in is looked at by middleware, before there is a view."""
    visitor.force_login(make.user())
    with database_away():
        assert is_put_off(visitor.get(reverse(name)))
    assert visitor.get(reverse("home")).status_code == 200


@pytest.mark.django_db
def test_so_it_is_where_the_session_cannot_be_stored(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("gone")

    user = make.user()
    visitor.force_login(user)
    monkeypatch.setattr(SessionStore, "save", refuse)
    assert is_put_off(visitor.post(reverse("login"), {"username": user.username, "password": "a-good-password"}))


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OperationalError("full")])
def test_a_full_disk_is_called_so_and_what_was_sent_can_be_sent_again(visitor: Client, error: Exception) -> None:
    """Of an upload, or of the database's: both come here."""
    if isinstance(error, OperationalError):
        error.__cause__ = psycopg.errors.DiskFull("could not extend file")
    participation = make.participation(make.study())
    visitor.cookies = make.browser(participation).cookies
    address = reverse("annotation:answer", args=[participation.public_id])
    with database_away(error):
        response = visitor.post(address, "{}", content_type=JSON, headers={"Accept": JSON})
    assert is_put_off(response)
    assert response.json() == {"detail": outage.FULL}
    assert "disk of the server is full" in outage.FULL


@pytest.mark.django_db
def test_other_errors_are_the_sites_own(visitor: Client) -> None:
    address = reverse("annotation:join", args=[make.invitation(make.study()).token])
    with database_away(ValueError("a fault of ours")):
        response = visitor.get(address)
    assert response.status_code == 500
    assert "Retry-After" not in response.headers


@pytest.mark.django_db
def test_an_outage_is_one_line_in_the_log(visitor: Client, caplog: pytest.LogCaptureFixture) -> None:
    address = reverse("annotation:join", args=[make.invitation(make.study()).token])
    with database_away():
        for _ in range(5):
            visitor.get(address)
    [line] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "connection to server failed: Connection refused" in line.getMessage()
    assert line.exc_info is None


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server that could end a connection")
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_broke_within_a_request_does_not_spoil_the_next(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = reverse("annotation:join", args=[make.invitation(make.study()).token])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    given = connection.get_connection_params()
    server = {name: given[name] for name in ("host", "port", "user", "password", "dbname") if name in given}
    with psycopg.connect(**server) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert is_put_off(visitor.get(address))
    close_old_connections()  # as at the beginning of each request
    assert visitor.get(address).status_code == 200


def test_the_log_of_requests_leaves_outages_out() -> None:
    assert settings.LOGGING["loggers"]["django.request"]["filters"] == ["without_outages"]
