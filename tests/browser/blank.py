"""A page with nothing on it and no site behind it, for one module of the site's scripts at a time."""

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, Route

from tests.browser.conftest import People

STATIC = Path(__file__).resolve().parents[2] / "static"
ADDRESS = "http://studio.test"


def blank_page(people: People) -> Page:
    """In a browser of its own, which finds the scripts by the names that they have in static/."""
    page = people.page()
    page.context.route(f"{ADDRESS}/**", _serve)
    page.goto(ADDRESS)
    return page


def another_tab(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto(ADDRESS)
    return page


def _serve(route: Route) -> None:
    path = urlsplit(route.request.url).path
    if path.endswith(".js"):
        route.fulfill(path=STATIC / path.removeprefix("/"), content_type="text/javascript")
    else:
        icon = "<link rel=icon href='data:,'>"  # else Chromium asks for one
        route.fulfill(body=f"<!doctype html>{icon}<title>Blank</title>", content_type="text/html")
