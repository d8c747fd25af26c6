"""The whole job for everybody: by keyboard alone, by screen reader, by touch, enlarged fourfold, without a script, and
in the colours that somebody's system asks for."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.axe import TOO_WIDE
from tests.browser.conftest import (
    NO_SERVER,
    People,
    Site,
    answer_alike,
    expect_ready_to_rate,
    refused,
    same_picture,
    start_rating,
    take_part,
    tap_by_finger,
)
from tests.browser.everybody import N_PLANNED, answer, expect_pair, open_studies, saved, stored

pytestmark = pytest.mark.browser

FOURFOLD = {"width": 320, "height": 256}  # what a desk of 1280 x 1024 has left when it is enlarged fourfold
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
LEAST_CONTRAST = 3
LEAST_CHANGE = 100  # pixels that say where the focus is: two rows under a short word

# What has the focus: its name, whether it is in sight, and whether anything lies over the part of it that is.
FOCUSED = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return { name: "" };
  const whole = element.getBoundingClientRect();
  const [left, top] = [Math.max(whole.left, 0), Math.max(whole.top, 0)];
  const box = { left, top, right: Math.min(whole.right, innerWidth), bottom: Math.min(whole.bottom, innerHeight) };
  const name = `${element.tagName} ${element.name ?? ""} ${(element.ariaLabel ?? element.textContent).trim()}`;
  const inSight = box.right - box.left > 1 && box.bottom - box.top > 1;
  const at = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
  const own = at && (element.contains(at) || at.contains(element) || at.closest("label")?.control === element);
  const place = Array.from(document.querySelectorAll("*")).indexOf(element);
  return { name: name.replace(/\\s+/g, " "), place, inSight, covered: inSight && !own, box };
}"""
# Everything that is read out unasked, in the order in which it appears.
LISTEN = """() => {
  window.heard = [];
  for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
    const hear = () => region.textContent.trim() && window.heard.push(region.textContent.trim());
    new MutationObserver(hear).observe(region, { childList: true, characterData: true, subtree: true });
  }
}"""


@pytest.fixture(scope="module")
def addresses(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return open_studies(site, project, tmp_path_factory.mktemp("pairs"))


# By keyboard alone ------------------------------------------------------------------------------------------------


def tab_to(page: Page, target: Locator, *, key: str = "Tab") -> None:
    """Press Tab until the target has the focus; wherever the focus comes on the way, it can be seen."""
    target.wait_for()
    for _ in range(80):
        page.keyboard.press(key)
        focused = page.evaluate(FOCUSED)
        if focused["name"]:
            assert focused["inSight"], focused
            assert not focused["covered"], focused
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab never comes to {target}")


def press(page: Page, role: Any, name: str, *, key: str = "Enter") -> None:
    tab_to(page, page.get_by_role(role, name=name, exact=True))
    page.keyboard.press(key)


def come_in_by_keyboard(page: Page, link: str) -> None:
    page.goto(link)
    press(page, "checkbox", "I have read this and I agree to take part.", key="Space")
    press(page, "button", "Take part")
    press(page, "link", "On to the instructions")
    for name, keys in (("name on a badge", ["Space"]), ("tells who or where this is", ["Space", "ArrowDown"])):
        tab_to(page, page.get_by_role("group", name=name).get_by_role("radio").first)
        for key in keys:
            page.keyboard.press(key)
    press(page, "button", "Start rating")


def expect_on_the_question(page: Page) -> None:
    expect(page.locator("[data-question]")).to_be_focused()


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 800}, FOURFOLD], ids=["desk", "fourfold"])
def test_the_whole_job_is_done_by_keyboard_alone(
    site: Site, addresses: dict[str, str], people: People, viewport: Any
) -> None:
    page = people.page(viewport=viewport)
    page.clock.install()
    come_in_by_keyboard(page, addresses["Pairs"])
    expect_pair(page, 1)
    look_closely_by_keyboard(page)
    press(page, "button", "Side by side")
    tab_to(page, page.locator("summary", has_text="Add a note"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Note (optional, no names)"))
    page.keyboard.type("A medal, 1914.")
    tab_to(page, page.locator("summary", has_text="Add a note"), key="Shift+Tab")
    answer(page, "7")
    expect_pair(page, 2)
    expect_on_the_question(page)
    tab_to(page, page.get_by_role("radio", name="1", exact=True))
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect_pair(page, 3)
    expect_on_the_question(page)
    press(page, "button", "Change the last answer U")
    expect_on_the_question(page)
    expect(page.get_by_text("You chose 3. Choose again and confirm.")).to_be_visible()
    page.clock.fast_forward("11:00")
    answer(page, "8")
    expect_pair(page, 3)
    expect_on_the_question(page)
    skip_by_keyboard(page)
    expect_pair(page, 3)
    expect_on_the_question(page)
    press(page, "link", "Take a break")
    press(page, "link", "Go on rating")
    for n in (3, 4):
        expect_pair(page, n)
        answer(page, "0")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    tab_to(page, page.get_by_role("link", name="Back to panel.example"))
    assert stored(site, "Pairs") == [[[7], [3, 8], [10], [10]], ["A medal, 1914."], ["cannot_tell"]]


def look_closely_by_keyboard(page: Page) -> None:
    """Enlarged, moved, under the divider and in turns; what another way hides keeps no focus."""
    press(page, "button", "1:1")
    pictures = page.get_by_role("group", name="Pictures")
    tab_to(page, pictures)
    before = page.locator(".picture img").first.bounding_box()
    page.keyboard.press("ArrowRight")
    assert page.locator(".picture img").first.bounding_box() != before
    tab_to(page, page.get_by_role("button", name="Swipe"), key="Shift+Tab")
    page.keyboard.press("Space")
    divider = page.get_by_role("slider", name="Divider")
    tab_to(page, divider)
    page.keyboard.press("ArrowLeft")
    expect(divider).to_have_attribute("aria-valuenow", "48")
    page.keyboard.press("k")
    expect(pictures).to_be_focused()
    flip = page.get_by_role("button", name="Show original")
    tab_to(page, flip, key="Shift+Tab")
    page.keyboard.press("Space")
    expect(flip).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("s")
    expect(pictures).to_be_focused()
    page.keyboard.press("f")


def skip_by_keyboard(page: Page) -> None:
    tab_to(page, page.locator("summary", has_text="Skip or report this pair"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("radio", name="I cannot say"))
    page.keyboard.press("Space")
    press(page, "button", "Skip")


def test_the_focus_stands_out_wherever_it_comes(addresses: dict[str, str], people: People) -> None:
    """By 3:1 against what is there without it, on every stop of every page."""
    page = people.page(viewport={"width": 1280, "height": 800})
    page.goto(addresses["Pairs"])
    faults = dull_stops(page)
    take_part(page, addresses["Pairs"])
    expect(page.get_by_role("button", name="Start rating")).to_be_visible()
    faults += dull_stops(page)
    start_rating(page)
    expect_ready_to_rate(page)
    summaries = page.locator("summary")
    expect(summaries).to_have_count(2)
    for summary in summaries.all():
        summary.click()
    for key in ("s", "w", "k"):
        page.get_by_role("group", name="Pictures").focus()
        page.keyboard.press(key)
        faults += dull_stops(page)
    page.keyboard.press("?")
    faults += dull_stops(page)
    page.keyboard.press("Escape")
    for name in ("Your data", "Stop for now"):
        rating = page.url
        page.get_by_role("link", name=name).click()
        page.wait_for_url(lambda url, rating=rating: url != rating)
        faults += dull_stops(page)
        page.goto(rating)
        expect_ready_to_rate(page)
    assert faults == []


def dull_stops(page: Page) -> list[str]:
    """Tab through the page once around: where the focus changes hardly anything."""
    dull: list[str] = []
    seen: set[int] = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if not focused["name"]:  # between the last stop and the first
            continue
        if focused["place"] in seen:
            return dull
        seen.add(focused["place"])
        if (change := change_by_focus(page, focused["box"])) < LEAST_CHANGE:
            dull.append(f"{page.url}: {focused['name']}, {change} pixels")
    raise AssertionError("Tab does not come around")


def change_by_focus(page: Page, box: dict[str, float]) -> int:
    """How many pixels around the box contrast with themselves, with and without the focus."""
    clip = {
        "x": max(0, box["left"] - 10),
        "y": max(0, box["top"] - 10),
        "width": box["right"] - box["left"] + 20,
        "height": box["bottom"] - box["top"] + 20,
    }
    with_focus = luminance(page, clip)
    holder = page.evaluate_handle("document.activeElement")
    holder.evaluate("element => element.blur()")
    without = luminance(page, clip)
    holder.evaluate("element => element.focus({ preventScroll: true })")
    return int((contrast(with_focus, without) >= LEAST_CONTRAST).sum())


def luminance(page: Page, clip: Any) -> np.ndarray:
    """Relative luminance by WCAG of what is on the screen there, [height, width]."""
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")) / 255
    linear = np.where(shot <= 0.04045, shot / 12.92, ((shot + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)


def test_a_page_that_may_not_answer_any_more_gives_the_focus_to_the_way_out(
    addresses: dict[str, str], people: People
) -> None:
    people.provokes(refused(404))
    page = people.begin(addresses["Pairs"])
    answer(page)
    expect_pair(page, 2)
    saved(page)
    page.context.clear_cookies()
    held: list[Route] = []
    page.route("**/answer/", lambda route: held.append(route))
    with page.expect_request("**/answer/"):
        answer(page)
    expect_pair(page, 3)
    page.get_by_role("radio", name="5", exact=True).focus()
    held[0].continue_()
    expect(page.get_by_role("link", name="Load the page again")).to_be_focused()


# By screen reader -------------------------------------------------------------------------------------------------


def heard(page: Page) -> list[str]:
    words: list[str] = page.evaluate("window.heard.splice(0)")
    return words


def test_after_each_pair_one_thing_is_read_out_which_pair_it_is(addresses: dict[str, str], people: People) -> None:
    page = people.begin(addresses["Pairs"])
    expect(page.locator("[data-announce]")).to_have_text(f"Pair 1 of {N_PLANNED}")
    page.evaluate(LISTEN)
    for n in range(2, N_PLANNED + 1):
        answer(page)
        expect_pair(page, n)
        saved(page)
        page.wait_for_timeout(200)
        assert heard(page) == [f"Pair {n} of {N_PLANNED}"]
        expect_on_the_question(page)


def test_what_a_key_did_and_what_is_wrong_is_read_out(addresses: dict[str, str], people: People) -> None:
    people.provokes(NO_SERVER)
    page = people.begin(addresses["Pairs"])
    page.evaluate(LISTEN)
    for key, words in (("w", "Swipe"), ("k", "Flicker"), ("o", "Zoom 100 %"), ("x", "Original"), ("s", "Side by side")):
        page.keyboard.press(key)
        assert heard(page)[0] == words
    page.keyboard.press("Enter")
    assert heard(page) == ["Choose a score from 1 to 10."]
    page.get_by_text("Skip or report this pair").click()
    page.get_by_role("button", name="Skip", exact=True).click()
    assert heard(page) == ["Say why you skip it: choose one of the reasons."]
    page.route("**/answer/", lambda route: route.abort())
    answer(page, "4")
    expect(page.get_by_text("1 answer not sent yet")).to_be_visible()
    assert heard(page)[-1] == "The connection is gone. Your answers are kept and sent later."
    page.unroute("**/answer/")
    saved(page)
    assert heard(page) == ["The connection is back. All answers are saved."]
    page.keyboard.press("u")
    expect(page.get_by_text("You chose 4.")).to_be_visible()
    assert heard(page) == [f"Pair 1 of {N_PLANNED}", "You chose 4. Choose again and confirm."]


def go_on_after_practice(page: Page) -> None:
    """What is said to it stands beside its pictures until the person goes on; the answer's own key does not do it."""
    picture = page.get_by_role("img", name="Anonymized picture")
    shown = picture.get_attribute("src") or ""
    expect(page.get_by_role("button", name="Go on")).to_be_focused()
    page.keyboard.press("Enter")  # as a key bounces
    expect(page.get_by_text("It is usually rated from 2 to 4; you chose 9.")).to_be_visible()
    expect(picture).to_have_attribute("src", shown)
    expect(page.locator("[data-progress-text]")).to_have_text(f"Pair 1 of {N_PLANNED}")
    page.locator("[data-scale]:disabled").wait_for(state="attached")
    page.wait_for_timeout(500)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Go on")).to_be_hidden()
    expect(picture).not_to_have_attribute("src", shown)


def test_what_is_asked_for_in_the_place_of_the_question_is_read_out_and_so_is_what_practice_teaches(
    addresses: dict[str, str], people: People
) -> None:
    page = people.begin(addresses["Asked"])
    page.evaluate(LISTEN)
    for n in range(2, N_PLANNED + 1):
        answer(page, "9")
        if n == 2:
            go_on_after_practice(page)
        expect_pair(page, n)
        saved(page)
    page.wait_for_timeout(200)
    everything = " | ".join([*heard(page), page.locator("[data-announce]").inner_text()])
    assert "This was for practice. It is usually rated from 2 to 4; you chose 9." in everything
    assert "For this one, please choose 3." in everything


CONTROLS = [
    ("link", "Skip to the content"),
    ("link", "Instructions"),
    ("link", "Your data"),
    ("link", "Stop for now"),
    ("button", "Side by side"),
    ("button", "Swipe"),
    ("button", "Flicker"),
    ("button", "Zoom out"),
    ("button", "Zoom in"),
    ("button", "Fit"),
    ("button", "1:1"),
    ("group", "Pictures"),
    *[("radio", str(score)) for score in range(1, 11)],
    ("button", "Confirm"),
    ("DisclosureTriangle", "Add a note, or say whether you know who or where this is"),
    ("DisclosureTriangle", "Skip or report this pair"),
    ("checkbox", "Keys 1 to 9 , 0 for 10, Enter"),
    ("button", "All keys ?"),
]


def test_every_control_has_a_role_and_a_name_and_pictures_are_named_neutrally(
    addresses: dict[str, str], people: People
) -> None:
    page = people.begin(addresses["Pairs"])
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    shown = [node for node in nodes if not node["ignored"]]
    assert sorted(said(node) for node in shown if is_control(node)) == sorted(CONTROLS)
    images = [node for node in shown if node["role"]["value"] in {"image", "img"}]
    assert [said(node)[1] for node in images] == ["Original picture", "Anonymized picture"]
    [bar] = [node for node in shown if node["role"]["value"] == "progressbar"]
    assert said(bar)[1] == f"Pair 1 of {N_PLANNED}"
    scale = page.get_by_role("group", name="How anonymous is the anonymized picture?")
    expect(scale.get_by_role("radio")).to_have_count(10)
    for score, end in (("1", "1 not anonymous"), ("10", "10 fully anonymous")):
        expect(scale.get_by_role("radio", name=score, exact=True)).to_have_accessible_description(end)


def said(node: dict[str, Any]) -> tuple[str, str]:
    return node["role"]["value"], " ".join(node["name"]["value"].split())


def is_control(node: dict[str, Any]) -> bool:
    """Whether Tab or a click can give it the focus; the page itself, its content and the question take it by script."""
    focusable = any(each["name"] == "focusable" and each["value"]["value"] for each in node.get("properties", []))
    return focusable and node["role"]["value"] not in {"RootWebArea", "main", "Legend"}


def test_the_wording_of_a_study_says_in_which_language_it_is(addresses: dict[str, str], people: People) -> None:
    page = people.page()
    take_part(page, addresses["Asked"])
    language = "element => element.closest('[lang]').lang"
    for words in ("Wie anonym ist das Bild?", "gar nicht", "vollkommen"):
        said = page.get_by_text(words)
        expect(said.first).to_be_visible()
        for each in said.all():
            assert each.evaluate(language) == "de"
    start_rating(page)
    expect_ready_to_rate(page)
    for words in ("Wie anonym ist das Bild?", "gar nicht", "vollkommen"):
        assert page.get_by_text(words).first.evaluate(language) == "de"


# By touch ---------------------------------------------------------------------------------------------------------


def test_the_whole_job_is_done_by_touch_on_a_phone(site: Site, addresses: dict[str, str], people: People) -> None:
    page = people.page(**PHONE)
    page.goto(addresses["Pairs"])
    tap(page, page.get_by_label("I agree to take part"))
    tap(page, page.get_by_role("button", name="Take part"))
    tap(page, page.get_by_role("link", name="On to the instructions"))
    expect(page.get_by_text("This window is small")).to_be_visible()
    tap(page, page.get_by_role("group", name="name on a badge").get_by_label("Towards 1:"))
    tap(page, page.get_by_role("group", name="tells who or where this is").get_by_label("Towards 10:"))
    tap(page, page.get_by_role("button", name="Start rating"))
    expect_pair(page, 1)
    expect_ready_to_rate(page)
    scores = page.locator("label.score")
    expect(scores).to_have_count(10)
    for label in scores.all():
        box = label.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 44
    look_closely_by_touch(page)
    tap(page, page.get_by_text("Add a note"))
    tap(page, page.get_by_role("radio", name="Think so"))
    rate_by_touch(page, 4)
    expect_pair(page, 2)
    tap(page, page.get_by_role("button", name="Change the last answer"))
    expect(page.get_by_text("You chose 4.")).to_be_visible()
    rate_by_touch(page, 5)
    expect_pair(page, 2)
    tap(page, page.get_by_text("Skip or report this pair"))
    tap(page, page.get_by_role("radio", name="another reason"))
    tap(page, page.get_by_role("button", name="Skip", exact=True))
    expect_pair(page, 2)
    for n in range(2, N_PLANNED + 1):
        expect_pair(page, n)
        rate_by_touch(page, n)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert page.evaluate(TOO_WIDE) == []
    assert stored(site, "Pairs")[0] == [[4, 5], [2], [3], [4]]


def tap(page: Page, target: Locator) -> None:
    target.wait_for()
    assert page.evaluate(TOO_WIDE) == [], page.url
    tap_by_finger(target)


def rate_by_touch(page: Page, score: int) -> None:
    tap(page, page.get_by_role("radio", name=str(score), exact=True))
    tap(page, page.get_by_role("button", name="Confirm"))


def look_closely_by_touch(page: Page) -> None:
    """Two fingers enlarge both alike; a finger moves the divider; a tap shows the original."""
    widths = (
        "() => Array.from(document.querySelectorAll('.picture img'), (image) => image.getBoundingClientRect().width)"
    )
    before = page.evaluate(widths)
    window = page.locator(".picture .window").first
    window.scroll_into_view_if_needed()
    box = window.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers(page, [(x - 20, y), (x + 20, y)], [(x - 30, y), (x + 30, y)], [(x - 50, y), (x + 50, y)])
    left, right = page.evaluate(widths)
    assert left == right == pytest.approx(2.5 * before[0], rel=0.05)
    assert page.evaluate("visualViewport.scale") == 1
    tap(page, page.get_by_role("button", name="Fit"))
    tap(page, page.get_by_role("button", name="Swipe"))
    divider = page.get_by_role("slider", name="Divider")
    divider.scroll_into_view_if_needed()
    handle = divider.bounding_box()
    assert handle
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    fingers(page, [(x, y)], [(x - 20, y)], [(x - 40, y)])
    assert int(divider.get_attribute("aria-valuenow") or 50) < 45
    tap(page, page.get_by_role("button", name="Flicker"))
    tap(page, page.get_by_role("button", name="Show original"))
    expect(page.get_by_role("img", name="Original picture")).to_be_visible()
    tap(page, page.get_by_role("button", name="Side by side"))


def fingers(page: Page, *steps: list[tuple[float, float]]) -> None:
    """Fingers that come down at the first of these places, move over the others, and are lifted."""
    line = page.context.new_cdp_session(page)
    for n, places in enumerate(steps):
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
        kind = "touchMove" if n else "touchStart"
        line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    line.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


# Without a script -------------------------------------------------------------------------------------------------


def test_the_whole_job_is_done_without_a_script(site: Site, addresses: dict[str, str], people: People) -> None:
    people.provokes(refused(400))
    page = people.page(java_script_enabled=False)
    take_part(page, addresses["Pairs"])
    answer_alike(page, 1)
    expect(page.get_by_role("alert")).to_be_focused()
    start_rating(page)
    expect(page.get_by_role("link", name="Change the last answer")).to_have_count(0)
    page.get_by_text("Skip or report this pair").click()
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Say why you skip it: choose one of the reasons.")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    page.get_by_role("radio", name="The picture distresses me").check()
    page.get_by_role("button", name="Skip", exact=True).click()
    page.get_by_text("Add a note").click()
    page.get_by_label("Note (optional, no names)").fill("A medal.")
    rate_without_a_script(page, 1, 3)
    page.get_by_role("link", name="Change the last answer").click()
    expect(page.get_by_text("You chose 3.")).to_be_visible()
    expect(page.get_by_text(f"Pair 1 of {N_PLANNED}")).to_be_visible()
    expect(page.get_by_role("radio", name="3", exact=True)).to_be_checked()
    rate_without_a_script(page, 1, 8)
    expect(page.get_by_text("Your last answer is 8 now.")).to_be_visible()
    page.get_by_role("link", name="Stop for now").click()
    page.get_by_role("link", name="Go on rating").click()
    for n in range(2, N_PLANNED + 1):
        rate_without_a_script(page, n, n)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert stored(site, "Pairs") == [[[3, 8], [2], [3], [4]], ["A medal."], ["distressing"]]


def rate_without_a_script(page: Page, n: int, score: int) -> None:
    expect(page.get_by_text(f"Pair {n} of {N_PLANNED}")).to_be_visible()
    page.get_by_role("radio", name=str(score), exact=True).check()
    page.get_by_role("button", name="Confirm").click()


# In other colours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_forced_colours_what_is_chosen_pressed_focused_and_divided_is_seen(
    addresses: dict[str, str], people: People, scheme: Any
) -> None:
    page = people.begin(addresses["Pairs"], forced_colors="active", color_scheme=scheme)
    score, swipe = page.locator("label.score").nth(6), page.get_by_role("button", name="Swipe")
    plain = {each: luminance_of(page, each) for each in (score, swipe)}
    page.keyboard.press("w")
    page.get_by_role("radio", name="7", exact=True).check()
    page.evaluate("document.activeElement.blur()")
    for each, before in plain.items():
        assert (contrast(luminance_of(page, each), before) >= LEAST_CONTRAST).sum() > LEAST_CHANGE
    line = luminance_of(page, page.get_by_role("slider", name="Divider"))
    row = line[line.shape[0] // 3]
    middle = row[row.size // 2 - 3 : row.size // 2 + 3]
    assert contrast(middle.max(), middle.min()) >= LEAST_CONTRAST  # a line with edges of its own, on whatever picture
    assert dull_stops(page) == []


def luminance_of(page: Page, what: Locator) -> np.ndarray:
    box = what.bounding_box()
    assert box
    return luminance(page, box)


def test_the_grey_around_the_pictures_is_the_same_whatever_a_system_asks_for(
    addresses: dict[str, str], people: People
) -> None:
    page = people.begin(addresses["Pairs"])
    saved(page)
    shot = page.screenshot()
    for wish in ({"color_scheme": "dark"}, {"reduced_motion": "reduce"}):
        page.emulate_media(**wish)  # type: ignore[arg-type]
        assert same_picture(page.screenshot(), shot)
        assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(contrast="more")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(117, 117, 117)"
