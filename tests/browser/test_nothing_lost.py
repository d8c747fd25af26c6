"""Whatever happens to browser, server or line: each answer is stored once, as it was given, and the page says what is
not sent yet."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, BrowserContext, BrowserType, Error, Page, Response, Route, expect

from bench.machine import children
from datasets.demo_pictures import demo_originals, write_demo_pairs
from tests.browser.chromium import found
from tests.browser.conftest import (
    NO_SERVER,
    PASSWORD,
    PATIENCE_MS,
    People,
    Site,
    come_in,
    expect_ready_to_rate,
    log_in,
    refused,
    shell,
    try_again,
)

pytestmark = pytest.mark.browser

N_PLANNED = 5  # one more than are fetched ahead
STUDY = """
from annotation.studies import invitations, life, setup
from datasets.models.projects import Project
project = Project.objects.get(slug=slug)
campaign = setup.begin_campaign(project, "Kept")
fields = {"mode": "HA2", "goal": 50, "session_size": 5, "n_warm_up": 0, "repeat_percent": 0}
study = setup.create_study(project, campaign=campaign, name="Kept", pairs=project.pairs.all(), **fields)
life.change_state(study, "open")
print(invitations.invite(study, kind="many").token, study.public_id)
"""
STORED = """
import json
from annotation.models.ratings import Rating, Revision
ratings = Rating.objects.filter(assignment__participation__public_id="{participation}").order_by("assignment__position")
revisions = Revision.objects.filter(rating__in=ratings)
print(json.dumps([list(ratings.values_list("score", flat=True)), revisions.count()]))
"""
PASS = """
from datetime import timedelta
from django.db.models import F
from annotation.giving.leases import return_expired_leases
from annotation.models.people import Participation
mine = Participation.objects.filter(public_id="{participation}")
mine.update(leased_until=F("leased_until") - timedelta(minutes={minutes}))
print(return_expired_leases(mine.get().study_id))
"""
JOIN_AS_MEMBER = """
from django.contrib.auth.models import User
from annotation.answering.introduction import record_try
from annotation.giving.join import join_as_member
from annotation.models.studies import Study
from annotation.studies.wording import current_texts
study = Study.objects.get(public_id="{study}")
mine = join_as_member(study, User.objects.get(username="boss").pk, agreed_to=current_texts(study)["consent"])
record_try(mine, understood=True, screen=None)
print(mine.public_id)
"""
FILL_STORAGE = """() => {
  for (let n = 0, size = 4_000_000; size; n += 1) {
    try { localStorage.setItem(`filling ${n}`, "x".repeat(size)); } catch { size = Math.floor(size / 2); }
  }
}"""
REFUSE_STORAGE = """() => {
  Storage.prototype.setItem = () => { throw new DOMException("The quota has been exceeded.", "QuotaExceededError"); };
}"""
CANNOT_KEEP = "{} not sent yet. This browser cannot keep {}: leave this page open."


@pytest.fixture(scope="module")
def site(own_site: Site) -> Site:
    return own_site  # which is killed here


@pytest.fixture(scope="module")
def study(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The token of an invitation to an open study, and the study's id."""
    manifest = write_demo_pairs(tmp_path_factory.mktemp("pairs"), demo_originals()[:4])
    site.manage("import_pairs", str(manifest), "--project", project)
    token, public_id = shell(site, f"slug = '{project}'\n{STUDY}").split()
    return token, public_id


@pytest.fixture
def link(site: Site, study: tuple[str, str]) -> str:
    return f"{site.url}/join/{study[0]}/"


@pytest.fixture(autouse=True)
def _lines_are_cut_here(people: People) -> None:
    people.provokes(NO_SERVER)


def begin(page: Page, site: Site, link: str) -> None:
    page.goto(come_in(site, link))
    expect_ready_to_rate(page)


def rate(page: Page, n: int, score: int) -> None:
    """Answer the nth pair, from 1, by keyboard."""
    expect(page.locator("[data-progress-text]")).to_have_text(f"Pair {n} of {N_PLANNED}")
    expect_ready_to_rate(page)
    page.keyboard.press(str(score % 10))
    page.keyboard.press("Enter")


def finish(page: Page, *, done: int) -> None:
    for n in range(done + 1, N_PLANNED + 1):
        rate(page, n, n)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


def participation_of(page: Page) -> str:
    return page.locator("form[data-participation]").get_attribute("data-participation") or ""


def expect_stored(site: Site, participation: str, scores: list[int]) -> None:
    """In the order of the pairs; each once, and never revised."""
    stored, n_revisions = json.loads(shell(site, STORED.format(participation=participation)))
    assert stored == scores
    assert n_revisions == len(scores)


def expect_unsent(page: Page, n: int) -> None:
    words = f"{n} answer{'' if n == 1 else 's'} not sent yet, trying again"
    expect(page.locator("[data-status]")).to_have_text(words)


def expect_all_saved(page: Page) -> None:
    expect(page.locator("[data-status]")).to_have_text("All answers saved", timeout=60_000)


def cut_off(page: Page) -> None:
    page.route("**/answer/", lambda route: route.abort())


@contextmanager
def no_line(page: Page) -> Iterator[None]:
    cut_off(page)
    yield
    page.unroute("**/answer/")


def test_a_reload_sends_what_was_unsent(site: Site, link: str, people: People) -> None:
    page = people.begin(link)
    participation = participation_of(page)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    with no_line(page):
        rate(page, 1, 9)
        rate(page, 2, 10)
        expect_unsent(page, 2)
        page.reload()
        expect(page.locator("[data-progress-text]")).to_have_text(f"Pair 3 of {N_PLANNED}")
        expect_unsent(page, 2)
    expect_all_saved(page)
    assert asked == ["beforeunload"]
    finish(page, done=2)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def test_a_browser_that_was_killed_sends_what_it_held_when_it_is_opened_again(
    site: Site, link: str, people: People, tmp_path: Path
) -> None:
    opened = open_again_and_again(people, tmp_path / "profile")
    context, page = opened()
    begin(page, site, link)
    participation, address = participation_of(page), page.url
    rate(page, 1, 9)
    expect_all_saved(page)
    context.close()  # now the cookies are on the disk; a browser that is killed can lose those of its last half minute
    context, page = opened()
    page.goto(address)
    cut_off(page)
    rate(page, 2, 10)
    expect_unsent(page, 1)
    wait_until_on_disk(tmp_path / "profile", '"score":10')
    kill_browser(tmp_path / "profile")
    with suppress(Error):  # it is gone already
        context.close()
    context, page = opened()
    page.goto(address)
    expect_all_saved(page)
    finish(page, done=2)
    context.close()
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def open_again_and_again(people: People, profile: Path) -> Callable[[], tuple[BrowserContext, Page]]:
    kind: BrowserType = people.browser.browser_type

    def opened() -> tuple[BrowserContext, Page]:
        context = kind.launch_persistent_context(profile, executable_path=found(), chromium_sandbox=False)
        context.set_default_timeout(PATIENCE_MS)
        people.listen(context)
        page = context.pages[0]
        return context, page

    return opened


def wait_until_on_disk(profile: Path, stored: str) -> None:
    """Chromium writes storage to the disk some seconds later."""
    end = time.monotonic() + 60
    while not any(stored.encode() in log.read_bytes() for log in profile.glob("Default/Local Storage/leveldb/*.log")):
        assert time.monotonic() < end, f"{stored} is not on the disk"
        time.sleep(0.1)


def kill_browser(profile: Path) -> None:
    """All processes of the browser with this profile, at once."""
    listed = subprocess.run(["pgrep", "-f", f"user-data-dir={profile}"], capture_output=True, text=True, check=True)
    for pid in listed.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def test_a_tab_that_crashed_sends_what_it_held_when_it_is_loaded_again(site: Site, link: str, people: People) -> None:
    page = people.begin(link)
    participation, address = participation_of(page), page.url
    cut_off(page)
    rate(page, 1, 9)
    rate(page, 2, 10)
    expect_unsent(page, 2)
    with page.expect_event("crash"), suppress(Error):  # the call is never answered
        page.goto("chrome://crash", timeout=5000)
    again = page.context.new_page()
    again.goto(address)
    expect_all_saved(again)
    finish(again, done=2)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def test_answers_wait_while_the_server_is_away_and_go_out_when_it_is_back(
    site: Site, link: str, people: People
) -> None:
    page = people.page()
    page.clock.install()
    begin(page, site, link)
    participation = participation_of(page)
    rate(page, 1, 9)
    expect_all_saved(page)
    kill_site(site)
    try:
        rate(page, 2, 10)
        rate(page, 3, 1)
        rate(page, 4, 2)  # the last that had been fetched ahead
        expect_unsent(page, 3)
        expect(page.get_by_text("Loading the next pair")).to_be_visible()
        page.clock.fast_forward(60_000)
        expect_unsent(page, 3)
    finally:
        site.start()
    try_again(page)
    expect_all_saved(page)
    finish(page, done=4)
    expect_stored(site, participation, [9, 10, 1, 2, 5])


def kill_site(site: Site) -> None:
    """Web server and workers, none of which has a moment to say goodbye."""
    assert site.process
    doomed = [site.process.pid]
    for pid in doomed:
        doomed += children(pid)
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    site.process.wait()


def test_a_member_who_logs_out_and_in_again_loses_nothing(site: Site, study: tuple[str, str], people: People) -> None:
    people.provokes(refused(404))
    page = people.page()
    page.clock.install()
    log_in(page, site)
    page.goto(f"{site.url}/rate/{shell(site, JOIN_AS_MEMBER.format(study=study[1]))}/")
    expect_ready_to_rate(page)
    participation, address = participation_of(page), page.url
    rate(page, 1, 9)
    expect_all_saved(page)
    with no_line(page):
        rate(page, 2, 10)
        expect_unsent(page, 1)
        other = page.context.new_page()
        other.goto(site.url)
        other.get_by_role("button", name="Log out").click()
        expect(other.get_by_label("Username")).to_be_visible()
    try_again(page)
    expect(page.locator("[data-status]")).to_have_text("1 answer kept in this browser", timeout=60_000)
    expect(page.get_by_text("Not sent yet, but kept in this browser: 1 answer.").last).to_be_visible()
    other.get_by_label("Username").fill("boss")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Log in").click()
    other.wait_for_url(f"{site.url}/")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Load the page again").click()
    page.wait_for_url(address)
    expect_all_saved(page)
    finish(page, done=2)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def test_answers_to_pairs_whose_time_ran_out_are_kept(site: Site, link: str, people: People) -> None:
    page = people.begin(link)
    participation = participation_of(page)
    rate(page, 1, 9)
    expect_all_saved(page)
    with no_line(page):
        rate(page, 2, 10)
        expect_unsent(page, 1)
        assert minutes_pass(site, participation, 31) > 0
    expect_all_saved(page)
    finish(page, done=2)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def minutes_pass(site: Site, participation: str, minutes: int) -> int:
    """For the site, and the pairs that wait for a person; how many were given to others after half an hour."""
    return int(shell(site, PASS.format(participation=participation, minutes=minutes)))


LOOKS_AWAY = """() => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
COMES_BACK = """() => {
  delete document.hidden;
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_the_pairs_of_a_person_who_looks_for_long_wait_for_them_and_not_for_one_who_is_away(
    site: Site, link: str, people: People
) -> None:
    page = people.page()
    page.clock.install()
    begin(page, site, link)
    participation = participation_of(page)
    expect_all_saved(page)

    n_replies = 0

    def count(reply: Response) -> None:
        nonlocal n_replies
        n_replies += reply.url.endswith("/answer/")

    def ten_minutes_pass() -> int:
        page.clock.fast_forward("10:00")
        return minutes_pass(site, participation, 10)

    page.on("response", count)
    for n in range(1, 7):
        assert ten_minutes_pass() == 0
        for wait in range(200):
            page.wait_for_timeout(100)
            if n_replies >= n:
                break
            if wait % 50 == 49:  # the last reply was taken in late, and the next sign of life planned from then
                page.clock.fast_forward("10:00")
        assert n_replies >= n
    page.evaluate(LOOKS_AWAY)
    assert any(ten_minutes_pass() for _ in range(6))
    page.evaluate(COMES_BACK)
    finish(page, done=0)
    expect_stored(site, participation, [1, 2, 3, 4, 5])


ANSWERED_ALREADY = "You have answered that one already; here is the next."


@pytest.fixture
def tabs(site: Site, link: str, people: People) -> tuple[Page, Page]:
    """Two tabs of one person, both with the first pair on the screen."""
    left = people.page()
    left.clock.install()
    begin(left, site, link)
    right = left.context.new_page()
    right.goto(left.url)
    expect_ready_to_rate(right)
    return left, right


def expect_the_end(*pages: Page) -> None:
    for page in pages:
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible(timeout=60_000)


def test_two_tabs_of_one_person_share_the_pairs_and_come_to_the_end_together(
    site: Site, tabs: tuple[Page, Page]
) -> None:
    left, right = tabs
    participation = participation_of(left)
    rate(left, 1, 9)
    expect(right.locator("[data-note]")).to_have_text(ANSWERED_ALREADY)
    rate(right, 2, 10)
    expect(left.locator("[data-note]")).to_have_text(ANSWERED_ALREADY)
    for n in range(3, N_PLANNED + 1):
        rate(left if n % 3 else right, n, n)
    expect_the_end(left, right)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def test_of_two_answers_to_a_pair_in_two_tabs_the_first_counts_and_the_second_is_told(
    site: Site, tabs: tuple[Page, Page], people: People
) -> None:
    people.provokes(refused(409))
    left, right = tabs
    participation = participation_of(left)
    left.evaluate(REFUSE_STORAGE)  # so that the other tab does not hear of it
    rate(left, 1, 9)
    expect_all_saved(left)
    rate(right, 1, 2)
    expect(right.locator("[data-note]")).to_contain_text("One answer was not accepted.")
    for n in range(2, N_PLANNED + 1):
        rate(right, n, n)
    expect_the_end(left, right)
    expect_stored(site, participation, [9, 2, 3, 4, 5])


def test_a_page_that_was_on_its_way_while_an_answer_came_does_not_ask_for_it_again(
    site: Site, link: str, people: People
) -> None:
    left = people.begin(link)
    participation = participation_of(left)
    right = left.context.new_page()
    kept: list[tuple[Route, APIResponse]] = []
    right.route("**/rate/*/", lambda route: kept.append((route, route.fetch())))
    right.evaluate("(url) => { setTimeout(() => location.assign(url)); }", left.url)
    while not kept:
        right.wait_for_timeout(20)
    rate(left, 1, 9)
    expect_all_saved(left)
    [(route, response)] = kept
    route.fulfill(response=response)
    expect(right.locator("[data-note]")).to_have_text(ANSWERED_ALREADY)
    for n in range(2, N_PLANNED + 1):
        rate(right, n, n)
    expect_the_end(left, right)
    expect_stored(site, participation, [9, 2, 3, 4, 5])


def test_what_one_tab_cannot_send_the_other_sends(site: Site, tabs: tuple[Page, Page]) -> None:
    left, right = tabs
    participation = participation_of(left)
    cut_off(right)
    rate(right, 1, 9)
    rate(right, 2, 10)
    expect_all_saved(left)
    rate(left, 3, 3)
    expect_all_saved(right)
    for n in range(4, N_PLANNED + 1):
        rate(left, n, n)
    expect_the_end(left)
    expect(right.locator("[data-progress-text]")).to_have_text(f"Pair {N_PLANNED} of {N_PLANNED}")
    right.unroute("**/answer/")
    try_again(right)
    expect_the_end(right)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def test_answers_in_two_tabs_at_one_moment_all_stay_in_the_outbox(site: Site, tabs: tuple[Page, Page]) -> None:
    """Both tabs add and drop while the other does: neither overwrites what the other has written."""
    left, right = tabs
    participation = participation_of(left)
    for page in tabs:
        cut_off(page)
    for n in range(1, 4):
        rate(left if n % 2 else right, n, n)
    expect_unsent(left, 3)
    expect_unsent(right, 3)
    for page in tabs:
        page.unroute("**/answer/")
    try_again(left)
    expect_all_saved(left)
    expect_all_saved(right)
    finish(left, done=3)
    expect_the_end(right)
    expect_stored(site, participation, [1, 2, 3, 4, 5])


def test_a_browser_whose_storage_is_full_says_that_the_page_must_stay_open(
    site: Site, link: str, people: People
) -> None:
    page = people.begin(link)
    participation = participation_of(page)
    page.evaluate(FILL_STORAGE)
    with no_line(page):
        rate(page, 1, 9)
        rate(page, 2, 10)
        expect(page.locator("[data-status]")).to_have_text(
            "2 answers not sent yet. This browser cannot keep them: leave this page open."
        )
    expect_all_saved(page)
    finish(page, done=2)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def leave(page: Page) -> list[str]:
    """Try to close the page; what the browser asked, to which the person says that they stay."""
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    with page.expect_event("dialog"):
        page.close(run_before_unload=True)
    return asked


def test_a_browser_that_refuses_storage_keeps_the_page_open_while_the_server_is_away(
    site: Site, link: str, people: People
) -> None:
    page = people.page()
    page.clock.install()
    page.add_init_script(f"({REFUSE_STORAGE})()")
    begin(page, site, link)
    participation = participation_of(page)
    page.get_by_label("Keys 1 to 9").uncheck()  # which the browser cannot remember either
    page.get_by_label("Keys 1 to 9").check()
    kill_site(site)
    try:
        rate(page, 1, 9)  # what is read out next takes the place of this news
        expect(page.get_by_text("sent later if you leave this page open")).to_be_attached()
        rate(page, 2, 10)
        expect(page.locator("[data-status]")).to_have_text(CANNOT_KEEP.format("2 answers", "them"))
        assert leave(page) == ["beforeunload"]
    finally:
        site.start()
    try_again(page)
    expect_all_saved(page)
    finish(page, done=2)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def test_a_page_whose_token_is_gone_says_what_is_unsent_and_sends_it_when_loaded_again(
    site: Site, link: str, people: People
) -> None:
    page = people.begin(link)
    participation = participation_of(page)
    rate(page, 1, 9)
    expect_all_saved(page)
    people.provokes(refused(403))
    page.context.clear_cookies(name="csrftoken")
    rate(page, 2, 10)
    expect(page.locator("[data-status]")).to_have_text("1 answer kept in this browser")
    expect(page.get_by_text("Not sent yet, but kept in this browser: 1 answer.").last).to_be_visible()
    page.get_by_role("link", name="Load the page again").click()
    expect_all_saved(page)
    finish(page, done=2)
    expect_stored(site, participation, [9, 10, 3, 4, 5])


def test_where_nothing_can_be_kept_a_page_whose_token_is_gone_says_that_closing_it_loses_the_answer(
    site: Site, link: str, people: People
) -> None:
    page = people.page()
    page.add_init_script(f"({REFUSE_STORAGE})()")
    begin(page, site, link)
    participation = participation_of(page)
    rate(page, 1, 9)
    expect_all_saved(page)
    people.provokes(refused(403))
    page.context.clear_cookies(name="csrftoken")
    rate(page, 2, 10)
    expect(page.get_by_text("Not sent yet, and lost when this page is closed: 1 answer.").last).to_be_visible()
    expect(page.locator("[data-status]")).to_have_text(CANNOT_KEEP.format("1 answer", "it"))
    assert leave(page) == ["beforeunload"]
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Load the page again").click()
    rate(page, 2, 3)
    finish(page, done=2)
    expect_stored(site, participation, [9, 3, 3, 4, 5])
