"""A real site (web server and worker as `make demo` starts them) and a real browser for people to use it with."""

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
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import skip_or_fail

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct-horse-battery-staple"

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
    var: Path
    port: int
    debug: bool = True
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "TASKS_ENGINE"}}
        return kept | {"STUDIO_VAR": str(self.var), "PORT": str(self.port), "DEBUG": str(self.debug)}

    def manage(self, *arguments: str, **variables: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        ran = subprocess.run(
            command, cwd=ROOT, env=self.environment | variables, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

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
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


@cache
def _empty_var() -> Path:
    """What a site with one user and one project keeps on disk. It is made once, since migrating takes its time."""
    folder = Path(os.environ["STUDIO_VAR"]) / "empty-site"
    folder.mkdir()
    made = Site(folder, 0)
    made.manage("migrate", "--verbosity", "0")
    boss = {"DJANGO_SUPERUSER_USERNAME": "boss", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    made.manage("createsuperuser", "--noinput", "--email", "boss@example.org", **boss)
    made.manage("create_project", "faces", "--name", "Faces", "--member", "boss:researcher")
    return folder


def site_in(folder: Path, *, debug: bool = True) -> Site:
    """An empty site with one user, `boss`, who is admin of the site and researcher of the project `faces`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = Site(folder, probe.getsockname()[1], debug)
    shutil.copytree(_empty_var(), folder, dirs_exist_ok=True)
    if not debug:  # as in production: hashed names of static files, and the site's own pages for what goes wrong
        made.manage("collectstatic", "--noinput", "--verbosity", "0")
    return made


@contextmanager
def new_site(folder: Path, *, debug: bool = True) -> Iterator[Site]:
    """The same, running."""
    made = site_in(folder, debug=debug)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        skip_or_fail("Chromium is not installed (apt-get install chromium)")
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
    complaints: list[str] = field(default_factory=list)
    provoked: list[str] = field(default_factory=list)

    def page(self, **options: object) -> Page:
        context: BrowserContext = self.browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        self.listen(context)
        return context.new_page()

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
def people(browser: Browser) -> Iterator[People]:
    made = People(browser)
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


def expect_ready_to_rate(page: Page) -> None:
    """The pair is painted and the page listens. The form as the server sent it takes no keys yet, so the page makes
    its offer of keys only when it does; a phone does not show it."""
    expect(page.locator("[data-keys]:not([hidden])")).to_have_count(1)
    expect(page.get_by_role("radio").first).to_be_enabled()


def same_picture(one: bytes, other: bytes) -> bool:
    """Two screenshots alike; Chromium rounds the edge of a letter now and then by one of 255 when it paints anew."""
    first, second = (np.asarray(Image.open(io.BytesIO(each)).convert("RGB")).astype(int) for each in (one, other))
    return first.shape == second.shape and abs(first - second).max() < 3
