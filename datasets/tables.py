"""CSV as the studio writes it, what a spreadsheet makes of its cells, and how the paths in it may be spelt."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t")  # a spreadsheet takes what begins like this for a formula


class _Echo:
    """A file for csv that gives each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """CSV, line by line: a download begins at once and is never whole in memory."""
    return map(csv.writer(_Echo(), lineterminator="\n").writerow, chain([header], rows))


def quoted_lines(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The same, with every text in quotes and no number: a reader can tell that "003", "NA" and "None" are words."""
    return chain([",".join(header) + "\n"], (",".join(map(_quoted, row)) + "\n" for row in rows))


def _quoted(cell: Any) -> str:
    if isinstance(cell, str):
        return '"' + cell.replace('"', '""') + '"'
    return "" if cell is None else str(cell)


def is_like_formula(cell: str) -> bool:
    return cell.startswith(FORMULA_STARTS)


def words_cell(words: str) -> str:
    """What somebody wrote, with an apostrophe before what would be a formula."""
    return f"'{words}" if is_like_formula(words) else words


def path_cell(path: str) -> str:
    """The same file, by a name that is no formula."""
    return f"./{path}" if is_like_formula(path) else path


def spellings(path: str) -> list[str]:
    """The path as it is, then composed and decomposed: macOS takes the letter ü apart, others do not."""
    return list(dict.fromkeys((path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))))


def spellings_from_here(path: str) -> list[str]:
    """These, with ./ before them and without: what `path_cell` may have made of them, or the import been given."""
    alike = spellings(path.removeprefix("./"))
    return [*alike, *(f"./{each}" for each in alike)]
