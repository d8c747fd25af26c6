"""The cases of the serving bench: so many annotators at a time, with and without pictures."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench.annotators import Annotator, Tally, rate_together
from bench.machine import cpu_seconds, parent
from bench.site import Server, server
from bench.study import build_study, check_ratings, check_size, database_backend, database_version

__all__ = ["Case", "database_version", "measured", "table"]


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
    n_annotators: int
    with_pictures: bool
    warm_up: Tally
    tally: Tally
    cpu: Cpu  # of the tally, without the warm-up

    @property
    def errors(self) -> list[str]:
        return self.warm_up.errors + self.tally.errors

    @property
    def n_acknowledged(self) -> int:
        return len(self.warm_up.answers) + len(self.tally.answers)

    def row(self) -> dict[str, str]:
        n = len(self.tally.answers)
        return {
            "annotators": str(self.n_annotators),
            "pictures": "with" if self.with_pictures else "without",
            "answers": str(n),
            "answers/s": f"{n / self.tally.wall:.1f}",
            "p50 ms": _percentile_ms(self.tally.answers, 50),
            "p95 ms": _percentile_ms(self.tally.answers, 95),
            "p99 ms": _percentile_ms(self.tally.answers, 99),
            "server CPU ms/answer": _ms_each(self.cpu.server, n),
            "database CPU ms/answer": _ms_each(self.cpu.database, n),
            "client CPU ms/answer": _ms_each(self.cpu.client, n),
            "a picture, p95 ms": _percentile_ms(self.tally.pictures, 95),
            "errors": str(len(self.errors)),
        }


def _percentile_ms(seconds: list[float], q: int) -> str:
    return f"{np.percentile(seconds, q) * 1000:.1f}" if seconds else "-"


def _ms_each(seconds: float | None, n: int) -> str:
    return f"{seconds * 1000 / n:.1f}" if seconds is not None and n else "-"


def measured(
    *, n_items: int, seconds: float, crowds: Sequence[int], pictures: Sequence[bool], workers: int
) -> list[Case]:
    """Every case in turn on one study; up to the first with an error, after which counts would mean nothing."""
    invitation = build_study(n_items)
    check_size(invitation.study, named=n_items)
    backend = database_backend()
    cases: list[Case] = []
    with server(workers=workers) as running:
        for n_annotators, with_pictures in product(crowds, pictures):
            annotators = [
                Annotator(running.port, invitation.token, sees_pictures=with_pictures) for _ in range(n_annotators)
            ]
            cases.append(_case(annotators, seconds, running, backend))
            if cases[-1].errors:
                return cases
            check_ratings(invitation.study, acknowledged=sum(case.n_acknowledged for case in cases))
    check_size(invitation.study, named=n_items)
    return cases


def _case(annotators: list[Annotator], seconds: float, running: Server, backend: int | None) -> Case:
    warm_up = rate_together(annotators, seconds / 10)
    before = _cpu(running, backend)
    tally = rate_together(annotators, seconds)
    spent = _cpu(running, backend).since(before)
    return Case(len(annotators), annotators[0].sees_pictures, warm_up, tally, spent)


def _cpu(running: Server, backend: int | None) -> Cpu:
    """Of the database all of its processes count, so nobody else may use it meanwhile."""
    database = cpu_seconds(parent(backend)) if backend else None
    return Cpu(cpu_seconds(running.pid), database, time.process_time())


def table(cases: list[Case]) -> str:
    rows = [case.row() for case in cases]
    lines = [list(rows[0]), ["---:"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
