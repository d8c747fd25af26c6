"""Seconds and processor time per answer, over HTTP against the product's own server.

An answer is one round trip of the rating page: it stores a rating and brings the next pairs. What the figures show and
what they do not is in docs/benchmarks.md.
"""

import shlex
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from bench.machine import machine, versions
from bench.site import new_database, site

PICTURES = {"without": (False,), "with": (True,), "both": (False, True)}


def main() -> None:
    chosen = options()
    with new_database(chosen.database), site(chosen.database):
        from bench import cases, targets  # its models need the settings that the site has made

        if chosen.history:
            print(cases.history(n_items=chosen.items[0], points=chosen.history))
            print(provenance(chosen, database=cases.database_version()))
            return
        measured = cases.measured(
            sizes=chosen.items,
            seconds=chosen.seconds,
            crowds=[cases.Crowd(n, chosen.think) for n in chosen.annotators],
            pictures=PICTURES[chosen.pictures],
            workers=chosen.workers,
        )
        print(cases.table(measured))
        verdicts = targets.verdicts(measured)
        print("\n" + "\n".join(f"- {'met' if is_met else 'NOT met'}: {target}" for is_met, target in verdicts))
        print(provenance(chosen, database=cases.database_version()))
    if errors := [error for case in measured for error in case.errors]:
        raise SystemExit("\n".join(["Not every answer was acknowledged:", *errors]))
    if chosen.enforce and not all(is_met for is_met, _ in verdicts):
        raise SystemExit("Not every target is met.")


def options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--annotators", type=int, nargs="+", help="how many at a time, a case each")
    parser.add_argument("--think", type=float, default=0, help="seconds that each thinks before the next answer")
    parser.add_argument("--pictures", choices=PICTURES, default="both", help="fetch the two pictures of each new pair")
    parser.add_argument("--items", type=int, nargs="+", default=[40_000], help="pairs in the study, a study for each")
    parser.add_argument("--seconds", type=float, default=20, help="of each case, after a warm-up of a tenth of it")
    parser.add_argument("--database", metavar="URL", help="postgres://...: created and dropped; default: SQLite")
    parser.add_argument("--workers", type=int, default=1, help="processes of the server; more than one on PostgreSQL")
    parser.add_argument(
        "--history", type=int, nargs="+", metavar="N", help="instead: one person's answers after N answers of theirs"
    )
    parser.add_argument("--enforce", action="store_true", help="fail where a target is not met")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 1000 pairs, 2 seconds")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.items, chosen.seconds = [1000], 2
    chosen.annotators = chosen.annotators or ([1, 8] if chosen.quick else [1, 8, 32])
    if chosen.workers > 1 and not chosen.database:
        parser.error("SQLite has one writer: --workers above 1 needs --database postgres://...")
    return chosen


def provenance(chosen: Namespace, *, database: str) -> str:
    """What a figure needs to be compared with another."""
    cases = f"sessions of 200, pictures of 200 kB, {chosen.seconds:g} s a case"
    facts = [
        "HA2, 10 ratings wanted of each pair, "
        + (f"one person in one session, {chosen.items[0]} pairs" if chosen.history else cases),
        f"{machine()}; {versions(database)}; {datetime.now(UTC):%d %B %Y}",
        f"`{shlex.join(['python', '-m', 'bench.serving', *sys.argv[1:]])}`",
    ]
    return "\n".join(["", *(f"- {fact}" for fact in facts)])


if __name__ == "__main__":
    main()
