"""What was deleted is gone from the database's files too, not only from its tables."""

from contextlib import suppress

from django.db import OperationalError, connection, transaction

from datasets.jobs import repeats

AGAIN_EVERY = 60.0  # seconds
WAITS_MS = 200  # for readers and writers; whoever erases does not wait for them longer


def wipe_soon() -> None:
    """Once this transaction has ended: SQLite overwrites what it deletes (secure_delete), and keeps what was there in
    its log until that is emptied. On PostgreSQL nothing can be done from here, see docs/privacy.md."""
    if connection.vendor == "sqlite":
        transaction.on_commit(empty_log)


def empty_log() -> bool:
    """Write SQLite's log into its database and cut it to nothing; False where somebody is just reading or writing."""
    with connection.cursor() as cursor, suppress(OperationalError):
        cursor.execute("PRAGMA busy_timeout")
        [usual] = cursor.fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {WAITS_MS}")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            [is_busy, *_] = cursor.fetchone()
            return not is_busy
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(usual)}")
    return False


@repeats(every=AGAIN_EVERY)
def empty_what_was_busy() -> None:
    """After an erasure that met others at work. Where the log is empty already this costs nothing."""
    if connection.vendor == "sqlite":
        empty_log()
