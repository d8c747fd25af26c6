"""docs/nginx.conf as it stands, before two web servers of one site: paths and ports are all that is changed."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import pytest
from django.urls import reverse

from annotation.models.people import Participation
from annotation.models.ratings import Rating
from bench.site import free_port, wait_for
from config.serve import web_command
from tests import make
from tests.conftest import skip_or_fail
from tests.test_web import browser_of
from tests.workers import REPOSITORY, site_of_this_test

pytestmark = [
    pytest.mark.long,
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("media_of_its_own"),
]
PATIENCE_SECONDS = 60
LONGEST_SECONDS = 8  # that one hung host may cost anybody


@dataclass
class Site:
    port: int  # of nginx
    hosts: dict[int, subprocess.Popen[bytes]]  # by their ports
    log: Path

    def start(self, port: int) -> None:
        environment = site_of_this_test() | {"ACCEL_PREFIX": "/protected", "PROXY_COUNT": "1"}
        self.hosts[port] = subprocess.Popen(web_command(port), cwd=REPOSITORY, env=environment)
        wait_for(self.hosts[port], port)

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as line:
            line.request(method, path, body or None, {"Host": "localhost"} | headers)
            reply = line.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()

    def answer(self, person: Participation, body: dict[str, object]) -> int:
        path = reverse("annotation:answer", args=[person.public_id])
        return self.ask("POST", path, json.dumps(body), **browser_of(person), **{"Content-Type": "application/json"})[0]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if shutil.which("nginx") is None:
        skip_or_fail("nginx is not here (apt-get install nginx-light)")
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(collect, cwd=REPOSITORY, env=site_of_this_test(), check=True)
    made = Site(free_port(), {}, tmp_path / "access.log")
    ports = [free_port(), free_port()]
    config = tmp_path / "nginx.conf"
    config.write_text(adapted((REPOSITORY / "docs" / "nginx.conf").read_text(), tmp_path, made.port, ports))
    for folder in tmp_path.parents:  # nginx's own processes are another user's
        if folder.stat().st_uid == tmp_path.stat().st_uid and folder.stat().st_mode & 0o077 == 0:
            folder.chmod(0o711)
    try:
        for port in ports:
            made.start(port)
        with running_nginx(config, made.port):
            yield made
    finally:
        for host in made.hosts.values():
            host.kill()
            host.wait()


def adapted(text: str, folder: Path, port: int, hosts: list[int]) -> str:
    changes = {
        "user studio;": "user root;",
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/var/log/nginx/": f"{folder}/",
        "/srv/studio/var/": f"{folder}/site/",
        "listen 80;": f"listen 127.0.0.1:{port};",
        "127.0.0.1:8001": f"127.0.0.1:{hosts[0]}",
        "127.0.0.1:8002": f"127.0.0.1:{hosts[1]}",
    }
    for ours, theirs in changes.items():
        assert ours in text, ours
        text = text.replace(ours, theirs)
    return text


@contextmanager
def running_nginx(config: Path, port: int) -> Iterator[None]:
    nginx = subprocess.Popen(["nginx", "-c", str(config), "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    try:
        wait_for(nginx, port)
        yield
    finally:
        nginx.terminate()
        nginx.wait()


# What it sends itself ----------------------------------------------------------------------------------------------


def test_it_sends_pictures_that_the_site_allows_and_static_files_without_what_tells_them_apart(site: Site) -> None:
    person = make.participation(make.study(n_pairs=2))
    [lease, *_] = make.leases(person)
    path = reverse("annotation:picture", args=[person.public_id, lease.anonymized_key])
    status, head, body = site.ask("GET", path, **browser_of(person))
    assert (status, body) == (200, lease.item.pair.anonymized.display.read())
    assert not {"ETag", "Last-Modified", "X-Accel-Redirect", "Content-Disposition"} & set(head)
    assert head["Content-Type"] == "image/png"
    assert "no-store" in head["Cache-Control"]
    assert site.ask("GET", path)[0] == 404  # to a stranger
    assert site.ask("GET", f"/protected/{lease.item.pair.anonymized.display.name}", **browser_of(person))[0] == 404
    status, head, body = site.ask("GET", "/static/studio.css")
    assert (status, body) == (200, (REPOSITORY / "static" / "studio.css").read_bytes())
    assert "default-src 'none'" in head["Content-Security-Policy"]


def test_a_long_body_is_taken_where_files_are_and_nowhere_else(site: Site) -> None:
    project, long = make.project(), "x" * 2 * 1024 * 1024
    assert site.ask("POST", reverse("login"), long)[0] == 413
    status, _, body = site.ask("POST", reverse("datasets:import", args=[project.slug]), long)
    assert (status, b"nginx" in body) == (413, False)  # by the site itself: nobody has logged in


# A host that hangs, and one that is started again -------------------------------------------------------------------


def test_a_host_that_hangs_costs_nobody_more_than_some_seconds_and_no_answer(site: Site) -> None:
    study = make.study(n_pairs=8, goal=9)
    people = [make.participation(study) for _ in range(8)]
    bodies = {person: {"answers": [make.answer(make.leases(person)[0])]} for person in people}
    [hung, _] = site.hosts.values()
    hung.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as at_once:
            replies = [*at_once.map(timed(lambda person: site.answer(person, bodies[person])), people)]
            pages = [*at_once.map(timed(lambda _: site.ask("GET", "/health/")[0]), range(8))]
    finally:
        hung.send_signal(signal.SIGCONT)
    assert [status for status, _ in replies + pages] == [200] * 16
    assert max(seconds for _, seconds in replies + pages) < LONGEST_SECONDS
    assert Rating.objects.count() == 8


def timed(ask: Callable[..., int]) -> Callable[..., tuple[int, float]]:
    def asked(*arguments: object) -> tuple[int, float]:
        began = time.monotonic()
        return ask(*arguments), time.monotonic() - began

    return asked


def test_hosts_are_started_again_one_after_the_other_and_nobody_who_rates_meets_an_error(site: Site) -> None:
    study = make.study(n_pairs=60, session_size=60, goal=9)
    people, over = [make.participation(study) for _ in range(4)], Event()

    def rate(person: Participation) -> list[int]:
        replies = []
        path = reverse("annotation:answer", args=[person.public_id])
        fields = browser_of(person) | {"Content-Type": "application/json"}
        turn = json.loads(site.ask("POST", path, json.dumps({"answers": []}), **fields)[2])
        while turn["leases"] and not over.is_set():
            said = {"answers": [make.answer(turn["leases"][0]["assignment"])]}
            status, _, body = site.ask("POST", path, json.dumps(said), **fields)
            replies.append(status)
            turn = json.loads(body) if status == 200 else turn
        return replies

    with ThreadPoolExecutor(4) as at_once:
        rating = [at_once.submit(rate, person) for person in people]
        for port, host in [*site.hosts.items()]:
            host.terminate()
            host.wait(PATIENCE_SECONDS)
            site.start(port)
        over.set()
        replies = [status for each in rating for status in each.result()]
    assert len(replies) > 20
    assert set(replies) == {200}


# What it writes down ------------------------------------------------------------------------------------------------


def test_its_log_names_no_visitor_link_code_or_address(site: Site) -> None:
    person = make.participation(make.study(n_pairs=2))
    invitation = make.invitation(person.study)
    site.ask(
        "GET", f"{reverse('annotation:join', args=[invitation.token])}?from=a-friend", Referer="http://else.where/"
    )
    site.ask("GET", reverse("annotation:rate", args=[person.public_id]), **browser_of(person))
    site.answer(person, {"answers": []})
    written = "".join(path.read_text(errors="replace") for path in site.log.parent.glob("*.log"))
    assert len(written.splitlines()) >= 3
    for told in (invitation.token, str(person.public_id), person.public_id.hex, "127.0.0.1", "a-friend", "else.where"):
        assert told not in written
    assert re.search(r"^\S+ answer POST 200 ", written, re.MULTILINE)
