"""No gesture that began on one pair answers another, in either way of confirming."""

import pytest
from playwright.sync_api import Page, expect

from datasets.demo_pictures import demo_originals, write_demo_pairs
from tests.browser.conftest import People, Site, expect_ready_to_rate

pytestmark = pytest.mark.browser

N_PLANNED = 6
STUDIES = {"Calm": (), "Quick": ("--confirm-on-press",)}


@pytest.fixture(scope="module")
def links(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A study in which an answer is confirmed, and one in which a press is the answer."""
    folder = tmp_path_factory.mktemp("pairs")
    manifest = write_demo_pairs(folder, demo_originals()[:4])
    site.manage("import_pairs", str(manifest), "--root", str(folder), "--project", project)
    return {name: open_study(site, project, name, *options) for name, options in STUDIES.items()}


def open_study(site: Site, project: str, name: str, *options: str) -> str:
    size = ["--session-size", str(N_PLANNED), "--warm-up", "0", "--repeats", "0", "--goal", "50"]
    campaign = ["--project", project, "--campaign", name, "--mode", "HA2"]
    site.manage("create_study", name, *campaign, *size, *options)
    site.manage("study", f"{project}/{name.lower()}/HA2", "--open")
    return site.url + site.manage("study", f"{project}/{name.lower()}/HA2", "--invite", "many").strip()


def expect_only(page: Page, n_answered: int) -> None:
    """So many answers and no more, though the page takes the next one now."""
    expect(page.locator("[data-progress-text]")).to_have_text(f"Pair {n_answered + 1} of {N_PLANNED}")
    expect_ready_to_rate(page)
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    expect(page.locator("[data-progress-text]")).to_have_text(f"Pair {n_answered + 1} of {N_PLANNED}")


def score(page: Page, n: int) -> tuple[float, float]:
    box = page.get_by_role("radio", name=str(n), exact=True).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("between_ms", [20, 250])
def test_a_double_click_on_a_score_is_one_answer(links: dict[str, str], people: People, between_ms: int) -> None:
    page = people.begin(links["Quick"])
    page.mouse.move(*score(page, 6))
    page.mouse.down(click_count=1)
    page.mouse.up(click_count=1)
    page.wait_for_timeout(between_ms)
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    expect_only(page, 1)


def test_who_rates_steadily_by_mouse_is_heard_though_the_system_counts_on(
    links: dict[str, str], people: People
) -> None:
    """Where a second click may be slow, presses on one score, a pair each, count as one long series."""
    page = people.begin(links["Quick"])
    page.mouse.move(*score(page, 6))
    for n in range(1, N_PLANNED):
        page.mouse.down(click_count=n)
        page.mouse.up(click_count=n)
        page.wait_for_timeout(850)
        expect_only(page, n)


@pytest.mark.parametrize("between_ms", [150, 250])
def test_a_triple_click_on_a_score_is_one_answer(links: dict[str, str], people: People, between_ms: int) -> None:
    page = people.begin(links["Quick"])
    page.mouse.move(*score(page, 6))
    for n in (1, 2, 3):
        page.mouse.down(click_count=n)
        page.mouse.up(click_count=n)
        page.wait_for_timeout(between_ms)
    expect_only(page, 1)


@pytest.mark.parametrize("between_ms", [20, 250])
def test_a_slow_double_click_on_confirm_leaves_the_next_pair_alone(
    links: dict[str, str], people: People, between_ms: int
) -> None:
    page = people.begin(links["Calm"])
    page.keyboard.press("6")
    confirm = page.get_by_role("button", name="Confirm")
    confirm.hover()
    for n in (1, 2):
        page.mouse.down(click_count=n)
        page.mouse.up(click_count=n)
        page.wait_for_timeout(between_ms)
    expect_only(page, 1)
    expect(page.locator("[data-note]")).to_be_empty()


def test_a_double_click_on_confirm_is_one_answer(links: dict[str, str], people: People) -> None:
    page = people.begin(links["Calm"])
    page.get_by_role("radio", name="6", exact=True).dblclick()
    page.get_by_role("button", name="Confirm").dblclick()
    expect_only(page, 1)
    expect(page.locator("[data-note]")).to_be_empty()


@pytest.mark.parametrize("key", ["6", "0"])
def test_a_key_that_bounces_or_is_held_is_one_answer(links: dict[str, str], people: People, key: str) -> None:
    page = people.begin(links["Quick"])
    page.keyboard.press(key)
    page.wait_for_timeout(60)
    page.keyboard.press(key)
    page.keyboard.down(key)
    expect_only(page, 1)
    for _ in range(5):
        page.keyboard.down(key)  # the repeats of a key that is held
    expect_only(page, 1)
    page.keyboard.up(key)
    page.keyboard.press(key)
    expect_only(page, 2)


def test_enter_that_bounces_or_is_held_is_one_answer(links: dict[str, str], people: People) -> None:
    page = people.begin(links["Calm"])
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    page.keyboard.press("6")
    page.keyboard.down("Enter")
    expect_only(page, 1)
    for _ in range(5):
        page.keyboard.down("Enter")
    expect_only(page, 1)
    page.keyboard.up("Enter")
    page.keyboard.press("7")
    page.keyboard.press("Enter")
    expect_only(page, 2)


def test_a_press_that_began_before_the_pair_took_input_is_not_kept(links: dict[str, str], people: People) -> None:
    page = people.begin(links["Quick"])
    page.mouse.move(*score(page, 6))
    page.mouse.down()
    page.keyboard.press("4")  # the answer, under a button that is held down
    page.keyboard.up("4")
    page.mouse.up()
    page.mouse.down()
    expect_only(page, 1)
    page.mouse.up()
    expect_only(page, 1)
    page.mouse.click(*score(page, 3))
    expect_only(page, 2)


def test_while_it_waits_the_page_shows_it(links: dict[str, str], people: People) -> None:
    page = people.begin(links["Quick"])
    page.keyboard.press("6")
    page.locator("[data-scale]:disabled").wait_for(state="attached")
    expect(page.get_by_role("button", name="Confirm")).to_have_attribute("aria-disabled", "true")
    expect_only(page, 1)
    expect(page.get_by_role("button", name="Confirm")).to_have_attribute("aria-disabled", "false")


LEAVES_UNSEEN = {
    "a modifier": "key('Alt')",
    "the window loses the focus": "key('Tab'); window.dispatchEvent(new Event('blur'))",
    "the page is hidden or shown": "key('Tab'); document.dispatchEvent(new Event('visibilitychange'))",
}
BY_ASSISTANCE = """
    const key = (key) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    document.querySelector('[data-scale] input[value="7"]').click();
    document.querySelector('form[data-answer-url] [type=submit]').click();
"""


@pytest.mark.parametrize("leaves", LEAVES_UNSEEN)
def test_a_key_whose_release_went_elsewhere_locks_nobody_out(
    links: dict[str, str], people: People, leaves: str
) -> None:
    """Clicks that assistive technology makes have no press of their own that would begin anew."""
    page = people.begin(links["Calm"])
    expect_ready_to_rate(page)
    page.evaluate(f"() => {{ {BY_ASSISTANCE} {LEAVES_UNSEEN[leaves]} }}")
    expect_only(page, 1)
    page.wait_for_timeout(600)
    page.evaluate(f"() => {{ {BY_ASSISTANCE} }}")
    expect_only(page, 2)
