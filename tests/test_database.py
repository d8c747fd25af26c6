"""What a thread's kept connection lives through."""

import psycopg
import pytest
from django.db import close_old_connections, connection

from datasets.models.projects import Project

pytestmark = pytest.mark.postgres
on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no server that could be started again"
)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_database_that_was_started_again_costs_the_next_request_nothing() -> None:
    pid = own_process()
    with server() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    close_old_connections()  # as at the beginning of each request
    assert not Project.objects.exists()
    assert own_process() != pid


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_lives_is_not_asked_by_a_statement() -> None:
    pid = own_process()
    close_old_connections()
    connection.close_if_health_check_failed()  # as before the first statement of each request
    with server() as other:
        asked = other.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
    assert asked == (OWN_PROCESS,)
    assert own_process() == pid


OWN_PROCESS = "SELECT pg_backend_pid()"


def own_process() -> int:
    """Of the server, for this connection."""
    with connection.cursor() as cursor:
        cursor.execute(OWN_PROCESS)
        [pid] = cursor.fetchone()
    return int(pid)


def server() -> psycopg.Connection[tuple[object, ...]]:
    given = connection.get_connection_params()
    return psycopg.connect(
        **{name: given[name] for name in ("host", "port", "user", "password", "dbname") if name in given}
    )
