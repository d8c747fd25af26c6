"""Who was erased, as nobody can read it: so that a backup from before, taken back, does not bring them back.

A line is the HMAC-SHA-256 of a public id, under a key made of PSEUDONYM_KEY: whoever holds the file tells nobody by it,
and the site can tell whether a row that came back is one of them. The file lies outside of database, media folder and
backups (setting ERASURE_LEDGER), and only grows.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

ENTRY = re.compile("[0-9a-f]{64}")
IsErased = Callable[[UUID], bool]
_replays: list[Callable[[IsErased], int]] = []


def replays(erase: Callable[[IsErased], int]) -> Callable[[IsErased], int]:
    """Register what erases again all that was erased already; it returns how many."""
    _replays.append(erase)
    return erase


def enter(public_id: UUID) -> None:
    """Before the erasure, and on disk by then: one that is not carried out after this is carried out at a restore."""
    path = ledger_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    line = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(line, f"{_entry(public_id)}\n".encode())  # one short write: two at once do not mix
        os.fsync(line)
    finally:
        os.close(line)


def replay(path: Path) -> int:
    """Erase whoever stands in this ledger and in the database; how many there were."""
    entered = {bytes.fromhex(line) for line in path.read_text().split() if ENTRY.fullmatch(line)}  # not half of one
    return sum(erase(lambda public_id: bytes.fromhex(_entry(public_id)) in entered) for erase in _replays)


def ledger_file() -> Path:
    return Path(settings.ERASURE_LEDGER or Path(settings.MEDIA_ROOT).parent / "erased")


def _entry(public_id: UUID) -> str:
    return salted_hmac("datasets.ledger", public_id.hex, secret=settings.PSEUDONYM_KEY, algorithm="sha256").hexdigest()
