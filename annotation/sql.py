"""How statements that are written out are run, on both databases.

The ORM builds a statement anew each time, which costs some twenty times what the database then needs for it; what
happens once per answer is therefore written out in the `statements` of its room, everything else is left to the ORM.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

# What the two databases spell differently. Moments are the database's, the only clock that all hosts share.
DIALECTS = {
    "sqlite": {
        "now": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')",
        "lease_end": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', %(lease_seconds)s || ' seconds')",
        "seconds_since_served": "(JULIANDAY('NOW') - JULIANDAY(served_at)) * 86400",
        "seconds_since_consent": "(JULIANDAY('NOW') - JULIANDAY(p.consented_at)) * 86400",
        "seconds_since_first_sent": "(JULIANDAY('NOW') - JULIANDAY(MIN(a.served_at))) * 86400",
        "lock_participation": "",  # a transaction that writes has the database to itself from its beginning
        "lock_row": "",
        "lock_from_erasure": "",
        "skip_locked": "",
        "skip_changing_role": "",
    },
    "postgresql": {
        "now": "STATEMENT_TIMESTAMP()",
        "lease_end": "STATEMENT_TIMESTAMP() + %(lease_seconds)s * INTERVAL '1 second'",
        "seconds_since_served": "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP() - served_at)::float8",
        "seconds_since_consent": "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP() - p.consented_at)::float8",
        "seconds_since_first_sent": "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP() - MIN(a.served_at))::float8",
        "lock_participation": "FOR NO KEY UPDATE OF p",
        "lock_row": "FOR NO KEY UPDATE",
        "lock_from_erasure": "FOR KEY SHARE",  # in the way of nobody but who deletes the row
        "skip_locked": "FOR NO KEY UPDATE OF i SKIP LOCKED",
        "skip_changing_role": "FOR KEY SHARE OF i SKIP LOCKED",  # in the way of nobody but who changes the pair's role
    },
}


@cache
def spelled(statement: str, vendor: str) -> str:
    return statement.format(**DIALECTS[vendor])


@cache
def under(statement: str, **conditions: str) -> str:
    """A statement under these conditions, each where its name stands in braces: put together once and kept. One that
    is missing is an error when the statement is run."""
    for name, condition in conditions.items():
        statement = statement.replace(f"{{{name}}}", condition)
    return statement


def fetch_all(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement, with %(name)s for its parameters and {now} and the like for what the databases spell
    apart. It may be given parameters that it does not name."""
    with connection.cursor() as cursor:
        cursor.execute(spelled(statement, connection.vendor), parameters)
        return cursor.fetchall()


def fetch_one(statement: str, **parameters: Any) -> tuple[Any, ...] | None:
    rows = fetch_all(statement, **parameters)
    return rows[0] if rows else None


def change(statement: str, **parameters: Any) -> int:
    """How many rows a statement without RETURNING has changed."""
    with connection.cursor() as cursor:
        cursor.execute(spelled(statement, connection.vendor), parameters)
        return cursor.rowcount


def change_each(statement: str, rows: Iterable[dict[str, Any]]) -> None:
    """Run a statement once for each of these sets of parameters."""
    with connection.cursor() as cursor:
        cursor.executemany(spelled(statement, connection.vendor), list(rows))


def prefer_indexes() -> None:
    """For the rest of the transaction. PostgreSQL may plan a draw while a table is still empty, when reading all of it
    costs nothing, and keeps the plan until statistics are gathered; by then there may be many thousand rows."""
    if connection.vendor == "postgresql":
        change("SET LOCAL enable_seqscan = off")


def uuid_value(value: UUID) -> UUID | str:
    """A UUID as the database stores it."""
    return value if connection.features.has_native_uuid_field else value.hex


def uuid_text(value: UUID | str) -> str:
    """A stored UUID with its dashes."""
    return str(value if isinstance(value, UUID) else UUID(value))
