"""A study's pairs as a CSV file, and such a file, edited, as their roles: what serves as check and for practice.

Both have the same columns, so that whoever has downloaded the pairs fills roles in and sends the file back.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TextIO

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q

from annotation.models.studies import Item, Study
from annotation.watching.forms import RoleForm, role_initial
from annotation.watching.roles import AlreadyGivenOut, CannotServe, PairRole, give_roles, given_out, role_of
from datasets.forms import errors_in_words
from datasets.refusals import Refusal
from datasets.tables import column_names, delimiter_of, path_cell, quoted_lines, said_delimiter, spellings_from_here

ROWS_AT_ONCE = 100  # those who draw one of their pairs wait for as long as it takes to give them their roles
NAMES: Mapping[str, Callable[[Item], str]] = {
    "original": lambda item: path_cell(item.pair.original_path),
    "anonymized": lambda item: path_cell(item.pair.anonymized_path),
    "source": lambda item: item.pair.source.name,
    "scope": lambda item: item.pair.scope,
    "method": lambda item: item.pair.method,
}
ROLE_COLUMNS = ("role", "expected", "tolerance", "direction", "instructed_score")
NUMBERS = ("expected", "tolerance", "instructed_score")  # with a decimal comma where cells are separated otherwise
COLUMNS = ("pair", *NAMES, "group", "state", "is_core", *ROLE_COLUMNS)
PATHS = ("original", "anonymized")  # one of them at least names a pair
NOTHING_DONE = "No pair was given a role."


class BadRoles(Refusal):
    """The file cannot be used; the message names the line and says what to change."""


# Out ---------------------------------------------------------------------------------------------------------------


def pair_lines(study: Study) -> Iterator[str]:
    """The study's pairs, line by line: numbers, names in the import, and what they are for."""
    items = study.items.select_related("pair__source").order_by("pk").iterator(chunk_size=2000)
    return quoted_lines(COLUMNS, map(_cells, items))


def _cells(item: Item) -> list[object]:
    role = role_initial(item) if item.role != Item.Role.MAIN else {"role": item.role}
    named = [name(item) for name in NAMES.values()]
    serving = [role.get(column, "") for column in ROLE_COLUMNS]
    return [item.pair.number, *named, item.group, item.state, int(item.is_core), *serving]


# In ----------------------------------------------------------------------------------------------------------------

Row = tuple[int, dict[str, str]]  # with the number of its line, the header being line 1
Wanted = list[tuple[int, Item, PairRole]]


def give_roles_from_file(
    study: Study, file: TextIO, *, by: AbstractBaseUser | None = None, rows_at_once: int = ROWS_AT_ONCE
) -> int:
    """Give a study's pairs the roles of a CSV file; how many it names. The file must be one that can be read twice.

    All of it is checked before anything is written. Raises BadRoles.
    """
    _check(study, file, rows_at_once)
    n = 0
    for wanted in _batches(study, file, rows_at_once):
        try:
            give_roles(study, {item.pk: role for _, item, role in wanted if role_of(item) != role}, by=by)
        except AlreadyGivenOut as given:  # since it was checked
            line = min(number for number, item, _ in wanted if item.pk in given.items)
            raise BadRoles(
                f"Line {line}: {given} Of the lines before it {n} are done; mend this one and run it again."
            ) from given
        n += len(wanted)
    return n


def _check(study: Study, file: TextIO, rows_at_once: int) -> None:
    """Raises BadRoles for the first line that cannot be followed."""
    line_of: dict[int, int] = {}  # by item
    for wanted in _batches(study, file, rows_at_once):
        given = given_out(item for _, item, role in wanted if role_of(item) != role)
        for number, item, _ in wanted:
            if item.pk in given:
                raise BadRoles(f"Line {number}: {AlreadyGivenOut([item.pk])} {NOTHING_DONE}")
            if (first := line_of.setdefault(item.pk, number)) != number:
                raise BadRoles(f"Line {number}: names the same pair as line {first}. {NOTHING_DONE}")


def _batches(study: Study, file: TextIO, rows_at_once: int) -> Iterator[Wanted]:
    file.seek(0)
    first, n_before = file.readline(), 0
    if delimiter := said_delimiter(first):
        n_before = 1
    else:
        delimiter = delimiter_of(first, COLUMNS)
    lines = file if n_before else chain([first], file)
    reader = csv.DictReader(lines, delimiter=delimiter)
    reader.fieldnames = column_names(reader.fieldnames or ())
    columns = set(reader.fieldnames or ())
    if "role" not in columns:
        raise BadRoles("The file has no column role.")
    if not columns & {"pair", *PATHS}:
        raise BadRoles("The file has no column pair, and no column original or anonymized.")
    rows = _rows(reader, n_before, decimal_comma=delimiter != ",")
    while batch := list(islice(rows, rows_at_once)):
        find = _finder(study, [row for _, row in batch])
        yield [_wanted(number, row, find) for number, row in batch]


def _rows(reader: "csv.DictReader[str]", n_before: int, *, decimal_comma: bool) -> Iterator[Row]:
    for row in reader:
        number = reader.line_num + n_before
        if None in row:
            raise BadRoles(f"Line {number}: it has more cells than the header. {NOTHING_DONE}")
        cells = {name: (row.get(name) or "").strip() for name in ("pair", *NAMES, *ROLE_COLUMNS)}
        if decimal_comma:
            cells |= {name: re.sub(r"^(\d+),(\d+)$", r"\1.\2", cells[name]) for name in NUMBERS}
        if any(cells.values()):  # a spreadsheet leaves lines of separators below a table
            yield number, cells


def _wanted(number: int, row: dict[str, str], find: Callable[[dict[str, str]], Item]) -> tuple[int, Item, PairRole]:
    try:
        item = find(row)
        form = RoleForm(row)
        if not form.is_valid():
            raise CannotServe(errors_in_words(form))
    except CannotServe as error:
        raise BadRoles(f"Line {number}: {error} {NOTHING_DONE}") from error
    return number, item, form.cleaned_data["pair_role"]


# Which pair a row means ----------------------------------------------------------------------------------------------


def _finder(study: Study, rows: list[dict[str, str]]) -> Callable[[dict[str, str]], Item]:
    """Finds the pair of each of these rows, from two queries."""
    numbers = {number for row in rows if (number := _number(row["pair"])) is not None}
    items = study.items.select_related("pair__source")
    by_number = {item.pair.number: item for item in items.filter(pair__number__in=numbers)}
    by_path = list(items.filter(_named_as([row for row in rows if not row["pair"]])))

    def find(row: dict[str, str]) -> Item:
        if row["pair"]:
            number = _number(row["pair"])
            if number not in by_number:
                raise CannotServe(f"the study has no pair {row['pair']!r}.")
            return by_number[number]
        return _only(row, by_path)

    return find


def _number(cell: str) -> int | None:
    return int(cell) if cell.isascii() and cell.isdigit() and len(cell) < 19 else None


def _named_as(rows: Iterable[dict[str, str]]) -> Q:
    """Pairs that one of the rows may mean."""
    paths: dict[str, set[str]] = {column: set() for column in PATHS}
    for row in rows:
        for column in PATHS:
            paths[column] |= set(spellings_from_here(row[column])) if row[column] else set()
    return Q(pair__original_path__in=paths["original"]) | Q(pair__anonymized_path__in=paths["anonymized"])


def _only(row: dict[str, str], items: list[Item]) -> Item:
    cells = {name: cell for name in NAMES if (cell := row[name])}
    if not cells.keys() & set(PATHS):
        raise CannotServe("name the pair: its number, or the original or anonymized path that the import gave.")
    found = [item for item in items if all(_is_named(item, name, cell) for name, cell in cells.items())]
    if len(found) == 1:
        return found[0]
    named = ", ".join(f"{name} {cell!r}" for name, cell in cells.items())
    if not found:
        raise CannotServe(f"the study has no pair with {named}.")
    raise CannotServe(f"{len(found)} pairs have {named}; say more of it, or its number.")


def _is_named(item: Item, name: str, cell: str) -> bool:
    return NAMES[name](item) in (spellings_from_here(cell) if name in PATHS else {cell})
