"""The outbox alone, in a blank page: an answer that was added is there until it is dropped, whatever happens to the
page, to its tabs and to the browser's storage."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.blank import another_tab, blank_page
from tests.browser.conftest import People

pytestmark = pytest.mark.browser

OPEN = """async (participation) => {
  const { outboxAt } = await import("/annotation/outbox.js");
  window.outbox = outboxAt(`perceptanon.outbox.${participation}.`);
  window.heard = [];
  const hears = (event) => (answer) => heard.push([event, answer]);
  outbox.hear({ added: hears("added"), dropped: hears("dropped") });
}"""
FILL_STORAGE = """() => {
  for (let n = 0, size = 4_000_000; size; n += 1) {
    try { localStorage.setItem(`filling ${n}`, "x".repeat(size)); } catch { size = Math.floor(size / 2); }
  }
}"""
EMPTY_STORAGE = """() => {
  for (const name of Object.keys(localStorage)) if (name.startsWith("filling")) localStorage.removeItem(name);
}"""
FORBID_STORAGE = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("Access is denied for this document.", "SecurityError"); },
})"""


@pytest.fixture
def page(people: People) -> Page:
    return opened(blank_page(people))


def opened(page: Page, participation: str = "mine") -> Page:
    page.evaluate(OPEN, participation)
    return page


def reloaded(page: Page) -> Page:
    page.reload()
    return opened(page)


def add(page: Page, *scores: int) -> None:
    for score in scores:
        page.evaluate("(score) => outbox.add({ assignment: `pair ${score}`, score })", score)


def held(page: Page) -> list[dict[str, Any]]:
    return page.evaluate("outbox.all()")  # type: ignore[no-any-return]


def scores(page: Page) -> list[int]:
    return [answer["score"] for answer in held(page)]


def drop(page: Page, *scores: int) -> None:
    keys = [answer["key"] for answer in held(page) if answer["score"] in scores]
    page.evaluate("(keys) => outbox.drop(new Set(keys))", keys)


def is_kept(page: Page) -> bool:
    return bool(page.evaluate("outbox.isKept()"))


def expect_heard(page: Page, *events: tuple[str, int]) -> None:
    """By a tab, of another one; browsers tell them a moment later."""
    page.wait_for_function("(n) => heard.length >= n", arg=len(events))
    assert [(event, answer["score"]) for event, answer in page.evaluate("heard")] == list(events)


def test_answers_wait_in_the_order_in_which_they_came_and_each_has_a_key_of_its_own(page: Page) -> None:
    order = [*range(10, 0, -1), *range(11, 21)]  # more than nine, whose numbers have two digits
    add(page, *order)
    assert scores(page) == order
    keys = {answer["key"] for answer in held(page)}
    assert len(keys) == 20
    assert {len(key) for key in keys} == {36}


def test_answers_outlive_a_reload_and_later_ones_come_after_them(page: Page) -> None:
    add(page, 9, 3)
    before = held(page)
    reloaded(page)
    assert held(page) == before
    add(page, 1)
    assert scores(page) == [9, 3, 1]


def test_what_is_dropped_goes_for_good_and_a_second_time_changes_nothing(page: Page) -> None:
    add(page, 9, 3, 1)
    key = held(page)[1]["key"]
    for _ in range(2):
        page.evaluate("(key) => outbox.drop(new Set([key, 'a key that nobody has']))", key)
        assert scores(page) == [9, 1]
    assert scores(reloaded(page)) == [9, 1]


def test_two_people_at_one_browser_neither_send_nor_hear_of_each_others_answers(page: Page) -> None:
    add(page, 9)
    other = opened(another_tab(page.context), "mine too")
    assert held(other) == []
    add(other, 2)
    assert (scores(page), scores(other)) == ([9], [2])
    drop(other, 2)
    add(opened(other), 5)
    expect_heard(page, ("added", 5))


def test_two_tabs_share_the_outbox_and_hear_of_each_other(page: Page) -> None:
    other = opened(another_tab(page.context))
    add(page, 9, 3)
    expect_heard(other, ("added", 9), ("added", 3))
    assert held(other) == held(page)
    drop(other, 9)
    expect_heard(page, ("dropped", 9))
    assert scores(page) == scores(other) == [3]


def test_tabs_that_add_and_drop_at_one_moment_lose_nothing(page: Page) -> None:
    tabs = [page, opened(another_tab(page.context))]
    for first, tab in zip((0, 100), tabs, strict=True):
        tab.evaluate(
            """(first) => {
              window.done = false;
              const mine = () => outbox.all().filter(({ score }) => score >= first && score < first + 100);
              const step = (n) => {
                outbox.add({ assignment: "a pair", score: first + n });
                if (n % 3 === 0) outbox.drop(new Set([mine()[0].key]));
                if (n < 30) setTimeout(step, 1, n + 1);
                else window.done = true;
              };
              setTimeout(step, 0, 1);
            }""",
            first,
        )
    for tab in tabs:
        tab.wait_for_function("done")
    left = {first + n for first in (0, 100) for n in range(11, 31)}
    for tab in tabs:
        tab.wait_for_function("outbox.all().length === 40")  # what the other did last comes a moment later
        assert set(scores(tab)) == left


def test_what_full_storage_does_not_take_is_there_until_the_page_closes(page: Page) -> None:
    add(page, 9)
    page.evaluate(FILL_STORAGE)
    add(page, 3, 1)
    assert scores(page) == [9, 3, 1]
    assert not is_kept(page)
    page.evaluate(EMPTY_STORAGE)
    add(page, 7)
    assert scores(page) == [9, 3, 1, 7]
    assert not is_kept(page)
    assert scores(reloaded(page)) == [9, 7]
    assert is_kept(page)


def test_once_what_could_not_be_kept_is_sent_nothing_is_in_danger_any_more(page: Page) -> None:
    page.evaluate(FILL_STORAGE)
    add(page, 3)
    assert not is_kept(page)
    drop(page, 3)
    assert scores(page) == []
    assert is_kept(page)


def test_where_storage_is_refused_answers_are_in_memory_alone(people: People) -> None:
    page = blank_page(people)
    page.add_init_script(FORBID_STORAGE)
    reloaded(page)
    add(page, 9, 3)
    assert scores(page) == [9, 3]
    assert not is_kept(page)
    drop(page, 9)
    assert scores(page) == [3]
    assert scores(reloaded(page)) == []


@pytest.mark.parametrize("left", ["not JSON", "null", "7", '["a list"]', '{"score": 7}', ""])
def test_what_another_version_of_the_page_has_left_is_neither_sent_nor_in_the_way(page: Page, left: str) -> None:
    """An answer without a key could never be acknowledged, and would be sent for ever."""
    other = opened(another_tab(page.context))
    page.evaluate("(left) => localStorage.setItem('perceptanon.outbox.mine.000007.key', left)", left)
    add(page, 9)
    assert scores(page) == [9]
    expect_heard(other, ("added", 9))
    drop(page, 9)
    assert scores(page) == []
    assert page.evaluate("localStorage.length") == 1


def test_a_list_of_answers_under_one_name_as_the_first_version_kept_them_stays_as_it_is(page: Page) -> None:
    old = '[{"key": "1", "assignment": "a pair", "score": 4}]'
    page.evaluate("(old) => localStorage.setItem('perceptanon.outbox.mine', old)", old)
    add(page, 9)
    drop(page, 9)
    assert held(page) == []
    assert page.evaluate("localStorage.getItem('perceptanon.outbox.mine')") == old
