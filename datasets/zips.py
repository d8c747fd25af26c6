"""The directory of a zip, walked in bounded memory before `zipfile` takes all of it, at a kilobyte or more per file."""

import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from datasets.rows import BadManifest

MEMBER_BYTES = 500  # of the directory for each file that is allowed, on average: long names and what stands beside them
_END, _END_BYTES = b"PK\5\6", 22  # the record at the end, before a comment of at most so many bytes:
_COMMENT_BYTES = 65_536
# Before it, where numbers are too large for it: a record with the same, and one that leads there.
_END_64, _END_64_BYTES = b"PK\6\6", 56
_LOCATOR, _LOCATOR_BYTES = b"PK\6\7", 20
_MEMBER, _MEMBER_BYTES = b"PK\1\2", 46


class BadZip(BadManifest):
    """What the zip says of itself is not so, or it holds too much."""


class _End(NamedTuple):
    """What the end of a zip says."""

    place: int  # where it begins, in bytes from the start: there the directory ends
    n_members: int
    n_bytes: int  # of the directory
    counts_in_full: bool  # else what is beyond 65,535 is counted from 0 again, as Finder does


def check_directory(path: Path, *, at_most: int) -> None:
    """Walk the directory of a zip. Raises BadZip where it has more than so many files and folders, or takes more bytes
    than these need, or is not what the end of the zip says; and OSError.
    """
    with path.open("rb") as file:
        end = _end(file)
        if end.n_bytes > at_most * MEMBER_BYTES:
            raise BadZip(
                f"the names in the zip take more than {at_most * MEMBER_BYTES / 1e6:g} MB; make several of it."
            )
        n_members = _n_members(file, end, at_most)
    said = n_members if end.counts_in_full else n_members & 0xFFFF
    if said != end.n_members:
        raise BadZip(f"the end of the zip says {end.n_members} files, but there are {n_members}; make it again.")


def _n_members(file: BinaryIO, end: _End, at_most: int) -> int:
    n_members, place = 0, end.place - end.n_bytes
    file.seek(max(0, place))
    while place < end.place:
        member = file.read(_MEMBER_BYTES)
        if place < 0 or len(member) < _MEMBER_BYTES or not member.startswith(_MEMBER):
            raise _misplaced()
        further = sum(struct.unpack_from("<3H", member, 28))  # name, extra fields, comment
        file.read(further)
        place += _MEMBER_BYTES + further
        n_members += 1
        if n_members > at_most:
            raise BadZip(
                f"the zip holds more than {at_most} files and folders; make several of it, or have the setting "
                "ZIP_MAX_FILES raised."
            )
    if place > end.place:
        raise _misplaced()
    return n_members


def _misplaced() -> BadZip:
    return BadZip("the list of files in the zip is not where its end says, or not as long; make it again.")


def _end(file: BinaryIO) -> _End:
    """As `zipfile` finds it: what is checked here must be what it reads."""
    n_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, n_bytes - _END_BYTES - _COMMENT_BYTES))
    tail = file.read()
    at = len(tail) - _END_BYTES
    if at < 0 or not (tail.startswith(_END, at) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_BYTES:
        raise BadZip("the file is not a zip that can be read; make it again.")
    place = n_bytes - len(tail) + at
    file.seek(max(0, place - _LOCATOR_BYTES - _END_64_BYTES))
    before = file.read(min(place, _LOCATOR_BYTES + _END_64_BYTES))
    if before.startswith(_END_64) and before.startswith(_LOCATOR, _END_64_BYTES):
        n_members, n_bytes = struct.unpack_from("<2Q", before, 32)
        return _End(place - len(before), n_members, n_bytes, counts_in_full=True)
    n_members, n_bytes = struct.unpack_from("<HI", tail, at + 10)
    return _End(place, n_members, n_bytes, counts_in_full=False)
