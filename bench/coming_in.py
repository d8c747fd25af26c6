"""How long somebody waits who agrees to take part: one at a time, and eight at the same moment.

    python -m bench.coming_in
    python -m bench.coming_in --sessions 63 500 --database postgres://postgres@127.0.0.1:5432/bench

The time is that of the consent alone, from the click to the reply, over HTTP and with the product's own server; the
page was read before. At the end everybody must have all pairs of their session.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import perf_counter, sleep
from typing import TypeVar

import numpy as np

from bench.machine import machine, versions
from bench.site import new_database, server, site

Came = TypeVar("Came")

N_PAIRS = 4000
AT_ONCE, ROUNDS = 8, 6
PATIENCE = 60  # seconds, for what is set aside after the replies
APART = 2  # seconds between one and the next, or eight and the next eight
N_BEFORE = 3  # not timed: the server's threads open the database


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.coming_in", description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[63, 500], metavar="PAIRS")
    parser.add_argument("--database", help="of PostgreSQL, made for this and dropped; SQLite where none is named")
    chosen = parser.parse_args()
    with new_database(chosen.database), site(chosen.database):
        print(machine(), versions(chosen.database or "SQLite"), sep="\n")
        for size in chosen.sessions:
            say(size)


def say(size: int) -> None:
    from annotation.models.people import Participation
    from bench.annotators import Annotator
    from bench.study import build_study

    study = build_study(N_PAIRS, size=(1024 + size, 768), session_size=size)
    with server(workers=1) as running:
        people = [Annotator(running.port, study.token, sees_pictures=False) for _ in range(AT_ONCE)]
        alone = [after_a_while(person.agree) for person in people * 3][N_BEFORE:]
        together = [seconds for _ in range(ROUNDS) for seconds in after_a_while(lambda: agree_at_once(people))]
        begun = Participation.objects.filter(study=study.study)
        began = perf_counter()
        while short := [each.pk for each in begun.all() if each.assignments.held().count() != each.n_planned]:
            if perf_counter() - began > PATIENCE:
                raise SystemExit(f"After {PATIENCE} s {len(short)} people do not have the session that was planned.")
            sleep(0.1)
    if (n_begun := begun.count()) != AT_ONCE * (3 + ROUNDS):
        raise SystemExit(f"{n_begun} people came in, not {AT_ONCE * (3 + ROUNDS)}.")
    print(f"sessions of {size} pairs: {figures(alone)} one at a time; {figures(together)} eight at once")


def after_a_while(come: Callable[[], Came]) -> Came:
    """People do not come in step with those before, whose sessions are still being set aside."""
    sleep(APART)
    return come()


def agree_at_once(people: list) -> list[float]:  # type: ignore[type-arg]
    start = Barrier(len(people))
    with ThreadPoolExecutor(len(people)) as crowd:
        return list(crowd.map(lambda person: person.agree(start), people))


def figures(seconds: list[float]) -> str:
    median, p95 = np.quantile(seconds, [0.5, 0.95]) * 1000
    return f"median {median:.0f} ms, 95 % within {p95:.0f} ms"


if __name__ == "__main__":
    main()
