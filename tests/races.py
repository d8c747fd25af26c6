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
