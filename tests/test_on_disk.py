"""What was acknowledged is on disk: the server's own system calls, as the kernel saw them."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.db import connection
from django.urls import reverse

from annotation.models.people import Participation
from bench.site import free_port, wait_for
from config.serve import web_command
from tests import make
from tests.conftest import skip_or_fail
from tests.workers import REPOSITORY, children, site_of_this_test

pytestmark = [
    pytest.mark.services,
    pytest.mark.long,  # beside all else that the gate runs, strace has once lost what it saw
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("media_of_its_own"),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="a PostgreSQL server syncs by itself before it answers"),
]
SYNCS = {"fsync", "fdatasync"}
SENDS = {"write", "writev", "sendto", "sendmsg"}
CALL = re.compile(r"(?P<thread>\d+) (?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\((?P<given>.*))")


def test_an_answer_is_on_disk_before_the_browser_is_told_that_it_is_stored(tmp_path: Path) -> None:
    assert acknowledged(tmp_path / "calls", {}) == ["on disk"] * 3


def test_with_less_it_need_not_be(tmp_path: Path) -> None:
    """So the test above can see the difference."""
    assert "not on disk" in acknowledged(tmp_path / "calls", {"SQLITE_SYNCHRONOUS": "NORMAL"})


def acknowledged(calls: Path, environment: dict[str, str]) -> list[str]:
    """Three answers sent to a server: whether each was on disk when its acknowledgement left."""
    person = make.participation(make.study(n_pairs=3))
    leases = make.leases(person)
    with traced_server(calls, environment) as port:
        for lease in leases:
            send(port, person, make.answer(lease))
    return list(at_each_acknowledgement(calls.read_text().splitlines()))


@contextmanager
def traced_server(calls: Path, environment: dict[str, str]) -> Iterator[int]:
    """The site's own web server; what it writes, syncs and sends is noted in `calls`."""
    if shutil.which("strace") is None or subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode:
        skip_or_fail("strace is not here, or may not trace")
    port = free_port()
    calls_of_interest = ",".join(sorted({"pwrite64", *SYNCS, *SENDS}))
    options = ["--follow-forks", "--seccomp-bpf", "--decode-fds=path", "--string-limit=4000"]
    process = subprocess.Popen(
        ["strace", *options, f"--trace={calls_of_interest}", f"--output={calls}", *web_command(port)],
        cwd=REPOSITORY,
        env=site_of_this_test() | environment,
    )
    try:
        wait_for(process, port)
        yield port
    finally:
        [traced] = children(process.pid)
        for pid in [traced, *children(traced)]:  # strace itself heeds no signal, and ends with what it traces
            os.kill(pid, signal.SIGKILL)
        process.wait(30)


def send(port: int, person: Participation, answer: dict[str, object]) -> None:
    cookies = make.browser(person).cookies
    token = "c" * 32
    cookie = "; ".join([f"csrftoken={token}", *(f"{name}={each.value}" for name, each in cookies.items())])
    headers = {"Cookie": cookie, "X-CSRFToken": token, "Content-Type": "application/json"}
    line = HTTPConnection("127.0.0.1", port, timeout=30)
    address = reverse("annotation:answer", args=[person.public_id])
    line.request("POST", address, json.dumps({"answers": [answer]}), headers)
    reply = line.getresponse()
    assert b'"stored"' in reply.read(), reply.status
    line.close()


def at_each_acknowledgement(lines: list[str]) -> Iterator[str]:
    """A write counts from its beginning, a sync from its end: SQLite's log is on disk where none was written since."""
    has_written, is_synced, syncing = False, False, dict[str, bool]()
    for call in filter(None, map(CALL.match, lines)):
        thread, name, given = call["thread"], call["resumed"] or call["name"], call["given"] or ""
        if name == "pwrite64" and "-wal>" in given:
            has_written, is_synced = True, False
        elif name in SYNCS:
            of_log = "-wal>" in given or syncing.pop(thread, False)
            if "<unfinished" in given:
                syncing[thread] = of_log
            elif of_log:
                is_synced = True
        elif name in SENDS and '"stored' in given.replace("\\", ""):
            yield "on disk" if has_written and is_synced else "not on disk"
            has_written = False
