"""What was said beside the scores and how the pictures were looked at, for the researchers of a study to download.

It tells people apart and is free text about real people, so it stays with the project: no release holds any of it.
"""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet

from annotation.answering.viewing import LIMITS, MODES
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from annotation.queries import csv_lines
from datasets.rows import FORMULA_STARTS

# The first two, and `position`, name the same answer in ratings.csv.
ANSWER = {
    "item": "item",
    "annotator": "participation__annotator__pseudonym",
    "position": "position",
    "purpose": "purpose",
    "score": "rating__score",
    "seconds": "rating__seconds",
    "hidden_seconds": "rating__hidden_seconds",
    "knows": "rating__remark__knows",
    "note": "rating__remark__note",
    "skipped": "report__kind",
    "skip_note": "report__words",
}
FREE_TEXT = ("note", "skip_note")
VIEWING = [*(f"{mode}_seconds" for mode in MODES), *LIMITS]
COLUMNS = [*ANSWER, *VIEWING]


def beside_lines(study: Study) -> Iterator[str]:
    """One line for each pair that somebody has answered or skipped, for whatever purpose it was shown."""
    rows = _answers(study).values_list(*ANSWER.values(), "rating__viewing").iterator(chunk_size=2000)
    yield from csv_lines([COLUMNS])
    yield from csv_lines(_cells(row) for row in rows)


def _answers(study: Study) -> QuerySet[Assignment]:
    given = Assignment.objects.filter(item__study=study, participation__withdrawn_at=None)
    said = given.filter(Q(rating__isnull=False) | Q(report__isnull=False))
    return said.order_by("item", "participation", "occurrence")


def _cells(row: tuple[Any, ...]) -> list[Any]:
    *said, viewing = row
    answer = dict(zip(ANSWER, said, strict=True))
    answer |= {name: _as_text(answer[name]) for name in FREE_TEXT}
    conditions = viewing or {}
    spent = conditions.get("seconds", {})
    return [*answer.values(), *(spent.get(mode) for mode in MODES), *(conditions.get(name) for name in LIMITS)]


def _as_text(words: str | None) -> str:
    """Words that annotators wrote, with an apostrophe before what a spreadsheet would take for a formula."""
    words = words or ""
    return f"'{words}" if words.startswith(FORMULA_STARTS) else words
