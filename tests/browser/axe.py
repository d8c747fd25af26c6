"""What axe-core finds on a page by the rules of WCAG 2.2 A and AA, and what a ruler finds wider than the screen."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from django.urls import Resolver404, resolve
from playwright.sync_api import Page

from tests.conftest import skip_or_fail

SIZES = ((1280, 800), (360, 640), (320, 256))  # a desk, a phone, and the desk enlarged fourfold
OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "rules": {"target-size": {"enabled": True}},  # of 2.2, and off unless asked for
    "resultTypes": ["violations"],
}
# What sticks out to either side, without what is cut off or scrolls within itself.
TOO_WIDE = """() => {
  const page = document.documentElement;
  if (page.scrollWidth <= page.clientWidth) return [];
  const out = ({ left, right }) => left < -0.5 || right > page.clientWidth + 0.5;
  const names = (element) => element.tagName.toLowerCase() + (element.className && `.${element.className}`);
  const wide = Array.from(document.body.querySelectorAll("*")).filter((each) => out(each.getBoundingClientRect()));
  return ["page", ...wide.map(names)];
}"""
# Words of which a box shows only a part. What is only for screen readers is one pixel large; names may be long.
CUT_OFF = """() => {
  const cuts = (element) => ["hidden", "clip"].includes(getComputedStyle(element).overflowX);
  const tooSmall = ({ scrollWidth, clientWidth }) => clientWidth > 1 && scrollWidth > clientWidth + 1;
  const hasWords = (element) => element.textContent.trim() && !element.matches(".pair, .window, .account-name");
  const all = Array.from(document.body.querySelectorAll("*"));
  return all.filter((each) => hasWords(each) && cuts(each) && tooSmall(each)).map(({ className }) => className);
}"""
# Both, as the page is in a style that somebody or their system sets; then it is as it was.
MEASURE = f"""({{ style, dir }}) => {{
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style);
  document.adoptedStyleSheets = [sheet];
  document.documentElement.dir = dir;
  const found = [({TOO_WIDE})(), ({CUT_OFF})()];
  document.adoptedStyleSheets = [];
  document.documentElement.dir = "ltr";
  return found;
}}"""
FONTS = ("DejaVu Sans", "Liberation Sans Narrow")  # the widest and the narrowest that systems bring along
# The spacing that people may set for themselves (1.4.12).
SPACING = """
  * { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important; }
  p { margin-block-end: 2em !important; }"""
WAYS = (("", "", "ltr"), (", spaced out", SPACING, "ltr"), (", from right to left", "", "rtl"))
# Where a font is missing, words are as wide as in the one that is to take its place.
IS_INSTALLED = """(font) => {
  const pen = document.createElement("canvas").getContext("2d");
  const width = (otherwise) => {
    pen.font = `32px "${font}", ${otherwise}`;
    return pen.measureText("How wide is this?").width;
  };
  return width("serif") === width("monospace");
}"""


def expect_fonts(page: Page) -> None:
    if missing := [font for font in FONTS if not page.evaluate(IS_INSTALLED, font)]:
        packages = "fonts-dejavu-core fonts-liberation, and fonts-liberation-sans-narrow where Debian has it apart"
        skip_or_fail(f"{missing} not installed (apt-get install {packages})")


def violations(page: Page) -> Iterator[str]:
    """A line for each element that breaks a rule. The script comes in past the Content-Security-Policy of the page."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    found: dict[str, Any] = page.evaluate("(options) => axe.run(document, options)", OPTIONS)
    assert found["passes"], "axe has looked at nothing"
    for rule in found["violations"]:
        for node in rule["nodes"]:
            yield f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"


@dataclass
class Looker:
    """Looks at page after page, and keeps what is wrong and whose views it has seen."""

    faults: list[str] = field(default_factory=list)
    views: set[str] = field(default_factory=set)

    def look(self, page: Page, what: str) -> None:
        """In every size and font, with words spaced out, and from right to left; the page is left as it was found."""
        self._note_view(page)
        before = page.viewport_size
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            self.faults += [f"{what}, {width} pixels: {fault}" for fault in violations(page)]
            for font, (way, style, direction) in product(FONTS, WAYS):
                style = f":root {{ --sans: '{font}' !important; }} {style}"
                self._measure(page, f"{what}, {width} pixels, {font}{way}", style, direction)
        if before:
            page.set_viewport_size(before)

    def _measure(self, page: Page, what: str, style: str, direction: str) -> None:
        sticks_out, cut_off = page.evaluate(MEASURE, {"style": style, "dir": direction})
        if sticks_out:
            self.faults.append(f"{what}: wider than the screen: {sticks_out[-3:]}")
        if cut_off:
            self.faults.append(f"{what}: words are cut off: {cut_off}")

    def _note_view(self, page: Page) -> None:
        with suppress(Resolver404):  # the page that says so is looked at all the same
            self.views.add(resolve(urlsplit(page.url).path).view_name)
