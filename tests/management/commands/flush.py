"""Empties the database after a test in its own transactions, at a fiftieth of what Django's own command takes.

Rows go by DELETE, since TRUNCATE makes new files for every table; and what migrations have filled stays, where Django
would empty it and fill it again.

The audit log refuses to be emptied. Here alone that is put aside for a moment, and not by a back door in the product,
which would be one for whoever has something to hide.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from datasets.models.audit import AuditEntry

FILLED_BY_MIGRATIONS = {"django_content_type", "auth_permission"}


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        with transaction.atomic(connection.alias), connection.cursor() as cursor, _unguarded(connection):
            for table in sorted({*tables} - FILLED_BY_MIGRATIONS):  # foreign keys are looked at when it is committed
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")  # noqa: S608


@contextmanager
def _unguarded(connection: BaseDatabaseWrapper) -> Iterator[None]:
    table = AuditEntry._meta.db_table
    if not AuditEntry.objects.using(connection.alias).exists():
        yield
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            yield
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            return
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
        triggers = cursor.fetchall()
        for name, _ in triggers:
            cursor.execute(f"DROP TRIGGER {name}")
        yield
        for _, statement in triggers:
            cursor.execute(statement)
