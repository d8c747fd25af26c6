"""What a check found wrong, all of it, in a file to download."""

import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self
from uuid import uuid4

from datasets.files import DRAFTS, media_path
from datasets.models.jobs import Job
from datasets.names import legible
from datasets.tables import csv_lines, words_cell

REPORTS = "reports"  # below MEDIA_ROOT
SHOWN = 20  # problems told with the job itself
KEPT_FOR = 30 * 24 * 3600.0  # seconds


class Problem(NamedTuple):
    """What is wrong with one row."""

    line: int
    words: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.words}"


def report_name(job: Job) -> str:
    """The report's file, below MEDIA_ROOT."""
    return f"{REPORTS}/{job.public_id}.csv"


class Report:
    """Takes problems as they are found, so that a million of them need no memory. It appears whole, or not at all."""

    def __init__(self, job: Job) -> None:
        self.path, self.draft = media_path(report_name(job)), media_path(f"{DRAFTS}/{uuid4().hex}")
        self.n_problems = 0
        self.first: list[str] = []

    def __enter__(self) -> Self:
        for each in (self.path, self.draft):
            each.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)  # of an earlier attempt
        self.file = self.draft.open("w", encoding="utf-8-sig", newline="")
        self.file.writelines(csv_lines(["line", "problem"], []))
        return self

    def add(self, found: Sequence[Problem]) -> None:
        found = [Problem(line, legible(words)) for line, words in found]
        self.n_problems += len(found)
        self.first += [str(problem) for problem in found[: SHOWN - len(self.first)]]
        lines = csv_lines([], ((line, words_cell(words)) for line, words in found))
        next(lines)  # the header stands there already
        self.file.writelines(lines)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.file.close()
        if self.n_problems and kind is None:
            self.draft.replace(self.path)
        self.draft.unlink(missing_ok=True)


def discard_old_reports() -> None:
    """Remove reports that are too old to be of use."""
    for path in media_path(REPORTS).glob("*"):
        with suppress(FileNotFoundError):  # another worker was faster
            if path.stat().st_mtime < time.time() - KEPT_FOR:
                path.unlink()
