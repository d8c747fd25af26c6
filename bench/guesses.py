"""Wrong log-ins: whether people who rate wait for passwords that strangers guess.

    python -m bench.guesses
    python -m bench.guesses --rounds 1 --seconds 3    # does it run?

8 people rate, with half a second to think: alone; beside ten wrong log-ins a second from one address; and beside as
many from an address each, which no limit of an address holds up. Round after round on one server; each time all counts
are forgotten first, so that passwords are hashed.
"""

import os
import re
from argparse import ArgumentParser
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from secrets import token_urlsafe
from statistics import quantiles
from threading import Event
from urllib.parse import urlencode

from bench.machine import machine, versions
from bench.site import server, site

N_PEOPLE, THINK_SECONDS = 8, 0.5
PER_SECOND = 10
N_PAIRS = 2000
KINDS = ("nobody guesses", "from one address", "from an address each")


@dataclass
class Figures:
    answers: list[float] = field(default_factory=list)  # seconds
    guesses: Counter[int] = field(default_factory=Counter)  # by HTTP status


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.guesses", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    chosen = parser.parse_args()
    os.environ["PROXY_COUNT"] = "1"  # the guesses name an address as a proxy would
    with site(None):
        print(machine(), versions("SQLite"), sep="\n")
        print(table(measured(chosen.rounds, chosen.seconds)))


def measured(rounds: int, seconds: float) -> dict[str, Figures]:
    from django.contrib.auth.models import User

    from bench.annotators import Annotator, rate_together
    from bench.study import build_study
    from datasets.tries import forget_all

    User.objects.create_user("ann", password=token_urlsafe())
    study = build_study(N_PAIRS, goal=500)
    figures = {kind: Figures() for kind in KINDS}
    with server(workers=1) as running:
        people = [Annotator(running.port, study.token, sees_pictures=False) for _ in range(N_PEOPLE)]
        rate_together(people, 1)
        for _ in range(rounds):
            for kind, found in figures.items():
                forget_all()
                over = Event()
                with ThreadPoolExecutor(1) as beside:
                    guessed = beside.submit(guess, running.port, kind, over)
                    rated = rate_together(people, seconds, pause=THINK_SECONDS)
                    over.set()
                if rated.errors:
                    raise SystemExit(f"{rated.errors[0]}; no figure is reported.")
                found.answers += rated.answers
                found.guesses += guessed.result()
    return figures


def guess(port: int, kind: str, over: Event) -> Counter[int]:
    """Wrong passwords for one name, each on a line of its own, whether those before are answered or not."""
    if kind == KINDS[0]:
        return Counter()
    numbers = count(1)
    with ThreadPoolExecutor(200) as lines:
        sent = []
        while not over.wait(1 / PER_SECOND):
            n = next(numbers) if kind == KINDS[2] else 0
            sent.append(lines.submit(log_in, port, f"203.0.{n // 250}.{n % 250}"))
        return Counter(each.result() for each in sent)


def log_in(port: int, address: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/login/")
    page = connection.getresponse()
    token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.read())
    cookie = re.match(r"csrftoken=\w+", page.headers["Set-Cookie"])
    assert token
    assert cookie
    form = urlencode({"csrfmiddlewaretoken": token[1].decode(), "username": "ann", "password": "a guess"})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie[0], "X-Forwarded-For": address}
    connection.request("POST", "/login/", form, headers)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status


def table(figures: dict[str, Figures]) -> str:
    lines = [
        "| | answers | median, ms | 99th of 100 | longest | wrong log-ins, looked at and refused |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for kind, found in figures.items():
        percentiles = quantiles(found.answers, n=100)
        times = (percentiles[49], percentiles[98], max(found.answers))
        cells = [kind, str(len(found.answers)), *(f"{seconds * 1000:.0f}" for seconds in times)]
        lines.append(f"| {' | '.join(cells)} | {found.guesses[200]}, {found.guesses[429]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
