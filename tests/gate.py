"""All checks and tests, by kinds that run side by side.

    python -m tests.gate                     every kind that a change has to pass: `make test`
    python -m tests.gate browsers services   some of them
    python -m tests.gate --check             lints, and the tests of the rooms that have changed: `make check`
    python -m tests.gate --long              what only deepens: `make test-long`

What a kind says goes to var/gate/KIND.log, and is shown whole where it fails. The run ends with the slowest tests and
each kind's minutes. A kind that took more than its budget is named loudly; it does not fail, since machines differ.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from tests.kinds import LOGS, LONG, PER_CHANGE, ROOT, Kind, check, seconds_of_tests

SAY_EVERY_SECONDS = 60
N_SLOWEST = 10
MEMORY, ENOUGH = Path("/dev/shm"), 4 * 2**30  # noqa: S108  bytes: four times what the tests were seen to keep at once


def changed_files() -> list[str]:
    """Since this branch left main, committed or not."""
    base = _git("merge-base", "HEAD", "origin/main") or ["HEAD"]
    return [*_git("diff", "--name-only", *base), *_git("ls-files", "--others", "--exclude-standard")]


def _git(*arguments: str) -> list[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()


@dataclass
class Outcome:
    kind: Kind
    minutes: float
    cpu_minutes: float
    exit_code: int
    n_passed: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    slowest: list[tuple[float, str]] = field(default_factory=list)  # seconds, test

    @property
    def is_over_budget(self) -> bool:
        return self.minutes > self.kind.budget

    @property
    def counts(self) -> str:
        return f"{self.n_passed} passed, {self.n_failed} failed, {self.n_skipped} skipped"

    def read(self, report: Path) -> None:
        """What pytest has written of its tests. Without a report there were none, or it died."""
        if report.exists():
            suite = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314  our own file
            assert suite is not None
            n, n_failures, n_errors, self.n_skipped = (
                int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")
            )
            self.n_failed = n_failures + n_errors
            self.n_passed = n - self.n_failed - self.n_skipped
            self.slowest = sorted(seconds_of_tests(report), reverse=True)[:N_SLOWEST]
        if self.exit_code and not self.n_failed:
            self.n_failed = 1


class Run:
    """A kind on its way."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.log, self.report = kind, folder / f"{kind.name}.log", folder / f"{kind.name}.xml"
        self.report.unlink(missing_ok=True)
        self.began = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                kind.to_run(self.report), cwd=ROOT, env=kind.environment, stdout=log, stderr=subprocess.STDOUT
            )

    def outcome(self) -> Outcome | None:
        """None while it goes on."""
        pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
        if not pid:
            return None
        self.process.returncode = os.waitstatus_to_exitcode(status)
        minutes, cpu_minutes = (time.monotonic() - self.began) / 60, (used.ru_utime + used.ru_stime) / 60
        ended = Outcome(self.kind, minutes, cpu_minutes, self.process.returncode)
        ended.read(self.report)
        return ended

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def __str__(self) -> str:
        """With how far it is, where it says so."""
        done = re.findall(r"\[ *(\d+)%\]", self.said())
        return f"{self.kind.name} {done[-1]} %" if done else self.kind.name


def run(kinds: Sequence[Kind], folder: Path = LOGS) -> list[Outcome]:
    """All of them, each lane in the order given. How a kind ended is said when it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting, running, ended = list(kinds), dict[int, Run](), list[Outcome]()
    began = said = time.monotonic()
    try:
        while waiting or running:
            for kind in [*waiting]:
                if kind.lane not in running:
                    running[kind.lane] = Run(kind, folder)
                    waiting.remove(kind)
            for lane, each in [*running.items()]:
                if outcome := each.outcome():
                    del running[lane]
                    ended.append(outcome)
                    say_how_it_ended(outcome, each.said())
            if running and time.monotonic() - said > SAY_EVERY_SECONDS:
                said = time.monotonic()
                say(f"{(said - began) / 60:.0f} min: {', '.join(map(str, running.values()))}")
            time.sleep(0.1)
    finally:
        for each in running.values():
            each.process.terminate()
    return ended


@contextmanager
def scratch(memory: Path = MEMORY, enough: int = ENOUGH) -> Iterator[Path]:
    """Where the tests keep their sites, gone afterwards: in memory where there is enough, since they wait for a disk to
    have each picture and each commit for longer than they compute."""
    is_enough = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= enough
    with TemporaryDirectory(
        prefix="studio-gate-", dir=memory if is_enough else None, ignore_cleanup_errors=True
    ) as folder:
        Path(folder).chmod(0o711)  # a test's own PostgreSQL server runs as another user, in a folder of its own in here
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def say_how_it_ended(outcome: Outcome, said: str) -> None:
    name, bar = outcome.kind.name, "=" * 30
    if outcome.exit_code:
        say(f"{bar} {name} FAILED; all that it said: {bar}\n{said}\n{bar} end of {name} {bar}")
    elif outcome.n_passed:
        say(f"{name}: {outcome.counts}, {outcome.minutes:.1f} min")
    else:  # no tests, or none to be had here
        say(f"{name}: {outcome.minutes:.1f} min\n{said.strip()}")


def summary(outcomes: Sequence[Outcome], minutes: float) -> str:
    slowest = sorted(((*each, ended.kind.name) for ended in outcomes for each in ended.slowest), reverse=True)
    lines = ["", f"The {N_SLOWEST} slowest tests"]
    lines += [f"  {seconds:6.1f} s  {kind:20} {test}" for seconds, test, kind in slowest[:N_SLOWEST]]
    lines += ["", "Minutes by kind           took  budget  of a core"]
    for ended in outcomes:
        kind, past = ended.kind, "  PAST ITS BUDGET" if ended.is_over_budget else ""
        lines.append(f"  {kind.name:20} {ended.minutes:7.1f} {kind.budget:7.1f} {ended.cpu_minutes:10.1f}{past}")
    lines += [f"  {'side by side':20} {minutes:7.1f}", ""]
    if over := [ended for ended in outcomes if ended.is_over_budget]:
        named = ", ".join(f"{ended.kind.name} by {ended.minutes - ended.kind.budget:.1f} min" for ended in over)
        lines += ["!" * 100, f"!!! PAST THE BUDGET: {named}.", "!!! Where the machine was quiet, see what has grown."]
        lines += ["!" * 100, ""]
    if failed := [ended.kind.name for ended in outcomes if ended.exit_code]:
        lines.append(f"FAILED: {', '.join(failed)}")
    n_passed, n_failed, n_skipped = (
        sum(getattr(ended, name) for ended in outcomes) for name in ("n_passed", "n_failed", "n_skipped")
    )
    return "\n".join([*lines, f"{n_passed} passed, {n_failed} failed, {n_skipped} skipped"])


def main() -> None:
    parser = ArgumentParser(prog="python -m tests.gate", description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("kinds", nargs="*")
    chosen = parser.parse_args()
    kinds = check(changed_files()) if chosen.check else LONG if chosen.long else PER_CHANGE
    if unknown := {*chosen.kinds} - {kind.name for kind in kinds}:
        parser.error(f"there is no kind {', '.join(unknown)}; there are {', '.join(kind.name for kind in kinds)}")
    began = time.monotonic()
    with scratch():
        outcomes = run([kind for kind in kinds if not chosen.kinds or kind.name in chosen.kinds])
    say(summary(outcomes, (time.monotonic() - began) / 60))
    sys.exit(1 if any(ended.exit_code for ended in outcomes) else 0)


if __name__ == "__main__":
    main()
