"""Boxes on what gives somebody or a place away: drawn by mouse, keys and fingers, in every way to look at pictures."""

import csv
import io
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import (
    NO_SERVER,
    People,
    Site,
    come_in,
    expect_ready_to_rate,
    log_in,
    refused,
    same_picture,
    shell,
    tap_by_finger,
)

pytestmark = pytest.mark.browser

N_PLANNED = 3
SIZE = (1600, 1200)
RED = (860, 560, 150, 90)  # a red area on each anonymized picture: x, y, width, height
ODD_SIZE, ODD_RED = (1500, 600), (900, 200, 240, 120)  # of a picture whose original is upright
STUDIES = """
import json
from annotation.studies import invitations, life, setup
from datasets.models.projects import Project
project = Project.objects.get(slug=slug)
kinds = {"two": {}, "one": {"mode": "HA1"}, "odd": {}}
kinds |= {"quick": {"confirms_on_press": True}, "calm": {"asks_cues": False}}
links = {}
for name, settings in kinds.items():
    campaign = setup.begin_campaign(project, name)
    pairs = project.pairs.filter(method="odd" if name == "odd" else "plain")
    fields = {"mode": "HA2", "goal": 90, "session_size": 3, "n_warm_up": 0, "repeat_percent": 0, "asks_cues": True}
    study = setup.create_study(project, campaign=campaign, name=name, pairs=pairs, **fields | settings)
    life.change_state(study, "open")
    links[name] = invitations.invite(study, kind="many").token
print(json.dumps(links))
"""
STORED = """
import json
from annotation.models.people import Participation
from annotation.models.ratings import Revision
person = Participation.objects.get(public_id="{person}")
said = Revision.objects.filter(rating__assignment__participation=person).order_by("rating", "number")
boxes = [list(each.cues.values_list("kind", "x", "y", "width", "height")) for each in said]
print(json.dumps([[each.score, *found] for each, found in zip(said, boxes)]))
"""
Place = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def site(own_site: Site) -> Site:
    return own_site  # which is stopped here


@pytest.fixture(scope="module")
def links(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    manifest = write_pairs(tmp_path_factory.mktemp("pairs"))
    site.manage("import_pairs", str(manifest), "--project", project)
    tokens = json.loads(shell(site, f"slug = '{project}'\n{STUDIES}"))
    return {name: f"{site.url}/join/{token}/" for name, token in tokens.items()}


def write_pairs(folder: Path) -> Path:
    rows = [["original", "anonymized", "source", "method", "scope"]]
    for method, size, shape, red in (("plain", SIZE, SIZE, RED), ("odd", ODD_SIZE, (900, 1100), ODD_RED)):
        for n in range(N_PLANNED):
            for name, picture in (("original", grey(shape, n)), ("anonymized", with_red(grey(size, n + 9), red))):
                picture.save(folder / f"{method}-{n}-{name}.png")
            rows.append([f"{method}-{n}-original.png", f"{method}-{n}-anonymized.png", "drawn", method, "global"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def grey(size: tuple[int, int], n: int) -> Image.Image:
    picture = Image.radial_gradient("L").resize(size).convert("RGB")
    picture.putpixel((0, 0), (n, 0, 0))
    return picture


def with_red(picture: Image.Image, place: tuple[int, int, int, int]) -> Image.Image:
    x, y, width, height = place
    ImageDraw.Draw(picture).rectangle((x, y, x + width - 1, y + height - 1), fill=(255, 0, 0))
    return picture


@pytest.fixture(autouse=True)
def _lines_are_cut_here(people: People) -> None:
    people.provokes(NO_SERVER)


def begin(people: People, link: str, **options: Any) -> Page:
    return people.begin(link, **{"viewport": {"width": 1280, "height": 800}} | options)


def mark(page: Page) -> None:
    page.get_by_role("button", name="Mark what gives it away").click()
    expect(panel(page)).to_be_visible()


def panel(page: Page) -> Locator:
    return page.get_by_role("region", name="What gives it away")


def kinds(page: Page) -> Locator:
    return panel(page).get_by_role("combobox")


def boxes(page: Page) -> Locator:
    return page.get_by_role("application").get_by_role("button")


def names(page: Page) -> list[str]:
    return [each.get_attribute("aria-label") or "" for each in boxes(page).all()]


def place_of(name: str) -> tuple[int, ...]:
    """Left, right, top and bottom, as the box's name says them."""
    return tuple(int(digits) for digits in re.findall(r"\d+", name)[1:])


def red_on_screen(page: Page) -> Place:
    """Where the red area begins and ends in the window, as anybody can see."""
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    is_red = (shot[..., 0] > 180) & (shot[..., 1] < 90) & (shot[..., 2] < 90)
    down, across = (np.flatnonzero(is_red.any(axis=axis)) for axis in (1, 0))
    return float(across[0]), float(down[0]), float(across[-1] + 1), float(down[-1] + 1)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def draw_around_red(page: Page) -> None:
    left, top, right, bottom = red_on_screen(page)
    drag(page, (left, top), (right, bottom))


def answer(page: Page, score: int = 5) -> None:
    page.keyboard.press(str(score))
    page.keyboard.press("Enter")


def at(page: Page, n: int) -> None:
    expect(page.locator("[data-progress-text]")).to_have_text(re.compile(f"(Pair|Picture) {n} of {N_PLANNED}"))
    expect_ready_to_rate(page)


def saved(page: Page) -> None:
    expect(page.get_by_text("All answers saved")).to_be_visible(timeout=60_000)


def stored(site: Site, page: Page) -> list[Any]:
    """Of each revision its score and its boxes."""
    person = page.locator("form[data-participation]").get_attribute("data-participation") or ""
    return json.loads(shell(site, STORED.format(person=person)))


def scale(page: Page) -> float:
    """CSS pixels per pixel of the picture, as the page draws it."""
    box = page.get_by_role("img", name="Anonymized picture").bounding_box()
    assert box
    return box["width"] / SIZE[0]


def announced(page: Page) -> Locator:
    return page.locator("[data-announce]")


# By mouse ----------------------------------------------------------------------------------------------------------


LOOKS = {"whole": "", "one to one": "o", "large": "+++++++++"}  # by keys


@pytest.mark.parametrize(
    ("mode", "look"),
    [
        *[("s", look) for look in LOOKS],  # where one picture stands beside the other
        *[(mode, "large") for mode in ("w", "k", "one")],
        *[pytest.param(*each, marks=pytest.mark.long) for each in product(("w", "k", "one"), ("whole", "one to one"))],
    ],
)
def test_what_is_drawn_is_stored_where_it_lies_on_the_picture(
    site: Site, links: dict[str, str], people: People, mode: str, look: str
) -> None:
    page = begin(people, links["one" if mode == "one" else "two"])
    if mode != "one":
        page.keyboard.press(mode)
    mark(page)
    for key in LOOKS[look]:
        page.keyboard.press(key)
    if look == "large":
        assert scale(page) > 2
        bring_red_into_sight(page)
    draw_around_red(page)
    kinds(page).select_option("text")
    answer(page)
    at(page, 2)
    saved(page)
    [[score, [kind, x, y, width, height]]] = stored(site, page)
    assert (score, kind) == (5, "text")
    found, wanted = (x, y, x + width, y + height), (RED[0], RED[1], RED[0] + RED[2], RED[1] + RED[3])
    pixel = {"whole": 1 / 0.3, "one to one": 1, "large": 1}[look]  # of the screen, in the picture's
    assert found == pytest.approx(wanted, abs=pixel)


def bring_red_into_sight(page: Page) -> None:
    """By keys: a drag on the picture draws now."""
    page.get_by_role("group", name=re.compile("^Pictures?$")).focus()
    for _ in range(12):
        left, top, right, bottom = red_on_screen(page)
        window = page.evaluate("document.querySelector('[data-side=anonymized] .window').getBoundingClientRect()")
        width, height = right - left, bottom - top
        wide, high = RED[2] * scale(page), RED[3] * scale(page)
        if width >= wide - 2 and height >= high - 2:
            return
        if width < wide - 2:
            page.keyboard.press("ArrowRight" if right >= window["right"] - 2 else "ArrowLeft")
        if height < high - 2:
            page.keyboard.press("ArrowDown" if bottom >= window["bottom"] - 2 else "ArrowUp")
    raise AssertionError("the red area cannot be brought into sight")


def test_beside_an_original_of_another_shape_boxes_are_in_the_pictures_own_pixels(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = begin(people, links["odd"])
    mark(page)
    page.keyboard.press("o")
    draw_around_red(page)
    kinds(page).select_option("place")
    answer(page)
    at(page, 2)
    saved(page)
    [[_, [_, x, y, width, height]]] = stored(site, page)
    pixel = ODD_SIZE[0] / 900  # both pictures are shown in the smaller width of the two
    wanted = (ODD_RED[0], ODD_RED[1], ODD_RED[0] + ODD_RED[2], ODD_RED[1] + ODD_RED[3])
    assert (x, y, x + width, y + height) == pytest.approx(wanted, abs=pixel)


def test_a_box_is_moved_and_its_corners_are_dragged(links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    mark(page)
    draw_around_red(page)
    left, right, top, bottom = place_of(names(page)[0])
    box = boxes(page).bounding_box()
    assert box
    px = 1 / scale(page)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    drag(page, middle, (middle[0] - 60, middle[1] + 30))
    moved = left - 60 * px, right - 60 * px, top + 30 * px, bottom + 30 * px
    assert place_of(names(page)[0]) == pytest.approx(moved, abs=1.5 * px)
    box = boxes(page).bounding_box()
    assert box
    end = box["x"] + box["width"], box["y"] + box["height"]
    drag(page, (end[0] + 5, end[1] + 5), (end[0] + 65, end[1] + 45))
    sized = moved[0], moved[1] + 60 * px, moved[2], moved[3] + 40 * px
    assert place_of(names(page)[0]) == pytest.approx(sized, abs=1.5 * px)
    corner = page.locator('[data-corner="north west"]')
    handle = corner.bounding_box()
    assert handle
    start = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    drag(page, start, (start[0] - 20, start[1] - 10))
    grown = sized[0] - 20 * px, sized[1], sized[2] - 10 * px, sized[3]
    assert place_of(names(page)[0]) == pytest.approx(grown, abs=1.5 * px)


def test_boxes_end_at_the_pictures_edges_and_a_press_draws_none(links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    mark(page)
    picture = page.get_by_role("img", name="Anonymized picture").bounding_box()
    assert picture
    page.mouse.click(picture["x"] + 50, picture["y"] + 50)
    drag(page, (picture["x"] + 50, picture["y"] + 50), (picture["x"] + 53, picture["y"] + 52))
    expect(boxes(page)).to_have_count(0)
    drag(page, (picture["x"] + 40, picture["y"] + 40), (picture["x"] - 90, picture["y"] - 30))
    left, right, top, bottom = place_of(names(page)[0])
    assert (left, top) == (0, 0)
    assert (right, bottom) == pytest.approx((40 / scale(page), 40 / scale(page)), abs=2 / scale(page))


def test_a_picture_takes_twenty_boxes_and_no_more(links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    mark(page)
    for _ in range(20):
        page.get_by_role("button", name="Add a box").click()
    expect(boxes(page)).to_have_count(20)
    assert len(set(map(place_of, names(page)))) == 20
    page.get_by_role("button", name="Add a box").press("Enter")  # it can be pressed, and says why it adds none
    draw_from_corner(page)
    expect(boxes(page)).to_have_count(20)
    expect(announced(page)).to_have_text("No more than 20 boxes on one picture.")


def draw_from_corner(page: Page) -> None:
    picture = page.get_by_role("img", name="Anonymized picture").bounding_box()
    assert picture
    drag(page, (picture["x"] + 4, picture["y"] + 4), (picture["x"] + 60, picture["y"] + 50))


def test_outside_marking_a_drag_moves_the_picture_and_draws_nothing(links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    mark(page)
    draw_around_red(page)
    page.get_by_role("button", name="Done").click()
    expect(panel(page)).to_be_hidden()
    expect(page.get_by_role("button", name="Mark what gives it away 1")).to_be_focused()
    page.keyboard.press("o")
    before = page.get_by_role("img", name="Anonymized picture").bounding_box()
    middle = (640.0, 350.0)
    drag(page, middle, (middle[0] - 80, middle[1]))
    after = page.get_by_role("img", name="Anonymized picture").bounding_box()
    assert before
    assert after
    assert after["x"] == pytest.approx(before["x"] - 80, abs=1)
    expect(page.locator(".cue")).to_have_count(1)
    expect(page.locator(".cue")).to_be_visible()


def test_while_the_original_shows_on_top_no_box_does(links: dict[str, str], people: People) -> None:
    page = begin(people, links["two"])
    page.keyboard.press("k")
    mark(page)
    draw_around_red(page)
    page.keyboard.press("Escape")
    page.keyboard.down("x")
    with_original = page.screenshot(clip=stage(page))
    page.keyboard.up("x")
    mark(page)
    boxes(page).focus()
    page.keyboard.press("Delete")
    page.keyboard.press("Escape")
    page.keyboard.down("x")
    assert same_picture(page.screenshot(clip=stage(page)), with_original)
    page.keyboard.up("x")


def stage(page: Page) -> Any:
    return page.locator("[data-side=original] .window").bounding_box()


def test_a_box_that_has_the_focus_keeps_it_while_the_original_is_looked_at(
    links: dict[str, str], people: People
) -> None:
    page = begin(people, links["two"])
    page.keyboard.press("k")
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    expect(boxes(page)).to_be_focused()
    page.keyboard.down("x")
    page.keyboard.up("x")
    expect(boxes(page)).to_be_focused()


def test_a_box_out_of_sight_comes_into_sight_with_the_focus(links: dict[str, str], people: People) -> None:
    page = begin(people, links["two"])
    page.keyboard.press("w")
    mark(page)
    draw_around_red(page)
    slider = page.get_by_role("slider", name="Divider")
    slider.press("End")
    boxes(page).focus()
    left, top, right, bottom = page.evaluate(
        "(() => { const { left, top, right, bottom } = document.querySelector('.cue').getBoundingClientRect();"
        " return [left, top, right, bottom] })()"
    )
    for x, y in ((left + 3, top + 3), (right - 3, bottom - 3)):
        assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).className", [x, y]).startswith("cue")


# By keyboard --------------------------------------------------------------------------------------------------------


def test_everything_is_done_by_keys_and_said(site: Site, links: dict[str, str], people: People) -> None:
    page = begin(people, links["two"])
    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Mark what gives it away")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Add a box")).to_be_focused()
    page.keyboard.press("Enter")
    expect(boxes(page)).to_be_focused()
    expect(announced(page)).to_have_text(re.compile(r"^Box 1 added\. \d+ to \d+ across, \d+ to \d+ down$"))
    left, right, top, bottom = place_of(names(page)[0])
    assert (left + right, top + bottom) == pytest.approx(SIZE, abs=4)  # the middle of what is in sight, twice
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    step = place_of(names(page)[0])[0] - left
    assert step == pytest.approx(8 / scale(page), abs=1)
    assert place_of(names(page)[0]) == (left + step, right + step, top - step, bottom - step)
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowLeft")
    assert place_of(names(page)[0]) == (left + step, right, top - step, bottom)
    expect(announced(page)).to_have_text(names(page)[0])
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="What box 1 is on")).to_be_focused()
    page.keyboard.press("t")
    expect(announced(page)).to_have_text("Box 1: Text")
    assert names(page)[0] == f"Box 1, Text, {left + step} to {right} across, {top - step} to {bottom} down"
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Remove box 1")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Add a box")).to_be_focused()
    page.keyboard.press("Space")
    expect(boxes(page).nth(1)).to_be_focused()
    page.keyboard.press("Delete")
    expect(announced(page)).to_have_text("Box 2 removed. Boxes left: 1.")
    expect(boxes(page)).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(page.get_by_role("button", name="Mark what gives it away")).to_be_focused()
    expect(announced(page)).to_have_text("Marking ended. Boxes: 1.")
    answer(page, 4)  # Enter on the chosen number confirms
    at(page, 2)
    saved(page)
    assert stored(site, page) == [[4, ["text", left + step, top - step, right - left - step, bottom - top + step]]]


def test_arrows_on_a_box_stop_at_the_edges_and_it_keeps_its_least_size(links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    for _ in range(90):
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowUp")
    left, _, top, bottom = place_of(names(page)[0])
    assert (left, bottom - top) == (0, 4)
    for _ in range(200):
        page.keyboard.press("Shift+ArrowRight")
    assert place_of(names(page)[0])[:2] == (0, SIZE[0])


def test_removing_from_the_list_goes_on_to_the_next_row_and_at_last_to_the_button(
    links: dict[str, str], people: People
) -> None:
    page = begin(people, links["one"])
    mark(page)
    for _ in range(2):
        page.get_by_role("button", name="Add a box").click()
    page.get_by_role("button", name="Remove box 1").press("Enter")
    expect(page.get_by_role("button", name="Remove box 1")).to_be_focused()
    page.keyboard.press("Delete")
    expect(boxes(page)).to_have_count(0)
    expect(page.get_by_role("button", name="Add a box")).to_be_focused()


def test_letters_in_the_list_of_kinds_choose_and_digits_still_rate(links: dict[str, str], people: People) -> None:
    page = begin(people, links["two"])
    mark(page)
    draw_around_red(page)
    expect(kinds(page)).to_be_focused()
    page.keyboard.press("f")
    expect(kinds(page)).to_have_value("face")
    page.wait_for_timeout(1200)  # quickly one after the other, letters are the beginning of a word
    page.keyboard.press("o")
    expect(kinds(page)).to_have_value(re.compile("object|other"))
    expect(page.get_by_role("button", name="Fit", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("7")
    expect(page.get_by_role("radio", name="7", exact=True)).to_be_focused()


def test_with_the_keys_switched_off_no_letter_marks(links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    page.locator("[data-use-keys]").uncheck()
    page.keyboard.press("c")
    expect(panel(page)).to_be_hidden()
    page.get_by_text("Add a note").click()
    page.get_by_label("Note").press_sequentially("cc")
    expect(panel(page)).to_be_hidden()


def test_the_keys_are_listed(links: dict[str, str], people: People) -> None:
    page = begin(people, links["two"])
    page.keyboard.press("?")
    table = page.get_by_role("dialog")
    expect(table.get_by_role("row", name="C mark what gives it away")).to_be_visible()
    expect(table.get_by_role("row", name="on a box move it")).to_be_visible()
    page.keyboard.press("c")
    expect(panel(page)).to_be_hidden()


def test_escape_closes_an_open_list_of_kinds_first(links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    mark(page)
    draw_around_red(page)
    kinds(page).click()
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()


# By finger ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [360, 320])
def test_fingers_draw_on_a_small_screen_and_pinch_still_enlarges(
    site: Site, links: dict[str, str], people: People, width: int
) -> None:
    page = begin(people, links["two"], viewport={"width": width, "height": 740}, has_touch=True, is_mobile=True)
    tap_by_finger(page.get_by_role("button", name="Mark what gives it away"))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        on = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": on})

    window = page.locator("[data-side=anonymized] .window").bounding_box()
    assert window
    x, y = window["x"] + window["width"] / 2, window["y"] + window["height"] / 2
    before = scale(page)
    touch("touchStart", (x - 20, y))
    touch("touchStart", (x - 20, y), (x + 20, y))
    for spread in (40, 60):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    assert scale(page) == pytest.approx(3 * before, rel=0.1)
    expect(boxes(page)).to_have_count(0)
    left, top, right, bottom = red_on_screen(page)
    touch("touchStart", (left, top))
    touch("touchMove", ((left + right) / 2, (top + bottom) / 2))
    touch("touchMove", (right, bottom))
    touch("touchEnd")
    expect(boxes(page)).to_have_count(1)
    assert page.evaluate("[scrollX, visualViewport.scale]") == [0, 1]
    kinds(page).select_option("vehicle")
    size = page.get_by_role("button", name="Remove box 1").bounding_box()
    assert size
    assert min(size["width"], size["height"]) >= 24
    assert page.evaluate("document.documentElement.scrollWidth") == width
    pixel = 1 / scale(page)
    page.get_by_role("radio", name="3", exact=True).check()
    tap_by_finger(page.get_by_role("button", name="Confirm"))
    at(page, 2)
    saved(page)
    [[_, [kind, *box]]] = stored(site, page)
    assert kind == "vehicle"
    assert box == pytest.approx(RED, abs=2 * pixel)


# With the answer ----------------------------------------------------------------------------------------------------


def test_a_box_without_a_kind_holds_the_answer_back_and_says_why(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = begin(people, links["one"])
    mark(page)
    draw_around_red(page)
    page.keyboard.press("Escape")
    answer(page, 6)
    expect(page.locator("[data-note]")).to_have_text("Say what box 1 is on, or remove it.")
    expect(kinds(page)).to_be_focused()
    kinds(page).select_option("object")
    page.get_by_role("button", name="Confirm").click()
    at(page, 2)
    saved(page)
    [[score, [kind, *_]]] = stored(site, page)
    assert (score, kind) == (6, "object")


def test_nothing_of_a_pair_stays_for_the_next(site: Site, links: dict[str, str], people: People) -> None:
    page = begin(people, links["two"])
    mark(page)
    draw_around_red(page)
    kinds(page).select_option("face")
    answer(page)
    at(page, 2)
    expect(panel(page)).to_be_hidden()
    expect(page.locator(".cue")).to_have_count(0)
    expect(page.get_by_role("button", name="Mark what gives it away", exact=True)).to_be_visible()
    mark(page)
    expect(kinds(page)).to_have_count(0)
    page.keyboard.press("Escape")
    answer(page, 8)
    at(page, 3)
    saved(page)
    assert [len(each) for each in stored(site, page)] == [2, 1]


def test_a_changed_answer_brings_its_boxes_back_and_replaces_them(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = begin(people, links["two"])
    mark(page)
    draw_around_red(page)
    kinds(page).select_option("face")
    first = names(page)
    answer(page)
    at(page, 2)
    mark(page)
    draw_around_red(page)
    page.get_by_role("button", name="Done").click()
    page.keyboard.press("u")
    expect(page.get_by_text("You chose 5.")).to_be_visible()
    mark(page)
    assert names(page) == first
    kinds(page).select_option("text")
    page.get_by_role("button", name="Add a box").click()
    kinds(page).nth(1).select_option("place")
    answer(page, 2)
    at(page, 2)
    expect(page.locator(".cue")).to_have_count(1)  # what was begun there is still there
    saved(page)
    [[score, [kind, *box]], [changed, [again, *same], [other, *_]]] = stored(site, page)
    assert (score, kind, changed, again, other) == (5, "face", 2, "text", "place")
    assert box == same


def test_boxes_wait_with_their_answer_while_the_server_is_away(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = begin(people, links["one"])
    saved(page)
    site.stop()
    try:
        mark(page)
        draw_around_red(page)
        kinds(page).select_option("text")
        drawn = place_of(names(page)[0])
        answer(page, 9)
        expect(page.get_by_text("1 answer not sent yet")).to_be_visible()
    finally:
        site.start()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    saved(page)
    [[score, [kind, x, y, width, height]]] = stored(site, page)
    assert (score, kind, (x, x + width, y, y + height)) == (9, "text", drawn)


def test_more_boxes_than_a_leaving_page_may_send_are_sent_all_the_same(links: dict[str, str], people: People) -> None:
    """Browsers refuse requests of more than 64 KiB that are to outlive their page."""
    people.provokes(refused(404))
    page = begin(people, links["one"])
    saved(page)
    page.evaluate(
        """() => {
          const box = { kind: "vehicle", x: 1000, y: 1000, width: 200, height: 100 };
          const answers = Array.from({ length: 90 }, (_, n) => ({
            key: `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`,
            assignment: "00000000-0000-4000-8000-000000000000", score: 5, cues: Array(20).fill(box),
          }));
          const { participation } = document.querySelector("form[data-participation]").dataset;
          answers.forEach((answer, n) => {
            const name = `${participation}.${String(n + 1).padStart(6, "0")}.${answer.key}`;
            localStorage.setItem(`perceptanon.outbox.${name}`, JSON.stringify(answer));
          });
        }"""
    )
    page.reload()
    saved(page)
    expect(page.get_by_text("One answer was not accepted.")).to_be_visible()  # these were nobody's pairs


def test_where_a_press_is_the_answer_boxes_come_first(site: Site, links: dict[str, str], people: People) -> None:
    page = begin(people, links["quick"])
    mark(page)
    expect(panel(page).get_by_text("Do this first")).to_be_visible()
    draw_around_red(page)
    page.keyboard.press("t")
    page.keyboard.press("3")
    at(page, 2)
    saved(page)
    [[score, [kind, *_]]] = stored(site, page)
    assert (score, kind) == (3, "text")


# Who sees them ------------------------------------------------------------------------------------------------------


def test_nobody_who_rates_is_sent_the_boxes_of_others(site: Site, links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    mark(page)
    draw_around_red(page)
    kinds(page).select_option("text")
    answer(page)
    at(page, 2)
    saved(page)
    [[_, [_, *box]]] = stored(site, page)
    other = begin(people, links["one"])
    said = [other.content()]
    for n in range(1, N_PLANNED):
        at(other, n)
        expect(other.locator(".cue")).to_have_count(0)
        with other.expect_response("**/answer/") as reply:
            answer(other)
        said.append(reply.value.text())
    numbers = re.compile(r"\b" + r"\b.{0,40}\b".join(map(str, box)) + r"\b", re.S)
    assert not [each for each in said if numbers.search(each) or '"cues"' in each]


def test_the_researcher_sees_the_box_where_it_was_drawn(site: Site, links: dict[str, str], people: People) -> None:
    page = begin(people, links["one"])
    mark(page)
    draw_around_red(page)
    kinds(page).select_option("text")
    answer(page)
    at(page, 2)
    saved(page)
    boss = people.page(viewport={"width": 1280, "height": 1000})
    log_in(boss, site)
    code = "from annotation.models.ratings import Cue; c = Cue.objects.latest('pk').revision.rating.assignment; "
    study, item = shell(site, code + "print(c.participation.study.public_id, c.item_id)").split()
    boss.goto(f"{site.url}/studies/{study}/items/{item}/")
    expect(boss.get_by_role("table", name="Boxes on the anonymized picture")).to_be_visible()
    picture = boss.get_by_role("img", name="Anonymized picture")
    picture.evaluate("image => image.decode()")
    shown, edge = picture.bounding_box(), boss.locator(".cue-boxes rect").last.bounding_box()
    assert shown
    assert edge
    share = shown["width"] / SIZE[0]
    wanted = [shown["x"] + RED[0] * share, shown["y"] + RED[1] * share, RED[2] * share, RED[3] * share]
    assert [edge["x"], edge["y"], edge["width"], edge["height"]] == pytest.approx(wanted, abs=3)


def test_a_study_that_does_not_ask_and_a_browser_without_scripts_offer_no_boxes(
    links: dict[str, str], people: People
) -> None:
    calm = begin(people, links["calm"])
    expect(calm.get_by_role("button", name="Mark what gives it away")).to_have_count(0)
    calm.keyboard.press("c")
    expect(panel(calm)).to_have_count(0)
    loaded = calm.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    assert not [name for name in loaded if "cues" in name]
    plain = people.page(java_script_enabled=False)
    plain.goto(come_in(people.site, links["one"]))
    expect(plain.get_by_role("radio").first).to_be_enabled()
    for words in ("Mark what gives it away", "Add a box"):
        expect(plain.get_by_text(words).first).to_be_hidden()
