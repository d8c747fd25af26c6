"""Memory and time of an import, of filling a study and of looking at its answers, by their size; a process for each.

Peak memory is VmHWM, which Linux keeps for each process. What the figures show is in docs/benchmarks.md.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from bench.machine import machine, memory_mb, versions
from bench.site import ROOT, site

PAIRS = [10_000, 100_000, 1_000_000]
ROWS = [1_000, 10_000, 100_000]
RATINGS = [10_000, 100_000, 1_000_000]


def main() -> None:
    chosen = options()
    if chosen.only:
        print(json.dumps(only(*chosen.only)))
        return
    print("| what | size | seconds | CPU seconds | CPU ms each | peak MB | of it before MB | bytes each |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    sizes = {"add_items": chosen.pairs, "lines": chosen.pairs, "check": chosen.rows, "import_pairs": chosen.rows}
    sizes["assess"] = chosen.ratings
    for what in sizes:
        for size in sizes[what]:
            print(row(what, size, in_a_process("site", what, size)), flush=True)
    print(provenance())


def options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.import_size", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="*", default=PAIRS, help="sizes of the study that is filled")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS, help="rows of the manifests")
    parser.add_argument("--ratings", type=int, nargs="*", default=RATINGS, help="of the study that is looked at")
    parser.add_argument("--only", nargs=3, metavar=("STEP", "WHAT", "SIZE"), help="what each process is started with")
    return parser.parse_args()


def in_a_process(step: str, what: str, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.import_size", "--only", step, what, str(size)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ.copy(), stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def only(step: str, what: str, size: str) -> dict[str, float]:
    """A new site and the steps on it, or one step on the site of the process that started this one."""
    if step == "site":
        with site(None):
            in_a_process("prepare", what, int(size))
            return in_a_process("measure", what, int(size))
    import django

    django.setup()
    from bench import sizes

    work = sizes.STEPS[step, what]
    if step == "measure":
        work(0)  # whatever is imported and opened on first use belongs to the base
    base, begun, spent = memory_mb(), time.perf_counter(), time.process_time()
    work(int(size))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - spent
    return {"seconds": seconds, "cpu": cpu, "base": base, "peak": memory_mb()}


def row(what: str, size: int, seen: dict[str, float]) -> str:
    more = seen["peak"] - seen["base"]
    cells = [what, f"{size:,}", f"{seen['seconds']:.1f}", f"{seen['cpu']:.1f}", f"{seen['cpu'] * 1000 / size:.3f}"]
    cells += [f"{seen['peak']:.0f}", f"{seen['base']:.0f}", f"{more * 1e6 / size:.0f}"]
    return f"| {' | '.join(cells)} |"


def provenance() -> str:
    import sqlite3

    command = shlex.join(["python", "-m", "bench.import_size", *sys.argv[1:]])
    where = f"{machine()}; {versions(f'SQLite {sqlite3.sqlite_version}')}; {datetime.now(UTC):%d %B %Y}"
    return f"\n- {where}\n- `{command}`"


if __name__ == "__main__":
    main()
