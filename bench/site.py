"""A site for one measurement: its own folder, secrets, database and server, all gone after it."""

import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import django
import psycopg
from django.core.management import call_command
from psycopg.sql import SQL, Identifier

from config.serve import WORKER_COMMANDS, started, stop_children, web_command

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30


@dataclass(frozen=True)
class Server:
    pids: list[int]
    port: int


@contextmanager
def site(database: str | None) -> Iterator[None]:
    """Settings for this process and its children. After it the models can be imported, and the tables are empty.

    A PostgreSQL database is there already, and stays.
    """
    with tempfile.TemporaryDirectory(prefix="studio-bench-") as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "STUDIO_VAR": folder,
            "DATABASE_URL": database or f"sqlite:///{folder}/studio.sqlite3",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "PSEUDONYM_KEY": secrets.token_urlsafe(48),
            "DEBUG": "false",
            "HTTPS": "false",
            "ACCEL_PREFIX": "",
            "JOINS_PER_ADDRESS": "1000000/1",  # all come from this machine
        }
        django.setup()
        call_command("migrate", verbosity=0)
        # Pages name static files by their hash; those of the admin take ten seconds and no annotator sees them.
        call_command("collectstatic", interactive=False, ignore_patterns=["admin", "rest_framework"], verbosity=0)
        yield


@contextmanager
def new_database(url: str | None) -> Iterator[None]:
    """Create the PostgreSQL database, and drop it again. One that exists already is an error: it is somebody's."""
    if url is None:
        yield
        return
    address = urlsplit(url)
    name = Identifier(address.path.removeprefix("/"))
    with psycopg.connect(address._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(name))
        try:
            yield
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@contextmanager
def server(*, workers: int, command: Callable[[int], list[str]] = web_command) -> Iterator[Server]:
    """The product's own server, or another that is started on a port by this command, in as many processes."""
    port = free_port()
    options = ["--share-port"] if workers > 1 else []
    processes = [subprocess.Popen([*command(port), *options], cwd=ROOT) for _ in range(workers)]
    try:
        for process in processes:
            wait_for(process, port)
        yield Server([process.pid for process in processes], port)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:  # another server may wait for lines that never end
                process.kill()
                process.wait()


@contextmanager
def whole_product() -> Iterator[int]:
    """Web server and both workers, as `python -m config.serve` starts them; gives the port."""
    port = free_port()
    web, workers = started(web_command(port)), [started(command) for command in WORKER_COMMANDS]
    try:
        wait_for(web, port)
        yield port
    finally:
        stop_children(web, *workers)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if is_healthy(port):
            return
        time.sleep(0.1)
    raise SystemExit("The server did not start; its own message is above.")


def is_healthy(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
