"""What a thread's kept connection lives through."""

import psycopg
import pytest
from django.db import close_old_connections, connection

from datasets.models.projects import Project


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server that could be started again")
@pytest.mark.django_db(transaction=True)
def test_a_database_that_was_started_again_costs_the_next_request_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    given = connection.get_connection_params()
    server = {name: given[name] for name in ("host", "port", "user", "password", "dbname") if name in given}
    with psycopg.connect(**server) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    close_old_connections()  # as at the beginning of each request
    assert not Project.objects.exists()
