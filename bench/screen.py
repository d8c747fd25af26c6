"""A person at the rating page in a real Chromium, with a keyboard, and what is read from the page meanwhile."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from django.db.models import F
from playwright.sync_api import Browser, CDPSession, Page, Response, sync_playwright

from annotation.models.people import Invitation
from annotation.models.studies import Study
from bench.study import build_study

MEGAPIXEL, SMALL = (1200, 900), (160, 120)
VERSIONS = 7  # of each original, of which a person sees one
SPARE = 6  # pairs that are left at the end: after the last comes another page
SETTINGS = {"n_warm_up": 0, "repeat_percent": 0, "goal": 50}
VIEWPORT = {"width": 1280, "height": 800}
MEDIAN_MS, P95_MS = 50, 100
FIRST_PAGE_BYTES = 300_000
HEAP_BYTES = 20_000_000
# Reads the page's own measures, and how many pixels stand on the screen at the end of each.
OBSERVER = """
window.waits = [];
const pixels = () => Array.from(document.querySelectorAll("[data-pair] img"), (image) =>
  image.complete && image.checkVisibility() ? image.naturalWidth * image.naturalHeight : 0);
new PerformanceObserver((list) => {
  for (const { name, duration } of list.getEntries()) if (name === "wait") waits.push([duration, ...pixels()]);
}).observe({ type: "measure" });
"""


@dataclass(frozen=True)
class Waits:
    line: str
    pace: float  # seconds, asked for; 0 for a person who never looks
    milliseconds: list[float]
    seconds: float  # for all of them

    @property
    def name(self) -> str:
        return f"{self.line}, {'with' if self.pace else 'without'} pace"

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.milliseconds, percent))


@dataclass(frozen=True)
class Weight:
    """Of the first page without pictures: bytes after unpacking, and bytes that came over the line."""

    unpacked: dict[str, int]  # by type
    transferred: int


@dataclass(frozen=True)
class Memory:
    n_rated: int
    heap: int
    nodes: int
    listeners: int


def study_of(size: tuple[int, int], *, n: int, named: int) -> Invitation:
    """A study in which a person can rate n pairs. Stops when a picture has fewer pixels than the study is named for."""
    session = n + SPARE
    invitation = build_study(VERSIONS * session, size=size, session_size=session, **SETTINGS)
    check_pictures(invitation.study, named=named)
    return invitation


def check_pictures(study: Study, *, named: int) -> None:
    for picture in ("pair__original", "pair__anonymized"):
        pixels = F(f"{picture}__width") * F(f"{picture}__height")
        least = study.items.annotate(pixels=pixels).order_by("pixels").values_list("pixels", flat=True)[0]
        if least < named:
            raise SystemExit(f"A picture has {least} pixels, not the {named} it is named for: no figure is reported.")


@contextmanager
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    if found is None:
        raise SystemExit("Chromium is not installed (apt-get install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, chromium_sandbox=False)
        yield browser
        browser.close()


# Rating -----------------------------------------------------------------------------------------------------------


def come_in(browser: Browser, invitation: Invitation, *, port: int) -> Page:
    """A new person with a browser of their own, in front of the first pair."""
    context = browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    context.set_default_timeout(60_000)
    context.add_init_script(OBSERVER)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}/join/{invitation.token}/")
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    page.get_by_role("link", name="On to the instructions").click()
    page.get_by_role("radio", name="Towards 1:").first.check()
    page.get_by_role("radio", name="Towards 10:").last.check()
    page.get_by_role("button", name="Start rating").click()
    page.locator("[data-keys]:not([hidden])").wait_for()
    page.locator("[data-scale]:enabled").wait_for()
    return page


def rate(page: Page, *, n_before: int, n: int, pace: float) -> None:
    """Score and Enter for n pairs, each when it has been painted and looked at."""
    for nth in range(n_before, n_before + n):
        if pace:
            time.sleep(pace)
        page.locator("[data-scale]:enabled").wait_for()  # the page takes no key before a pair was in view for a moment
        page.keyboard.press(str(nth % 10))
        page.keyboard.press("Enter")
        page.wait_for_function("n => waits.length >= n", arg=nth + 1, polling=5)


def rated(browser: Browser, invitation: Invitation, *, port: int, line: str, n: int, pace: float) -> Waits:
    page = come_in(browser, invitation, port=port)
    began = time.monotonic()
    rate(page, n_before=0, n=n, pace=pace)
    seconds = time.monotonic() - began
    waits = page.evaluate("waits")
    page.context.close()
    if any(min(pixels) < MEGAPIXEL[0] * MEGAPIXEL[1] or len(pixels) != 2 for _, *pixels in waits):
        raise SystemExit("A pair was measured that was not on the screen in full size: no figure is reported.")
    return Waits(line, pace, [milliseconds for milliseconds, *_ in waits], seconds)


# The first page ---------------------------------------------------------------------------------------------------


def first_page(browser: Browser, invitation: Invitation, *, port: int) -> Weight:
    """Of the rating page in a browser that has fetched nothing before, with the cookies of somebody who has begun."""
    begun = come_in(browser, invitation, port=port)
    context = browser.new_context(viewport=VIEWPORT, storage_state=begun.context.storage_state())  # type: ignore[arg-type]
    page = context.new_page()
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    page.goto(begun.url, wait_until="networkidle")
    weight = weighed(responses)
    for each in (begun.context, context):
        each.close()
    return weight


def weighed(responses: list[Response]) -> Weight:
    unpacked: dict[str, int] = {}
    transferred = 0
    for response in responses:
        kind = response.request.resource_type
        if kind == "image":
            continue
        unpacked[kind] = unpacked.get(kind, 0) + len(response.body())
        sizes = response.request.sizes()
        transferred += sizes["responseBodySize"] + sizes["responseHeadersSize"]
    return Weight(unpacked, transferred)


# Memory -----------------------------------------------------------------------------------------------------------


def grown(browser: Browser, invitation: Invitation, *, port: int, n_first: int, n_last: int) -> list[Memory]:
    page = come_in(browser, invitation, port=port)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    rate(page, n_before=0, n=n_first, pace=0)
    first = memory(page, session, n_rated=n_first)
    rate(page, n_before=n_first, n=n_last - n_first, pace=0)
    last = memory(page, session, n_rated=n_last)
    page.context.close()
    return [first, last]


def memory(page: Page, session: CDPSession, *, n_rated: int) -> Memory:
    """After everything is sent, the next pictures are there, and what nobody holds is thrown away."""
    page.get_by_text("All answers saved").wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)
    session.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return Memory(n_rated, metrics["JSHeapUsedSize"], metrics["Nodes"], metrics["JSEventListeners"])


# What is said of it -----------------------------------------------------------------------------------------------


def report(waits: list[Waits], weight: Weight, growth: list[Memory]) -> str:
    lines = ["| line | seconds a pair | answers | p50 ms | p95 ms | p99 ms | max ms |", "| --- |" + " ---: |" * 6]
    for case in waits:
        figures = " | ".join(f"{case.percentile(percent):.1f}" for percent in (50, 95, 99, 100))
        n = len(case.milliseconds)
        lines.append(f"| {case.name} | {case.seconds / n:.2f} | {n} | {figures} |")
    lines += ["", "| first page | bytes |", "| --- | ---: |"]
    lines += [f"| {kind}, unpacked | {size} |" for kind, size in sorted(weight.unpacked.items())]
    lines += [f"| all, over the line | {weight.transferred} |"]
    lines += ["", "| after ratings | JS heap MB | DOM nodes | listeners |", "| ---: | ---: | ---: | ---: |"]
    lines += [f"| {at.n_rated} | {at.heap / 1e6:.2f} | {at.nodes} | {at.listeners} |" for at in growth]
    return "\n".join(lines)


def verdicts(waits: list[Waits], weight: Weight, growth: list[Memory]) -> list[tuple[bool, str]]:
    """The targets are for a person who looks at the pictures; those who do not wait for the server."""
    return [
        *(target for case in waits if case.pace for target in _of_waiting(case)),
        _of_first_page(weight),
        *_of_memory(*growth),
    ]


def _of_waiting(case: Waits) -> Iterator[tuple[bool, str]]:
    for percent, most in ((50, MEDIAN_MS), (95, P95_MS)):
        found = case.percentile(percent)
        yield found < most, f"{case.name}: p{percent} {found:.1f} ms (under {most})"


def _of_first_page(weight: Weight) -> tuple[bool, str]:
    unpacked = sum(weight.unpacked.values())
    return unpacked <= FIRST_PAGE_BYTES, f"first page without pictures: {unpacked} bytes (at most {FIRST_PAGE_BYTES})"


def _of_memory(first: Memory, last: Memory) -> Iterator[tuple[bool, str]]:
    grown = last.heap - first.heap
    yield grown < HEAP_BYTES, f"JS heap: {grown / 1e6:+.2f} MB (under {HEAP_BYTES / 1e6:.0f})"
    yield last.nodes <= first.nodes, f"DOM nodes: {first.nodes}, then {last.nodes} (no more)"
    yield last.listeners <= first.listeners, f"listeners: {first.listeners}, then {last.listeners} (no more)"
