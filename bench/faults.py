"""Web server, worker and database are killed at random while people rate, and afterwards nothing may be lost.

The list of what must hold is in docs/benchmarks.md. Whatever does not is printed, and the exit code is 1.
"""

import os
import random
import secrets
import shlex
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from datetime import UTC, datetime

from bench.cluster import binaries, cluster
from bench.machine import machine, versions
from bench.site import ROOT, site
from config.serve import stop_on_signals

DATABASES = {"sqlite": ["sqlite"], "postgresql": ["postgresql"], "both": ["sqlite", "postgresql"]}
SHOWN = 30  # violations


def main() -> None:
    chosen = options()
    os.chdir(ROOT)  # where the product's commands are run
    stop_on_signals()
    if len(names := DATABASES[chosen.database]) > 1:  # a site, and its settings, for each process
        again = [sys.executable, "-m", "bench.faults", "--kills", str(chosen.kills), "--seed", str(chosen.seed)]
        again += ["--annotators", str(chosen.annotators), "--database"]
        sys.exit(max([subprocess.run([*again, name], check=False).returncode for name in names]))
    sys.exit(measured(chosen, names[0]))


def options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--database", choices=DATABASES, default="both")
    parser.add_argument("--annotators", type=int, default=16, help="how many rate at a time")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of who is killed, and when")
    return parser.parse_args()


def measured(chosen: Namespace, name: str) -> int:
    print(f"seed {chosen.seed}", flush=True)
    with ExitStack() as stack:
        database = None
        if name == "postgresql":
            programs = binaries()
            if programs is None:
                raise SystemExit("There is no PostgreSQL server to start; install it, or choose --database sqlite.")
            database = stack.enter_context(cluster(programs))
        stack.enter_context(site(database.url if database else None))
        from bench import killing  # its models need the settings that the site has made

        outcome = killing.run(
            n_kills=chosen.kills, n_annotators=chosen.annotators, chance=random.Random(chosen.seed), database=database
        )
    diaries = outcome.diaries
    failures = sum((diary.failures for diary in diaries), start=type(outcome.kills)())
    facts = [
        f"kills: {sum(outcome.kills.values())} ({words(outcome.kills)}); ended by themselves: {words(outcome.ended)}",
        f"answers acknowledged: {sum(len(diary.acknowledged) for diary in diaries)}",
        f"answers sent again: {sum(diary.n_resent for diary in diaries)}",
        f"answers that came late and were kept: {outcome.n_late}",
        f"requests that failed: {sum(failures.values())} ({words(failures)})",
        f"longest outage that somebody saw: {max(diary.longest_outage for diary in diaries):.1f} s",
        f"background jobs: {len(outcome.jobs)}",
        f"violations: {len(outcome.violations)}",
        f"{outcome.n_pairs} pairs in one HA2 study, {chosen.annotators} annotators at a time, seed {chosen.seed}",
        f"{machine()}; {versions(outcome.database)}; {datetime.now(UTC):%d %B %Y}",
        f"`{shlex.join(['python', '-m', 'bench.faults', *sys.argv[1:]])}`",
    ]
    print("\n".join(f"- {fact}" for fact in facts))
    for violation in outcome.violations[:SHOWN]:
        print(f"VIOLATED: {violation}")
    return 1 if outcome.violations else 0


def words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "none"


if __name__ == "__main__":
    main()
