import logging
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, close_old_connections, connection
from django.utils.crypto import get_random_string
from django_tasks_db.management.commands.db_worker import Worker

from datasets import jobs, workers
from datasets.hosts import check_in
from datasets.telling import TellingCommand

log = logging.getLogger(__name__)
REAP_EVERY_SECONDS = 2.0
SignalHandler = Callable[[int, FrameType | None], None]


def every(seconds: float, verb: Callable[[], None]) -> None:
    """Call the verb again and again from a daemon thread; whatever fails is tried again."""

    def repeat() -> None:
        while True:
            try:
                verb()
            except DatabaseError as error:  # away for a moment; a traceback each time would say no more
                log.warning("%s failed, trying again: %s", verb.__name__, " ".join(str(error).split()))
                connection.close()
            except Exception:  # the edge of a thread: a database or queue that is away must not end it for ever
                log.exception("%s failed, trying again", verb.__name__)
                connection.close()
            close_old_connections()
            pause.wait(seconds)

    pause = threading.Event()
    threading.Thread(target=repeat, name=verb.__name__, daemon=True).start()


class Command(TellingCommand):
    help = "Do background jobs: imports, freezes, exports, training. Run as many workers as you like."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--lane", action="append", choices=settings.LANES, help="only these lanes (default: all)")

    def handle(self, *args: Any, lane: list[str] | None, **options: Any) -> None:
        logging.getLogger("datasets").setLevel(logging.INFO)
        lanes = lane or list(settings.LANES)
        try:
            check_in()
            with there(lanes):
                every(REAP_EVERY_SECONDS, jobs.reap)
                for verb, seconds in jobs.repeated.items():
                    every(seconds, verb)
                take_tickets(lanes)
        except DatabaseError as error:
            raise CommandError(f"The database is away: {error}. Start the worker again.") from error


@contextmanager
def there(lanes: list[str]) -> Iterator[None]:
    """Let others see this worker, as long as the block lasts and this process lives."""
    worker = workers.appear(lanes)

    def say_there() -> None:
        workers.say_there(worker)

    every(workers.SAY_EVERY_SECONDS, say_there)
    try:
        yield
    finally:
        with suppress(DatabaseError):  # it is away: the row says by its age that nobody is there
            workers.leave(worker)


def take_tickets(lanes: list[str]) -> None:
    worker = Worker(
        queue_names=lanes,
        interval=0.5,
        batch=False,
        backend_name="default",
        startup_delay=False,
        max_tasks=None,
        worker_id=get_random_string(32),
        excluded_queue_names=[],
    )
    worker.configure_signals()
    for wish in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wish, telling_long_jobs(worker.shutdown))
    worker.run()


def telling_long_jobs(shutdown: SignalHandler) -> SignalHandler:
    """The queue's worker stops after its present job. One that takes hours goes back to the queue instead."""

    def stop(signum: int, frame: FrameType | None) -> None:
        jobs.stopping.set()
        shutdown(signum, frame)

    return stop
