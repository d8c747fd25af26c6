"""Every page of the people who rate, and of a project's admin, in every state, as axe-core and a ruler find it."""

from collections.abc import Callable, Iterator

import pytest
from django.template.loader import render_to_string
from django.urls import URLPattern, URLResolver, get_resolver
from playwright.sync_api import Page, expect

from annotation.pages import admins, annotators, home, invited, withdrawal
from tests.browser.axe import Looker, expect_fonts
from tests.browser.commands import ROOT
from tests.browser.conftest import (
    NO_SERVER,
    People,
    Site,
    answer_alike,
    come_in,
    expect_ready_to_rate,
    log_in,
    refused,
    start_rating,
    take_part,
    try_again,
)
from tests.browser.everybody import N_PLANNED, answer, do, expect_pair, open_studies

pytestmark = pytest.mark.browser

# Each walk looks at pages in all their states. A new page of annotators is added to a walk, and its view to VIEWS.
Look = Callable[[Page, str], None]
# For what moves by style sheets alone: pictures that wait for a script are shown without it then.
EIGHT_SECONDS_LATER = "document.getAnimations().forEach((each) => { each.currentTime = 8000; })"


@pytest.fixture(scope="module")
def addresses(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    links = open_studies(site, project, tmp_path_factory.mktemp("pairs"))
    return links | {"project": f"{site.url}/projects/{project}/"}


def coming_in(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    page = people.page()
    page.goto(to["Pairs"])
    look(page, "consent")
    page.locator("main form").evaluate("form => form.submit()")  # past the browser's own check
    expect(page.get_by_role("alert")).to_be_visible()
    look(page, "consent not given")
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    look(page, "keep this code")
    page.get_by_role("link", name="On to the instructions").click()
    look(page, "instructions of pairs")
    answer_alike(page, 1)
    look(page, "a wrong answer")
    start_rating(page)
    expect_ready_to_rate(page)
    for name in ("Your data", "Stop for now", "Instructions"):
        address = page.url
        page.get_by_role("link", name=name).click()
        page.wait_for_url(lambda url, before=address: url != before)
        look(page, f"{name} while rating")
        page.goto(address)
    page.goto(to["Pairs"])
    look(page, "begun here")
    page.get_by_role("link", name="Go on").click()
    page.get_by_role("link", name="Stop for now").click()
    page.get_by_role("button", name="Forget me in this browser").click()
    look(page, "forgotten by this browser")
    page = people.page()
    take_part(page, to["Pictures"])
    look(page, "instructions of pictures")


def nobody_comes_in(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    page = people.page()
    for study in ("Revoked", "Closed", "Full"):
        page.goto(to[study])
        expect(page.get_by_text("about your visit was stored")).to_be_visible()
        look(page, f"{study}: nobody comes in")


def rating_pairs(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    page = people.page()
    page.clock.install()
    page.goto(come_in(site, to["Pairs"]))
    expect_ready_to_rate(page)
    for key, what in (("s", "side by side"), ("w", "swipe"), ("k", "flicker"), ("o", "flicker enlarged")):
        page.keyboard.press(key)
        look(page, what)
    page.keyboard.press("f")
    page.keyboard.press("s")
    summaries = page.locator("summary")
    expect(summaries).to_have_count(2)
    for summary in summaries.all():
        summary.click()
    page.keyboard.press("Escape")
    look(page, "note and reasons open")
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_text("Say why you skip it")).to_be_visible()
    look(page, "no reason given")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    look(page, "table of keys")
    page.keyboard.press("Escape")
    page.clock.fast_forward("11:00")
    answer(page)
    expect(page.get_by_text("A short break?")).to_be_visible()
    expect_pair(page, 2)
    page.keyboard.press("4")
    look(page, "a break is offered, a score is chosen, the last answer can be changed")


def rating_pictures(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    page = people.begin(to["Pictures"])
    look(page, "one picture")
    page.keyboard.press("o")
    look(page, "one picture enlarged")


def without_a_script(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    """The pages as the server sends them; where scripts are off, axe itself would not run."""
    page = people.page()
    people.provokes(NO_SERVER, refused(400))
    page.route("**/*.js", lambda route: route.abort())
    page.goto(come_in(site, to["Pairs"]))
    pictures = page.locator(".picture img")
    expect(pictures).to_have_count(2)
    expect(pictures.first).to_be_hidden()
    page.evaluate(EIGHT_SECONDS_LATER)
    expect(pictures.first).to_be_visible()
    look(page, "a pair without a script")
    page.get_by_text("Skip or report this pair").click()
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_role("alert")).to_be_focused()
    look(page, "a skip without a reason and without a script")
    page.get_by_role("radio", name="7", exact=True).check()
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("link", name="Change the last answer").click()
    look(page, "the last answer without a script")


def in_trouble(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    people.provokes(NO_SERVER, refused(404), refused(410))
    page = people.page()
    page.clock.install()
    page.route("**/picture/**", lambda route: route.abort())
    page.goto(come_in(site, to["Pairs"]))
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    look(page, "pictures that failed")
    page.unroute("**/picture/**")
    page.get_by_role("button", name="Try again").click()
    expect_ready_to_rate(page)
    page.route("**/answer/", lambda route: route.abort())
    answer(page)
    expect(page.get_by_text("1 answer not sent yet")).to_be_visible()
    look(page, "an answer that is not sent yet")
    page.unroute("**/answer/")
    page.context.clear_cookies()
    try_again(page)
    expect(page.get_by_role("link", name="Load the page again")).to_be_visible(timeout=40_000)
    look(page, "a browser that may not answer any more")
    page = people.begin(to["Pairs"])
    do(site, "from django.db.models.functions import Now; Participation.objects.filter(study__name='Pairs',"
             " pk=Participation.objects.latest('pk').pk).update(withdrawn_at=Now())")  # fmt: skip
    page.reload()
    look(page, "a participation that was withdrawn")


def at_the_end(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    page = people.begin(to["Pairs"])
    for n in range(1, N_PLANNED + 1):
        expect_pair(page, n)
        answer(page)
    expect(page.get_by_role("button", name="Rate more")).to_be_visible()
    look(page, "the end, with a code and the way back")
    page.goto(to["Pairs"])
    look(page, "finished here")
    first = people.begin(to["Few"])
    # Once the page has said that the pair is painted: that renews the lease, and nothing more does for long.
    do(site, "import time; from django.utils.timezone import now;"
             " mine = Participation.objects.filter(study__name='Few').latest('pk');"
             " painted = mine.assignments.exclude(painted_at=None);"
             " any(painted.all().exists() or time.sleep(0.1) for _ in range(200));"
             " Participation.objects.filter(pk=mine.pk).update(leased_until=now())")  # fmt: skip
    second = people.begin(to["Few"])  # gets what the first has left behind
    answer(first)
    expect(first.get_by_role("heading", name="No pair for you right now")).to_be_visible()
    look(first, "nothing right now")
    do(site, "Study.objects.filter(pk=Participation.objects.latest('pk').study_id).update(state='paused')")
    first.reload()
    expect(first.get_by_text("The study is not open at the moment.")).to_be_visible()
    look(first, "nothing, since the study is paused")
    second.context.close()


def withdrawing(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    page = people.page()
    page.goto(come_in(site, to["Pairs"]))
    page.get_by_role("link", name="Your data").click()
    code = page.locator("[data-withdrawal-code]").inner_text()
    page.reload()
    look(page, "a code was shown before")
    page.get_by_role("button", name="Erase my answers").click()
    look(page, "what will go, without a code")
    page.goto(f"{site.url}/withdraw/")
    look(page, "a code is asked for")
    page.get_by_label("Withdrawal code").fill("WRNG-CDE2-3456")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    look(page, "a wrong code")
    page.get_by_label("Withdrawal code").fill(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Erase this for good?")).to_be_visible()
    look(page, "what will go")
    page.get_by_role("button", name="Erase for good").click()
    look(page, "erased")


def with_a_log_in(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    people.provokes(refused(403), refused(409))
    page = people.page()
    page.goto(f"{site.url}/login/")
    look(page, "log in")
    page.get_by_label("Username").fill("anna")
    page.get_by_label("Password").fill("not it")
    page.get_by_role("button", name="Log in").click()
    look(page, "a wrong password")
    log_in(page, site, "anna")
    look(page, "home")
    page.goto(to["member Both pairs"])
    look(page, "consent of a member")
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    page.goto(to["member Both pictures"])
    expect(page.get_by_role("heading", name="You take part in another study")).to_be_visible()
    look(page, "another study of the campaign")
    page.goto(to["member Pictures"])
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    expect(page.get_by_role("heading", name="No picture is left for you")).to_be_visible()
    look(page, "every picture was seen")
    page.goto(f"{site.url}/")
    look(page, "home of somebody who takes part")
    page.goto(f"{site.url}/admin/login/")
    expect(page.get_by_role("heading", name="This page is not open to you")).to_be_visible()
    look(page, "not allowed")


def invited_into_the_project(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    people.provokes(refused(400), refused(404))
    admin = people.page()
    log_in(admin, site)
    admin.goto(f"{to['project']}members/")
    admin.get_by_label("Role", exact=True).select_option("researcher")
    admin.get_by_role("button", name="Invite somebody").click()
    link = admin.get_by_label("The link, which is shown this once").input_value()
    look(admin, "a link, shown once")
    admin.reload()
    look(admin, "a link that was shown before")
    admin.get_by_role("link", name="Back to the members").click()
    look(admin, "members, and an open invitation")
    admin.goto(f"{to['project']}settings/")
    look(admin, "settings of the project")
    page = people.page()
    page.goto(link)
    look(page, "an invitation, without an account")
    page.get_by_label("Username").fill("anna")
    page.get_by_label("Email").fill("anna@example.org")
    for label in ("Password", "Password confirmation"):
        page.get_by_label(label, exact=True).fill("short")
    page.get_by_role("button", name="Make the account and accept").click()
    look(page, "an account that is refused")
    log_in(page, site, "anna")
    page.goto(link)
    look(page, "an invitation, with an account")
    page.goto(f"{site.url}/invited/nothing/")
    look(page, "a link that opens nothing")


def what_goes_wrong(look: Look, site: Site, to: dict[str, str], people: People) -> None:
    people.provokes(*(refused(status) for status in (400, 403, 404, 429, 500)))
    page = people.page()
    page.goto(f"{site.url}/nowhere/")
    look(page, "404")
    page.goto(to["Pairs"])
    page.context.clear_cookies(name="csrftoken")
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Take part").click()
    expect(page.get_by_role("heading", name="This was not taken")).to_be_visible()
    look(page, "403_csrf")
    page.goto(f"{site.url}/login/")
    for _ in range(11):
        page.get_by_label("Username").fill("nobody")
        page.get_by_label("Password").fill("a guess")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state()
    expect(page.get_by_role("heading", name="Too many wrong passwords")).to_be_visible()
    look(page, "locked_out")
    for status in (400, 500):
        as_the_site_would(page, status)
        page.goto(f"{site.url}/{status}/")
        look(page, str(status))


def as_the_site_would(page: Page, status: int) -> None:
    """Answer with the page for a fault that nobody can bring about from outside."""
    reply = {"status": status, "body": render_to_string(f"{status}.html"), "content_type": "text/html"}
    page.route(f"**/{status}/", lambda route: route.fulfill(**reply))


Walk = Callable[[Look, Site, dict[str, str], People], None]
VIEWS: dict[Walk, set[str]] = {
    coming_in: {f"annotation:{name}" for name in ("join", "left", "rest", "instructions", "your-data")},
    nobody_comes_in: {"annotation:join"},
    rating_pairs: {"annotation:rate"},
    rating_pictures: {"annotation:rate"},
    without_a_script: {"annotation:rate", "annotation:last-answer"},
    in_trouble: {"annotation:rate"},
    at_the_end: {"annotation:end", "annotation:join"},
    withdrawing: {"annotation:your-data", "annotation:erase", "annotation:withdrawal"},
    with_a_log_in: {"login", "home", "annotation:take-part", "admin-login"},
    invited_into_the_project: {
        f"annotation:{name}" for name in ("members", "member-link", "project-settings", "invited")
    },
    what_goes_wrong: {"annotation:join", "login"},
}
# Addresses of annotators that show no page of their own: they lead to another one, or send a picture.
NO_PAGE = {f"annotation:{name}" for name in ("resume", "leave", "another-session", "picture", "new-code")}
# Of a project's admins: their forms lead back to the page of members.
NO_PAGE |= {f"annotation:member-{name}" for name in ("role", "out", "invite", "withdraw")}


@pytest.mark.parametrize("walk", VIEWS, ids=lambda walk: walk.__name__)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    site: Site, addresses: dict[str, str], people: People, walk: Walk
) -> None:
    expect_fonts(people.page())
    looker = Looker()
    walk(looker.look, site, addresses, people)
    assert looker.faults == []
    assert looker.views == VIEWS[walk]


def test_no_page_of_annotators_and_of_projects_admins_is_left_out() -> None:
    found = {name for name, module in views(get_resolver()) if module in {each.__name__ for each in LOOKED_AT}}
    assert found - NO_PAGE == set.union(*VIEWS.values()) - {"login", "admin-login"}
    wrong = {path.stem for path in (ROOT / "templates").glob("[!_]*.html")} - {"base", "login"}
    assert wrong == {"400", "403", "403_csrf", "404", "500", "locked_out"}  # with_a_log_in, what_goes_wrong


LOOKED_AT = (admins, annotators, home, invited, withdrawal)


def views(resolver: URLResolver, namespace: str = "") -> Iterator[tuple[str, str]]:
    for each in resolver.url_patterns:
        if isinstance(each, URLPattern):
            yield f"{namespace}{each.name}", each.callback.__module__
        else:
            yield from views(each, f"{each.namespace}:" if each.namespace else namespace)
