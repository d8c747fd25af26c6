"""The demo as a newcomer starts it: built once, quick and unchanged the second time, alive when its worker dies."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from config import serve

pytestmark = [pytest.mark.demo, pytest.mark.services]
ROOT = Path(__file__).resolve().parents[1]


def run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def eventually(what: Callable[[], bool], *, seconds: float = 30, every: float = 0.2) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(every)


def answers(port: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/health/", timeout=2).status == 200)
    except OSError:
        return False


def children(parent: int, command: str) -> list[int]:
    """The processes that this one has started, where the command holds these words."""
    found = subprocess.run(["pgrep", "-P", str(parent), "-f", command], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def runs(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # empty once it has ended and nobody has asked how
    except (FileNotFoundError, ProcessLookupError):
        return False


def workers(site: int) -> list[int]:
    return children(site, "^[^ ]+ manage.py work")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {
        name: value for name, value in os.environ.items() if name not in {"SECRET_KEY", "PSEUDONYM_KEY", "DATABASE_URL"}
    }
    made = kept | {"STUDIO_VAR": str(tmp_path_factory.mktemp("demo")), "PORT": str(port), "DEBUG": "true"}
    run(made, "-m", "config.first_start")
    run(made, "manage.py", "migrate", "--verbosity", "0")
    return made


def test_a_start_that_was_ended_in_the_middle_of_a_job_is_gone_on_with(environment: dict[str, str]) -> None:
    for blow, leaves_it in ((signal.SIGINT, "queued"), (signal.SIGKILL, "running")):
        build = subprocess.Popen(
            [sys.executable, "manage.py", "build_demo"],
            cwd=ROOT,
            env=environment,
            preexec_fn=_hears_interrupts,
        )
        eventually(partial(struck, build, blow, environment), seconds=120, every=0.02)
        assert build.wait(30) != 0
        assert state_of_import(environment) == leaves_it
    run(environment, "manage.py", "build_demo")
    assert state_of_import(environment) == "done"


def _hears_interrupts() -> None:
    """A shell lets what it starts in the background ignore interrupts, tests and all."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def struck(build: subprocess.Popen[bytes], blow: int, environment: dict[str, str]) -> bool:
    """The blow, if the import has stored some of its pictures: of all the jobs of a build it takes the longest, and
    while we hold the database it can get no further."""
    database = sqlite3.connect(f"{environment['STUDIO_VAR']}/studio.sqlite3", timeout=0, isolation_level=None)
    with closing(database):
        try:
            database.execute("BEGIN IMMEDIATE")
            row = database.execute(
                "SELECT 1 FROM datasets_job WHERE kind = 'import_pairs' AND state = 'running' AND n_done > 0"
            ).fetchone()
        except sqlite3.OperationalError:  # somebody else writes, or there are no tables yet
            return False
        if row:
            build.send_signal(blow)
        database.execute("ROLLBACK")
    return row is not None


def state_of_import(environment: dict[str, str]) -> str | None:
    database = sqlite3.connect(f"file:{environment['STUDIO_VAR']}/studio.sqlite3?mode=ro", uri=True)
    with closing(database):
        row = database.execute("SELECT state FROM datasets_job WHERE kind = 'import_pairs'").fetchone()
    return row[0] if row else None


def test_the_demo_is_built_once_and_found_again(environment: dict[str, str]) -> None:
    first = run(environment, "manage.py", "build_demo")
    again = run(environment, "manage.py", "build_demo")
    assert first == again
    assert len(set(re.findall(r"^  (?:annotator|researcher|admin) +(\S+)$", first, re.MULTILINE))) == 3
    shown = run(environment, "manage.py", "study", "demo/simulated-panel/HA2")
    assert "726 of 726 ratings, 12 people" in shown
    jobs = run(environment, "manage.py", "jobs")
    assert [line.split()[2:4] for line in jobs.splitlines()] == [
        ["export_release", "done"],
        ["freeze_study", "done"],
        ["import_pairs", "done"],
    ]


# As from a terminal: whoever runs these tests under nohup would hand on that SIGHUP is ignored.
SERVE = """
import runpy, signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)
runpy.run_module("config.serve", run_name="__main__")
"""


@pytest.fixture
def site(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-c", SERVE], cwd=ROOT, env=environment)
    eventually(lambda: answers(environment["PORT"]) and len(workers(started.pid)) == 2)
    yield started
    if started.poll() is None:
        started.terminate()
        started.wait(30)


def test_a_small_model_is_trained_in_the_background_once_and_compared(
    environment: dict[str, str], site: subprocess.Popen[bytes]
) -> None:
    run(environment, "manage.py", "build_demo")  # another process of the tests may have built another's
    first = run(environment, "manage.py", "train_demo")
    assert run(environment, "manage.py", "train_demo") == first
    found = re.search(r"/runs/([0-9a-f]{8})", first)
    assert found
    eventually(lambda: "compare_run  done" in run(environment, "manage.py", "jobs"), seconds=180)
    compared = run(environment, "manage.py", "compare", found[1])
    assert "Too small to conclude anything" in compared
    assert re.search(r"PerceptAnon, this run: rho -?[01]\.\d{3}, tau -?[01]\.\d{3}, n \d+", compared)


def test_a_dead_worker_is_started_again_and_rating_goes_on_meanwhile(
    environment: dict[str, str], site: subprocess.Popen[bytes]
) -> None:
    for killed in workers(site.pid):
        os.kill(killed, signal.SIGKILL)
        assert answers(environment["PORT"])
        eventually(lambda killed=killed: len(workers(site.pid)) == 2 and killed not in workers(site.pid))


def test_a_web_server_that_dies_is_started_again(environment: dict[str, str], site: subprocess.Popen[bytes]) -> None:
    time.sleep(serve.SETTLED_AFTER_SECONDS)
    [web] = children(site.pid, "config.web")
    os.kill(web, signal.SIGKILL)
    eventually(lambda: children(site.pid, "config.web") not in ([], [web]) and answers(environment["PORT"]))
    assert site.poll() is None


def test_a_web_server_that_cannot_start_ends_the_site(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "config.serve"]
    broken = environment | {"DATABASE_URL": "nonsense"}
    ended = subprocess.run(command, cwd=ROOT, env=broken, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "The web server ended; stopping the workers." in ended.stdout


@pytest.mark.parametrize(
    "end",
    [
        *[signal.SIGINT, signal.SIGKILL],
        *[pytest.param(end, marks=pytest.mark.long) for end in (signal.SIGTERM, signal.SIGHUP)],
    ],
)
def test_web_server_and_workers_end_with_whoever_started_them(
    environment: dict[str, str], site: subprocess.Popen[bytes], end: signal.Signals
) -> None:
    started = children(site.pid, "")
    assert len(started) == 3
    site.send_signal(end)
    assert site.wait(30) == (-signal.SIGKILL if end == signal.SIGKILL else 0)
    eventually(lambda: not any(map(runs, started)) and not answers(environment["PORT"]))


@pytest.mark.parametrize("port", ["abc", "", "0", "65536", "-1"])
def test_a_port_that_is_none_is_named(environment: dict[str, str], port: str) -> None:
    command = [sys.executable, "-m", "config.serve"]
    refused = subprocess.run(
        command, cwd=ROOT, env=environment | {"PORT": port}, capture_output=True, text=True, check=False
    )
    assert (refused.returncode, refused.stderr) == (1, f"PORT must be a number from 1 to 65535; it is {port!r}.\n")


def test_secrets_are_made_once_and_are_for_the_owner_alone(environment: dict[str, str]) -> None:
    path = Path(environment["STUDIO_VAR"]) / "studio.env"
    before = path.read_text()
    run(environment, "-m", "config.first_start")
    assert path.read_text() == before
    assert path.stat().st_mode & 0o777 == 0o600
