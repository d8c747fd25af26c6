"""A full disk is called so, whoever says it: the system, a database, a library."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, transaction
from safetensors import SafetensorError

from datasets.disk import is_full

FULL = Path("/dev/full")  # takes nothing, as a disk without room
pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def of_the_system() -> None:
    FULL.write_bytes(b"x")


def of_the_system_on_the_way_to_another() -> None:
    try:
        FULL.write_bytes(b"x")
    except OSError as error:
        raise RuntimeError("the archive was not written") from error


def of_a_quota() -> None:
    raise OSError(errno.EDQUOT, "Disk quota exceeded")


def of_sqlite() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA max_page_count = 2")
    database.execute("CREATE TABLE answers (score)")
    database.execute("INSERT INTO answers VALUES (zeroblob(100000))")


def of_safetensors() -> None:
    # As it says it. To let it happen there would have to be such a disk: it puts a new file in the place of /dev/full.
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    "meet", [of_the_system, of_the_system_on_the_way_to_another, of_a_quota, of_sqlite, of_safetensors]
)
def test_whoever_meets_a_full_disk_it_is_recognised(meet: Callable[[], None]) -> None:
    with pytest.raises(Exception) as met:
        meet()
    assert is_full(met.value)


def test_what_the_sites_database_says_of_a_full_disk_is_recognised() -> None:
    with pytest.raises(DatabaseError) as met, transaction.atomic():
        fill_the_database()
    assert is_full(met.value)


def fill_the_database() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$")
            return
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
        try:
            # More than what tests before this one have left free in the file.
            cursor.execute("CREATE TABLE more AS SELECT zeroblob(20000000)")
        finally:
            cursor.execute("PRAGMA max_page_count = 4294967294")


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "No such file"), ValueError("full of mistakes"), None])
def test_other_errors_are_not(error: Exception | None) -> None:
    assert not is_full(error)
