"""Log-ins: how many wrong ones there may be, and how many passwords are hashed at a time.

Each try is counted before its password is hashed: for the name, for the address, for both together, and for how many
names came from the address. A browser in which somebody has logged in before is counted apart, for their name alone:
strangers cannot lock them out of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from config.known import is_known, is_known_as
from datasets.tries import Count, Limit, TooMany, give_back, look, take
from datasets.visitors import visitor_address


class Line:
    """Where threads wait for their turn to hash: one at a time, and few of them, so that the others go on answering."""

    def __init__(self, *, places: int, patience: float) -> None:
        self.patience = patience  # seconds
        self._places = BoundedSemaphore(places)
        self._turn = BoundedSemaphore(1)

    @contextmanager
    def turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise TooMany("at once", self.patience)
        try:
            if not self._turn.acquire(timeout=self.patience):
                raise TooMany("at once", self.patience)
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._places.release()


STRANGERS, KNOWN = Line(places=3, patience=2), Line(places=2, patience=2)  # of eight threads that answer


def counts_of(request: HttpRequest, name: str) -> list[Count]:
    """What a try to log in as somebody counts for."""
    if is_known(request.COOKIES) and (account := _account(name)) and is_known_as(request.COOKIES, account):
        return [Count("known", account, Limit(*settings.WRONG_PER_KNOWN_BROWSER))]
    address, name = visitor_address(request), name.casefold()
    both = Count("name and address", f"{address} {name}", Limit(*settings.WRONG_PER_NAME_AND_ADDRESS))
    return [
        both,
        Count("name", name, Limit(*settings.WRONG_PER_NAME)),
        Count("address", address, Limit(*settings.WRONG_PER_ADDRESS)),
        Count("names", address, Limit(*settings.WRONG_NAMES_PER_ADDRESS), first_of=both),
    ]


def _account(name: str) -> int | None:
    return get_user_model().objects.filter(username=name).values_list("pk", flat=True).first()


class Try:
    was_right = False


@contextmanager
def counted_try(request: HttpRequest, name: str) -> Iterator[Try]:
    """One try to prove to be somebody, by a password or a second factor: counted, unless it turns out `was_right`.

    Raises PermissionDenied where there were too many, which the page then says instead of its own words.
    """
    counts = counts_of(request, name)
    try:
        look(counts)  # whoever is locked out takes no place in the line
        with (KNOWN if len(counts) == 1 else STRANGERS).turn():
            counted = take(counts)
            tried = Try()
            yield tried
    except TooMany as refused:
        request.refused_try = refused  # type: ignore[attr-defined]
        raise PermissionDenied(str(refused)) from refused
    if tried.was_right:
        give_back(counted)


class CountedLogIns(ModelBackend):
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **others: Any
    ) -> User | None:
        if request is None or username is None or password is None:  # nobody to count it for, or nothing to look at
            return None
        with counted_try(request, username) as tried:
            user = super().authenticate(request, username, password, **others)
            tried.was_right = user is not None
        if user is None:
            raise PermissionDenied  # so that no further backend hashes it again
        return user


class TellWhy:
    """Whoever has tried too often is told so and for how long, whichever page has asked for the password."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        refused: TooMany | None = getattr(request, "refused_try", None)
        if refused is None:
            return response
        response = render(request, "locked_out.html", {"refused": refused}, status=refused.status)
        response.headers["Retry-After"] = str(refused.seconds)
        return response
