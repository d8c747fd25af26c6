"""Rows in any number, in bounded memory, with no read of the database left open between them.

On SQLite whoever is still reading cannot begin to write once anybody else has written, so a job that reports its
progress between the rows of one cursor fails on a busy site. Each batch here is a query of its own, from where the last
one ended.
"""

from collections.abc import Iterator
from functools import reduce
from typing import Any, TypeVar

from django.db.models import Max, Min, QuerySet

Row = TypeVar("Row")


def in_batches(rows: QuerySet[Any, Row], *, key: str = "pk", at_once: int) -> Iterator[list[Row]]:
    """By `key`, which no two rows share; where the rows are tuples it is their first column."""
    left = rows.order_by(key)
    while batch := list(left[:at_once]):
        yield batch
        if len(batch) < at_once:
            break
        left = rows.order_by(key).filter(**{f"{key}__gt": _key(batch[-1], key)})


def _key(row: Any, key: str) -> Any:
    if isinstance(row, tuple):
        return row[0]
    if isinstance(row, dict):
        return row[key]
    return row if isinstance(row, int) else reduce(getattr, key.split("__"), row)


def in_ranges(rows: QuerySet[Any, Row], *, key: str, at_once: int) -> Iterator[Row]:
    """One by one, in the order that they have, which begins with the whole number `key`; read for so many numbers at a
    time."""
    ends = rows.order_by().aggregate(first=Min(key), last=Max(key))
    if ends["first"] is None:
        return
    for start in range(ends["first"], ends["last"] + 1, at_once):
        yield from list(rows.filter(**{f"{key}__gte": start, f"{key}__lt": start + at_once}))
