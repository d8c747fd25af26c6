"""People who rate, as fast as they are served or with pauses: each comes in and answers as the pages do."""

import json
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.cookies import SimpleCookie
from threading import Barrier, Event
from time import perf_counter
from typing import Any
from uuid import uuid4

HEADERS = {"Accept": "text/html,application/json", "User-Agent": "studio-bench"}


class Unexpected(Exception):
    """The server's answer was not the one this request should have."""


class Unavailable(Unexpected):
    """The server could not do it now; asking again may help."""


class NoPlace(Unexpected):
    """Nobody new can begin: all pairs have their answers, or are held by somebody."""


@dataclass
class Tally:
    """What was acknowledged and how long each request took, in seconds."""

    answers: list[float] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)  # the moment of each acknowledgement, seconds since 1970
    pictures: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wall: float = 0.0

    def add(self, other: "Tally") -> None:
        self.answers += other.answers
        self.answered_at += other.answered_at
        self.pictures += other.pictures
        self.errors += other.errors
        self.wall = max(self.wall, other.wall)


class Annotator:
    """One person at a time in one browser; after the last pair of a session the next person sits down."""

    def __init__(self, port: int, invitation: str, *, sees_pictures: bool) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self.join_path = f"/join/{invitation}/"
        self.sees_pictures = sees_pictures
        self.cookies: dict[str, str] = {}
        self.answer_path = ""
        self.leases: list[dict[str, Any]] = []
        self.seen: set[str] = set()

    def rate(self, seconds: float, *, pause: float = 0, over: Event | None = None) -> Tally:
        """Answer until the time is over, `over` is set or something goes wrong; each pause is `pause` on average."""
        tally, over = Tally(), over or Event()
        over.wait(random.uniform(0, pause))  # people do not begin in step
        begun = perf_counter()
        try:
            while perf_counter() - begun < seconds and not over.is_set():
                self._rate_one(tally)
                if pause:
                    over.wait(pause * random.uniform(0.5, 1.5))
        except (HTTPException, OSError, Unexpected) as error:
            tally.errors.append(repr(error))
        tally.wall = perf_counter() - begun
        return tally

    def rate_exactly(self, n: int) -> Tally:
        """Answer so many pairs."""
        tally = Tally()
        while len(tally.answers) < n:
            self._rate_one(tally)
        return tally

    def _rate_one(self, tally: Tally) -> None:
        if not self.leases:
            self._come_in()
            self._look(tally)
        answer = {"key": str(uuid4()), "assignment": self.leases[0]["assignment"], "score": 7, "seconds": 2.5}
        begun = perf_counter()
        [acknowledgement] = self._take_turn([answer], shown=self.leases[1:])
        tally.answers.append(perf_counter() - begun)
        tally.answered_at.append(time.time())
        if acknowledgement["status"] != "stored":
            raise Unexpected(acknowledgement)
        self._look(tally)

    def agree(self, start: Barrier | None = None) -> float:
        """A new person reads the consent page and agrees, all together where there is a start; the seconds until the
        reply."""
        self.cookies.clear()
        self.seen.clear()
        _, page = self._request("GET", self.join_path)
        token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page)
        consent = re.search(rb'name="consent" value="([\w.-]+)"', page)
        if token is None or consent is None:
            raise NoPlace("the consent page has no form; the study may have all its answers")
        form = f"csrfmiddlewaretoken={token[1].decode()}&consent={consent[1].decode()}&agree=on"
        if start:
            start.wait()
        begun = perf_counter()
        agreed, _ = self._request("POST", self.join_path, form, "application/x-www-form-urlencoded", status=302)
        seconds = perf_counter() - begun
        self.answer_path = f"{agreed.headers['Location'].removesuffix('your-data/')}answer/"
        return seconds

    def _come_in(self) -> None:
        """A new person agrees, and is given the first pairs."""
        self.agree()
        # The questions on the scale, of either mode.
        understood = "badge=low&nothing_left=high&original_tells=high"
        instructions = self.answer_path.replace("/answer/", "/instructions/")
        self._request("POST", instructions, understood, "application/x-www-form-urlencoded", status=302)
        self._take_turn([], shown=[])
        if not self.leases:
            raise NoPlace("a new person was given no pair")

    def _take_turn(self, answers: list[dict[str, Any]], *, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The request of the rating page, which by then shows the next pair."""
        body = json.dumps({"answers": answers, "painted": shown[0]["assignment"] if shown else None})
        _, content = self._request("POST", self.answer_path, body, "application/json")
        turn = json.loads(content)
        self.leases = turn["leases"]
        return list(turn["acknowledgements"])

    def _look(self, tally: Tally) -> None:
        """Fetch the pictures of the pairs that are new."""
        new = [lease for lease in self.leases if lease["assignment"] not in self.seen] if self.sees_pictures else []
        for lease in new:
            self.seen.add(lease["assignment"])
            for picture in lease["pictures"]:
                begun = perf_counter()
                _, content = self._request("GET", picture["url"])
                tally.pictures.append(perf_counter() - begun)
                if not (content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")):
                    raise Unexpected(f"{picture['url']} is not a whole JPEG")

    def _request(
        self, method: str, path: str, body: str | None = None, content_type: str = "", *, status: int = 200
    ) -> tuple[HTTPResponse, bytes]:
        headers = HEADERS | {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers |= {"Content-Type": content_type, "X-CSRFToken": self.cookies["csrftoken"]}
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        content = response.read()
        if response.status != status:
            is_full = response.status == 409 and path == self.join_path  # others were faster
            kind = Unavailable if response.status >= 500 else NoPlace if is_full else Unexpected
            raise kind(f"{method} {path}: {response.status} instead of {status}: {content[:200]!r}")
        for line in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: cookie.value for name, cookie in SimpleCookie(line).items()}
        return response, content


def rate_together(annotators: list[Annotator], seconds: float, *, pause: float = 0, over: Event | None = None) -> Tally:
    """All of them at once, a thread each."""
    total = Tally()
    with ThreadPoolExecutor(len(annotators)) as threads:
        for tally in threads.map(lambda annotator: annotator.rate(seconds, pause=pause, over=over), annotators):
            total.add(tally)
    return total
