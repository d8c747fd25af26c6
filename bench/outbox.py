"""People who keep what they have said until it is acknowledged, as the rating page does.

An answer waits in the outbox under its key and is sent again, the same, for as long as no acknowledgement has come.
Meanwhile its person rates the pairs that are there already.
"""

import json
import random
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from time import monotonic
from typing import Any
from uuid import UUID

from bench.annotators import Annotator, NoPlace, Unavailable, Unexpected

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds, twice as long each time
WAIT_FOR_A_PLACE = 0.5


class TimeIsUp(Exception):
    """The bench has told everybody to stop."""


@dataclass
class Diary:
    """What one browser knows: each key with its assignment and score, and what it has lived through."""

    sent: dict[str, tuple[str, int]] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    n_resent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    longest_outage: float = 0.0  # seconds from a first failure to the next reply
    errors: list[str] = field(default_factory=list)
    _failing_since: float | None = None

    def note_failure(self, error: Exception) -> None:
        self._failing_since = self._failing_since or monotonic()
        self.failures[type(error).__name__] += 1
        if isinstance(error, Unavailable) and ": 503 " not in str(error):
            self.errors.append(str(error))

    def note_reply(self) -> None:
        if self._failing_since:
            self.longest_outage = max(self.longest_outage, monotonic() - self._failing_since)
        self._failing_since = None


class PatientAnnotator(Annotator):
    """Comes in, rates to the end of the session, makes room for the next person; whatever fails is tried again."""

    def __init__(self, port: int, invitation: str, *, seed: int, time_is_up: threading.Event) -> None:
        super().__init__(port, invitation, sees_pictures=False)
        self.random = random.Random(seed)
        self.time_is_up = time_is_up
        self.diary = Diary()
        self.outbox: dict[str, dict[str, Any]] = {}
        self.pause = FIRST_PAUSE

    def rate_on(self) -> None:
        with suppress(TimeIsUp):
            while True:
                try:
                    self._rate_session()
                except NoPlace:
                    self._wait(WAIT_FOR_A_PLACE)
                except Unexpected as unexpected:
                    self.diary.errors.append(str(unexpected))
                    self._wait(LONGEST_PAUSE)
        self.connection.close()

    def _rate_session(self) -> None:
        self.outbox.clear()
        self._come_in()
        while self.leases or self.outbox:
            if self.leases:
                self._say(self.leases.pop(0))
            self._send()

    def _say(self, lease: dict[str, Any]) -> None:
        key = str(UUID(int=self.random.getrandbits(128), version=4))
        answer = {"key": key, "assignment": lease["assignment"], "score": self.random.randint(1, 10), "seconds": 2.5}
        self.outbox[key] = answer
        self.diary.sent[key] = (answer["assignment"], answer["score"])

    def _send(self) -> None:
        painted = self.leases[0]["assignment"] if self.leases else None
        body = json.dumps({"answers": list(self.outbox.values()), "painted": painted})
        reply = self._asked("POST", self.answer_path, body, "application/json")
        if reply is None:
            self.diary.n_resent += len(self.outbox)  # all of them will be
            if not self.leases:
                self._wait_longer()
            return
        turn = json.loads(reply[1])
        for acknowledgement in turn["acknowledgements"]:
            answer = self.outbox.pop(acknowledgement["key"])
            if (acknowledgement["status"], acknowledgement["score"]) != ("stored", answer["score"]):
                self.diary.errors.append(f"{answer}: {acknowledgement}")
            else:
                self.diary.acknowledged.add(answer["key"])
        if self.outbox:
            raise Unexpected(f"a reply without acknowledgements of {list(self.outbox)}")
        self.leases = turn["leases"]

    def _request(self, *what: Any, **how: Any) -> tuple[HTTPResponse, bytes]:
        while (reply := self._asked(*what, **how)) is None:
            self._wait_longer()
        return reply

    def _asked(self, *what: Any, **how: Any) -> tuple[HTTPResponse, bytes] | None:
        """The reply, or None when trying again may help."""
        if self.time_is_up.is_set():
            raise TimeIsUp
        try:
            reply = super()._request(*what, **how)
        except (HTTPException, OSError, Unavailable) as error:
            self.connection.close()
            self.diary.note_failure(error)
            return None
        except Unexpected:
            self.diary.note_reply()
            raise
        self.diary.note_reply()
        self.pause = FIRST_PAUSE
        return reply

    def _wait_longer(self) -> None:
        self._wait(self.pause)
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def _wait(self, seconds: float) -> None:
        if self.time_is_up.wait(seconds):
            raise TimeIsUp


class Crowd:
    """Many of them at once, a thread each."""

    def __init__(self, port: int, invitation: str, *, n: int, random: random.Random) -> None:
        self.time_is_up = threading.Event()
        seeds = [random.getrandbits(62) for _ in range(n)]
        self.people = [PatientAnnotator(port, invitation, seed=seed, time_is_up=self.time_is_up) for seed in seeds]
        self.threads = [threading.Thread(target=person.rate_on, daemon=True) for person in self.people]

    @property
    def diaries(self) -> list[Diary]:
        return [person.diary for person in self.people]

    @property
    def n_acknowledged(self) -> int:
        return sum(len(diary.acknowledged) for diary in self.diaries)

    def __enter__(self) -> "Crowd":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """All leave as they are, with pairs in front of them and answers on their way."""
        self.time_is_up.set()
        for thread in self.threads:
            thread.join()
