"""Make the screenshots of README and docs from a demo of its own: `make screenshots`."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PORTRAIT = (512, 600)  # the pair to show: Grace Hopper's portrait has this size


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    for _ in range(150):
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"{url} does not answer")


def rating_page(page: Page, invitation: str) -> None:
    """Rate until the portrait is in front."""
    page.goto(invitation)
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    page.get_by_role("link", name="On to the instructions").click()
    page.get_by_role("radio", name="Towards 1:").first.check()
    page.get_by_role("radio", name="Towards 10:").last.check()
    page.get_by_role("button", name="Start rating").click()
    for n in range(1, 24):
        page.get_by_text(re.compile(rf"(Pair|Picture) {n} of")).first.wait_for()
        page.wait_for_timeout(500)
        shown = page.get_by_role("img", name="Anonymized picture")
        if tuple(shown.evaluate("image => [image.naturalWidth, image.naturalHeight]")) == PORTRAIT:
            return
        page.keyboard.press("5")
        page.keyboard.press("Enter")
    raise SystemExit("the portrait did not come up")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as var:
        port = free_port()
        environment = os.environ | {"STUDIO_VAR": var, "PORT": str(port), "DEBUG": "true"}
        for command in (["-m", "config.first_start"], ["manage.py", "migrate", "--verbosity", "0"]):
            subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
        built = subprocess.run(
            [sys.executable, "manage.py", "build_demo"], cwd=ROOT, env=environment, check=True, capture_output=True
        )
        invitations = re.findall(r"http\S+/join/\S+/", built.stdout.decode())
        site = subprocess.Popen([sys.executable, "-m", "config.serve"], cwd=ROOT, env=environment)
        try:
            wait_for(f"http://127.0.0.1:{port}/health/")
            photograph(invitations)
        finally:
            site.terminate()
            site.wait()


def photograph(invitations: list[str]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        for mode, invitation in zip(("ha1", "ha2"), invitations, strict=True):
            for width, height in ((1280, 800), (360, 740)):
                page = browser.new_page(viewport={"width": width, "height": height})
                rating_page(page, invitation)
                page.keyboard.press("7")
                page.wait_for_timeout(300)
                page.screenshot(path=IMAGES / f"rating-{mode}-{width}.png")
                page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
