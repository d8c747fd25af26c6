"""What comes before the first pair and after the last, clicked and typed through as people do."""

import json
import re
import sqlite3
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from datasets.demo_pictures import demo_originals, write_demo_pairs
from tests.browser.conftest import (
    People,
    Site,
    answer_alike,
    come_in,
    expect_ready_to_rate,
    refused,
    start_rating,
)

pytestmark = pytest.mark.browser

N_PLANNED = 4
CODE = re.compile(r"^[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}$")


@pytest.fixture(scope="module")
def links(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pairs")
    manifest = write_demo_pairs(folder, demo_originals()[:2])
    site.manage("import_pairs", str(manifest), "--project", project)
    return {mode: open_study(site, project, mode) for mode in ("HA1", "HA2")}


def open_study(site: Site, project: str, mode: str) -> str:
    size = ["--session-size", str(N_PLANNED), "--warm-up", "0", "--repeats", "0", "--goal", "50"]
    panel = ["--completion-code", "C1X9-DONE", "--completion-url", "https://panel.example/done?cc=C1X9"]
    site.manage("create_study", f"End {mode}", "--project", project, "--campaign", "End", "--mode", mode, *size, *panel)
    site.manage("study", f"{project}/end/{mode}", "--open")
    return site.url + site.manage("study", f"{project}/end/{mode}", "--invite", "many").strip()


def stored(site: Site, page: Page) -> dict[str, Any]:
    """What the site has recorded about the beginning of whoever sits at this page."""
    [public_id] = re.findall(r"/rate/([0-9a-f-]{36})/", page.url)
    row = "SELECT conditions, instructed_at FROM annotation_participation WHERE public_id = ?"
    with sqlite3.connect(site.var / "studio.sqlite3") as database:
        [(conditions, instructed_at)] = database.execute(row, [public_id.replace("-", "")])
    return {"instructed_at": instructed_at, "comprehension": None, "screen": None} | json.loads(conditions)


def rate_all(page: Page, *, first: int = 1) -> None:
    for n in range(first, N_PLANNED + 1):
        expect(page.get_by_text(f"{n} of {N_PLANNED}").first).to_be_visible()
        expect_ready_to_rate(page)
        page.keyboard.press("6")
        page.keyboard.press("Enter")


def test_the_first_page_says_what_it_will_take(links: dict[str, str], people: People) -> None:
    page = people.page()
    page.goto(links["HA2"])
    expect(page.get_by_text(f"Rate {N_PLANNED} pairs of pictures")).to_be_visible()
    expect(page.get_by_text("About 4 minutes, the instructions included")).to_be_visible()


@pytest.mark.parametrize(("mode", "n_pictures"), [("HA1", 2), ("HA2", 4)])
def test_two_examples_show_both_ends_of_the_scale(
    links: dict[str, str], people: People, mode: str, n_pictures: int
) -> None:
    page = people.page()
    page.goto(come_in(people.site, links[mode], has_read=False))
    pictures = page.get_by_role("img", name="Drawing:")
    expect(pictures).to_have_count(n_pictures)
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    expect(page.get_by_text("1 to 3.")).to_be_visible()
    expect(page.get_by_text("8 to 10.")).to_be_visible()


def test_a_wrong_answer_explains_and_asks_again_and_the_tries_are_counted(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.page()
    page.goto(come_in(site, links["HA1"], has_read=False))
    answer_alike(page, 10)
    expect(page.get_by_role("alert")).to_be_in_viewport()
    expect(page.get_by_text("The badge tells who the person is")).to_be_in_viewport()
    expect(page.get_by_role("group", name="tells who or where this is").get_by_label("Towards 10:")).to_be_checked()
    expect(page.get_by_role("group", name="name on a badge").get_by_label("Towards 10:")).not_to_be_checked()
    assert stored(site, page)["instructed_at"] is None
    start_rating(page)
    expect_ready_to_rate(page)
    assert stored(site, page)["comprehension"] == {"n_tries": 2}
    assert stored(site, page)["instructed_at"]


def test_who_reads_the_instructions_again_is_not_asked_again(links: dict[str, str], people: People) -> None:
    page = people.begin(links["HA1"])
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All answers saved")).to_be_visible()
    page.get_by_role("link", name="Instructions").click()
    expect(page.get_by_role("img", name="Drawing:").first).to_be_visible()
    expect(page.get_by_role("radio")).to_have_count(0)
    page.get_by_role("button", name="Go on rating").click()
    expect(page.get_by_text(f"Picture 2 of {N_PLANNED}").first).to_be_visible()


def test_the_withdrawal_code_comes_once_after_the_consent_and_a_new_one_from_the_menu(
    links: dict[str, str], people: People
) -> None:
    page = people.page()
    page.goto(links["HA1"])
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    expect(page.get_by_role("heading", name="Keep this code")).to_be_visible()
    code = page.locator("[data-withdrawal-code]").inner_text()
    assert CODE.match(code)
    assert "/resume/" in page.get_by_label("Your way back").input_value()
    page.get_by_role("link", name="On to the instructions").click()
    start_rating(page)
    expect_ready_to_rate(page)
    page.get_by_role("link", name="Your data").click()
    expect(page.locator("[data-withdrawal-code]")).to_have_count(0)
    page.get_by_role("button", name="Make a new code").click()
    expect(page.locator("[data-withdrawal-code]")).not_to_have_text(code)
    assert CODE.match(page.locator("[data-withdrawal-code]").inner_text())
    page.get_by_role("link", name="Go on rating").click()
    expect_ready_to_rate(page)


def test_the_code_erases_everything_from_any_browser_after_the_end(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.begin(links["HA2"])
    rate_all(page)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    page.get_by_role("link", name="Your data").click()
    code = page.locator("[data-withdrawal-code]").inner_text()
    elsewhere = people.page()
    elsewhere.goto(f"{site.url}/withdraw/")
    elsewhere.get_by_label("Withdrawal code").fill("WRNG-CDE2-3456")
    elsewhere.get_by_role("button", name="Show what will go").click()
    expect(elsewhere.get_by_role("alert")).to_contain_text("Nothing is stored under this code")
    elsewhere.get_by_label("Withdrawal code").fill(f" {code.lower().replace('-', ' ')} ")
    elsewhere.keyboard.press("Enter")
    expect(elsewhere.get_by_text("End HA2")).to_be_visible()
    expect(elsewhere.get_by_role("definition").filter(has_text=re.compile(rf"^\s*{N_PLANNED}\s*$"))).to_be_visible()
    elsewhere.get_by_role("button", name="Erase for good").click()
    expect(elsewhere.get_by_role("heading", name="Erased")).to_be_visible()
    elsewhere.reload()
    expect(elsewhere.get_by_label("Withdrawal code")).to_be_visible()
    people.provokes(refused(404))
    assert page.goto(page.url).status == 404  # type: ignore[union-attr]


def test_who_rates_can_erase_everything_from_the_menu(links: dict[str, str], people: People) -> None:
    page = people.begin(links["HA1"])
    page.get_by_role("link", name="Your data").click()
    page.get_by_role("button", name="Erase my answers").click()
    expect(page.get_by_role("heading", name="Erase this for good?")).to_be_visible()
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_text("all its answers are erased")).to_be_visible()
    page.goto(links["HA1"])
    expect(page.get_by_role("heading", name="Before you take part")).to_be_visible()


def test_a_small_window_is_warned_of_recorded_and_keeps_nobody_out(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.page(viewport={"width": 360, "height": 500}, device_scale_factor=2)
    page.goto(come_in(site, links["HA2"], has_read=False))
    expect(page.get_by_text("This window is small")).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.get_by_text("This window is small")).to_be_hidden()
    page.set_viewport_size({"width": 360, "height": 500})
    expect(page.get_by_text("This window is small")).to_be_visible()
    start_rating(page)
    expect_ready_to_rate(page)
    screen = stored(site, page)["screen"]
    assert (screen["viewport_width"], screen["viewport_height"], screen["pixel_ratio"]) == (360, 500, 2)
    assert screen["warned"]


@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_the_width_that_the_screen_check_foretells_is_that_of_the_pictures(
    site: Site, links: dict[str, str], people: People, mode: str
) -> None:
    for width, height in ((1280, 800), (360, 740)):
        page = people.page(viewport={"width": width, "height": height})
        page.goto(come_in(site, links[mode], has_read=False))
        start_rating(page)
        expect_ready_to_rate(page)
        image = page.get_by_role("img", name="Anonymized picture")
        shown, shape = image.evaluate("i => [i.getBoundingClientRect().width, i.naturalWidth / i.naturalHeight]")
        foretold = stored(site, page)["screen"]["picture_width"]
        assert foretold * min(1, shape * 0.75) * 0.75 < shown < foretold * max(1, shape * 0.75) * 1.35


def test_a_break_is_offered_every_ten_minutes_and_stops_nothing(links: dict[str, str], people: People) -> None:
    page = people.page()
    page.clock.install()
    page.goto(come_in(people.site, links["HA1"]))
    expect_ready_to_rate(page)
    offer = page.get_by_text("You have rated for ten minutes")
    page.clock.fast_forward("09:00")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Picture 2 of {N_PLANNED}").first).to_be_visible()
    expect_ready_to_rate(page)
    expect(offer).to_be_hidden()
    page.clock.fast_forward("02:00")
    page.keyboard.press("4")
    expect(offer).to_be_hidden()  # never while somebody looks at a pair
    page.keyboard.press("Enter")
    expect(offer).to_be_visible()
    expect(page.get_by_role("status").filter(has=offer)).to_have_count(1)
    expect_ready_to_rate(page)
    page.get_by_role("button", name="Go on", exact=True).click()
    expect(offer).to_be_hidden()
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Picture 4 of {N_PLANNED}").first).to_be_visible()
    expect(offer).to_be_hidden()


def test_a_break_waits_for_the_score_that_is_chosen(links: dict[str, str], people: People) -> None:
    page = people.page()
    page.clock.install()
    page.goto(come_in(people.site, links["HA1"]))
    expect_ready_to_rate(page)
    page.clock.fast_forward("11:00")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You have rated for ten minutes")).to_be_visible()
    expect_ready_to_rate(page)
    page.keyboard.press("8")
    page.get_by_role("link", name="Take a break").click()
    expect(page.get_by_text("Confirm the score you chose")).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text(f"2 of {N_PLANNED} answers are saved")).to_be_visible()
    page.get_by_role("link", name="Go on rating").click()
    expect(page.get_by_text(f"Picture 3 of {N_PLANNED}").first).to_be_visible()


def test_who_has_finished_gets_the_completion_code_and_the_way_back_to_the_panel(
    links: dict[str, str], people: People
) -> None:
    page = people.begin(links["HA1"])
    page.goto(page.url + "end/")
    expect(page.get_by_text("C1X9-DONE")).to_have_count(0)  # not before the end
    rate_all(page)
    expect(page.locator("[data-completion-code]")).to_have_text("C1X9-DONE")
    back = page.get_by_role("link", name="Back to panel.example")
    expect(back).to_have_attribute("href", "https://panel.example/done?cc=C1X9")


def test_coming_back_resumes_where_one_stopped_before_and_after_the_instructions(
    links: dict[str, str], people: People
) -> None:
    page = people.page()
    page.goto(links["HA1"])
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    address = page.get_by_label("Your way back").input_value()
    page.context.close()
    page = people.page()
    page.goto(address)
    expect(page.get_by_role("heading", name="Before you start: two questions")).to_be_visible()
    start_rating(page)
    expect_ready_to_rate(page)
    page.keyboard.press("9")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All answers saved")).to_be_visible()
    left = page.get_by_role("img", name="Anonymized picture")
    expect_ready_to_rate(page)
    seen = left.get_attribute("src")
    page.context.close()
    page = people.page()
    page.goto(address)
    expect(page.get_by_text(f"Picture 2 of {N_PLANNED}").first).to_be_visible()
    expect_ready_to_rate(page)
    assert page.get_by_role("img", name="Anonymized picture").get_attribute("src") == seen
    rate_all(page, first=2)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


def test_without_a_script_everything_before_the_first_pair_works(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.page(java_script_enabled=False)
    page.goto(come_in(site, links["HA2"], has_read=False))
    answer_alike(page, 1)
    expect(page.get_by_text("You rate the anonymized picture, for somebody who does not have")).to_be_visible()
    start_rating(page)
    expect(page.get_by_role("button", name="Confirm")).to_be_visible()
    expect(page.locator("[data-break]")).to_be_hidden()
    assert stored(site, page)["comprehension"] == {"n_tries": 2}
    assert stored(site, page)["screen"] is None
