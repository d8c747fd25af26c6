"""Slow lines: whether people who rate wait for lines that are silent or that nobody reads, on several web servers.

    python -m bench.slow
    python -m bench.slow --rounds 1 --seconds 4    # does it run?

Our own server is measured beside granian and gunicorn where they are installed; nothing else of ours needs them:

    uv pip install --target var/servers granian gunicorn
    PYTHONPATH=var/servers python -m bench.slow

All servers answer on one site, in turn and round after round. First 8 people rate alone: CPU of an answer. Then 200
lines have each sent the head of a POST and no more, 200 others ask for a picture of a megabyte and read none of it, and
8 people rate beside them: the longest wait for an answer, whoever was not answered, memory of the server. A person who
has waited a second and a half for nothing gives up, and counts as not answered.
"""

import importlib.util
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import children, cpu_seconds, machine, versions
from bench.site import Server, server, site
from config.serve import web_command

N_LINES, N_PEOPLE = 200, 8
SIZE = (2400, 1800)  # of a picture: more bytes than any kernel keeps for a reader who does not read
N_PAIRS = 2000
SECONDS_PATIENCE = 1.5
HELD_WITHIN_SECONDS = 10


@dataclass(frozen=True)
class Contestant:
    name: str
    module: str
    command: Callable[[int], list[str]]


def granian(n_threads: int) -> Contestant:
    options = ["--interface", "wsgi", "--workers", "1", "--blocking-threads", str(n_threads), "--log-level", "critical"]
    return Contestant(
        f"granian, {n_threads} threads",
        "granian",
        lambda port: [sys.executable, "-m", "granian", *options, "--port", str(port), "config.wsgi:application"],
    )


GUNICORN = ["--worker-class", "gthread", "--threads", "8", "--log-level", "critical", "config.wsgi"]
CONTESTANTS = (
    Contestant("our own (waitress), 8 threads", "waitress", web_command),
    granian(8),
    granian(512),
    Contestant(
        "gunicorn, 8 threads",
        "gunicorn",
        lambda port: [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *GUNICORN],
    ),
)


@dataclass
class Figures:
    alone_ms: list[float] = field(default_factory=list)  # CPU of an answer
    beset_ms: list[float] = field(default_factory=list)
    longest: list[float] = field(default_factory=list)  # seconds
    n_unanswered: list[int] = field(default_factory=list)  # of the people
    megabytes: list[float] = field(default_factory=list)


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.slow", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    chosen = parser.parse_args()
    there = [each for each in CONTESTANTS if importlib.util.find_spec(each.module)]
    for each in {each.module for each in CONTESTANTS} - {each.module for each in there}:
        print(f"NOT MEASURED: {each} is not installed.")
    with site(None):
        print(machine(), versions("SQLite"), sep="\n")
        print(table(measured(there, chosen.rounds, chosen.seconds)))


def measured(contestants: Sequence[Contestant], rounds: int, seconds: float) -> dict[str, Figures]:
    from bench.study import build_study

    study = build_study(N_PAIRS, size=SIZE, goal=500)
    figures = {each.name: Figures() for each in contestants}
    for _ in range(rounds):
        for each in contestants:
            with server(workers=1, command=each.command) as running:
                rated(running, study.token, seconds, figures[each.name])
    return figures


def rated(running: Server, invitation: str, seconds: float, figures: Figures) -> None:
    from bench.annotators import Annotator, rate_together

    people = [Annotator(running.port, invitation, sees_pictures=False) for _ in range(N_PEOPLE + 1)]
    reader, *people = people
    rate_together([reader, *people], 1)  # everybody has come in, and the threads have opened the database
    before = cpu_seconds(running.pids[0])
    alone = rate_together(people, seconds)
    if alone.errors:
        raise SystemExit(f"{alone.errors[0]}; no figure is reported.")
    figures.alone_ms.append((cpu_seconds(running.pids[0]) - before) * 1000 / len(alone.answers))
    for each in people:
        each.connection.timeout = SECONDS_PATIENCE
        each.connection.close()
    with slow_lines(running.port, reader.leases[0]["pictures"][0]["url"], reader.cookies):
        before = cpu_seconds(running.pids[0])
        beset = rate_together(people, seconds)
        spent = cpu_seconds(running.pids[0]) - before
        figures.megabytes.append(sum(map(resident_mb, family(running.pids[0]))))
    figures.n_unanswered.append(len(beset.errors))
    figures.longest.append(max(beset.answers, default=float("inf")))
    figures.beset_ms.append(spent * 1000 / len(beset.answers) if beset.answers else float("inf"))


@contextmanager
def slow_lines(port: int, picture: str, cookies: dict[str, str]) -> Iterator[None]:
    """Silent ones and unread ones, in turn, all held at once."""
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    unread = f"GET {picture} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n"
    # With a cookie, so that the site reads on for the token that belongs to it.
    silent = f"POST /login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken={'c' * 32}\r\n"
    silent += "Content-Length: 500\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
    lines: list[socket.socket] = []
    try:
        for sent in [unread, silent] * N_LINES:
            line = socket.socket()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(HELD_WITHIN_SECONDS)
            line.connect(("127.0.0.1", port))
            line.sendall(sent.encode())
            lines.append(line)
        yield
    finally:
        for line in lines:
            line.close()


def family(pid: int) -> list[int]:
    return [pid, *(each for child in children(pid) for each in family(child))]


def resident_mb(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024 / 1e6


def table(figures: dict[str, Figures]) -> str:
    lines = [
        "| server | longest answer, s | people not answered | CPU of an answer, ms | beside slow lines | memory, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, each in figures.items():
        cells = [
            said(each.longest, "1.2f"), said(each.n_unanswered, "d"), said(each.alone_ms, ".2f"),
            said(each.beset_ms, ".2f"), said(each.megabytes, ".0f"),
        ]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def said(values: Sequence[float], form: str) -> str:
    """Each round's."""
    return ", ".join("none" if value == float("inf") else format(value, form) for value in values)


if __name__ == "__main__":
    main()
