"""Where an import's manifest and pictures are: a folder or a zip, read by the names that the manifest gives."""

import io
import lzma
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings

from datasets.layout import manifest_by_layout
from datasets.names import (
    FILES_LISTED,
    Names,
    files_below,
    is_beside_the_point,
    member_name,
    needs_code_page,
    plain,
    settled_code_page,
)
from datasets.pictures import MAX_BYTES
from datasets.refusals import Refusal
from datasets.rows import BadManifest, ManifestRow, manifest_rows
from datasets.tables import encoding_of
from datasets.uploads import is_upload
from datasets.zips import check_directory

MANIFEST_NAME = "manifest.csv"

# What zipfile raises on members that are missing, encrypted, damaged or packed in a rare way.
_UNREADABLE = (KeyError, EOFError, OSError, RuntimeError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)


class NotThere(Refusal):
    """The manifest names a file that cannot be had."""


class Folder:
    """Pictures and manifest in a folder; nothing outside of it can be reached."""

    def __init__(self, root: Path, manifest: Path | None) -> None:
        """Without a manifest the layout of the folder stands in for it."""
        self.root, self.manifest = root.resolve(), manifest

    @property
    def is_by_layout(self) -> bool:
        return self.manifest is None

    @contextmanager
    def manifest_text(self) -> Iterator[TextIO]:
        if self.manifest is None:
            yield io.StringIO(self._layout, newline="")
            return
        try:
            with self.manifest.open("rb") as file:
                encoding = encoding_of(file, settings.MANIFEST_MAX_BYTES)
                file.seek(0)
                yield io.TextIOWrapper(file, encoding=encoding, newline="")
        except OSError as error:
            raise BadManifest(f"the manifest cannot be read: {error.strerror} ({self.manifest}).") from error

    def read(self, name: str) -> bytes:
        path, hint = self.root / name, ""
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists() raises where the name is too long
            found = self._names.found(name)
            path, hint = (self.root / found, "") if found else (path, self._names.hint(name))
        path = Path(os.path.realpath(path))  # resolve() raises RuntimeError where links go in a circle
        if not path.is_relative_to(self.root):
            raise NotThere(f"{name} lies outside the root folder")
        try:
            if path.stat().st_size > MAX_BYTES:
                raise NotThere(f"{name} is larger than {MAX_BYTES / 1e6:g} MB")
            return path.read_bytes()
        except OSError as error:
            raise NotThere(f"{name} cannot be read: {error.strerror}{hint}") from error

    @cached_property
    def _layout(self) -> str:
        return manifest_by_layout(islice(files_below(self.root), FILES_LISTED)).getvalue()

    @cached_property
    def _names(self) -> Names:
        return Names((name, name) for name in islice(files_below(self.root), FILES_LISTED))


class Archive:
    """Pictures and manifest in a zip, read member by member and never unpacked."""

    def __init__(self, path: Path) -> None:
        try:
            check_directory(path, at_most=settings.ZIP_MAX_FILES)
            self.zip = zipfile.ZipFile(path)
        except (OSError, NotImplementedError, ValueError, zipfile.BadZipFile) as error:
            raise BadManifest("the file is not a zip that can be read; make it again.") from error
        # A damaged zip may have files without a name, of which Python could not say whether they are folders.
        self.members = [each for each in self.zip.infolist() if each.filename and not each.is_dir()]
        manifests = [each for each in self.members if _is_manifest(each.filename)]
        if len(manifests) > 1:
            raise BadManifest(f"the zip must hold one {MANIFEST_NAME}; it holds {len(manifests)}.")
        self.manifest = manifests[0] if manifests else None
        if len(self.zip.NameToInfo) < len(self.zip.infolist()) and (twice := _first_twice(self.members)):
            raise BadManifest(f"the zip holds two files of the name {twice}; make it again with one of them.")

    @property
    def is_by_layout(self) -> bool:
        return self.manifest is None

    @contextmanager
    def manifest_text(self) -> Iterator[TextIO]:
        if self.manifest is None:
            yield io.StringIO(self._layout, newline="")
            return
        try:
            with self.zip.open(self.manifest) as file:
                encoding = encoding_of(file, settings.MANIFEST_MAX_BYTES)
            with self.zip.open(self.manifest) as file:
                yield io.TextIOWrapper(file, encoding=encoding, newline="")
        except _UNREADABLE as error:
            raise BadManifest(
                f"{self.manifest.filename} cannot be read from the zip; make it again, without a password."
            ) from error

    def read(self, name: str) -> bytes:
        found = self._found(name)
        if found is None:
            raise NotThere(f"{name} is not in the zip{self._names.hint(self.prefix + name)}")
        try:
            with self.zip.open(found) as file:
                data = file.read(MAX_BYTES + 1)  # the header's size may lie
        except _UNREADABLE as error:
            raise NotThere(f"{name} cannot be read from the zip; make it again, without a password") from error
        if len(data) > MAX_BYTES:
            raise NotThere(f"{name} is larger than {MAX_BYTES / 1e6:g} MB")
        return data

    def _found(self, name: str) -> str | None:
        exact = self.zip.NameToInfo.get(self.prefix + name)
        if exact and not needs_code_page(exact):
            return exact.filename
        return self._names.found(self.prefix + name) or self._names.found(name)

    @cached_property
    def _layout(self) -> str:
        return manifest_by_layout(member_name(each, self.code_page) for each in self.members).getvalue()

    @cached_property
    def prefix(self) -> str:
        """The folder of the manifest, from which its paths start: a zip of a folder keeps the folder's name."""
        if self.manifest is None:
            return ""
        folder, slash, _ = plain(member_name(self.manifest, self.code_page)).rpartition("/")
        return folder + slash

    @cached_property
    def code_page(self) -> str:
        """By which names are read that do not say it themselves."""
        if not any(map(needs_code_page, self.members)):
            return "utf-8"
        if self.manifest is None:
            return settled_code_page(self.members, [])
        with self.manifest_text() as text:
            rows = (
                row for row in manifest_rows(text, at_most=settings.MANIFEST_MAX_BYTES) if isinstance(row, ManifestRow)
            )
            names = (name for row in rows for name in (row.original, row.anonymized) if not name.isascii())
            return settled_code_page(self.members, names)

    @cached_property
    def _names(self) -> Names:
        named = ((member_name(each, self.code_page), each.filename) for each in self.members)
        return Names((name, opened_by) for name, opened_by in named if not is_beside_the_point(name))


Root = Folder | Archive


def _first_twice(members: list[zipfile.ZipInfo]) -> str | None:
    n_named = Counter(each.filename for each in members if not is_beside_the_point(each.filename))
    return next((name for name, n in n_named.items() if n > 1), None)


def _is_manifest(name: str) -> bool:
    return not is_beside_the_point(name) and plain(name).rpartition("/")[2].casefold() == MANIFEST_NAME


def opened_root(arguments: dict[str, Any]) -> Root:
    """What an import's arguments name. Raises BadManifest where there is nothing to be read."""
    if archive := arguments.get("archive"):
        if is_upload(Path(archive)) and not Path(archive).exists():
            raise BadManifest("The uploaded file is gone; upload it again.")
        return Archive(Path(archive))
    manifest = arguments.get("manifest")
    return Folder(Path(arguments["root"]), Path(manifest) if manifest else None)
