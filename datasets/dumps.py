"""The whole database as one file, as it was at one moment, and back again; with either engine, while others write."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import connection, models, transaction

from datasets.refusals import Refusal

LATEST_ERROR = 400  # characters of what a program of PostgreSQL has said last


class CannotDump(Refusal):
    """A program of PostgreSQL is missing, or has refused."""


def is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def dump_name() -> str:
    return "database.sqlite3" if is_sqlite() else "database.pgdump"


@contextmanager
def dumped(into: Path) -> Iterator[Iterator[str]]:
    """Write the database to a file; gives the names of all files that it keeps in the media folder."""
    if is_sqlite():
        _copy_sqlite(Path(settings.DATABASES["default"]["NAME"]), into)
        with closing(sqlite3.connect(f"file:{into}?mode=ro&immutable=1", uri=True)) as copy:
            yield (name for statement in _names_of_files() for (name,) in copy.execute(statement))
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        [snapshot] = cursor.fetchone()
        _run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={into}", *_login())
        yield _rows(_names_of_files())


def undump(dump: Path) -> None:
    """The database that was dumped becomes this site's, whole or not at all. There is none yet: see `is_empty`."""
    connection.close()
    if not is_sqlite():
        _run("pg_restore", "--no-owner", "--single-transaction", "--exit-on-error", *_login("--dbname"), str(dump))
        return
    to = Path(settings.DATABASES["default"]["NAME"])
    to.parent.mkdir(parents=True, exist_ok=True)
    draft = to.with_name(f"{to.name}.restoring")
    _copy_sqlite(dump, draft)
    for beside in (to, to.with_name(f"{to.name}-wal"), to.with_name(f"{to.name}-shm")):
        beside.unlink(missing_ok=True)  # an empty one, which our own question has made
    draft.replace(to)


def is_empty() -> bool:
    if is_sqlite() and not Path(settings.DATABASES["default"]["NAME"]).exists():
        return True
    return not connection.introspection.table_names()


def drop_all() -> None:
    """Every table, with what it holds, and what keeps the audit log's entries."""
    if is_sqlite():
        return  # the file is replaced
    with transaction.atomic(), connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)} CASCADE")
        cursor.execute("DROP FUNCTION IF EXISTS datasets_audit_keeps()")


def _names_of_files() -> Sequence[str]:
    fields = [
        (model._meta.db_table, field.column)
        for model in apps.get_models()
        for field in model._meta.local_fields
        if isinstance(field, models.FileField)
    ]
    return [f'SELECT "{column}" FROM "{table}" WHERE "{column}" <> \'\'' for table, column in fields]  # noqa: S608  ours


def _rows(statements: Sequence[str]) -> Iterator[str]:
    for statement in statements:
        with connection.connection.cursor(name="files") as cursor:  # the server's own, which sends them piece by piece
            cursor.itersize = 5000
            cursor.execute(statement)
            for (name,) in cursor:
                yield name


def _copy_sqlite(source: Path, into: Path) -> None:
    """All in one step: writers go on meanwhile, and what they write is not in it."""
    reading = sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=20)
    with closing(reading), closing(sqlite3.connect(into)) as copy:
        reading.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
    with into.open("rb") as file:
        os.fsync(file.fileno())


def _login(name_as: str = "--dbname") -> list[str]:
    given = connection.settings_dict
    options = {"--host": given["HOST"], "--port": given["PORT"], "--username": given["USER"], name_as: given["NAME"]}
    return [f"{option}={value}" for option, value in options.items() if value]


def _run(program: str, *arguments: str) -> None:
    password = connection.settings_dict["PASSWORD"]
    environment = os.environ | ({"PGPASSWORD": password} if password else {})  # arguments can be read by everybody
    try:
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError as error:
        raise CannotDump(
            f"{program} is not here. Install PostgreSQL's client programs, of the server's version."
        ) from error
    if done.returncode:
        raise CannotDump(f"{program} has refused: {' '.join(done.stderr.split())[-LATEST_ERROR:]}")
