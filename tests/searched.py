"""Where something stands in a whole site: what was erased must stand nowhere."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from datasets.files import media_path


def words_of_the_database() -> Iterator[str]:
    """Every row of every table."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            quoted = connection.ops.quote_name(table)
            columns = "each::text" if connection.vendor == "postgresql" else "*"
            cursor.execute(f"SELECT {columns} FROM {quoted} AS each")  # noqa: S608  names of our own tables
            yield from (f"{table} {row}" for row in cursor.fetchall())


def files_of_the_site() -> Iterator[Path]:
    if connection.vendor == "sqlite":
        database = Path(connection.settings_dict["NAME"])
        yield from database.parent.glob(f"{database.name}*")
    yield from (path for path in media_path("..").rglob("*") if path.is_file())


def found(mark: bytes) -> list[str]:
    """Where it stands: in rows, in files' bytes, in their names, in what lies packed in zips."""
    rows = [row for row in words_of_the_database() if mark in row.encode()]
    files = [str(path) for path in files_of_the_site() if mark in path.read_bytes() or mark in path.name.encode()]
    for path in media_path("..").rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            files += [f"{path}: {name}" for name in archive.namelist() if mark in archive.read(name) + name.encode()]
    return rows + files
