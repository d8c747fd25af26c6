"""The web server as strangers treat it: lines that are silent, never read, too long, cut off."""

import io
import json
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse

import numpy as np
import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from PIL import Image as PillowImage

from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Rating
from bench.site import free_port, wait_for
from config.known import COOKIE, remember
from config.serve import web_command
from datasets.images import image_row, store_files
from datasets.models.pictures import Image
from datasets.models.projects import Project
from datasets.pictures import inspect
from tests import make
from tests.workers import REPOSITORY, site_of_this_test

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("media_of_its_own"),
]
N_LINES = 200  # silent ones, and as many that nobody reads
N_PEOPLE = 8
PATIENCE_SECONDS = 60  # for what would otherwise wait for ever
A_FORM = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int

    def line(self, sent: bytes) -> socket.socket:
        """A connection that takes in little by itself, so that what is sent to it waits at the server."""
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(PATIENCE_SECONDS)
        made.connect(("127.0.0.1", self.port))
        made.sendall(sent)
        return made


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    port = free_port()
    process = subprocess.Popen([*web_command(port), *options], cwd=REPOSITORY, env=site_of_this_test())
    try:
        wait_for(process, port)
        yield Server(process, port)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


def reply(of: socket.socket) -> tuple[HTTPResponse, bytes]:
    read = HTTPResponse(of)
    read.begin()
    return read, read.read()


def head(method: str, path: str, **fields: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def large_picture(of: Project) -> Image:
    """Some three megabytes: more than the kernel keeps for a reader who does not read."""
    noise = np.frombuffer(secrets.token_bytes(1000 * 1000 * 3), np.uint8).reshape(1000, 1000, 3)
    PillowImage.fromarray(noise).save(file := io.BytesIO(), "PNG")
    picture = inspect(file.getvalue())
    store_files(of, picture)
    return image_row(of, picture)


def cookies_of(browser: Client | HttpResponse) -> str:
    return "; ".join(f"{name}={each.value}" for name, each in browser.cookies.items())


# Slow and silent lines --------------------------------------------------------------------------------------------


def test_people_rate_beside_hundreds_of_lines_that_are_silent_or_not_read(server: Server) -> None:
    project = make.project()
    make.pair(project, anonymized=(large := large_picture(project)))
    study = make.study(project, n_pairs=0, mode="HA1", goal=N_PEOPLE + 1)
    reader, *people = [make.participation(study) for _ in range(N_PEOPLE + 1)]
    asked = head("GET", picture_of(reader), **browser_of(reader))
    answer = reverse("annotation:answer", args=[reader.public_id])
    begun = head("POST", answer, **browser_of(reader), **{"Content-Length": "9", "Content-Type": "application/json"})
    with ExitStack() as lines, ThreadPoolExecutor(N_PEOPLE) as at_once:
        unread = [lines.enter_context(server.line(asked)) for _ in range(N_LINES)]
        silent = [lines.enter_context(server.line(begun + b"half")) for _ in range(N_LINES)]
        answers = [(person, make.leases(person)[0]) for person in people]
        assert [*at_once.map(lambda answer: rate(server, *answer), answers)] == ["stored"] * N_PEOPLE
        # And none of those lines was dropped for it.
        assert [reply(each)[1] for each in (unread[0], unread[-1])] == [large.display.read()] * 2
        for each in (silent[0], silent[-1]):
            each.sendall(b"a-way")
            assert reply(each)[0].status == 400  # which is no JSON, once it has come whole
    assert Rating.objects.count() == N_PEOPLE


def picture_of(person: Participation) -> str:
    return reverse("annotation:picture", args=[person.public_id, make.leases(person)[0].anonymized_key])


def browser_of(person: Participation) -> dict[str, str]:
    token = "c" * 32
    return {"Cookie": f"csrftoken={token}; {cookies_of(make.browser(person))}", "X-CSRFToken": token}


def rate(server: Server, person: Participation, lease: Assignment) -> str:
    fields = browser_of(person) | {"Content-Type": "application/json"}
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)) as to:
        address = reverse("annotation:answer", args=[person.public_id])
        to.request("POST", address, json.dumps({"answers": [make.answer(lease)]}), fields)
        [said] = json.loads(to.getresponse().read())["acknowledgements"]
    return str(said["status"])


def test_a_line_that_stays_silent_is_closed() -> None:
    with serving("--silent-seconds", "1") as server, server.line(b"GET / HT") as silent:
        assert silent.recv(100) == b""


def test_a_part_of_a_file_is_sent_from_where_it_begins(server: Server) -> None:
    project = make.project()
    make.pair(project, anonymized=(large := large_picture(project)))
    reader = make.participation(make.study(project, n_pairs=0, mode="HA1"))
    whole = large.display.read()
    for asked, part in (("bytes=5-9", whole[5:10]), (f"bytes={len(whole) - 70_000}-", whole[-70_000:])):
        with server.line(head("GET", picture_of(reader), Range=asked, **browser_of(reader))) as to:
            said, body = reply(to)
            assert (said.status, body) == (206, part)


# What is too long -------------------------------------------------------------------------------------------------


def test_files_are_taken_from_where_somebody_has_logged_in_and_by_pages_that_ask_for_them(server: Server) -> None:
    project = make.project()
    researcher = make.member(project)
    imports, home = reverse("datasets:import", args=[project.slug]), reverse("home")
    remember(known := HttpResponse(), researcher.pk)
    forged = f"{COOKIE}={known.cookies[COOKIE].value[:-1]}"
    assert refused(server, imports, size=A_FORM + 1, cookie="") == 413
    assert refused(server, imports, size=A_FORM + 1, cookie=forged) == 413
    assert refused(server, home, size=A_FORM + 1, cookie=cookies_of(known)) == 413
    assert refused(server, imports, size=2 * settings.UPLOAD_MAX_BYTES, cookie=cookies_of(known)) == 413
    assert refused(server, imports, size=A_FORM + 1, cookie=cookies_of(known)) is None


def refused(server: Server, path: str, *, size: int, cookie: str) -> int | None:
    """By which status, before any of the body is sent; None where the server waits for it."""
    asked = head("POST", path, **{"Content-Length": str(size), "Cookie": cookie, "Expect": "100-continue"})
    with server.line(asked) as to:
        said = to.recv(100)
    return None if said.startswith(b"HTTP/1.1 100") else int(said.split()[1])


def test_a_body_without_an_end_is_refused_where_no_file_is_taken(server: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with server.line(head("POST", reverse("login"), **{"Transfer-Encoding": "chunked"})) as to:
        with suppress(ConnectionError):
            for _ in range(4 * A_FORM // 0x10000):
                to.sendall(chunk)
        assert reply(to)[0].status == 413


# The end ----------------------------------------------------------------------------------------------------------


def test_what_has_begun_is_answered_before_the_server_ends(server: Server) -> None:
    """The largest picture is on its way to somebody who begins to read when the server was told to stop."""
    project = make.project()
    make.pair(project, anonymized=(large := large_picture(project)))
    reader = make.participation(make.study(project, n_pairs=0, mode="HA1"))
    with server.line(head("GET", picture_of(reader), **browser_of(reader))) as to:
        first = to.recv(1)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.5)
        read = b"".join(iter(lambda: to.recv(1 << 16), b""))
    assert (first + read).endswith(large.display.read())
    assert server.process.wait(PATIENCE_SECONDS) == 0
