"""The one shape of a labelled pair: the columns of manifests at import, and of labels and ratings at export."""

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from math import inf, isfinite
from typing import Any, TextIO

from datasets.refusals import Refusal
from datasets.tables import DELIMITERS, column_names, delimiter_of, is_like_formula, said_delimiter

# What a manifest may call each column; the first is ours, the others are the published data set's two spellings.
MANIFEST_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "original": ("original", "original_path", "original_image_path", "img1"),
    "anonymized": ("anonymized", "anonymized_path", "anonymized_image_path", "img2"),
    "group": ("group",),
    "source": ("source", "dataset", "source_dataset"),
    "method": ("method",),
    "scope": ("scope",),
    "parameters": ("parameters",),
}
COLUMN_NAMES = {name for names in MANIFEST_COLUMNS.values() for name in names}
# What people call a column with answers, whole or as its first or last word: nobody reads them from a manifest.
RATING_NAMES = {"score", "scores", "rating", "ratings", "mos", "label", "labels", "anonymity", "ha1", "ha2"}
# Digits of a scale that ends at 10, with a decimal comma where a spreadsheet writes one.
LIKE_A_RATING = re.compile(r"(?:[1-9](?:[.,][0-9]+)?|10(?:[.,]0+)?)")
# What no cell may hold: control characters, line ends of other alphabets, halves of a character.
UNFIT = {"Cc", "Cs", "Zl", "Zp"}
LENGTHS = {"original": 400, "anonymized": 400, "group": 120, "source": 80, "method": 40, "scope": 20}

FORMULA_COLUMNS = ("source", "method", "scope", "group")  # every release carries them on: none may be a formula
ROW_LENGTH = 64_000  # characters, however many lines the row goes over
PARAMETER_LEVELS = 20  # objects and lists within each other; hundreds can be read in one place and not in another

LABEL_COLUMNS = (
    "pair", "original_path", "anonymized_path", "dataset", "method", "scope", "parameters", "group", "split",
    "n", "score_mean", "score_median", "score_std", "score_corrected", "score_corrected_se",
    "original_sha256", "anonymized_sha256",
)  # fmt: skip
CORE_COLUMN = "is_core"  # after the labels' other columns, where there is a core
FILE_COLUMNS = ("original_file", "anonymized_file")  # the last ones, where whoever froze the release wanted them
RATING_COLUMNS = ("pair", "annotator", "occurrence", "score", "seconds", "position", "late", "revisions")
SPLIT_COLUMNS = ("pair", "group", "split")
OTHER_COLUMNS = (
    "pair", "annotator", "purpose", "occurrence", "score", "seconds", "position", "late", "revisions",
)  # fmt: skip
SET_ASIDE_COLUMNS = ("pair", "group", "annotator", "score")
CUE_COLUMNS = ("pair", "annotator", "kind", "x", "y", "width", "height", "image_width", "image_height")


class BadManifest(Refusal):
    """The file as a whole cannot be read as a manifest; the message says what to change."""


class BadRow(Refusal):
    """One row of a manifest cannot be used."""

    def __init__(self, line: int, words: str) -> None:
        super().__init__(f"line {line}: {words}")
        self.line, self.words = line, words


class BadLabels(Refusal):
    """A labels.csv cannot be trained on; the message says what to change."""


@dataclass(frozen=True)
class ManifestRow:
    number: int  # of the line in the file, the header being line 1
    original: str  # path under the root; empty where there is no original
    anonymized: str
    group: str  # empty: the original's hash stands in
    source: str
    method: str
    scope: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class LabelRow:
    """A row of a release's labels.csv, as far as training needs it."""

    pair: int
    original: str  # path under the pictures' root; empty in HA1
    anonymized: str
    source: str
    method: str
    scope: str
    group: str
    split: str  # train, val, test, or empty: left out
    mean: float  # of the ratings, in the release's own scale


class _Lines:
    """A manifest's lines for csv, which by itself would take a row of any length into memory."""

    def __init__(self, file: TextIO, at_most: float, look: Callable[[], None]) -> None:
        self.file, self._at_most, self._look = file, at_most, look
        self.n_lines = self.n_bytes = self.row_length = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._look()
        line = self.file.readline(ROW_LENGTH + 1)
        if not line:
            raise StopIteration
        self.n_lines += 1
        self.n_bytes += len(line.encode())
        self.row_length += len(line)
        if self.row_length > ROW_LENGTH:
            raise BadManifest(f"line {self.n_lines}: the row is longer than {ROW_LENGTH} characters.")
        if self.n_bytes > self._at_most:
            raise BadManifest(
                f"the manifest is larger than {self._at_most / 1e6:g} MB (MANIFEST_MAX_BYTES); import it in parts."
            )
        return line


class _Unread:
    """A column that nobody reads, and how much it looks like one of ratings."""

    def __init__(self, place: int, name: str) -> None:
        self.place, self.name = place, name
        self.line = self.n_like_ratings = 0  # the first line with a number from 1 to 10, and how many have one
        self.first = self.last = ""
        self.is_varied, self.counts_up = False, True

    @property
    def called(self) -> str:
        return f"the column {self.name!r}" if self.name else f"column {self.place + 1}, which has no name,"

    def take(self, line: int, cells: list[str]) -> None:
        cell = cells[self.place].strip() if self.place < len(cells) else ""
        if not LIKE_A_RATING.fullmatch(cell):
            return
        if self.n_like_ratings:
            self.is_varied = self.is_varied or cell != self.first
            self.counts_up = self.counts_up and cell.isdecimal() and cell == str(int(self.last) + 1)
        else:
            self.line, self.first, self.counts_up = line, cell, cell.isdecimal()
        self.n_like_ratings, self.last = self.n_like_ratings + 1, cell

    def holds_ratings(self, n_rows: int) -> bool:
        """Whether most rows have a number from 1 to 10 there which is neither always the same nor the row's own."""
        return 2 * self.n_like_ratings > n_rows and self.is_varied and not self.counts_up


class Manifest:
    """A manifest whose header is read: how its cells are separated, and which of its columns nobody reads."""

    def __init__(self, file: TextIO, *, at_most: float = inf, look: Callable[[], None] = lambda: None) -> None:
        """`at_most` is in bytes; `look` is called for each line, whatever is in it.

        Raises BadManifest where the file as a whole is none.
        """
        self._lines = _Lines(file, at_most, look)
        with self._in_words():
            first = next(self._lines, "")
            if said := said_delimiter(first):
                first = next(self._lines, "")
            self.delimiter = said or delimiter_of(first, COLUMN_NAMES)
            self._reader = csv.reader(chain([first], self._lines), delimiter=self.delimiter)
            header = next(self._reader, [])
            self._columns, self._n_columns = _columns(header), len(header)
        read, self._n_rows = {*self._columns.values()}, 0
        self._unread = [_Unread(place, name.strip()) for place, name in enumerate(header) if place not in read]
        self.unread = [column.name for column in self._unread if column.name]

    @property
    def doubtful(self) -> dict[str, str]:
        """Columns that nobody reads though somebody may think so, each with what is odd about it."""
        found = {name: _doubt(name, COLUMN_NAMES - self._named()) for name in self.unread}
        return {name: doubt for name, doubt in found.items() if doubt}

    @property
    def like_ratings(self) -> list[tuple[int, str]]:
        """Once all rows are read: columns that seem to hold ratings though their names do not say so, each with the
        first line that does."""
        named, found = self.doubtful, [column for column in self._unread if column.holds_ratings(self._n_rows)]
        return [(column.line, column.called) for column in found if column.name not in named]

    def _named(self) -> set[str]:
        """All spellings of the columns that are there."""
        return {name for column in self._columns for name in MANIFEST_COLUMNS[column]}

    def rows(self) -> Iterator[ManifestRow | BadRow]:
        """Row by row; a bad row comes out as a BadRow, so that a reader can name them all."""
        with self._in_words():
            self._lines.row_length = 0
            for cells in self._reader:
                self._lines.row_length = 0
                if len(cells) > self._n_columns:
                    yield BadRow(self._lines.n_lines, self._too_many(cells))
                elif any(cell.strip() for cell in cells):
                    self._n_rows += 1
                    for column in self._unread:
                        column.take(self._lines.n_lines, cells)
                    yield _row(self._lines.n_lines, cells, self._columns)

    def _too_many(self, cells: list[str]) -> str:
        return (
            f"{len(cells)} cells under {self._n_columns} columns; put a cell that holds "
            f"{'a tab' if self.delimiter == chr(9) else repr(self.delimiter)} in double quotes."
        )

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except csv.Error as error:
            raise BadManifest(f"line {self._lines.n_lines}: {error}; save the manifest as CSV in UTF-8.") from error
        except UnicodeError as error:
            raise BadManifest("the manifest is not UTF-8 text; save it as CSV in UTF-8.") from error


def manifest_rows(file: TextIO, *, at_most: float = inf) -> Iterator[ManifestRow | BadRow]:
    """The rows of a manifest of which nothing else matters."""
    yield from Manifest(file, at_most=at_most).rows()


def _columns(header: list[str]) -> dict[str, int]:
    names = column_names(header)
    found: dict[str, int] = {}
    for column, spellings in MANIFEST_COLUMNS.items():
        places = [i for i, name in enumerate(names) if name in spellings]
        if len(places) > 1:
            raise BadManifest(f"the manifest has two columns for {column!r}; keep one.")
        if places:
            found[column] = places[0]
    if "anonymized" not in found:
        raise BadManifest(
            f"the manifest has no column 'anonymized'; its columns are: {', '.join(names) or 'none'}. "
            f"Cells are separated by {', '.join(DELIMITERS.values())}."
        )
    return found


def _doubt(name: str, free: set[str]) -> str | None:
    """What is odd about a column that nobody reads; None where nothing is. `free` are the columns not there."""
    (lowered,) = column_names([name])
    words = lowered.replace("_", " ").replace("-", " ").split()
    if RATING_NAMES & {*words[:1], *words[-1:]}:
        return "seems to hold ratings, which a manifest cannot bring in"
    near = get_close_matches(lowered, sorted(free), n=1, cutoff=0.75)
    return f"is nearly {near[0]!r}" if near else None


def _row(number: int, cells: list[str], columns: Mapping[str, int]) -> ManifestRow | BadRow:
    values = {column: cells[i].strip() if i < len(cells) else "" for column, i in columns.items()}
    values = {column: values.get(column, "") for column in MANIFEST_COLUMNS}
    parameters = parameters_in(values.pop("parameters"))
    if parameters is None:
        return BadRow(number, 'parameters must be a JSON object such as {"strength": 0.1}.')
    if problem := row_problem(values):
        return BadRow(number, problem)
    return ManifestRow(number=number, parameters=parameters, **values)


def parameters_in(text: str) -> dict[str, Any] | None:
    """What the cell holds, or None where that is no JSON object which every database can store."""
    try:
        found = json.loads(text or "{}")
        stored = json.dumps(found, allow_nan=False, ensure_ascii=False)
        stored.encode()
    except (ValueError, RecursionError):  # no JSON, NaN, half a character, a number too long, nested too deep
        return None
    if not isinstance(found, dict) or r"\u0000" in stored:  # PostgreSQL has no NUL
        return None
    return found if _is_flat(found, PARAMETER_LEVELS) else None


def _is_flat(value: Any, levels: int) -> bool:
    """Whether there are no more than so many levels of objects and lists."""
    if not isinstance(value, dict | list):
        return True
    within = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(each, levels - 1) for each in within)


def row_problem(values: Mapping[str, str]) -> str | None:
    """What is wrong with a row's cells, without its parameters."""
    if not values["anonymized"]:
        return "no path in 'anonymized'."
    if not values["original"] and not values["group"]:
        return "a pair without an original needs a 'group', the same for all versions of one picture."
    for column, longest in LENGTHS.items():
        if len(values[column]) > longest:
            return f"'{column}' is longer than {longest} characters."
        if any(unicodedata.category(character) in UNFIT for character in values[column]):
            return f"'{column}' holds a control character."
    for column in FORMULA_COLUMNS:
        if is_like_formula(values[column]):
            return f"'{column}' begins with {values[column][0]!r}, which a spreadsheet takes for a formula."
    return None


# Labels --------------------------------------------------------------------------------------------------------------

NEEDED_COLUMNS = (
    "pair",
    "original_path",
    "anonymized_path",
    "dataset",
    "method",
    "scope",
    "group",
    "split",
    "score_mean",
)


def label_rows(file: TextIO) -> list[LabelRow]:
    """The rows of a labels.csv, as a release's zip or a run's folder holds it. Raises BadLabels."""
    reader = csv.DictReader(file)
    try:
        missing = [column for column in NEEDED_COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise BadLabels(f"labels.csv has no column {missing[0]!r}; export the release again.")
        rows = [_label_row(cells, reader.line_num) for cells in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadLabels(f"labels.csv is not CSV in UTF-8 ({error}); export the release again.") from error
    if len({row.pair for row in rows}) < len(rows):
        raise BadLabels("labels.csv names a pair twice; export the release again.")
    return rows


def _label_row(cells: Mapping[str, str | None], line: int) -> LabelRow:
    if any(cells[column] is None for column in NEEDED_COLUMNS):
        raise BadLabels(f"labels.csv, line {line}: the row is too short; export the release again.")
    values = {column: cells[column] or "" for column in NEEDED_COLUMNS}
    try:
        pair, mean = int(values["pair"]), float(values["score_mean"])
    except ValueError as error:
        raise BadLabels(f"labels.csv, line {line}: pair and score_mean must be numbers.") from error
    if not isfinite(mean):
        raise BadLabels(f"labels.csv, line {line}: score_mean is {mean}; it must be a finite number.")
    return LabelRow(
        pair=pair,
        original=values["original_path"],
        anonymized=values["anonymized_path"],
        source=values["dataset"],
        method=values["method"],
        scope=values["scope"],
        group=values["group"],
        split=values["split"],
        mean=mean,
    )
