"""Work that a person need not wait for: it is done when the reply is on its way to them."""

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from time import sleep
from typing import Any

from django.db import DatabaseError, close_old_connections
from django.http import HttpResponseRedirect
from django.shortcuts import resolve_url

from annotation.giving.leases import reserve_session
from annotation.giving.person import ParticipationErased
from annotation.models.people import Participation

log = logging.getLogger(__name__)
BREATH_SECONDS = 0.005  # as long as a batch takes: whoever is at a page goes first

_waiting: SimpleQueue[Participation] | None = None  # None where the process has no thread for it


class Later:
    """Keeps those whose pairs are set aside when the reply has gone out. Stands in for `reserve_session` where a
    session begins."""

    def __init__(self) -> None:
        self._begun: list[Participation] = []

    def __call__(self, participation: Participation) -> None:
        self._begun.append(participation)

    def redirect(self, to: str, *args: Any) -> HttpResponseRedirect:
        return _RedirectThen(resolve_url(to, *args), self._reply_is_sent)

    def _reply_is_sent(self) -> None:
        for participation in self._begun:
            if _waiting is None:
                _reserve(participation)
            else:
                _waiting.put(participation)


class _RedirectThen(HttpResponseRedirect):
    """With a body, since a server may keep the head of a reply back until there is one."""

    def __init__(self, url: str, work: Callable[[], None]) -> None:
        super().__init__(url, content=b"\n", content_type="text/plain; charset=utf-8")
        self._work = work

    def close(self) -> None:
        """Called by the server when all of the reply has been handed over (PEP 3333)."""
        try:
            self._work()
        finally:
            super().close()  # connections to the database are looked after here


def in_a_thread_of_its_own() -> None:
    """For a web server: eight people who begin long sessions at once would take all of its threads for that long. What
    is not done when the process ends is drawn pair by pair, when it is its turn."""
    global _waiting
    _waiting = SimpleQueue()
    Thread(target=_work, args=(_waiting,), name="afterwards", daemon=True).start()


def _work(waiting: SimpleQueue[Participation]) -> None:
    while True:
        participation = waiting.get()
        close_old_connections()
        _reserve(participation, between=lambda: sleep(BREATH_SECONDS))
        close_old_connections()


def _reserve(participation: Participation, **how: Any) -> None:
    """Whoever was erased meanwhile needs none, and nobody hears of what fails."""
    try:
        reserve_session(participation, **how)
    except (DatabaseError, ParticipationErased) as error:
        log.warning("the rest of a session was not set aside as it began: %s", " ".join(str(error).split()))
