"""What reaches the browser of somebody who rates: all of it, from consent to the end and after, holds nothing that they
must not know. The study is planted (tests/planted.py); tests/annotation/pages/test_blindness.py asks for every other
address.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests import planted
from tests.browser.conftest import (
    NO_SERVER,
    People,
    Site,
    answer_alike,
    expect_ready_to_rate,
    log_in,
    refused,
    running,
    shell,
    site_in,
    start_rating,
    take_part,
)
from tests.browser.recorder import Exchange, Recording, recorded

pytestmark = pytest.mark.browser

N_PLANNED = 16
PASSWORD = "a-good-password"
PLANT = """
import json
from pathlib import Path
from datasets.models.projects import Membership, Role
from tests import make, planted
planted.strange_ids()
project = make.project(name="Night walk")
Membership.objects.create(project=project, user=make.user("ann"), role=Role.ANNOTATOR)
folder = Path({folder!r})
made = {{mode: planted.study(project, folder, mode=mode, name=f"Walk {{mode}}") for mode in ("HA1", "HA2")}}
print(json.dumps({{mode: f"/join/{{make.invitation(study).token}}/" for mode, study in made.items()}}))
"""
HIDDEN = """
import json
from annotation.models.people import Participation
from tests import planted
mine = Participation.objects.get(public_id={participation!r})
purposes = {{str(each.public_id): each.purpose for each in mine.assignments.all()}}
print(json.dumps([planted.secrets(mine), purposes]))
"""
KEPT = """async () => JSON.stringify({
  local: {...localStorage}, session: {...sessionStorage}, history: history.state, cookie: document.cookie,
  name: window.name, entries: performance.getEntries().map((entry) => entry.toJSON()),
  databases: await indexedDB.databases(), caches: await caches.keys(),
})"""
MAY_KEEP = re.compile(r"perceptanon\.(keys|(outbox|rating)\.[0-9a-f-]{36}(\.\d{6}\.[0-9a-f-]{36})?)")
MAY_SET = re.compile(r"(csrftoken|sessionid|known-as|messages|participation_[0-9a-f]{32})=")
FINGERPRINTS = ("ETag", "Last-Modified", "Content-Disposition", "Content-Location", "X-Accel-Redirect")
SCHEMA = "/api/schema/"
ANSWER = {"key", "assignment", "score", "seconds", "hidden_seconds", "viewing", "note", "knows", "revises", "skips"}


@pytest.fixture(scope="module")
def planted_site(tmp_path_factory: pytest.TempPathFactory, empty_var: Path) -> Iterator[tuple[Site, dict[str, str]]]:
    """One that runs only once all is planted, and the path of an invitation to its study of each mode."""
    site = site_in(tmp_path_factory.mktemp("site"), empty_var)
    invitations = json.loads(shell(site, PLANT.format(folder=str(tmp_path_factory.mktemp("pairs")))))
    with running(site):
        yield site, invitations


@pytest.fixture(scope="module")
def site(planted_site: tuple[Site, dict[str, str]]) -> Site:
    return planted_site[0]


@pytest.fixture(scope="module")
def invitations(planted_site: tuple[Site, dict[str, str]]) -> dict[str, str]:
    return planted_site[1]


# What was sent -----------------------------------------------------------------------------------------------------


def hidden_from(site: Site, page: Page) -> tuple[list[str], dict[str, str]]:
    """What must not have reached whoever rates on this page, and what each of their assignments is for."""
    [public_id] = set(re.findall(r"/rate/([0-9a-f-]{36})/", page.url))
    secrets, purposes = json.loads(shell(site, HIDDEN.format(participation=public_id)))
    return secrets, purposes


def assert_nothing_leaked(recording: Recording, hidden: list[str]) -> None:
    assert len(recording.exchanges) > 20
    for each in recording.exchanges:
        asked = f"{each.method} {each.path}"
        assert each.status < 500, asked
        assert planted.leaks(each.sent, hidden) == [], asked
        if each.path.startswith("/static/"):
            assert_static(recording.site, each)
            continue
        assert "no-store" in each.header("Cache-Control"), asked
        if each.path != SCHEMA:  # which is the same for everybody, and has a name
            assert [name for name in FINGERPRINTS if each.header(name)] == [], asked
        assert [cookie for cookie in each.named("Set-Cookie") if not MAY_SET.match(cookie)] == [], asked
        if each.header("Content-Type").startswith("image/"):
            assert planted.tells_of_itself(each.body) == [], asked


def assert_static(site: Site, each: Exchange) -> None:
    """A file of the release, and no other for anybody."""
    assert each.body == (site.var / urlsplit(each.path).path.removeprefix("/")).read_bytes()


def assert_leases_are_alike(recording: Recording, purposes: dict[str, str]) -> None:
    """Whatever a pair is for, its lease is the same to the last byte but for what is random."""
    leases = recording.leases()
    assert leases.keys() == purposes.keys()
    assert set(purposes.values()) == {"practice", "warm_up", "main", "check", "repeat"}
    assert [purposes[name] for name, lease in leases.items() if lease["instruction"]] == ["check"]
    assert len({json.dumps(planted.masked(lease) | {"instruction": ""}) for lease in leases.values()}) == 1
    urls = [shown["url"] for lease in leases.values() for shown in lease["pictures"]]
    assert len(set(urls)) == len(urls)
    said = [each for turn in recording.turns() for each in turn["acknowledgements"]]
    assert [each["feedback"] for each in said if each["feedback"]] == [
        "This was for practice. It is usually rated from 8 to 9; you chose 5."
    ]


@dataclass
class Places:
    """All that a page has kept in the browser, whenever it was looked at."""

    page: Page
    texts: list[str] = field(default_factory=list)

    def look(self) -> dict[str, str]:
        """In each of the places where a page can; returns what is in local storage."""
        self.texts.append(self.page.evaluate(KEPT))
        kept = json.loads(self.texts[-1])
        assert [name for name in [*kept["local"], *kept["session"]] if not MAY_KEEP.fullmatch(name)] == []
        assert (kept["history"], kept["cookie"], kept["name"]) == (None, "", "")
        assert (kept["databases"], kept["caches"]) == ([], [])
        assert [entry["name"] for entry in kept["entries"] if entry["entryType"] in {"mark", "measure"}] == []
        return dict(kept["local"])

    def assert_nothing_leaked(self, hidden: list[str]) -> None:
        assert len(self.texts) > N_PLANNED - 3
        assert [planted.leaks(text.encode(), hidden) for text in self.texts] == [[]] * len(self.texts)


# Somebody who rates ------------------------------------------------------------------------------------------------


def at(page: Page, n: int) -> None:
    expect(page.locator("[data-progress-text]")).to_have_text(re.compile(rf"(Pair|Picture) {n} of {N_PLANNED}"))
    expect_ready_to_rate(page)


def rate(page: Page, n: int, score: int = 5) -> None:
    at(page, n)
    page.keyboard.press(str(score))
    page.keyboard.press("Enter")
    if n == 1:  # practice: what is said to it waits for the person
        page.get_by_role("button", name="Go on").wait_for()
        page.wait_for_timeout(500)
        page.keyboard.press("Enter")


def answer_wrongly(page: Page) -> None:
    answer_alike(page, 10)
    expect(page.get_by_role("alert")).to_be_visible()


def skip(page: Page) -> None:
    page.get_by_text("Skip or report this p").click()
    page.get_by_role("radio", name="The picture distresses me").check()
    page.get_by_role("button", name="Skip", exact=True).click()


def change_the_last_answer(page: Page) -> None:
    page.keyboard.press("u")
    expect(page.get_by_text("Choose again and confirm.")).to_be_visible()
    page.keyboard.press("6")
    page.keyboard.press("Enter")


def look_closely(page: Page) -> None:
    for key in ("+", "f", "o", "f"):
        page.keyboard.press(key)
    if page.get_by_role("button", name="Swipe").count():
        for key in ("w", "k", "x", "s"):
            page.keyboard.press(key)


def add_a_note(page: Page) -> None:
    page.get_by_text("Add a note").click()
    page.get_by_label("Note (optional, no names)").fill("A tree.")
    page.get_by_role("radio", name="Think so").check()


def stop_and_come_back(page: Page) -> None:
    """By every link away from the page."""
    page.get_by_role("link", name="Instructions").click()
    page.get_by_role("button", name="Go on rating").click()
    page.get_by_role("link", name="Your data").click()
    page.get_by_role("link", name="Go on rating").click()
    page.get_by_role("link", name="Stop for now").click()
    page.goto(page.get_by_label("To come back later").input_value())


def answer_offline(page: Page, n: int, places: Places) -> None:
    """What waits in the browser is the person's own answer and nothing beside it."""
    expect(page.locator("[data-status]")).to_have_text("All answers saved")
    page.route("**/answer/", lambda route: route.abort())
    rate(page, n)
    expect(page.locator("[data-status]")).to_have_text("1 answer not sent yet, trying again")
    [waiting] = [json.loads(said) for name, said in places.look().items() if ".outbox." in name]
    assert waiting.keys() <= ANSWER
    page.unroute("**/answer/")
    expect(page.locator("[data-status]")).to_have_text("All answers saved", timeout=60_000)


@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_from_consent_to_the_end_and_after_nothing_reaches_the_browser_that_must_not(
    site: Site, invitations: dict[str, str], people: People, mode: str
) -> None:
    people.provokes(NO_SERVER, refused(404))
    with recorded(site) as recording:
        page = people.page(viewport={"width": 1280, "height": 800})
        places = Places(page)
        page.goto(f"{recording.url}/join/no-such-link/")
        take_part(page, recording.url + invitations[mode])
        answer_wrongly(page)
        start_rating(page)
        rate(page, 1)
        at(page, 2)
        skip(page)
        for n in range(2, N_PLANNED + 1):
            if action := {3: add_a_note, 4: change_the_last_answer, 5: stop_and_come_back, 6: look_closely}.get(n):
                at(page, n)
                action(page)
            if n == 7:
                page.reload()
            if n == 8:
                answer_offline(page, n, places)
            else:
                rate(page, n)
            if n < N_PLANNED:
                at(page, n + 1)
                places.look()
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        hidden, purposes = hidden_from(site, page)
        assert places.look() == {}
        places.assert_nothing_leaked(hidden)
        assert_leases_are_alike(recording, purposes)
        assert_pictures(recording, mode)
        erase_and_look_again(page, recording)
        assert_nothing_leaked(recording, hidden)


def assert_pictures(recording: Recording, mode: str) -> None:
    """In HA1 one for each pair, in HA2 two; each is fetched from an address of its own."""
    pictures = [each for each in recording.exchanges if "/picture/" in each.path and each.status == 200]
    n_shown = N_PLANNED + 1  # and one that was skipped
    assert len({each.path for each in pictures}) == n_shown * (1 if mode == "HA1" else 2)
    sides = {shown["side"] for lease in recording.leases().values() for shown in lease["pictures"]}
    assert sides == ({"anonymized"} if mode == "HA1" else {"anonymized", "original"})


def erase_and_look_again(page: Page, recording: Recording) -> None:
    """After the end pictures are closed, and after the erasure everything is."""
    address = page.url
    pictures = [each.path for each in recording.exchanges if "/picture/" in each.path]
    assert {page.goto(recording.url + path).status for path in pictures[:2]} == {404}
    page.goto(address.replace("/end/", "/your-data/"))
    page.get_by_role("button", name="Erase my answers").click()
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("heading", name="Erased")).to_be_visible()
    pages = [address.replace("/end/", f"/{name}") for name in ("", "instructions/", "rest/", "end/", "your-data/")]
    for each in [*pages, recording.url + pictures[0]]:
        assert page.goto(each).status == 404


def test_a_member_with_a_log_in_and_no_script_is_told_no_more(
    site: Site, invitations: dict[str, str], people: People
) -> None:
    people.provokes(refused(403), refused(404))
    with recorded(site) as recording:
        page = people.page(java_script_enabled=False)
        log_in(page, recording.site, "ann", PASSWORD)
        page.goto(recording.url + invitations["HA2"])
        page.get_by_label("I agree to take part").check()
        page.get_by_role("button", name="Take part").click()
        page.get_by_role("link", name="On to the instructions").click()
        start_rating(page)
        for n in range(1, 5):
            expect(page.get_by_text(f"Pair {n} of {N_PLANNED}").first).to_be_visible()
            page.get_by_role("radio", name="5", exact=True).check(force=True)
            page.get_by_role("button", name="Confirm").click()
            if n == 1:  # practice: what is said to it stands beside its pictures
                page.get_by_role("link", name="Go on").click()
        hidden, _ = hidden_from(site, page)
        address = page.url
        page.goto(f"{recording.url}/projects/project1/")
        page.goto(recording.url + SCHEMA)
        page.goto(f"{recording.url}/admin/")
        page.goto(recording.url)
        page.get_by_role("link", name="Go on rating").click()
        page.get_by_role("link", name="Stop for now").click()
        page.goto(recording.url)
        page.get_by_role("button", name="Log out").click()
        assert page.goto(address).status == 404
        assert_nothing_leaked(recording, hidden)


def test_what_the_proxy_keeps_is_all_that_the_browser_got(
    site: Site, invitations: dict[str, str], people: People
) -> None:
    """Otherwise the tests above would prove less than they seem to."""
    asked: list[Any] = []
    with recorded(site) as recording:
        page = people.page()
        page.on("response", lambda response: asked.append((response.status, urlsplit(response.url).path)))
        take_part(page, recording.url + invitations["HA1"])
        start_rating(page)
        at(page, 1)
        page.goto("about:blank")
        kept = {(each.status, each.path) for each in recording.exchanges}
    assert {each for each in asked if each[1].startswith("/")} <= kept
