"""What was said in a study so far, as CSV, line by line.

What was said beside the scores tells people apart and is free text about real people, so it stays with the project: no
release holds any of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Q, QuerySet

from annotation.answering.viewing import LIMITS, MODES
from annotation.models.ratings import Assignment, Rating
from annotation.models.studies import Study
from annotation.studies.displays import shown
from annotation.watching.decisions import set_aside
from annotation.watching.items import cues_of
from datasets.tables import csv_lines, words_cell

ROWS_AT_ONCE = 2000  # from the database


def rating_lines(study: Study) -> Iterator[str]:
    """The ratings so far as CSV, line by line, under the annotators' pseudonyms in the project."""
    columns = {
        "pair": "assignment__item__pair__number",
        "annotator": "assignment__participation__annotator__pseudonym",
        "score": "score",
        "seconds": "seconds",
        "position": "assignment__position",
        "late": "is_late",
        "used": "assignment__participation",
    }
    counting = (
        Rating.objects.counting()
        .of_study(study)
        .order_by("assignment__item__pair__number", "assignment__participation")
    )
    return _lines_with_use(study, columns, counting)


def cue_lines(study: Study) -> Iterator[str]:
    """The boxes beside these ratings as CSV, line by line; in pixels of the anonymized picture."""
    rating = "revision__rating__assignment__"
    columns: dict[str, Any] = {
        "pair": f"{rating}item__pair__number",
        "annotator": f"{rating}participation__annotator__pseudonym",
        **{name: name for name in ("kind", "x", "y", "width", "height")},
        "image_width": shown(study, f"{rating}item__pair__anonymized", "width"),
        "image_height": shown(study, f"{rating}item__pair__anonymized", "height"),
        "used": f"{rating}participation",
    }
    cues = cues_of(study).order_by(f"{rating}item__pair__number", f"{rating}participation", "pk")
    return _lines_with_use(study, columns, cues)


def _lines_with_use(study: Study, columns: Mapping[str, Any], found: QuerySet[Any]) -> Iterator[str]:
    """The last column is looked up as a participation and written as whether its answers are used."""
    unused = set(set_aside(study))
    rows = found.values_list(*columns.values()).iterator(chunk_size=ROWS_AT_ONCE)
    return csv_lines(
        columns, ([*map(_cell, cells), int(participation not in unused)] for *cells, participation in rows)
    )


def _cell(value: Any) -> Any:
    """Yes and no are 1 and 0 in every file of ours."""
    return int(value) if isinstance(value, bool) else value


# The first two, and `position`, name the same answer in ratings.csv.
ANSWER = {
    "pair": "item__pair__number",
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


def remark_lines(study: Study) -> Iterator[str]:
    """One line for each pair that somebody has answered or skipped, for whatever purpose it was shown."""
    rows = _answers(study).values_list(*ANSWER.values(), "rating__viewing").iterator(chunk_size=ROWS_AT_ONCE)
    return csv_lines(COLUMNS, map(_cells, rows))


def _answers(study: Study) -> QuerySet[Assignment]:
    done = Assignment.objects.not_withdrawn().of_study(study).filter(Q(rating__isnull=False) | Q(report__isnull=False))
    return done.order_by("item__pair__number", "participation", "occurrence")


def _cells(row: tuple[Any, ...]) -> list[Any]:
    *cells, viewing = row
    answer = dict(zip(ANSWER, cells, strict=True))
    answer |= {name: words_cell(answer[name] or "") for name in FREE_TEXT}
    conditions = viewing or {}
    spent = conditions.get("seconds", {})
    return [*answer.values(), *(spent.get(mode) for mode in MODES), *(conditions.get(name) for name in LIMITS)]
