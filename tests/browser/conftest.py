"""A real site (web server and worker as `make demo` starts them) and a real browser for people to use it with."""

import fcntl
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, expect, sync_playwright

from tests.browser.chromium import found
from tests.browser.commands import ROOT, Commands

PASSWORD = "correct-horse-battery-staple"
BOSS = {"DJANGO_SUPERUSER_USERNAME": "boss", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}  # as createsuperuser reads them
PATIENCE_MS = 20_000  # with whatever is to appear, on a busy machine

# What the Content-Security-Policy keeps out, in words that name the place; it goes to the console like any other error.
REPORT_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} kept out ${event.blockedURI} in ${event.documentURI}`)
)"""
# What Chromium itself logs of a request that found no server; a page cannot keep it from doing so.
NO_SERVER = r"Failed to load resource: net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|FAILED)"


def refused(status: int) -> str:
    """What Chromium logs of a page or an answer that came with this status."""
    return rf"Failed to load resource: the server responded with a status of {status} "


@dataclass
class Site:
    """As in production: hashed names of static files, and the site's own pages for what goes wrong."""

    var: Path
    port: int
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None
    commands: Commands | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "TASKS_ENGINE"}}
        of_this_site = {"STUDIO_VAR": str(self.var), "PORT": str(self.port), "DEBUG": "False"}
        return kept | BOSS | of_this_site | {"JOINS_PER_ADDRESS": "1000/1"}  # all its people sit at this machine

    def manage(self, *arguments: str) -> str:
        """What the command prints, or an error with what it complains of."""
        self.commands = self.commands or Commands(self.environment)
        status, said, complained = self.commands.run(arguments)
        assert status == 0, complained
        return said

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "config.serve"], cwd=ROOT, env=self.environment)
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{self.url}/health/", timeout=1).close()  # noqa: S310
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError("the site did not come up within 30 s")

    def stop(self) -> None:
        """Web server and workers; commands go on."""
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def end(self) -> None:
        self.stop()
        if self.commands:
            self.commands.end()


@pytest.fixture(scope="session")
def empty_var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a site with one user keeps on disk. It is made once for all test processes, since that takes its time."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "empty-site"
    with (shared / "empty-site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make_empty_site(tmp_path_factory.mktemp("empty-site")).rename(folder)
    return folder


def _make_empty_site(folder: Path) -> Path:
    made = Site(folder, 0)
    made.manage("migrate", "--verbosity", "0")
    made.manage("createsuperuser", "--noinput", "--email", "boss@example.org")
    made.manage("collectstatic", "--noinput", "--verbosity", "0")
    made.end()
    return folder


def site_in(folder: Path, empty_var: Path) -> Site:
    """An empty site with one user, `boss`, who is admin of the site; not running yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = Site(folder, probe.getsockname()[1])
    shutil.copytree(empty_var, folder, dirs_exist_ok=True)
    return made


@contextmanager
def running(made: Site) -> Iterator[Site]:
    made.start()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, empty_var: Path) -> Iterator[Site]:
    """The same for all modules, each of which has a project of its own there. Whoever stops it takes `own_site`."""
    with running(site_in(tmp_path_factory.mktemp("site"), empty_var)) as made:
        yield made


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory, empty_var: Path) -> Iterator[Site]:
    with running(site_in(tmp_path_factory.mktemp("site"), empty_var)) as made:
        yield made


@pytest.fixture(scope="module")
def project(site: Site, request: pytest.FixtureRequest) -> str:
    """The slug of a project that no other module uses, named for the module; `boss` is its researcher."""
    slug = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    return new_project(site, slug)


def new_project(site: Site, slug: str) -> str:
    site.manage("create_project", slug, "--member", "boss:researcher")
    return slug


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = found()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Without a GPU, drawing by the processor itself is quicker than by a GPU that the processor plays.
        launched = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False, args=["--disable-gpu"])
        yield launched
        launched.close()


@dataclass
class People:
    """Opens a browser of its own for each person, and remembers what their consoles complained of: errors, warnings,
    whatever the Content-Security-Policy keeps out. A test with complaints fails, but for those that it provokes."""

    browser: Browser
    request: pytest.FixtureRequest
    complaints: list[str] = field(default_factory=list)
    provoked: list[str] = field(default_factory=list)

    @property
    def site(self) -> Site:
        """Started for whoever needs one."""
        return self.request.getfixturevalue("site")  # type: ignore[no-any-return]

    def page(self, **options: object) -> Page:
        context: BrowserContext = self.browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        self.listen(context)
        return context.new_page()

    def begin(self, link: str, **options: object) -> Page:
        """Somebody who has agreed and read the instructions, with the first pair in front of them."""
        page = self.page(**options)
        page.goto(come_in(self.site, link))
        expect(page.get_by_role("img", name="Anonymized picture")).to_be_visible()
        expect_ready_to_rate(page)
        return page

    def listen(self, context: BrowserContext) -> None:
        """To all pages of a browser, those that the test opens itself too."""
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in {"error", "warning"} else None,
        )

    def provokes(self, *patterns: str) -> None:
        """The test brings these complaints about on purpose: what each begins with, as a regular expression."""
        self.provoked += patterns

    @property
    def unprovoked(self) -> list[str]:
        return [said for said in self.complaints if not any(re.match(pattern, said) for pattern in self.provoked)]


@pytest.fixture
def people(browser: Browser, request: pytest.FixtureRequest) -> Iterator[People]:
    made = People(browser, request)
    yield made
    for context in browser.contexts:
        context.close()
    assert made.unprovoked == []


def log_in(page: Page, site: Site, name: str = "boss", password: str = PASSWORD) -> None:
    page.goto(f"{site.url}/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{site.url}/")


COME_IN = """
from annotation.access import resume_token
from annotation.answering.introduction import record_try
from annotation.giving.join import join_by_invitation
from annotation.models.people import Invitation
from annotation.studies.wording import current_texts
invitation = Invitation.objects.get(token="{token}")
mine = join_by_invitation(invitation, agreed_to=current_texts(invitation.study)["consent"])
if {has_read}:
    record_try(mine, understood=True, screen=None)
print(resume_token(mine))
"""


def come_in(site: Site, link: str, *, has_read: bool = True) -> str:
    """Agree, and read the instructions too, as the pages for it would have it; returns the address to go on at. For
    tests of what comes after."""
    token = link.rstrip("/").rpartition("/")[2]
    return f"{site.url}/resume/{shell(site, COME_IN.format(token=token, has_read=has_read))}/"


def shell(site: Site, code: str) -> str:
    """The last line that code prints which runs in the site."""
    return site.manage("shell", "-v", "0", "-c", code).splitlines()[-1]


def take_part(page: Page, link: str) -> None:
    """Open an invitation, agree, and go past the withdrawal code to the instructions."""
    page.goto(link)
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    page.get_by_role("link", name="On to the instructions").click()


def start_rating(page: Page) -> None:
    """Answer the questions below the instructions rightly."""
    page.get_by_role("group", name="name on a badge").get_by_label("Towards 1:").check()
    page.get_by_role("group", name="tells who or where this is").get_by_label("Towards 10:").check()
    page.get_by_role("button", name="Start rating").click()


def answer_alike(page: Page, end: int) -> None:
    """Answer both of these questions in the same way, which is wrong for one of them."""
    questions = page.get_by_role("group", name="Towards which end")
    expect(questions).to_have_count(2)
    for question in questions.all():
        question.get_by_label(f"Towards {end}:").check()
    page.get_by_role("button", name="Start rating").click()


CLICKED = """(element) => {
  window.isClicked = new Promise((done) => {
    element.addEventListener("click", () => done(true), { capture: true, once: true });
    setTimeout(done, 1500, false);
  });
}"""


def tap_by_finger(target: Locator) -> None:
    """Again where Chromium made no click of it: on a busy machine it hears so late of the finger's lifting that it
    takes the tap for a long press, or for the end of a scroll. Whoever is not heard taps again."""
    target.scroll_into_view_if_needed()
    for _ in range(3):
        target.evaluate(CLICKED)
        target.tap()
        try:
            if target.page.evaluate("window.isClicked") is not False:  # it knows nothing of it: it is another page
                return
        except Error:  # the page is just going elsewhere, as by a link
            return
    raise AssertionError("a tap is no click: something keeps it from being one")


def expect_ready_to_rate(page: Page) -> None:
    """The pair has been in view for long enough, and the page listens. The form as the server sent it takes no keys,
    so the page makes its offer of keys only when it does; a phone does not show it. Asked at each frame, since the page
    lets a moment go by at each pair."""
    page.locator("[data-keys]:not([hidden])").wait_for(state="attached", timeout=PATIENCE_MS)
    page.locator("[data-scale]:enabled").wait_for(state="attached", timeout=PATIENCE_MS)


def try_again(page: Page) -> None:
    """Let the time go by after which the page sends again what nobody has answered: half a minute at the longest."""
    page.clock.fast_forward(30_000)


def same_picture(one: bytes, other: bytes) -> bool:
    """Two screenshots alike; Chromium rounds the edge of a letter now and then by one of 255 when it paints anew."""
    first, second = (np.asarray(Image.open(io.BytesIO(each)).convert("RGB")).astype(int) for each in (one, other))
    return first.shape == second.shape and abs(first - second).max() < 3
