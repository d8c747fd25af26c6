"""A zip is held against what its end says, in little memory, before all of its directory is read."""

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.roots import Archive
from datasets.rows import BadManifest

END_64_BYTES = 56 + 20  # with the record that leads there


def packed(path: Path, n_members: int, comment: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(n_members):
            archive.writestr(zipfile.ZipInfo(f"S/face_blur/{k}.png"), b"")
        archive.comment = comment
    return path


@pytest.mark.parametrize("n_members", [3, 70_000], ids=["zip", "zip64"])
def test_a_zip_of_too_many_files_is_refused_before_its_directory_is_read(
    tmp_path: Path, settings: Any, n_members: int
) -> None:
    path = packed(tmp_path / "many.zip", n_members, b"a comment of some length" * 99)
    settings.ZIP_MAX_FILES = n_members - 1
    tracemalloc.start()
    with pytest.raises(BadManifest, match=f"more than {n_members - 1} files and folders.*ZIP_MAX_FILES"):
        Archive(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 500_000
    settings.ZIP_MAX_FILES = n_members
    assert len(Archive(path).members) == n_members


def end_says(path: Path, *, n_members: int | None = None, n_bytes: int | None = None) -> None:
    """Write another number of files, or another length of their list, into the end of a zip without a comment."""
    data = bytearray(path.read_bytes())
    end = len(data) - 22
    if n_members is not None:
        struct.pack_into("<HH", data, end + 8, n_members, n_members)
    if n_bytes is not None:
        struct.pack_into("<I", data, end + 12, n_bytes)
    path.write_bytes(data)


def n_bytes_of(path: Path) -> int:
    return int(struct.unpack_from("<I", path.read_bytes(), path.stat().st_size - 10)[0])


@pytest.mark.parametrize("said", [0, 2, 4])
def test_a_zip_whose_end_says_another_number_of_files_is_refused(tmp_path: Path, said: int) -> None:
    end_says(path := packed(tmp_path / "three.zip", 3), n_members=said)
    with pytest.raises(BadManifest, match=f"says {said} files, but there are 3; make it again"):
        Archive(path)


@pytest.mark.parametrize("change", [lambda n: n - 1, lambda n: n + 1, lambda n: 2 * n, lambda n: 0xFFFF_FFFF])
def test_a_zip_whose_end_says_another_length_of_its_list_is_refused(
    tmp_path: Path, change: Callable[[int], int]
) -> None:
    path = packed(tmp_path / "three.zip", 3)
    end_says(path, n_bytes=change(n_bytes_of(path)))
    with pytest.raises(BadManifest, match=r"not where its end says|take more than"):
        Archive(path)


def test_a_member_that_says_a_longer_name_than_there_is_room_for_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "one.zip", 1)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, data.rindex(b"PK\1\2") + 28, 65_535)
    path.write_bytes(data)
    with pytest.raises(BadManifest, match="not where its end says"):
        Archive(path)


def test_names_that_would_fill_the_memory_are_refused(tmp_path: Path, settings: Any) -> None:
    settings.ZIP_MAX_FILES = 10
    path = tmp_path / "long.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("n" * 6000, b"")
    with pytest.raises(BadManifest, match="names in the zip take more than"):
        Archive(path)


def test_a_finders_zip_that_counts_from_0_again_is_read(tmp_path: Path) -> None:
    """It writes no records of zip64."""
    path = packed(tmp_path / "many.zip", 65_540)
    data = path.read_bytes()
    whole, end = data[: -22 - END_64_BYTES], data[-22:]
    n_bytes, place = struct.unpack_from("<2Q", data, len(whole) + 40)
    path.write_bytes(whole + end[:8] + struct.pack("<HHII", 4, 4, n_bytes, place) + end[20:])
    assert len(Archive(path).members) == 65_540


def test_a_zip_behind_something_else_is_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "behind.zip", 3)
    path.write_bytes(b"#!/bin/sh\n" * 50 + path.read_bytes())
    assert len(Archive(path).members) == 3


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6", b"PK\5\6" + b"\0" * 17, b"x" * 70_000])
def test_what_has_no_end_is_no_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "no.zip").write_bytes(data)
    with pytest.raises(BadManifest, match="not a zip that can be read"):
        Archive(tmp_path / "no.zip")
