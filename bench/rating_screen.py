"""What a person waits for on the rating page: from the key that confirms to the next pair on the screen, in Chromium.

The page itself marks both moments. What the figures show and what they do not is in docs/benchmarks.md.
"""

import shlex
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from bench.line import slow_line
from bench.machine import machine, versions
from bench.site import server, site

ONE_WAY = 0.075  # seconds; there and back 150 ms


def main() -> None:
    chosen = options()
    with site(None):
        from bench import screen  # its models need the settings that the site has made
        from bench.study import database_version

        large = screen.study_of(screen.MEGAPIXEL, n=chosen.pairs, named=1_000_000)
        database = database_version()
        small = screen.study_of(screen.SMALL, n=chosen.long, named=0)
        with server(workers=1) as web, slow_line(web.port, one_way=ONE_WAY) as far, screen.chromium() as browser:
            ports = {"localhost": web.port, "150 ms more": far}
            waits = [
                screen.rated(browser, large, port=port, line=line, n=chosen.pairs, pace=pace)
                for line, port in ports.items()
                for pace in (chosen.pace, 0.0)
            ]
            weight = screen.first_page(browser, large, port=web.port)
            growth = screen.grown(browser, small, port=web.port, n_first=chosen.first, n_last=chosen.long)
            print(screen.report(waits, weight, growth))
            verdicts = screen.verdicts(waits, weight, growth)
            print("\n" + "\n".join(f"- {'met' if is_met else 'NOT met'}: {target}" for is_met, target in verdicts))
            print(provenance(chosen, browser=browser.version, database=database))
    if chosen.enforce and not all(is_met for is_met, _ in verdicts):
        raise SystemExit("Not every target is met.")


def options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.rating_screen", description=__doc__)
    parser.add_argument("--pairs", type=int, default=300, help="rated in each case")
    parser.add_argument("--pace", type=float, default=0.6, help="seconds from one pair's paint to its answer, at least")
    parser.add_argument("--first", type=int, default=100, help="ratings before memory is looked at first")
    parser.add_argument("--long", type=int, default=1000, help="ratings before memory is looked at again")
    parser.add_argument("--enforce", action="store_true", help="fail where a target is not met")
    parser.add_argument("--quick", action="store_true", help="a smoke run: few pairs")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.pairs, chosen.pace, chosen.first, chosen.long = 6, 0.1, 3, 8
    return chosen


def provenance(chosen: Namespace, *, browser: str, database: str) -> str:
    """What a figure needs to be compared with another."""
    facts = [
        f"HA2, two one-megapixel JPEGs a pair, window 1280 x 800; pace: {chosen.pace:g} s from paint to key, at least",
        f"{machine()}; Chromium {browser}, headless; {versions(database)}; {datetime.now(UTC):%d %B %Y}",
        f"`{shlex.join(['python', '-m', 'bench.rating_screen', *sys.argv[1:]])}`",
    ]
    return "\n".join(["", *(f"- {fact}" for fact in facts)])


if __name__ == "__main__":
    main()
