"""Several people, tabs or workers that do something at the same moment."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each act returns, all begun at the same moment, each on a connection of its own."""
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait()
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as people:
        return [each.result() for each in [people.submit(run, act) for act in acts]]


class Moment:
    """Act once, on a connection of its own, before the n-th statement that this connection executes outside of any
    transaction: to act inside one would be to wait for it."""

    def __init__(self, n: int, act: Callable[[], Any]) -> None:
        self.n_left, self.act, self.has_come = n, act, False

    def __enter__(self) -> "Moment":
        self._watch = connection.execute_wrapper(self._before)
        self._watch.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._watch.__exit__(*error)

    def _before(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        is_outside = not connection.in_atomic_block and not sql.startswith("BEGIN")
        if not self.has_come and is_outside:
            self.n_left -= 1
            if self.n_left < 0:
                self.has_come = True
                at_once(self.act)
        return execute(sql, params, many, context)


@contextmanager
def meanwhile(statement: str, act: Callable[[], Any], *, after: bool = False) -> Iterator[None]:
    """Act on this connection each time that such a statement is about to be executed, or has been: what comes between.

    What the act itself asks of the database does not count.
    """
    is_acting = False

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal is_acting
        if is_acting or statement not in sql:
            return execute(sql, params, many, context)
        result = execute(sql, params, many, context) if after else None
        is_acting = True
        try:
            act()
        finally:
            is_acting = False
        return result if after else execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield
