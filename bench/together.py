"""Everything at once: people rate while a training, a freeze, an export and an import run in the workers.

On SQLite, with the product's own web server and workers. The first request that goes wrong for anybody, a job that
fails and a job that did not run while people rated make the run fail. The figures are in docs/benchmarks.md.
"""

import shlex
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from bench.machine import machine, versions
from bench.site import site


def main() -> None:
    chosen = options()
    with site(None):
        from bench import beside  # its models need the settings that the site has made

        seen = beside.measured(
            n_annotators=chosen.annotators,
            seconds=chosen.seconds,
            pause=chosen.pause,
            n_items=chosen.items,
            n_imported=chosen.imported,
            n_epochs=chosen.epochs,
        )
        print(beside.report(seen))
        print(provenance(chosen, database=beside.database_version()))
    if seen.faults:
        raise SystemExit("\n".join(["Not everything went well:", *seen.faults]))


def options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.together", description=__doc__)
    parser.add_argument("--annotators", type=int, default=30, help="how many rate at a time")
    parser.add_argument("--seconds", type=float, default=60, help="of rating at least; it goes on until the jobs end")
    parser.add_argument("--pause", type=float, default=1, help="seconds that each looks at a pair, on average")
    parser.add_argument("--items", type=int, default=4000, help="pairs in the study that is rated and frozen")
    parser.add_argument("--imported", type=int, default=1000, help="rows of the manifest that is imported")
    parser.add_argument("--epochs", type=int, default=60, help="of the training")
    return parser.parse_args()


def provenance(chosen: Namespace, *, database: str) -> str:
    """What a figure needs to be compared with another."""
    facts = [
        f"{chosen.annotators} annotators with pictures, about {chosen.pause:g} s between answers; {chosen.items} pairs",
        f"{chosen.epochs} epochs trained, {chosen.imported} rows imported",
        f"{machine()}; {versions(database)}; {datetime.now(UTC):%d %B %Y}",
        f"`{shlex.join(['python', '-m', 'bench.together', *sys.argv[1:]])}`",
    ]
    return "\n".join(["", *(f"- {fact}" for fact in facts)])


if __name__ == "__main__":
    main()
