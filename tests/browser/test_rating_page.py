"""The rating page under what happens to people: a server that is away, a reload, a small screen, a curious mind."""

import csv
import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, expect

from datasets.demo_pictures import demo_originals, write_demo_pairs
from tests.browser.conftest import NO_SERVER, People, Site, come_in, expect_ready_to_rate, refused, try_again

pytestmark = pytest.mark.browser

N_PLANNED = 8


@pytest.fixture(scope="module")
def site(own_site: Site) -> Site:
    return own_site  # which is stopped here


@pytest.fixture(scope="module")
def links(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An HA1 and an HA2 study over real pictures, open for rating, set up by command line."""
    folder = tmp_path_factory.mktemp("pairs")
    manifest = write_demo_pairs(folder, demo_originals()[:4])
    site.manage("import_pairs", str(manifest), "--root", str(folder), "--project", project)
    return {mode: open_study(site, project, mode) for mode in ("HA1", "HA2")}


def open_study(site: Site, project: str, mode: str) -> str:
    name = f"{project}/people/{mode}"
    size = ["--session-size", str(N_PLANNED), "--warm-up", "0", "--repeats", "0", "--goal", "50"]
    site.manage("create_study", f"People {mode}", "--project", project, "--campaign", "People", "--mode", mode, *size)
    site.manage("study", name, "--open")
    return site.url + site.manage("study", name, "--invite", "many").strip()


def rate(page: Page, n: int, key: str) -> None:
    """Answer the nth pair, from 1, by keyboard."""
    expect(page.get_by_text(f"{n} of {N_PLANNED}").first).to_be_visible()
    expect_ready_to_rate(page)
    page.keyboard.press(key)
    page.keyboard.press("Enter")


def stored_scores(site: Site, project: str, folder: Path) -> list[int]:
    """What the researcher's command line finds in a release of the newest answers."""
    name = site.manage("freeze_study", f"{project}/people/HA2").split(":")[0]
    site.manage("export_release", name, "--to", str(folder / "release.zip"))
    with zipfile.ZipFile(folder / "release.zip") as archive:
        rows = csv.DictReader(archive.read("ratings.csv").decode().splitlines())
        return [int(row["score"]) for row in sorted(rows, key=lambda row: int(row["position"]))]


def test_answers_given_while_the_server_is_away_are_stored_once_it_is_back(
    site: Site, project: str, links: dict[str, str], people: People, tmp_path: Path
) -> None:
    people.provokes(NO_SERVER)
    page = people.page()
    page.clock.install()
    page.goto(come_in(site, links["HA2"]))
    rate(page, 1, "3")
    expect(page.get_by_text("All answers saved")).to_be_visible()
    site.stop()
    rate(page, 2, "0")  # the pair had been fetched ahead
    expect(page.get_by_text("not sent yet")).to_be_visible()
    site.start()
    try_again(page)
    expect(page.get_by_text("All answers saved")).to_be_visible(timeout=60_000)
    for n in range(3, N_PLANNED + 1):
        rate(page, n, str(n))
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert stored_scores(site, project, tmp_path) == [3, 10, 3, 4, 5, 6, 7, 8]


def test_a_reload_loses_no_unsent_answer(site: Site, links: dict[str, str], people: People) -> None:
    people.provokes(NO_SERVER)
    page = people.begin(links["HA1"])
    page.route("**/answer/", lambda route: route.abort())
    rate(page, 1, "4")
    expect(page.get_by_text("not sent yet")).to_be_visible()
    page.unroute("**/answer/")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.get_by_text("All answers saved")).to_be_visible()
    expect(page.get_by_text(f"Picture 2 of {N_PLANNED}").first).to_be_visible()


def test_a_browser_that_may_not_answer_any_more_says_so_and_keeps_what_it_has(
    links: dict[str, str], people: People
) -> None:
    page = people.begin(links["HA1"])
    rate(page, 1, "4")
    expect(page.get_by_text("All answers saved")).to_be_visible()
    page.context.clear_cookies(name=re.compile("^participation_"))
    people.provokes(refused(404))
    rate(page, 2, "5")
    expect(page.get_by_text("Your participation cannot be reached from this browser.").last).to_be_visible()
    expect(page.get_by_text("1 answer kept in this browser")).to_be_visible()
    expect(page.get_by_role("radio").first).to_be_disabled()


def test_after_a_log_in_in_another_tab_a_reload_sends_the_answer(links: dict[str, str], people: People) -> None:
    page = people.begin(links["HA1"])
    rate(page, 1, "4")
    expect(page.get_by_text("All answers saved")).to_be_visible()
    page.context.clear_cookies(name="csrftoken")  # a log-in changes it; this page has the old one
    people.provokes(refused(403))
    rate(page, 2, "5")
    expect(page.get_by_text("CSRF")).to_have_count(0)
    page.get_by_role("link", name="Load the page again").click()
    expect(page.get_by_text(f"Picture 3 of {N_PLANNED}").first).to_be_visible()
    expect(page.get_by_text("All answers saved")).to_be_visible()


def test_a_held_key_or_a_double_press_answers_only_one_pair(links: dict[str, str], people: People) -> None:
    page = people.begin(links["HA2"])
    page.keyboard.press("5")
    for _ in range(4):
        page.keyboard.down("Enter")  # the first press, then what the keyboard repeats while it is held
    page.keyboard.up("Enter")
    expect(page.get_by_text(f"Pair 2 of {N_PLANNED}").first).to_be_visible()
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    expect(page.get_by_text("All answers saved")).to_be_visible()
    page.reload()
    expect(page.get_by_text(f"Pair 2 of {N_PLANNED}").first).to_be_visible()


def held(people: People, link: str, width: int, height: int) -> Page:
    """A telephone of this size, with the first pair on it."""
    viewport = {"width": width, "height": height}
    return people.begin(link, viewport=viewport, has_touch=True, is_mobile=True)


@pytest.mark.parametrize("width", [360, 320])
def test_on_a_phone_most_of_the_height_is_for_the_pictures(links: dict[str, str], people: People, width: int) -> None:
    page = held(people, links["HA2"], width, 740)
    box = page.locator("[data-pair]").bounding_box()
    assert box
    assert box["height"] >= 0.6 * 740
    assert page.locator("[data-pair]").get_attribute("data-flow") == "down"


def test_on_a_phone_a_panel_opens_in_view_and_takes_the_focus(links: dict[str, str], people: People) -> None:
    page = held(people, links["HA2"], 360, 740)
    page.get_by_text("Skip or report this pair").tap()
    expect(page.get_by_role("radio", name="The picture distresses me")).to_be_in_viewport()
    assert page.evaluate("document.activeElement.closest('details')?.open")


def test_on_a_phone_held_across_the_scale_stays_on_the_screen(links: dict[str, str], people: People) -> None:
    page = held(people, links["HA2"], 740, 360)
    for there in ("0", "document.body.scrollHeight"):
        page.evaluate(f"scrollTo(0, {there})")
        for name in ("1", "10"):
            expect(page.get_by_role("radio", name=name, exact=True)).to_be_in_viewport(ratio=1)
        expect(page.get_by_role("button", name="Confirm")).to_be_in_viewport(ratio=1)


def test_on_a_phone_nothing_is_cut_off_and_every_button_is_large(links: dict[str, str], people: People) -> None:
    page = people.begin(links["HA2"], viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    scores = page.locator("label.score")
    expect(scores).to_have_count(10)
    for label in scores.all():
        box = label.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44


def test_nothing_that_reaches_the_browser_tells_more_than_the_person_may_know(
    links: dict[str, str], people: People
) -> None:
    page = people.page()
    bodies: list[str] = []
    addresses: list[str] = []

    def note(response: Response) -> None:
        addresses.append(response.url)
        if "image" not in response.headers.get("content-type", "") and response.status < 300:
            bodies.append(response.text())

    page.on("response", note)
    page.goto(come_in(people.site, links["HA1"]))
    expect_ready_to_rate(page)
    for n in range(1, 4):
        rate(page, n, "6")
    expect(page.get_by_text("All answers saved")).to_be_visible()
    pictures = [address for address in addresses if "/picture/" in address]
    assert len(set(pictures)) == len(pictures) >= 3
    seen = json.dumps(bodies + addresses)
    for secret in ("global_", "local_", "parameters", "astronaut", "grace_hopper", "sha256", "purpose", ".jpg"):
        assert secret not in seen
    assert '"original"' not in "".join(body for body in bodies if body.startswith("{"))
