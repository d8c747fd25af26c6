"""The browser that the tests drive."""

import shutil

from tests.conftest import skip_or_fail


def found() -> str:
    """Debian's Chromium without the window around a page: it paints and acts alike, and opens a new person's browser in
    an eighth of the processor's time. Where there is none, the whole Chromium."""
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if chromium is None:
        skip_or_fail("Chromium is not installed (apt-get install chromium-headless-shell)")
    return chromium
