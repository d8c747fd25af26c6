"""What everybody had said by a moment, as arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import numpy as np

from annotation.models.ratings import Assignment, Revision
from annotation.models.studies import Study

ANSWERS_AT_ONCE = 10_000  # read from the database
PURPOSES = list(Assignment.Purpose.values)
COLUMNS = (
    "rating__assignment__participation",
    "rating__assignment__item",
    "rating__assignment__position",
    "score",
    "rating__seconds",  # of the first answer, whatever was said later
    "rating__hidden_seconds",
)
NO_ROWS = np.empty((0, 1 + len(COLUMNS)))


@dataclass(frozen=True, eq=False)
class Answers:
    """Parallel arrays, by participation and position: the newest scores, and how long the first ones took (seconds, nan
    where unknown)."""

    participation: np.ndarray
    item: np.ndarray
    position: np.ndarray
    score: np.ndarray
    seconds: np.ndarray
    hidden: np.ndarray
    purpose: np.ndarray  # places in PURPOSES

    def where(self, chosen: np.ndarray) -> "Answers":
        return Answers(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def of(self, *purposes: str) -> "Answers":
        return self.where(np.isin(self.purpose, [PURPOSES.index(purpose) for purpose in purposes]))

    def by_person(self) -> Iterator[tuple[int, "Answers"]]:
        people, starts = np.unique(self.participation, return_index=True)
        for person, start, end in zip(people, starts, [*starts, len(self.participation)][1:], strict=True):
            yield int(person), self.where(np.arange(start, end))


def answers_until(study: Study, cutoff: datetime) -> Answers:
    """Of everybody who has not withdrawn, for whatever purpose a pair was shown."""
    rows = Revision.objects.newest_by(cutoff).not_withdrawn().of_study(study).order_by(*COLUMNS[:1], COLUMNS[2])
    found = rows.values_list("rating__assignment__purpose", *COLUMNS).iterator(chunk_size=ANSWERS_AT_ONCE)
    parts = [NO_ROWS]
    while batch := list(islice(found, ANSWERS_AT_ONCE)):
        parts.append(np.array([(PURPOSES.index(purpose), *rest) for purpose, *rest in batch], dtype=float))
    return answers_of(np.concatenate(parts))


def answers_of(rows: np.ndarray) -> Answers:
    purpose, participation, item, position, score, seconds, hidden = rows.T
    ids = participation.astype(np.int64), item.astype(np.int64), position.astype(np.int64)
    return Answers(*ids, score, seconds, hidden, purpose.astype(np.int8))
