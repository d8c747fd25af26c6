"""Who was erased, as nobody can read it: so that a backup from before, taken back, does not bring them back.

A line is the HMAC-SHA-256 of a public id, an account or a picture's hash, under a key made of PSEUDONYM_KEY: whoever
holds the file tells nobody by it, and the site can tell whether a row that came back is one of them. The file lies
outside of database, media folder and backups (setting ERASURE_LEDGER), and only grows.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

ENTRY = re.compile("[0-9a-f]{64}")
PICTURE = "picture:"  # begins the lines by which pictures are refused
_replays: list[Callable[["IsErased"], int]] = []


class IsErased:
    """A ledger, read: whether somebody or something stands in it."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text().split()
        self._entered = {bytes.fromhex(line) for line in lines if ENTRY.fullmatch(line)}  # not half of one
        of_pictures = (line.removeprefix(PICTURE) for line in lines if line.startswith(PICTURE))
        self.pictures = {digest for digest in of_pictures if ENTRY.fullmatch(digest)}  # those that are refused

    def __call__(self, erased: UUID | str) -> bool:
        return bytes.fromhex(_entry(erased)) in self._entered


def replays(erase: Callable[[IsErased], int]) -> Callable[[IsErased], int]:
    """Register what erases again all that was erased already; it returns how many."""
    _replays.append(erase)
    return erase


def enter(erased: UUID | str) -> None:
    """A public id, or words that name one thing of this site for ever.

    Before the erasure, and on disk by then: one that is not carried out after this is carried out at a restore.
    """
    _append(_entry(erased))


def enter_picture(sha256: str) -> str:
    """So that a picture is refused after a restore too; gives its keyed hash."""
    digest = picture_digest(sha256)
    _append(PICTURE + digest)
    return digest


def picture_digest(sha256: str) -> str:
    return _entry(f"{PICTURE}{sha256}")


def _append(entry: str) -> None:
    path = ledger_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    line = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(line, f"{entry}\n".encode())  # one short write: two at once do not mix
        os.fsync(line)
    finally:
        os.close(line)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Else a power cut may leave the file, if it is new, without its name."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def replay(path: Path) -> int:
    """Erase whoever and whatever stands in this ledger and in the database; how many there were."""
    is_erased = IsErased(path)
    # The upper rooms first: what they hold refers to accounts and pictures.
    return sum(erase(is_erased) for erase in reversed(_replays))


def ledger_file() -> Path:
    return Path(settings.ERASURE_LEDGER or Path(settings.MEDIA_ROOT).parent / "erased")


def _entry(erased: UUID | str) -> str:
    named = erased.hex if isinstance(erased, UUID) else erased
    return salted_hmac("datasets.ledger", named, secret=settings.PSEUDONYM_KEY, algorithm="sha256").hexdigest()
