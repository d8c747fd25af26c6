"""The cases of the serving bench: so many annotators at a time, with and without pictures."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from uuid import uuid4

import numpy as np
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.annotators import Annotator, Tally, rate_together
from bench.machine import cpu_seconds, parent
from bench.site import Server, server
from bench.study import add_study, build_studies, check_ratings, check_size, database_backend, database_version

__all__ = ["Case", "database_version", "measured", "table"]

N_OF_A_POINT = 100  # answers that are timed at each point of a history
WARM_UP = 20  # answers before the first point at least: the server's threads have opened the database by then


@dataclass(frozen=True)
class Cpu:
    """Processor seconds so far."""

    server: float
    database: float | None  # None where it runs inside the server's process
    client: float

    def since(self, earlier: "Cpu") -> "Cpu":
        database = None if self.database is None else self.database - (earlier.database or 0)
        return Cpu(self.server - earlier.server, database, self.client - earlier.client)


@dataclass(frozen=True)
class Case:
    n_items: int
    n_annotators: int
    with_pictures: bool
    thinks: float  # seconds between an answer and the next
    warm_up: Tally
    tally: Tally
    cpu: Cpu  # of the tally, without the warm-up

    @property
    def errors(self) -> list[str]:
        return self.warm_up.errors + self.tally.errors

    @property
    def n_acknowledged(self) -> int:
        return len(self.warm_up.answers) + len(self.tally.answers)

    @property
    def per_second(self) -> float:
        return len(self.tally.answers) / self.tally.wall if self.tally.wall else 0.0

    @property
    def cpu_ms(self) -> float:
        """Of web server and database together, for one answer with all that comes with it."""
        spent = self.cpu.server + (self.cpu.database or 0)
        return spent * 1000 / len(self.tally.answers) if self.tally.answers else float("inf")

    def percentile_ms(self, q: int) -> float:
        return float(np.percentile(self.tally.answers, q)) * 1000 if self.tally.answers else float("inf")

    def row(self) -> dict[str, str]:
        n = len(self.tally.answers)
        return {
            "pairs": str(self.n_items),
            "annotators": f"{self.n_annotators}" + (f", thinking {self.thinks:g} s" if self.thinks else ""),
            "pictures": "two" if self.with_pictures else "none",
            "answers": str(n),
            "answers/s": f"{self.per_second:.1f}",
            "p50 ms": f"{self.percentile_ms(50):.1f}",
            "p95 ms": f"{self.percentile_ms(95):.1f}",
            "p99 ms": f"{self.percentile_ms(99):.1f}",
            "CPU ms/answer": f"{self.cpu_ms:.1f}",
            "of it database": _ms_each(self.cpu.database, n),
            "client CPU ms/answer": _ms_each(self.cpu.client, n),
            "a picture, p95 ms": _percentile_ms(self.tally.pictures, 95),
            "errors": str(len(self.errors)),
        }


def _percentile_ms(seconds: list[float], q: int) -> str:
    return f"{np.percentile(seconds, q) * 1000:.1f}" if seconds else "-"


def _ms_each(seconds: float | None, n: int) -> str:
    return f"{seconds * 1000 / n:.1f}" if seconds is not None and n else "-"


@dataclass(frozen=True)
class Crowd:
    n_annotators: int
    thinks: float = 0


def measured(
    *, sizes: Sequence[int], seconds: float, crowds: Sequence[Crowd], pictures: Sequence[bool], workers: int
) -> list[Case]:
    """Every case in turn; up to the first with an error, after which counts would mean nothing."""
    invitations = build_studies(sizes)
    backend = database_backend()
    cases: list[Case] = []
    with server(workers=workers) as running:
        for n_items, invitation in zip(sizes, invitations, strict=True):
            check_size(invitation.study, named=n_items)
            n_acknowledged = 0
            for crowd, with_pictures in product(crowds, pictures):
                annotators = [
                    Annotator(running.port, invitation.token, sees_pictures=with_pictures)
                    for _ in range(crowd.n_annotators)
                ]
                cases.append(_case(n_items, annotators, seconds, crowd.thinks, running, backend))
                if cases[-1].errors:
                    return cases
                n_acknowledged += cases[-1].n_acknowledged
                check_ratings(invitation.study, acknowledged=n_acknowledged)
            check_size(invitation.study, named=n_items)
    return cases


def _case(
    n_items: int, annotators: list[Annotator], seconds: float, thinks: float, running: Server, backend: int | None
) -> Case:
    warm_up = rate_together(annotators, seconds / 10 + thinks, pause=thinks)  # everybody has come in after it
    before = _cpu(running, backend)
    tally = rate_together(annotators, seconds, pause=thinks)
    spent = _cpu(running, backend).since(before)
    return Case(n_items, len(annotators), annotators[0].sees_pictures, thinks, warm_up, tally, spent)


def _cpu(running: Server, backend: int | None) -> Cpu:
    """Of the database all of its processes count, so nobody else may use it meanwhile."""
    database = cpu_seconds(parent(backend)) if backend else None
    return Cpu(sum(map(cpu_seconds, running.pids)), database, time.process_time())


def history(*, n_items: int, points: Sequence[int]) -> str:
    """What an answer takes one person after so many answers of theirs: its round trip, and its statements."""
    [invitation] = build_studies([n_items])
    n_answers = max(points) + WARM_UP + N_OF_A_POINT + 2
    long = add_study(invitation.study.project, n_items, session_size=n_answers, name="history")
    lines = ["| after answers | p50 ms | p95 ms | statements an answer |", "| ---: | ---: | ---: | ---: |"]
    with server(workers=1) as running:
        person = Annotator(running.port, long.token, sees_pictures=False)
        n = 0
        for point in sorted(max(WARM_UP, point) for point in points):
            person.rate_exactly(point - n)
            times = person.rate_exactly(N_OF_A_POINT).answers
            p50, p95 = (np.percentile(times, q) * 1000 for q in (50, 95))
            lines.append(f"| {point:,} | {p50:.2f} | {p95:.2f} | {n_statements(person)} |")
            n = point + N_OF_A_POINT + 1
    return "\n".join(lines)


def n_statements(person: Annotator) -> int:
    """How many statements the next answer takes, from its cookies to the pairs after it. It is stored as any other."""
    browser = Client(SERVER_NAME="127.0.0.1")
    browser.cookies.load(person.cookies)
    answer = {"key": str(uuid4()), "assignment": person.leases.pop(0)["assignment"], "score": 7}
    turn = {"answers": [answer], "painted": person.leases[0]["assignment"]}
    with CaptureQueriesContext(connection) as captured:
        reply = browser.post(person.answer_path, turn, "application/json")
    if reply.status_code != 200:
        raise SystemExit(f"The answer whose statements are counted was refused: {reply.content!r}")
    return len(captured)


def table(cases: list[Case]) -> str:
    rows = [case.row() for case in cases]
    lines = [list(rows[0]), ["---:"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
