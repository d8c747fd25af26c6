"""What was said in a study so far, as CSV, line by line.

What was said beside the scores tells people apart and is free text about real people, so it stays with the project: no
release holds any of it.
"""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q, QuerySet

from annotation.answering.viewing import LIMITS, MODES
from annotation.models.ratings import Assignment, Rating
from annotation.models.studies import Study
from annotation.watching.decisions import set_aside
from annotation.watching.items import cues_of
from datasets.rows import FORMULA_STARTS


class _Echo:
    """A file for csv that gives each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """CSV, line by line: a download begins at once and is never whole in memory."""
    return map(csv.writer(_Echo(), lineterminator="\n").writerow, rows)


def rating_lines(study: Study) -> Iterator[str]:
    """The ratings so far as CSV, line by line, under the annotators' pseudonyms in the project."""
    columns = {
        "item": "assignment__item",
        "annotator": "assignment__participation__annotator__pseudonym",
        "score": "score",
        "seconds": "seconds",
        "position": "assignment__position",
        "late": "is_late",
        "used": "assignment__participation",
    }
    counting = Rating.objects.counting().of_study(study).order_by("assignment__item", "assignment__participation")
    yield from csv_lines([columns])
    unused = set(set_aside(study))
    rows = counting.values_list(*columns.values()).iterator(chunk_size=2000)
    yield from csv_lines([*cells, int(participation not in unused)] for *cells, participation in rows)


def cue_lines(study: Study) -> Iterator[str]:
    """The boxes beside these ratings as CSV, line by line; in pixels of the anonymized picture."""
    rating = "revision__rating__assignment__"
    columns = {
        "item": f"{rating}item",
        "annotator": f"{rating}participation__annotator__pseudonym",
        **{name: name for name in ("kind", "x", "y", "width", "height")},
        "image_width": f"{rating}item__pair__anonymized__width",
        "image_height": f"{rating}item__pair__anonymized__height",
        "used": f"{rating}participation",
    }
    marked = cues_of(study).order_by(f"{rating}item", f"{rating}participation", "pk")
    yield from csv_lines([columns])
    unused = set(set_aside(study))
    rows = marked.values_list(*columns.values()).iterator(chunk_size=2000)
    yield from csv_lines([*cells, int(participation not in unused)] for *cells, participation in rows)


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
    done = Assignment.objects.not_withdrawn().of_study(study).filter(Q(rating__isnull=False) | Q(report__isnull=False))
    return done.order_by("item", "participation", "occurrence")


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
