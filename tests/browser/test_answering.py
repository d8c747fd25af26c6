"""What somebody can do beside giving a score: take it back, skip, report, remark."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from datasets.demo_pictures import demo_originals, write_demo_pairs
from tests.browser.conftest import People, Site, come_in, expect_ready_to_rate

pytestmark = pytest.mark.browser

N_PLANNED = 6


@pytest.fixture(scope="module")
def links(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A study as it is by default, and one in which a press is the answer and people may say whom they know."""
    folder = tmp_path_factory.mktemp("pairs")
    manifest = write_demo_pairs(folder, demo_originals()[:4])
    site.manage("import_pairs", str(manifest), "--root", str(folder), "--project", project)
    return {name: open_study(site, project, name, *options) for name, options in STUDIES.items()}


STUDIES = {"Calm": (), "Quick": ("--confirm-on-press", "--ask-who")}


def open_study(site: Site, project: str, name: str, *options: str) -> str:
    size = ["--session-size", str(N_PLANNED), "--warm-up", "0", "--repeats", "0", "--goal", "50"]
    campaign = ["--project", project, "--campaign", name, "--mode", "HA2"]
    site.manage("create_study", name, *campaign, *size, *options)
    site.manage("study", f"{project}/{name.lower()}/HA2", "--open")
    return site.url + site.manage("study", f"{project}/{name.lower()}/HA2", "--invite", "many").strip()


def at(page: Page, n: int) -> None:
    expect(page.get_by_text(f"Pair {n} of {N_PLANNED}").first).to_be_visible()
    expect_ready_to_rate(page)


def saved(page: Page) -> None:
    expect(page.get_by_text("All answers saved")).to_be_visible()


def stored(site: Site, name: str, what: str) -> list[str]:
    """A line for each row of the newest person of a study."""
    code = (
        "from annotation.models.people import Participation as P; from annotation.models.ratings import *; "
        f"p = P.objects.filter(study__name={name!r}).latest('pk'); print(*[{what}], sep=chr(10))"
    )
    return site.manage("shell", "-v", "0", "-c", code).split("\n")[:-1]


SCORES = (
    "f'{r.score} after {r.revisions.first().score}' for r in "
    "Rating.objects.filter(assignment__participation=p).order_by('assignment__position')"
)
REPORTS = "f'{r.kind}: {r.words}' for r in Report.objects.filter(assignment__participation=p)"
REMARKS = "f'{r.knows}: {r.note}' for r in Remark.objects.filter(rating__assignment__participation=p)"


def picture(page: Page) -> str:
    return page.get_by_role("img", name="Anonymized picture").get_attribute("src") or ""


def test_the_previous_answer_is_changed_by_key_and_the_pair_in_front_comes_after_it(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.begin(links["Calm"])
    first = picture(page)
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    at(page, 2)
    second = picture(page)
    page.keyboard.press("u")
    expect(page.get_by_text("You chose 3. Choose again and confirm.")).to_be_visible()
    assert picture(page) == first
    expect(page.get_by_role("radio", name="3", exact=True)).to_be_checked()
    page.keyboard.press("8")
    page.keyboard.press("Enter")
    at(page, 2)
    assert picture(page) == second
    saved(page)
    assert stored(site, "Calm", SCORES) == ["8 after 3"]


def test_before_the_first_answer_there_is_nothing_to_take_back(links: dict[str, str], people: People) -> None:
    page = people.begin(links["Calm"])
    expect(page.get_by_role("button", name="Change the last answer")).to_be_hidden()
    page.keyboard.press("u")
    at(page, 1)


def test_a_distressing_picture_is_gone_at_once_and_the_reason_is_stored(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.begin(links["Calm"])
    gone = picture(page)
    page.get_by_text("Skip or report this pair").click()
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_text("Say why you skip it")).to_be_visible()
    page.get_by_role("radio", name="The picture distresses me").check()
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_role("img", name="Anonymized picture")).not_to_have_attribute("src", gone)
    at(page, 1)  # nothing was rated, and another pair takes its place
    saved(page)
    assert stored(site, "Calm", REPORTS) == ["distressing: "]


def test_letters_and_digits_of_a_note_are_words_and_not_commands(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.begin(links["Calm"])
    page.get_by_text("Add a note").click()
    page.get_by_label("Note (optional, no names)").press_sequentially("5 u s? A medal.")
    expect(page.get_by_role("radio", name="5", exact=True)).not_to_be_checked()
    page.get_by_role("radio", name="4", exact=True).check()
    page.get_by_role("button", name="Confirm").click()
    at(page, 2)
    expect(page.get_by_label("Note (optional, no names)")).to_be_hidden()
    saved(page)
    assert stored(site, "Calm", REMARKS) == [": 5 u s? A medal."]


def test_where_the_study_says_so_a_press_is_the_answer_and_arrows_only_move(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.begin(links["Quick"])
    page.keyboard.press("7")
    at(page, 2)
    page.get_by_role("radio", name="2", exact=True).click()
    at(page, 3)
    page.get_by_role("radio", name="1", exact=True).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    at(page, 3)
    page.keyboard.press("Enter")
    at(page, 4)
    saved(page)
    assert [line.split()[0] for line in stored(site, "Quick", SCORES)] == ["7", "2", "4"]


def test_whether_one_knows_the_place_is_asked_only_where_the_study_does(
    site: Site, links: dict[str, str], people: People, tmp_path: Path
) -> None:
    calm = people.begin(links["Calm"])
    expect(calm.get_by_text("who or where this is")).to_have_count(0)
    page = people.begin(links["Quick"])
    page.get_by_text("or say whether you know who or where this is").click()
    page.get_by_role("radio", name="Think so").check()
    page.keyboard.press("9")
    at(page, 2)
    saved(page)
    assert stored(site, "Quick", REMARKS) == ["maybe: "]


def test_where_a_press_is_the_answer_breaks_are_offered_too(site: Site, links: dict[str, str], people: People) -> None:
    page = people.page()
    page.clock.install()
    page.goto(come_in(site, links["Quick"]))
    expect_ready_to_rate(page)
    page.clock.fast_forward("10:30")
    page.keyboard.press("7")
    expect(page.get_by_text("A short break?")).to_be_visible()
