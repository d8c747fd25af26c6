"""One run: people rate, imports go on, and the parts of the site die again and again."""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
from django.conf import settings
from django.db import connection
from PIL import Image as PillowImage

from annotation.giving.leases import return_expired_leases
from annotation.models.ratings import Rating
from annotation.models.studies import Study
from bench import audit
from bench.machine import children
from bench.outbox import Crowd, Diary
from bench.site import free_port, is_healthy, wait_for
from bench.study import build_study, database_version
from config.serve import started, stop_children, web_command
from datasets.jobs import queue_job
from datasets.models.jobs import Job
from datasets.models.projects import Project
from datasets.tables import csv_lines

GOAL = 3
SESSION_SIZE = 30  # with the warm-up and the repeat that every study has
PAIRS_PER_KILL = 45  # more than are rated between two kills, so that the study lasts
LEAST_PAIRS = 84
LEASE_SECONDS = 8
PROGRESS = (5, 25)  # acknowledged answers between a start and the next kill
DOWN_SECONDS = 1.0  # at most, before the killed part is started again
IMPORT_EVERY, IMPORT_PAIRS = 10, 12  # kills, pairs
NO_PROGRESS_SECONDS = 60
FINISH_SECONDS = 240
JOBS_SECONDS = 90


class Part(Protocol):
    name: str

    def start(self) -> None: ...
    def kill(self) -> None: ...


class Service:
    """Web server or worker, with the product's own command. It stops when this process dies."""

    def __init__(self, name: str, command: list[str], *, port: int | None = None) -> None:
        self.name, self.command, self.port = name, command, port
        self.n_ended = 0  # times it ended by itself

    def start(self) -> None:
        self.process = started(self.command)
        if self.port:
            wait_for(self.process, self.port)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def see_to(self) -> None:
        """As config.serve does: one that has ended is started again."""
        if self.process.poll() is not None:
            self.n_ended += 1
            self.start()


@dataclass(frozen=True)
class WebProcess:
    """The process that answers, below the one that watches over it: starting another is the web server's own affair."""

    server: Service
    name: str = "web process"

    def kill(self) -> None:
        for pid in children(self.server.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start(self) -> None:
        """Twice within some seconds, and the web server gives up; then it is started again, as config.serve does."""
        assert self.server.port
        until = time.monotonic() + NO_PROGRESS_SECONDS
        while not is_healthy(self.server.port):
            if time.monotonic() > until:
                raise NoProgress(f"the web server answers nobody {NO_PROGRESS_SECONDS} s after its process died")
            self.server.see_to()
            time.sleep(0.1)


@dataclass(frozen=True)
class Everything:
    """All at once, as when the machine dies. The database comes up last, and is waited for."""

    parts: list[Part]
    name: str = "everything"

    def kill(self) -> None:
        for part in self.parts:
            part.kill()

    def start(self) -> None:
        for part in self.parts:
            part.start()


@dataclass
class Outcome:
    n_pairs: int
    database: str = ""
    kills: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)  # by themselves
    diaries: list[Diary] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    n_late: int = 0  # answers that came after their place was given to others, and were kept
    violations: list[str] = field(default_factory=list)

    def find(self, found: Iterator[str]) -> None:
        self.violations += [violation for violation in found if violation not in self.violations]


class NoProgress(Exception):
    """Nobody's answers are acknowledged any more."""


def run(*, n_kills: int, n_annotators: int, chance: random.Random, database: Part | None) -> Outcome:
    n_pairs = max(LEAST_PAIRS, PAIRS_PER_KILL * n_kills)
    outcome = Outcome(n_pairs, database_version())
    invitation = build_study(n_pairs, goal=GOAL, lease_seconds=LEASE_SECONDS, session_size=SESSION_SIZE)
    study, port = invitation.study, free_port()
    with services(port) as (web, worker):
        try:
            with Crowd(port, invitation.token, n=n_annotators, random=chance) as crowd:
                outcome.diaries += crowd.diaries
                kill_again_and_again(outcome, crowd, web, worker, database, n_kills=n_kills, chance=chance)
            outcome.find(audit.violations(study, outcome.diaries))
            give_everything_back(study)
            outcome.find(audit.stuck_leases(study))
            with Crowd(port, invitation.token, n=n_annotators, random=chance) as crowd:
                outcome.diaries += crowd.diaries
                if not is_so(lambda: not audit.wanting(study), worker, within=FINISH_SECONDS):
                    outcome.violations.append(f"{audit.wanting(study)} pairs are starved: nobody reaches their goal")
            is_so(lambda: not any(audit.unfinished_jobs(outcome.jobs)), worker, within=JOBS_SECONDS)
        except NoProgress as stopped:
            outcome.violations.append(str(stopped))
        outcome.ended = Counter({service.name: service.n_ended for service in (web, worker)})
    outcome.n_late = Rating.objects.filter(is_late=True).count()
    outcome.find(audit.violations(study, outcome.diaries))
    outcome.find(audit.unfinished_jobs(outcome.jobs))
    if (n := study.project.pairs.count()) != (expected := n_pairs + IMPORT_PAIRS * len(outcome.jobs)):
        outcome.violations.append(f"the project has {n} pairs; {expected} were built and imported")
    return outcome


@contextmanager
def services(port: int) -> Iterator[tuple[Service, Service]]:
    web = Service("web server", web_command(port), port=port)
    worker = Service("worker", [sys.executable, "manage.py", "work", "--lane", "short"])
    running: list[Service] = []
    try:
        for service in (web, worker):
            running.append(service)
            service.start()
        yield web, worker
    finally:
        stop_children(*(service.process for service in running))


def kill_again_and_again(
    outcome: Outcome,
    crowd: Crowd,
    web: Service,
    worker: Service,
    database: Part | None,
    *,
    n_kills: int,
    chance: random.Random,
) -> None:
    alone: list[Part] = [web, worker, *([database] if database else [])]
    parts: list[Part] = [*alone, WebProcess(web), Everything(alone)]
    project = Project.objects.get()
    order: list[Part] = []
    for number in range(n_kills):
        if number % IMPORT_EVERY == 0:
            outcome.jobs.append(queue_import(project, len(outcome.jobs)))
        wanted = crowd.n_acknowledged + chance.randint(*PROGRESS)
        if not is_so(lambda: crowd.n_acknowledged >= wanted, worker, within=NO_PROGRESS_SECONDS):  # noqa: B023
            raise NoProgress(f"no progress in {NO_PROGRESS_SECONDS} s after {dict(outcome.kills)}")
        order = order or chance.sample(parts, len(parts))  # each as often as the others, in no order
        part = order.pop()
        part.kill()
        time.sleep(chance.uniform(0, DOWN_SECONDS))
        part.start()
        connection.close()  # this process's own; the database may be another by now
        outcome.kills[part.name] += 1
        print(f"{sum(outcome.kills.values())}: {part.name}, {crowd.n_acknowledged} answers", file=sys.stderr)


def is_so(asked: Callable[[], bool], worker: Service, *, within: float) -> bool:
    """Whether it becomes so in time, with somebody who looks after the worker meanwhile."""
    until = time.monotonic() + within
    while not asked():
        if time.monotonic() > until:
            return False
        worker.see_to()
        time.sleep(0.1)
    return True


def give_everything_back(study: Study) -> None:
    time.sleep(LEASE_SECONDS + 1)
    while return_expired_leases(study.pk):
        pass


def queue_import(project: Project, number: int) -> Job:
    """Pairs that nobody has seen before; they come into the project and not into the study."""
    folder = Path(settings.VAR_DIR) / f"import{number}"
    folder.mkdir()
    noise = np.random.default_rng([number, 1])
    pairs = [[f"original{pair}.png", f"anonymized{pair}.png"] for pair in range(IMPORT_PAIRS)]
    with (folder / "manifest.csv").open("w", newline="") as file:
        file.writelines(csv_lines(["original", "anonymized"], pairs))
    for name in chain.from_iterable(pairs):
        PillowImage.fromarray(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / name)
    return queue_job("import_pairs", project, root=str(folder), manifest=str(folder / "manifest.csv"))
