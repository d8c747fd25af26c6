"""Which file a name in a manifest means, in a zip as in a folder, however the name is spelt."""

import os
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from pathlib import Path

# What programs write into a zip without saying so, in the order in which they are believed where they do equally well:
# macOS and Linux UTF-8, Windows the code page of its country, older programs that of DOS.
CODE_PAGES = (
    "utf-8", "cp437", "cp850", "cp1252", "cp932", "cp936", "cp949", "cp950", "cp866", "cp1251", "cp852", "cp1250",
    "cp737", "cp1253", "cp857", "cp1254", "cp862", "cp1255", "cp720", "cp1256", "cp874", "cp1257", "cp1258",
)  # fmt: skip
NAMES_TRIED = 1000  # of the manifest, to settle on a code page
# Of a folder, where beyond these only a name that is spelt as it is there is found.
FILES_LISTED = 1_000_000
MISSING_EXPLAINED = 100  # the nearest name is sought for so many, as that takes a while where there are many names
NEAR_NAMES = 2000  # among which the nearest is sought
_FLAG_UTF8 = 0x800
_UNICODE_PATH = 0x7075  # the field in which Info-ZIP and others repeat the name in UTF-8


def plain(name: str) -> str:
    """A path with letters composed, forward slashes, and no step that leads nowhere (`./`, `//`, a leading slash)."""
    if name.isascii() and not any(each in name for each in ("\\", "./", "//")) and not name.startswith("/"):
        return name
    steps = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(step for step in steps if step not in ("", "."))


def legible(words: str) -> str:
    """Words that can be written down: names of files need not be UTF-8, and question marks stand for what is not."""
    return words.encode(errors="replace").decode()


class Names:
    """The names that there are, each found by any spelling that means it and no other."""

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        """Takes each file's name as people read it, and as it is opened."""
        self.by_name: dict[str, str | None] = {}  # None where several files have the name
        for name, opened_by in names:
            key = plain(name)
            self.by_name[key] = opened_by if self.by_name.setdefault(key, opened_by) == opened_by else None
        self.n_explained = 0

    def found(self, wanted: str) -> str | None:
        """By what a file is opened, or None where none is meant, or several may be."""
        key = plain(wanted)
        if key in self.by_name:
            return self.by_name[key]
        alike = self._by_folded.get(key.casefold())
        return self.by_name[alike] if alike else None

    def hint(self, wanted: str) -> str:
        """What else may have been meant, as the end of a sentence; empty where nothing is near."""
        key = plain(wanted)
        if self.by_name.get(key, "") is None or self._by_folded.get(key.casefold(), "") is None:
            return "; several files are called so but for their letters' form or case: rename all but one"
        nearest = self._nearest(key)
        return f"; the nearest name is {legible(nearest)}" if nearest else ""

    @cached_property
    def _by_folded(self) -> dict[str, str | None]:
        """Names by what is left of them without regard to case; None where several names differ in case alone."""
        folded: dict[str, str | None] = {}
        for name in self.by_name:
            key = name.casefold()
            folded[key] = name if folded.setdefault(key, name) == name else None
        return folded

    def _nearest(self, key: str) -> str | None:
        self.n_explained += 1
        if self.n_explained > MISSING_EXPLAINED:
            return None
        folder, _, last = key.rpartition("/")
        elsewhere = (name for name in self.by_name if name.rpartition("/")[2].casefold() == last.casefold())
        if namesake := next(elsewhere, None):
            return namesake
        beside = [name for name in self.by_name if name.rpartition("/")[0] == folder]
        near = get_close_matches(key, islice(beside or self.by_name, NEAR_NAMES), n=1, cutoff=0.75)
        return near[0] if near else None


# A folder ------------------------------------------------------------------------------------------------------------


def files_below(root: Path) -> Iterator[str]:
    """The paths of a folder's files below it, in the order of their names, without what systems put beside them."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_beside_the_point(name))
        within = Path(folder).relative_to(root).as_posix()
        for name in sorted(names):
            if not is_beside_the_point(name):
                yield name if within == "." else f"{within}/{name}"


def is_beside_the_point(name: str) -> bool:
    """Whether a system has put this there for itself: macOS's second halves of files, thumbnails, settings."""
    steps = plain(name).split("/")
    return "__MACOSX" in steps or steps[-1].startswith("._") or steps[-1] in {".DS_Store", "Thumbs.db", "desktop.ini"}


# A zip ---------------------------------------------------------------------------------------------------------------


def needs_code_page(member: zipfile.ZipInfo) -> bool:
    """Whether the name's bytes do not say what they mean."""
    return not member.orig_filename.isascii() and not member.flag_bits & _FLAG_UTF8 and _unicode_path(member) is None


def _bytes(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("cp437")  # as which zipfile has read them; each byte is a letter there


def _unicode_path(member: zipfile.ZipInfo) -> str | None:
    """The name in the field that repeats it in UTF-8, where that was made for this name."""
    extra = member.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(content) > 5 and content[0] == 1:
            try:
                right = struct.unpack_from("<I", content, 1)[0] == zlib.crc32(_bytes(member))
                return content[5:].decode() if right else None
            except UnicodeError:
                return None
    return None


def member_name(member: zipfile.ZipInfo, code_page: str) -> str:
    """A member's name, read by this code page where it does not say itself how it is to be read."""
    if member.orig_filename.isascii() or member.flag_bits & _FLAG_UTF8:
        return member.orig_filename
    if (said := _unicode_path(member)) is not None:
        return said
    return _bytes(member).decode(code_page, errors="replace")


def settled_code_page(members: list[zipfile.ZipInfo], wanted: Iterable[str]) -> str:
    """The code page in which most of the wanted names are found.

    A zip is written by one program, so one page holds for all of it: each name by itself might be read by several.
    """
    ends = {plain(name).rpartition("/")[2].casefold() for name in islice(wanted, NAMES_TRIED)}
    unclear = [member for member in members if needs_code_page(member)]
    n_found: Counter[str] = Counter()
    for page in CODE_PAGES:
        names = [plain(member_name(member, page)) for member in unclear]
        n_found[page] = sum(name.rpartition("/")[2].casefold() in ends for name in names)
        n_found[page] += page == "utf-8" and not any("\ufffd" in name for name in names)
    return max(CODE_PAGES, key=lambda page: n_found[page])
