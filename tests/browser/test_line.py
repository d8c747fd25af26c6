"""The line to the server alone, in a blank page, with a server that does what the test says: what it sends and when,
how long it waits, and when it stops."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.blank import ADDRESS, blank_page
from tests.browser.conftest import NO_SERVER, People, refused

pytestmark = pytest.mark.browser

RENEW_MS = 600_000
# What the line tells the page stands there as a list.
OPEN = """async (renewEvery) => {
  const { outboxAt } = await import("/annotation/outbox.js");
  const { lineTo } = await import("/annotation/line.js");
  const list = document.body.appendChild(document.createElement("ol"));
  const says = (name) => (what) => {
    if (name === "took") window.taken = what;
    if (name === "took" && window.endsThen) line.close();
    list.appendChild(document.createElement("li")).textContent = name === "refused" ? `${name} ${what}` : name;
  };
  window.front = { painted: "pair 0", isEmpty: false, isLookedAt: true };
  window.outbox = outboxAt("perceptanon.outbox.mine.");
  window.line = lineTo("/answer/", {
    token: "the token",
    renewEvery,
    outbox,
    pairs: { painted: () => front.painted, isEmpty: () => front.isEmpty, isLookedAt: () => front.isLookedAt },
    heard: Object.fromEntries(["changed", "took", "refused", "gone", "back"].map((name) => [name, says(name)])),
  });
}"""
TOOK, FAILED = ["changed", "took", "changed"], ["changed", "changed"]
GONE = ["changed", "gone", "changed"]
LOOK = """(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

Reply = Callable[[Route], None]


def stored(route: Route, *, status: int = 200, only: slice = slice(None)) -> None:
    answers = route.request.post_data_json["answers"][only]
    acknowledgements = [{"key": answer["key"], "status": "stored"} for answer in answers]
    route.fulfill(status=status, json={"acknowledgements": acknowledgements, "leases": []})


def nothing_acknowledged(route: Route) -> None:
    stored(route, only=slice(0))


def cut_off(route: Route) -> None:
    route.abort()


def status(code: int) -> Reply:
    """As a proxy or a page of errors says it."""
    return lambda route: route.fulfill(status=code, body="<h1>No.</h1>", content_type="text/html")


@dataclass
class Server:
    """Does with each request what `replies` say, one after the other; then it stores everything."""

    replies: list[Reply] = field(default_factory=list)
    always: Reply = stored
    requests: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def __call__(self, route: Route) -> None:
        self.requests.append(route.request.post_data_json)
        self.tokens.append(route.request.headers.get("x-csrftoken"))
        (self.replies.pop(0) if self.replies else self.always)(route)

    @property
    def sent(self) -> list[list[int]]:
        """The scores in each request."""
        return [[answer["score"] for answer in each["answers"]] for each in self.requests]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def page(people: People, server: Server) -> Page:
    """Its clock stands, but for what a test lets pass."""
    people.provokes(NO_SERVER, *map(refused, range(400, 600)))
    page = blank_page(people)
    page.context.route(f"{ADDRESS}/answer/", server)
    page.clock.install()
    page.reload()
    page.clock.pause_at("2100-01-01")
    page.evaluate(OPEN, RENEW_MS)
    return page


def say(page: Page, *scores: int) -> None:
    for score in scores:
        page.evaluate("(score) => outbox.add({ assignment: `pair ${score}`, score })", score)


def send(page: Page) -> None:
    page.evaluate("() => void line.send()")


def unsent(page: Page) -> list[int]:
    return page.evaluate("outbox.all().map(({ score }) => score)")  # type: ignore[no-any-return]


def expect_heard(page: Page, *events: list[str]) -> None:
    """All of it, from the beginning."""
    expect(page.locator("li")).to_have_text([*chain(*events)])


def expect_sent_after(page: Page, milliseconds: int, *, heard: list[str], more: list[str]) -> list[str]:
    """Not a millisecond earlier: a request begins in its timer, and that is heard at once. What was heard in all."""
    page.clock.run_for(milliseconds - 1)
    assert page.locator("li").all_text_contents() == heard
    page.clock.run_for(1)
    expect_heard(page, heard, more)
    return heard + more


def expect_silence(page: Page, server: Server) -> None:
    """For an hour, and whatever happens to the page."""
    n_heard, n_sent = page.locator("li").count(), len(server.requests)
    page.evaluate("() => { line.send(); line.sendSoon(); line.sendForOther(); line.tryNow(); }")
    page.clock.run_for(3600_000)
    for event in ("online", "pagehide"):
        page.evaluate("(event) => void window.dispatchEvent(new Event(event))", event)
    page.evaluate(LOOK, False)
    assert (page.locator("li").count(), len(server.requests)) == (n_heard, n_sent)


# What is sent -------------------------------------------------------------------------------------------------------


def test_everything_unsent_travels_in_one_request_in_its_order_and_is_dropped_when_it_is_stored(
    page: Page, server: Server
) -> None:
    say(page, 9, 3, 1)
    send(page)
    expect_heard(page, TOOK)
    assert server.sent == [[9, 3, 1]]
    assert server.requests[0]["painted"] == "pair 0"
    assert server.tokens == ["the token"]
    assert unsent(page) == []
    assert [each["answer"]["score"] for each in page.evaluate("taken.acknowledgements")] == [9, 3, 1]


def test_there_is_one_request_at_a_time_and_what_comes_meanwhile_follows_at_once(page: Page, server: Server) -> None:
    kept: list[Route] = []
    server.replies = [kept.append]
    say(page, 9)
    with page.expect_request("**/answer/"):
        send(page)
    say(page, 3, 1)
    send(page)
    expect_heard(page, ["changed"])
    stored(kept[0])
    expect_heard(page, TOOK)
    page.clock.run_for(0)
    expect_heard(page, TOOK, TOOK)
    assert server.sent == [[9], [3, 1]]


def test_what_is_painted_while_a_request_is_on_its_way_is_said_at_once(page: Page, server: Server) -> None:
    kept: list[Route] = []
    server.replies = [kept.append]
    with page.expect_request("**/answer/"):
        send(page)
    page.evaluate("() => { front.painted = 'pair 1'; line.send(); }")
    stored(kept[0])
    expect_heard(page, TOOK)
    page.clock.run_for(0)
    expect_heard(page, TOOK, TOOK)
    assert [each["painted"] for each in server.requests] == ["pair 0", "pair 1"]


def test_an_answer_travels_with_what_is_painted_in_a_moment(page: Page, server: Server) -> None:
    say(page, 9)
    page.evaluate("() => { front.painted = null; line.sendSoon(); front.painted = 'pair 1'; }")
    expect_sent_after(page, 80, heard=[], more=TOOK)
    assert [each["painted"] for each in server.requests] == ["pair 1"]


def test_what_another_tab_has_said_is_sent_should_that_tab_not_do_it_within_a_second(
    page: Page, server: Server
) -> None:
    say(page, 9)
    page.evaluate("() => line.sendForOther()")
    expect_sent_after(page, 1000, heard=[], more=TOOK)
    assert server.sent == [[9]]


def test_an_answer_that_is_acknowledged_twice_is_dropped_once(page: Page, server: Server) -> None:
    """Once for each tab that sent it: whoever hears it second has no such answer any more, and counts nothing."""
    kept: list[Route] = []
    server.replies = [kept.append]
    say(page, 9, 3)
    with page.expect_request("**/answer/"):
        send(page)
    page.evaluate("() => outbox.drop(new Set([outbox.all()[0].key]))")  # as the other tab does
    stored(kept[0])
    expect_heard(page, TOOK)
    assert [each["answer"].get("score") for each in page.evaluate("taken.acknowledgements")] == [None, 3]
    assert unsent(page) == []


@pytest.mark.parametrize("scores", [[9], []])
def test_a_page_that_goes_away_sends_what_is_unsent_and_nothing_else(
    page: Page, server: Server, scores: list[int]
) -> None:
    """The event alone: what a page asks for as it goes, Playwright does not see."""
    say(page, *scores)
    page.evaluate("() => void window.dispatchEvent(new Event('pagehide'))")
    expect_heard(page, TOOK if scores else [])
    assert server.sent == [each for each in [scores] if each]


# When it fails ------------------------------------------------------------------------------------------------------


def test_after_failures_it_waits_twice_as_long_each_time_up_to_half_a_minute(page: Page, server: Server) -> None:
    server.always = cut_off
    say(page, 9)
    send(page)
    heard = GONE
    expect_heard(page, heard)
    for seconds in (1, 2, 4, 8, 16, 30, 30):
        say(page, seconds)  # an answer more makes it neither hurry nor forget
        heard = expect_sent_after(page, seconds * 1000, heard=heard, more=FAILED)
    assert server.sent[-1] == unsent(page) == [9, 1, 2, 4, 8, 16, 30, 30]


def test_after_a_success_the_next_failure_is_a_first_one(page: Page, server: Server) -> None:
    server.replies = [cut_off, cut_off, stored, cut_off]
    say(page, 9)
    send(page)
    expect_heard(page, GONE)
    heard = expect_sent_after(page, 1000, heard=GONE, more=FAILED)
    heard = expect_sent_after(page, 2000, heard=heard, more=["changed", "took", "back", "changed"])
    say(page, 3)
    send(page)
    expect_heard(page, heard, GONE)
    expect_sent_after(page, 1000, heard=heard + GONE, more=["changed", "took", "back", "changed"])
    assert server.sent == [[9], [9], [9], [3], [3]]


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503])
def test_what_passes_by_itself_is_tried_again(page: Page, server: Server, code: int) -> None:
    server.replies = [status(code)]
    say(page, 9)
    send(page)
    expect_heard(page, GONE)
    assert page.evaluate("line.isFailing()")
    expect_sent_after(page, 1000, heard=GONE, more=["changed", "took", "back", "changed"])
    assert not page.evaluate("line.isFailing()")
    assert unsent(page) == []


@pytest.mark.parametrize("code", [400, 404, 410, 413])
def test_after_a_refusal_nothing_is_sent_any_more_and_everything_is_kept(page: Page, server: Server, code: int) -> None:
    server.replies = [status(code)]
    say(page, 9, 3)
    send(page)
    expect_heard(page, ["changed", f"refused {code}", "changed"])
    assert page.evaluate("line.isClosed()")
    expect_silence(page, server)
    assert unsent(page) == [9, 3]


def test_where_the_token_is_gone_nothing_is_sent_any_more_and_the_page_loaded_again_sends_it(
    page: Page, server: Server
) -> None:
    server.replies = [status(403)]
    say(page, 9)
    send(page)
    expect_heard(page, ["changed", "refused 403", "changed"])
    expect_silence(page, server)
    page.reload()
    page.evaluate(OPEN, RENEW_MS)
    page.evaluate("() => line.tryNow()")
    expect_heard(page, TOOK)
    assert server.sent == [[9], [9]]
    assert unsent(page) == []


@pytest.mark.parametrize("code", [400, 404, 409])
def test_a_refusal_of_one_answer_ends_nothing(page: Page, server: Server, code: int) -> None:
    server.replies = [lambda route: stored(route, status=code)]
    say(page, 9)
    send(page)
    expect_heard(page, TOOK)
    assert not page.evaluate("line.isClosed()")
    assert unsent(page) == []


def test_a_server_that_acknowledges_nothing_is_not_asked_without_a_pause(page: Page, server: Server) -> None:
    server.replies = [nothing_acknowledged, nothing_acknowledged]
    say(page, 9)
    send(page)
    expect_heard(page, TOOK)
    heard = expect_sent_after(page, 1000, heard=TOOK, more=TOOK)
    expect_sent_after(page, 2000, heard=heard, more=TOOK)
    assert server.sent == [[9], [9], [9]]


def test_what_was_not_acknowledged_with_the_rest_follows_in_its_order(page: Page, server: Server) -> None:
    server.replies = [lambda route: stored(route, only=slice(1))]
    say(page, 9, 3, 1)
    send(page)
    expect_heard(page, TOOK)
    page.clock.run_for(0)
    expect_heard(page, TOOK, TOOK)
    assert server.sent == [[9, 3, 1], [3, 1]]


def test_a_line_that_is_back_is_used_at_once_and_said_to_be_back_once(page: Page, server: Server) -> None:
    server.replies = [cut_off, cut_off]
    page.context.set_offline(True)
    say(page, 9)
    send(page)
    expect_heard(page, GONE)
    page.clock.run_for(1000)
    expect_heard(page, GONE, FAILED)
    page.context.set_offline(False)
    expect_heard(page, GONE, FAILED, ["changed", "took", "back", "changed"])
    assert unsent(page) == []


def test_who_comes_back_and_finds_the_line_still_gone_waits_as_after_a_first_failure(
    page: Page, server: Server
) -> None:
    server.always = cut_off
    say(page, 9)
    send(page)
    expect_heard(page, GONE)
    heard = expect_sent_after(page, 1000, heard=GONE, more=FAILED)
    page.evaluate(LOOK, False)
    expect_heard(page, heard, FAILED)
    expect_sent_after(page, 1000, heard=heard + FAILED, more=FAILED)


def test_with_nothing_unsent_nobody_is_told_that_the_line_is_gone_and_a_renewal_waits_for_its_time(
    page: Page, server: Server
) -> None:
    server.replies = [cut_off, cut_off]
    send(page)
    expect_heard(page, FAILED)
    heard = expect_sent_after(page, RENEW_MS, heard=FAILED, more=FAILED)
    page.evaluate("() => line.tryNow()")  # or for somebody who comes back: it is made up for
    expect_heard(page, heard, TOOK)


# When nothing is to be sent -----------------------------------------------------------------------------------------


def test_without_a_pair_in_front_it_asks_for_one_less_and_less_often(page: Page, server: Server) -> None:
    page.evaluate("() => { front.isEmpty = true; front.painted = null; line.tryNow(); }")
    heard = TOOK
    expect_heard(page, heard)
    for seconds in (1, 2, 4):
        heard = expect_sent_after(page, seconds * 1000, heard=heard, more=TOOK)
    page.evaluate("() => { front.isEmpty = false; }")
    heard = expect_sent_after(page, 8000, heard=heard, more=TOOK)
    expect_sent_after(page, RENEW_MS, heard=heard, more=TOOK)
    assert server.sent == [[]] * 6


def test_pairs_that_somebody_looks_at_are_renewed_and_no_others(page: Page) -> None:
    send(page)
    expect_heard(page, TOOK)
    heard = expect_sent_after(page, RENEW_MS, heard=TOOK, more=TOOK)
    page.evaluate("() => { front.isLookedAt = false; }")
    page.clock.run_for(3 * RENEW_MS)
    expect_heard(page, heard)


def test_a_hidden_page_renews_nothing_until_somebody_comes_back(page: Page) -> None:
    send(page)
    expect_heard(page, TOOK)
    page.evaluate(LOOK, True)
    page.clock.run_for(3 * RENEW_MS)
    page.evaluate("() => void window.dispatchEvent(new Event('online'))")
    assert page.locator("li").all_text_contents() == TOOK
    for _ in range(2):  # the first time it is made up for
        page.evaluate(LOOK, False)
        expect_heard(page, TOOK, TOOK)


def test_with_a_pair_in_front_and_nothing_unsent_nothing_is_asked(page: Page) -> None:
    page.evaluate("() => line.tryNow()")
    page.clock.run_for(RENEW_MS)
    assert page.locator("li").count() == 0


def test_with_the_reply_that_ends_the_session_nothing_more_is_said_or_sent(page: Page, server: Server) -> None:
    server.replies = [cut_off]
    page.evaluate("() => { window.endsThen = true; }")
    say(page, 9)
    send(page)
    expect_heard(page, GONE)
    expect_sent_after(page, 1000, heard=GONE, more=TOOK)
    expect_silence(page, server)


def test_after_the_end_nothing_is_sent(page: Page, server: Server) -> None:
    say(page, 9)
    page.evaluate("() => { line.sendSoon(); line.close(); }")
    expect_silence(page, server)
    assert unsent(page) == [9]
    assert server.requests == []
