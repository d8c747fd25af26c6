"""Which part of a data set a pair belongs to.

The versions of one original look alike. Split by row, some of them are trained on and others tested on: the network
recognises the original, and the test says more than is true. So a whole group (the original's hash, or a person's
label) goes to one part. A group's part depends on its name and the seed alone, not on what else is in the release:
as a release grows, no group that was once tested on is ever trained on.

Schemes, named as in the paper:

all          train, val and test hold 60, 20 and 20 percent of the groups
task-person  the same, of the pairs from coco and voc alone
task-face    the same, of the pairs from celeba and lfw alone
loov-SOURCE  tested on one source; 75 percent of the other groups are trained on, 25 are for validation
anon-METHOD  tested on one method; trained on the others, on other groups
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

from datasets.refusals import Refusal

SEED = 42
PARTS = ("train", "val", "test")
ENDS = {"train": 60, "val": 80, "test": 100}  # percent, cumulative: 60/20/20
ENDS_WITHOUT_TEST = {"train": 75, "val": 100}
TASKS = {"task-person": {"coco", "voc"}, "task-face": {"celeba", "lfw"}}
LEFT_OUT = ""


class UnknownScheme(Refusal):
    """No scheme has this name; the message lists those there are."""


class TooSmallToSplit(Refusal):
    """A part would be empty; the message says which, and what would help."""


class Splittable(Protocol):
    """What a split needs to know of a pair."""

    @property
    def group(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def method(self) -> str: ...


def part_of(group: str, *, seed: int = SEED) -> str:
    """`train`, `val` or `test`, the same for ever: a change here would leak test groups into training."""
    return _part_at(_place(group, seed), ENDS)


def _place(group: str, seed: int) -> int:
    """The group's place from 0 to 99."""
    digest = sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest) % 100  # of 2^256: the remainder's bias is nil


def _part_at(place: int, ends: dict[str, int]) -> str:
    return next(part for part, end in ends.items() if place < end)


def grouped(groups: Iterable[str], *, seed: int = SEED) -> list[str]:
    """The part of each row, given the rows' groups. Shares of rows are 60/20/20 only on average, over groups."""
    return [part_of(group, seed=seed) for group in groups]


def checked_scheme(scheme: str) -> str:
    """The scheme as given. Raises UnknownScheme."""
    kind, _, held_out = scheme.partition("-")
    if scheme == "all" or scheme in TASKS or (kind in {"loov", "anon"} and held_out):
        return scheme
    raise UnknownScheme(
        f"There is no split scheme {scheme!r}; take all, task-person, task-face, loov-SOURCE or anon-METHOD."
    )


def parts(rows: Sequence[Splittable], scheme: str = "all", *, seed: int = SEED) -> list[str]:
    """The part of each row under a scheme: `train`, `val`, `test`, or nothing for a row that is left out.

    No group is in two parts. Raises UnknownScheme, and TooSmallToSplit where a part would be empty.
    """
    kind, _, held_out = checked_scheme(scheme).partition("-")
    _require_held_out(rows, kind, held_out)
    if scheme == "all":
        found = grouped((row.group for row in rows), seed=seed)
    elif scheme in TASKS:
        found = [part_of(row.group, seed=seed) if row.source in TASKS[scheme] else LEFT_OUT for row in rows]
    elif kind == "loov":
        found = _without_source(rows, held_out, seed)
    else:
        found = _without_method(rows, held_out, seed)
    require_all_parts(rows, found, scheme)
    return found


def _require_held_out(rows: Sequence[Splittable], kind: str, held_out: str) -> None:
    there = {"loov": {row.source for row in rows}, "anon": {row.method for row in rows}}.get(kind)
    if there is not None and held_out not in there:
        what = "source" if kind == "loov" else "method"
        raise TooSmallToSplit(
            f"No pair is of the {what} {held_out!r}, so nothing could be tested; there are: {', '.join(sorted(there))}."
        )


def _without_source(rows: Sequence[Splittable], source: str, seed: int) -> list[str]:
    tested = {row.group for row in rows if row.source == source}

    def part(row: Splittable) -> str:
        if row.source == source:
            return "test"
        return LEFT_OUT if row.group in tested else _part_at(_place(row.group, seed), ENDS_WITHOUT_TEST)

    return [part(row) for row in rows]


def _without_method(rows: Sequence[Splittable], method: str, seed: int) -> list[str]:
    def part(row: Splittable) -> str:
        found = part_of(row.group, seed=seed)
        return found if (row.method == method) == (found == "test") else LEFT_OUT

    return [part(row) for row in rows]


def require_all_parts(rows: Sequence[Splittable], found: list[str], scheme: str) -> None:
    """Raises TooSmallToSplit where a part is empty."""
    groups = {part: len({row.group for row, its in zip(rows, found, strict=True) if its == part}) for part in PARTS}
    empty = [part for part, n in groups.items() if n == 0]
    if empty:
        n_groups = len({row.group for row in rows})
        raise TooSmallToSplit(
            f"Too small to split by {scheme}: of {n_groups} originals none falls into {' and '.join(empty)}. "
            "A part is drawn by the original's name; rate more originals, or choose another split seed."
        )
