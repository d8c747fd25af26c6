"""What axe-core finds on a page by the rules of WCAG 2.2 A and AA, and what a ruler finds wider than the screen."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from django.urls import Resolver404, resolve
from playwright.sync_api import Page

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
# The spacing that people may set for themselves (1.4.12).
SPACE_OUT = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    * { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important; }
    p { margin-block-end: 2em !important; }`);
  document.adoptedStyleSheets = [sheet];
}"""


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
        """In every size, with words spaced out, and from right to left; the page is left as it was found."""
        self._note_view(page)
        before = page.viewport_size
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            self.faults += [f"{what}, {width} pixels: {fault}" for fault in violations(page)]
            self._measure(page, f"{what}, {width} pixels")
            page.evaluate(SPACE_OUT)
            self._measure(page, f"{what}, {width} pixels, spaced out")
            page.evaluate("document.adoptedStyleSheets = []")
            page.evaluate("document.documentElement.dir = 'rtl'")
            self._measure(page, f"{what}, {width} pixels, from right to left")
            page.evaluate("document.documentElement.dir = 'ltr'")
        if before:
            page.set_viewport_size(before)

    def _measure(self, page: Page, what: str) -> None:
        if sticks_out := page.evaluate(TOO_WIDE):
            self.faults.append(f"{what}: wider than the screen: {sticks_out[-3:]}")
        if cut_off := page.evaluate(CUT_OFF):
            self.faults.append(f"{what}: words are cut off: {cut_off}")

    def _note_view(self, page: Page) -> None:
        with suppress(Resolver404):  # the page that says so is looked at all the same
            self.views.add(resolve(urlsplit(page.url).path).view_name)
