"""A PostgreSQL of one's own, to be killed: its own data, port and processes, durable as Debian sets it up."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from bench.machine import children, is_running
from bench.site import free_port

INSTALLED = Path("/usr/lib/postgresql")
OWNER = "postgres"  # the server refuses to run as root
READY_WITHIN_SECONDS = 60


def binaries() -> Path | None:
    """The folder of the newest server that is installed."""
    found = [server.parent for server in INSTALLED.glob("*/bin/postgres")]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


class Cluster:
    name = "database"

    def __init__(self, folder: Path, programs: Path) -> None:
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        self.url = f"postgres://{OWNER}@127.0.0.1:{self.port}/postgres"
        self.programs = programs

    def create(self) -> None:
        options = ["--pgdata", str(self.data), "--username", OWNER, "--auth", "trust", "--encoding", "UTF8"]
        self._started("initdb", *options, "--locale", "C.UTF-8").wait()

    def start(self) -> None:
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "on"}
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = self._started("postgres", "-D", str(self.data), *given)
        until = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            time.sleep(0.1)
        raise SystemExit(f"PostgreSQL did not start:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL for all of it. Stopped first, so that it starts no process that is not on the list."""
        os.kill(self.process.pid, signal.SIGSTOP)
        family = [self.process.pid, *children(self.process.pid)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        while any(is_running(pid) for pid in family):  # the next start refuses while somebody has the shared memory
            time.sleep(0.01)

    def _started(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        """As a user that may, and told to stop at once when this process dies."""
        user = [f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups"] if os.geteuid() == 0 else []
        command = ["setpriv", *user, "--pdeathsig=QUIT", "--", str(self.programs / program), *options]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd="/", stdout=log, stderr=log, start_new_session=True)


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="studio-cluster-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, OWNER)
        mine = Cluster(Path(folder), programs)
        mine.create()
        mine.start()
        try:
            yield mine
        finally:
            mine.kill()
