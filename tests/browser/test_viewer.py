"""How people look at pictures: enlarged, moved, compared; by mouse, keys and fingers."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import People, Site, come_in, expect_ready_to_rate, shell

pytestmark = pytest.mark.browser

N_PLANNED = 3
LARGE, SMALL = (1600, 1200), (120, 90)
STUDIES = """
import json
from annotation.studies import invitations, life, setup
from datasets.models.projects import Project
project = Project.objects.get(slug=slug)
kinds = {"large": {}, "small": {}, "plain": {"allows_swipe": False, "allows_flicker": False}, "one": {"mode": "HA1"}}
links = {}
for name, settings in kinds.items():
    campaign = setup.begin_campaign(project, name)
    pairs = project.pairs.filter(method="small" if name == "small" else "large")
    fields = {"mode": "HA2", "goal": 50, "session_size": 3, "n_warm_up": 0, "repeat_percent": 0} | settings
    study = setup.create_study(project, campaign=campaign, name=name, pairs=pairs, **fields)
    life.change_state(study, "open")
    links[name] = invitations.invite(study, kind="many").token
print(json.dumps(links))
"""
NEWEST_VIEWING = """
import json
from annotation.models.ratings import Rating
print(json.dumps(Rating.objects.order_by("-pk").values_list("viewing", flat=True)[0]))
"""
BOXES = """(selector) => Array.from(document.querySelectorAll(selector), (element) => {
  const { x, y, width, height } = element.getBoundingClientRect();
  return { x, y, width, height };
})"""


@pytest.fixture(scope="module")
def links(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Studies of large and of small pictures, one without swipe and flicker, and one of single pictures."""
    manifest = write_pairs(tmp_path_factory.mktemp("pairs"))
    site.manage("import_pairs", str(manifest), "--project", project)
    tokens = json.loads(shell(site, f"slug = '{project}'\n{STUDIES}"))
    return {name: f"{site.url}/join/{token}/" for name, token in tokens.items()}


def write_pairs(folder: Path) -> Path:
    rows = [["original", "anonymized", "source", "method", "scope"]]
    for method, size in (("large", LARGE), ("small", SMALL)):
        for n in range(N_PLANNED):
            original = Image.radial_gradient("L").resize(size).rotate(90 * n).convert("RGB")
            original.putpixel((0, 0), (n, 0, 0))
            original.save(folder / f"{method}-{n}-original.jpg")
            original.point(lambda value: 255 - value).save(folder / f"{method}-{n}.jpg")
            rows.append([f"{method}-{n}-original.jpg", f"{method}-{n}.jpg", "drawn", method, "global"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def begin(people: People, link: str, **options: Any) -> Page:
    return people.begin(link, **{"viewport": {"width": 1280, "height": 800}} | options)


def pictures(page: Page) -> list[dict[str, float]]:
    """Where the pictures are, whole, whatever of them is in sight."""
    return page.evaluate(BOXES, ".picture img")


def windows(page: Page) -> list[dict[str, float]]:
    """What of the screen each picture is seen in."""
    return page.evaluate(BOXES, ".picture .window")


def offsets(page: Page) -> list[tuple[float, float]]:
    """Where each picture begins in its window."""
    both = zip(pictures(page), windows(page), strict=True)
    return [(round(picture["x"] - window["x"], 1), round(picture["y"] - window["y"], 1)) for picture, window in both]


def widths(page: Page) -> list[float]:
    return [round(box["width"], 1) for box in pictures(page)]


def middle(box: dict[str, float]) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, start: tuple[float, float], x: float, y: float) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + x / 2, start[1] + y / 2)
    page.mouse.move(start[0] + x, start[1] + y)
    page.mouse.up()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def divider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Divider")


def shown(page: Page) -> list[str]:
    return [side for side in ("Original", "Anonymized") if page.get_by_role("img", name=f"{side} picture").is_visible()]


def answer(page: Page) -> None:
    page.keyboard.press("5")
    page.keyboard.press("Enter")


# Size, zoom and pan -----------------------------------------------------------------------------------------------


def test_both_pictures_are_labelled_and_whole_in_one_size(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    first, second = pictures(page)
    assert (first["width"], first["height"]) == (second["width"], second["height"])
    assert first["width"] / first["height"] == pytest.approx(4 / 3, rel=0.01)
    assert pictures(page) == windows(page)
    assert page.locator("figcaption").all_inner_texts() == ["Original", "Anonymized"]


def test_a_small_picture_is_not_enlarged_unless_asked(links: dict[str, str], people: People) -> None:
    page = begin(people, links["small"])
    assert widths(page) == [SMALL[0]] * 2
    press(page, "Zoom in")
    assert widths(page) == [SMALL[0] * 1.25] * 2


def test_the_wheel_enlarges_both_alike_and_keeps_what_is_under_the_pointer(
    links: dict[str, str], people: People
) -> None:
    page = begin(people, links["large"])
    before = pictures(page)[0]
    at = before["x"] + before["width"] * 0.25, before["y"] + before["height"] * 0.75
    page.mouse.move(*at)
    for _ in range(4):
        turn_wheel(page)
    assert pictures(page)[0]["width"] > 2 * before["width"]
    first, second = pictures(page)
    assert (first["width"], first["height"]) == (second["width"], second["height"])
    assert len(set(offsets(page))) == 1
    assert (at[0] - first["x"]) / first["width"] == pytest.approx(0.25, abs=0.01)
    assert (at[1] - first["y"]) / first["height"] == pytest.approx(0.75, abs=0.01)


def turn_wheel(page: Page) -> None:
    zoom = page.locator("[data-zoom]")
    before = zoom.inner_text()
    page.mouse.wheel(0, -100)
    expect(zoom).not_to_have_text(before)


def test_dragging_moves_both_alike_and_never_past_their_edges(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    press(page, "1:1")
    [start, _] = offsets(page)
    drag(page, middle(windows(page)[1]), -40, 30)
    assert offsets(page) == [(pytest.approx(start[0] - 40, abs=0.2), pytest.approx(start[1] + 30, abs=0.2))] * 2
    drag(page, middle(windows(page)[0]), 600, 0)
    drag(page, middle(windows(page)[0]), 600, 0)
    assert [x for x, _ in offsets(page)] == [0, 0]


def test_fit_and_actual_size_are_a_button_a_key_and_a_double_click_away(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    fit = widths(page)
    actual = [LARGE[0]] * 2
    for to_actual, to_fit in (
        (lambda: press(page, "1:1"), lambda: press(page, "Fit")),
        (lambda: page.keyboard.press("o"), lambda: page.keyboard.press("f")),
        (lambda: page.mouse.dblclick(300, 300), lambda: page.mouse.dblclick(300, 300)),
    ):
        to_actual()
        assert widths(page) == actual
        expect(page.get_by_role("button", name="1:1", pressed=True)).to_be_visible()
        to_fit()
        assert widths(page) == fit
        expect(page.get_by_role("button", name="Fit", pressed=True)).to_be_visible()


def test_two_fingers_enlarge_and_one_moves(links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"], viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    [before] = pictures(page)
    x, y = middle(before)
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    touch("touchStart", (x - 30, y))
    touch("touchStart", (x - 30, y), (x + 30, y))
    for spread in (45, 60, 90):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    [after] = pictures(page)
    assert after["width"] == pytest.approx(3 * before["width"], rel=0.05)
    touch("touchStart", (x, y))
    touch("touchMove", (x + 10, y))
    touch("touchMove", (x + 30, y))
    touch("touchEnd")
    assert pictures(page)[0]["x"] == pytest.approx(after["x"] + 30, abs=1)
    assert page.evaluate("visualViewport.scale") == 1


def test_the_wheel_scrolls_a_long_page_until_somebody_turns_to_the_pictures(
    links: dict[str, str], people: People
) -> None:
    page = begin(people, links["large"], viewport={"width": 700, "height": 420})
    before = widths(page)
    page.mouse.move(350, 200)
    page.mouse.wheel(0, 100)
    expect(page.locator(".rate-bar")).not_to_be_in_viewport()
    assert widths(page) == before
    page.mouse.click(350, 150)
    turn_wheel(page)
    assert widths(page)[0] > 1.1 * before[0]


# Comparing --------------------------------------------------------------------------------------------------------


def test_the_divider_is_moved_by_dragging_it(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    press(page, "Swipe")
    first, second = windows(page)
    assert first == second
    expect(divider(page)).to_have_attribute("aria-valuenow", "50")
    handle = divider(page).bounding_box()
    assert handle
    drag(page, (handle["x"] + handle["width"] / 2, handle["y"] + 40), first["width"] / 4, 0)
    expect(divider(page)).to_have_attribute("aria-valuenow", "75")
    drag(page, (first["x"] + 60, first["y"] + 60), -first["width"] / 4, 0)  # anywhere on pictures that fit
    expect(divider(page)).to_have_attribute("aria-valuenow", "50")
    assert widths(page) == [pytest.approx(first["width"], abs=0.1)] * 2


def test_the_divider_is_moved_by_keys_on_it_and_on_the_pictures(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    page.keyboard.press("w")
    page.get_by_role("group", name="Pictures").focus()
    page.keyboard.press("ArrowRight")
    expect(divider(page)).to_have_attribute("aria-valuenow", "52")
    page.keyboard.press("o")
    [start, _] = offsets(page)
    page.keyboard.press("ArrowRight")  # now the pictures are enlarged: the arrow moves them
    assert [x for x, _ in offsets(page)] == [start[0] - 64] * 2
    expect(divider(page)).to_have_attribute("aria-valuenow", "52")
    page.keyboard.press("Shift+ArrowLeft")
    expect(divider(page)).to_have_attribute("aria-valuenow", "50")
    page.keyboard.press("Tab")
    expect(divider(page)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(divider(page)).to_have_attribute("aria-valuenow", "48")
    page.keyboard.press("Home")
    expect(divider(page)).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("End")
    expect(divider(page)).to_have_attribute("aria-valuetext", "100 % original, 0 % anonymized")


def test_flicker_shows_the_original_while_a_key_is_held(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    page.keyboard.press("k")
    assert windows(page)[0] == windows(page)[1]
    assert shown(page) == ["Anonymized"]
    page.keyboard.down("x")
    page.keyboard.down("x")  # the keyboard repeats it
    assert shown(page) == ["Original"]
    page.keyboard.up("x")
    assert shown(page) == ["Anonymized"]


def test_flicker_is_toggled_by_its_button_and_nothing_alternates_by_itself(
    links: dict[str, str], people: People
) -> None:
    page = begin(people, links["large"])
    page.clock.install()
    press(page, "Flicker")
    button = page.get_by_role("button", name="Show original")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.getAnimations().length") == 0
    for _ in range(5):
        assert shown(page) == ["Original"]
        page.clock.run_for(200)
    button.press("Space")
    assert shown(page) == ["Anonymized"]


def test_flicker_shows_the_original_while_its_button_is_held(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    press(page, "Flicker")
    page.get_by_role("button", name="Show original").hover()
    page.mouse.down()
    page.wait_for_timeout(500)
    assert shown(page) == ["Original"]
    page.mouse.up()
    assert shown(page) == ["Anonymized"]


def test_the_next_pair_is_whole_again_and_compared_in_the_same_way(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    press(page, "Swipe")
    fit = widths(page)
    press(page, "1:1")
    answer(page)
    expect(page.get_by_text(f"Pair 2 of {N_PLANNED}").first).to_be_visible()
    expect_ready_to_rate(page)
    assert widths(page) == fit
    expect(page.get_by_role("button", name="Swipe", pressed=True)).to_be_visible()
    expect(divider(page)).to_have_attribute("aria-valuenow", "50")


def test_pairs_leave_no_listeners_behind(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    counters = page.context.new_cdp_session(page)

    def n_listeners() -> int:
        counters.send("HeapProfiler.collectGarbage")
        return counters.send("Memory.getDOMCounters")["jsEventListeners"]

    before = n_listeners()
    for n in range(2, N_PLANNED + 1):
        for key in ("w", "k", "+", "s"):
            page.keyboard.press(key)
        answer(page)
        expect(page.get_by_text(f"Pair {n} of {N_PLANNED}").first).to_be_visible()
        expect_ready_to_rate(page)
        expect(page.get_by_text("All answers saved")).to_be_visible()
    assert n_listeners() <= before


@pytest.mark.parametrize("study", ["plain", "one"])
def test_a_study_that_switches_ways_to_compare_off_offers_none(
    links: dict[str, str], people: People, study: str
) -> None:
    page = begin(people, links[study])
    expect(page.get_by_role("group", name="Zoom")).to_be_visible()
    expect(page.get_by_role("group", name="Compare")).to_have_count(0)
    before = windows(page)
    for key in ("w", "k", "s", "x"):
        page.keyboard.press(key)
    assert windows(page) == before
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_text("divider")).to_have_count(0)


# Keys, and what is stored -----------------------------------------------------------------------------------------


def test_the_table_of_keys_opens_on_a_question_mark_or_a_button_and_gives_the_focus_back(
    links: dict[str, str], people: People
) -> None:
    page = begin(people, links["large"])
    table = page.get_by_role("dialog", name="Keys")
    score = page.get_by_role("radio", name="4")
    score.check()
    page.keyboard.press("?")
    expect(table).to_be_visible()
    page.keyboard.press("7")  # while the table is read, keys are neither scores nor commands
    page.keyboard.press("w")
    page.keyboard.press("Escape")
    expect(table).to_be_hidden()
    expect(score).to_be_focused()
    expect(score).to_be_checked()
    expect(page.get_by_role("button", name="Side by side", pressed=True)).to_be_visible()
    page.get_by_role("button", name="All keys").click()
    table.get_by_role("button", name="Close").click()
    expect(table).to_be_hidden()
    expect(page.get_by_role("button", name="All keys")).to_be_focused()


def test_arrows_on_the_scale_choose_scores_and_leave_the_pictures(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    page.keyboard.press("w")
    page.keyboard.press("o")
    before = offsets(page)
    page.keyboard.press("4")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="5")).to_be_checked()
    assert offsets(page) == before
    expect(divider(page)).to_have_attribute("aria-valuenow", "50")


def test_keys_that_are_switched_off_do_nothing(links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    page.get_by_role("checkbox", name="Keys").uncheck()
    before = windows(page)
    for key in ("w", "k", "+", "o", "?"):
        page.keyboard.press(key)
    assert windows(page) == before
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_how_a_pair_was_looked_at_is_stored_with_its_answer(site: Site, links: dict[str, str], people: People) -> None:
    page = begin(people, links["large"])
    width = widths(page)[0]
    page.wait_for_timeout(300)
    press(page, "Swipe")
    press(page, "1:1")
    page.wait_for_timeout(300)
    press(page, "Fit")
    page.set_viewport_size({"width": 1000, "height": 700})
    page.set_viewport_size({"width": 1280, "height": 800})
    press(page, "Side by side")
    answer(page)
    expect(page.get_by_text(f"Pair 2 of {N_PLANNED}").first).to_be_visible()
    expect(page.get_by_text("All answers saved")).to_be_visible()
    stored = json.loads(shell(site, NEWEST_VIEWING))
    assert set(stored["seconds"]) == {"side", "swipe"}
    assert min(stored["seconds"].values()) >= 0.3
    assert stored["zoom"] == 1
    assert stored["picture_width"] == pytest.approx(width, abs=0.1)
    assert (stored["viewport_width"], stored["viewport_height"], stored["pixel_ratio"]) == (1280, 800, 1)
    assert (stored["stage_width"], stored["stage_height"] > 300) == (1232, True)


def test_without_a_script_the_page_shows_pictures_and_scale_and_no_tools(links: dict[str, str], people: People) -> None:
    page = people.page(java_script_enabled=False)
    page.goto(come_in(people.site, links["large"]))
    assert shown(page) == ["Original", "Anonymized"]
    expect(page.get_by_role("group", name="Zoom")).to_have_count(0)
    expect(page.get_by_role("slider")).to_have_count(0)
    page.get_by_role("radio", name="7", exact=True).check()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text(f"Pair 2 of {N_PLANNED}").first).to_be_visible()


@pytest.mark.parametrize("study", ["large", "one"])
def test_nothing_is_cut_off_at_320_pixels(links: dict[str, str], people: People, study: str) -> None:
    page = begin(people, links[study], viewport={"width": 320, "height": 640})
    for key in ("s", "w", "k"):
        page.keyboard.press(key)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        buttons = page.locator(".view-tools button:visible")
        expect(buttons.first).to_be_visible()
        for button in buttons.all():
            box = button.bounding_box()
            assert box
            assert 0 <= box["x"] <= box["x"] + box["width"] <= 320
            assert min(box["width"], box["height"]) >= 38
