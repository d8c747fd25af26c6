"""CSV as the studio writes it, as spreadsheets give it back, and how the paths in it may be spelt."""

import csv
import re
import unicodedata
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import IO, Any

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # in the order of preference
ENCODINGS = {
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "Windows-1252",
}
_CHUNK = 1 << 16
_NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # bytes that mean nothing there
FORMULA_STARTS = ("=", "+", "-", "@", "\t")  # a spreadsheet takes what begins like this for a formula
_FORMULA_IN_A_SPLIT = re.compile(r"(?<=[;\t])(?=[=+\-@])")  # a spreadsheet may split at these, whatever we write
_DEFUSED_IN_A_SPLIT = re.compile(r"(?<=[;\t])'(?=[=+\-@])")


class _Echo:
    """A file for csv that gives each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """CSV, line by line: a download begins at once and is never whole in memory, and one that is broken off reads on no
    more rows."""
    yield from map(csv.writer(_Echo(), lineterminator="\n").writerow, chain([header], rows))


def quoted_lines(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The same, with every text in quotes and no number: a reader can tell that "003", "NA" and "None" are words."""
    yield ",".join(header) + "\n"
    for row in rows:
        yield ",".join(map(_quoted, row)) + "\n"


def _quoted(cell: Any) -> str:
    if isinstance(cell, str):
        return '"' + cell.replace('"', '""') + '"'
    return "" if cell is None else str(cell)


def is_like_formula(cell: str) -> bool:
    return cell.startswith(FORMULA_STARTS)


def words_cell(words: str) -> str:
    """What somebody wrote, with an apostrophe before what would be a formula, after a ; or a tab too."""
    safe = _FORMULA_IN_A_SPLIT.sub("'", words)
    return f"'{safe}" if is_like_formula(safe) else safe


def path_cell(path: str) -> str:
    """The same file, by a name that is no formula."""
    safe = _FORMULA_IN_A_SPLIT.sub("'", path)
    return f"./{safe}" if is_like_formula(safe) else safe


def spellings(path: str) -> list[str]:
    """The path as it is, then composed and decomposed: macOS takes the letter ü apart, others do not."""
    return list(dict.fromkeys((path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))))


def spellings_from_here(path: str) -> list[str]:
    """These, with ./ before them and without: what `path_cell` may have made of them, or the import been given."""
    plain = path.removeprefix("./")
    alike = list(dict.fromkeys([*spellings(plain), *spellings(_DEFUSED_IN_A_SPLIT.sub("", plain))]))
    return [*alike, *(f"./{each}" for each in alike)]


# As spreadsheets save it --------------------------------------------------------------------------------------------


def encoding_of(file: IO[bytes], at_most: int) -> str:
    """One of ENCODINGS, after a look at so many bytes. What cannot be told is called UTF-8, and fails as that."""
    head = file.read(_CHUNK)
    if head.startswith(BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) > 2 and head[first::2].count(0) > len(head) / 3:
            return encoding
    utf8, may_be_utf8, may_be_cp1252, n_read = getincrementaldecoder("utf-8")(), True, True, 0
    chunk = head
    while chunk and n_read < at_most and (may_be_utf8 or may_be_cp1252):
        n_read += len(chunk)
        may_be_cp1252 = may_be_cp1252 and not _NOT_CP1252.search(chunk)
        if may_be_utf8:
            try:
                utf8.decode(chunk)
            except UnicodeDecodeError:
                may_be_utf8 = False
        chunk = file.read(_CHUNK)
    return "cp1252" if may_be_cp1252 and not may_be_utf8 else "utf-8-sig"


def said_delimiter(line: str) -> str | None:
    """What a first line such as `sep=;` says, as Excel writes and reads it; None where it is no such line."""
    match = re.fullmatch(r"\ufeff?\"?sep=([,;\t])\"?[,;\t]*", line.rstrip("\r\n"), re.IGNORECASE)
    return match[1] if match else None


def delimiter_of(header: str, known: Collection[str]) -> str:
    """That of the DELIMITERS by which most of the known columns come out of a header."""

    def n_known(delimiter: str) -> int:
        return sum(name in known for name in column_names(next(csv.reader([header], delimiter=delimiter), [])))

    return max(DELIMITERS, key=n_known)


def column_names(header: Iterable[str]) -> list[str]:
    """A header's names, without what does not count in them: case, spaces around, a mark of the encoding."""
    return [name.strip().lower().removeprefix("\ufeff") for name in header]
