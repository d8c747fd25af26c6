"""The web server of one process: `python -m config.web`. SIGTERM stops it when what it has begun is answered.

One thread of waitress talks with all connections: it takes each request in whole, and sends what was answered as fast
as that is read, by way of the disk where it is much. The threads that answer so wait for nobody's line, see
docs/decisions/0010-no-thread-waits-for-a-line.md.
"""

import resource
import select
import signal
import socket
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from copy import copy
from types import FrameType
from typing import Any

from django.conf import settings
from django.http import parse_cookie
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask

from config.known import is_known

N_THREADS = 8
MOST_CONNECTIONS = 2000  # at a time; further ones wait to be accepted
SILENT_SECONDS = 60
SEND_BUFFER = 256 * 1024  # bytes that the kernel takes of an answer at a time; each try to send reads as much
SENT_AT_ONCE = 16 * 1024  # bytes that are waited for before the first is sent: head and body of a short answer
STOP_WITHIN_SECONDS = 8  # of what is being answered; config.serve waits a little longer
ROUND_AN_UPLOAD = 1024 * 1024  # bytes of the form around a file


class Request(HTTPRequestParser):
    """More than a form may be sent only where somebody has logged in, and only to a page that takes files.

    All of it lies on our disk before the page is asked.
    """

    adj: Any

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        strangers = self.adj.of_strangers
        is_long = self.chunked or self.content_length >= strangers.max_request_body_size
        if is_long and not (self.adj.is_for_files(self.path) and self._is_known()):
            self.adj = strangers
        if self.content_length >= self.adj.max_request_body_size:
            self.expect_continue = False  # it is refused as it is

    def _is_known(self) -> bool:
        return is_known(parse_cookie(self.headers.get("COOKIE", "")))


class Task(WSGITask):
    def finish(self) -> None:
        """Sends what the line takes at once: a short answer then costs the thread of the connections no turn."""
        super().finish()
        with self.channel.outbuf_lock:
            self.channel._flush_exception(self.channel._flush_some, do_close=False)


class Channel(HTTPChannel):
    parser_class = Request
    task_class = Task

    @property
    def is_at_work(self) -> bool:
        """Whether somebody waits for an answer, or for the rest of one."""
        return bool(self.requests or self.total_outbufs_len)

    def add_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002
        super().add_channel(map)
        self.server.changed.add(self._fileno)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002
        self.server.forget(self._fileno)
        super().del_channel(map)


class Server(TcpWSGIServer):
    """Tells the kernel what it waits for on a line when that changes, not of all lines anew for each event.

    So hundreds of silent ones cost as much as none.
    """

    channel_class = Channel

    def __init__(self, *given: Any, **named: Any) -> None:
        self._kernel, self._asked = select.epoll(), dict[int, int]()
        self.changed = set[int]()
        self._busy = set[Channel]()  # threads that answer change what these wait for, and then wake us
        super().__init__(*given, **named)
        self.changed.update(self._map)

    def set_reuse_addr(self) -> None:
        super().set_reuse_addr()
        if self.adj.shares_port:  # the kernel deals connections out among the processes
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def add_task(self, task: Channel) -> None:
        self._busy.add(task)
        super().add_task(task)

    def maintenance(self, now: float) -> None:
        """Closes silent connections; those too whose answer is so long that a thread waits for it to be read."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if channel.total_outbufs_len and channel.last_activity < now - self.adj.channel_timeout:
                channel.will_close = True
        self.changed.update(self.active_channels)

    def run_until(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            self._turn(seconds=1)

    def _turn(self, seconds: float) -> None:
        if self._fileno in self._map:  # the door, which keeps the time of `maintenance`
            self._ask(self._fileno, self)
        for channel in list(self._busy):
            if not channel.requests:  # asked first: what follows is then how the thread has left it
                self._busy.discard(channel)
            self.changed.add(channel._fileno)
        for fd in self.changed:
            if line := self._map.get(fd):
                self._ask(fd, line)
        self.changed.clear()
        for fd, events in self._kernel.poll(seconds):
            if line := self._map.get(fd):
                self.changed.add(fd)
                wasyncore.readwrite(line, events)

    def _ask(self, fd: int, line: Any) -> None:
        wanted = (select.EPOLLIN | select.EPOLLPRI) if line.readable() else 0
        if line.writable() and not line.accepting:
            wanted |= select.EPOLLOUT
        before = self._asked.get(fd, 0)
        if wanted == before:
            return
        if not wanted:
            self._kernel.unregister(fd)
        elif before:
            self._kernel.modify(fd, wanted)
        else:
            self._kernel.register(fd, wanted)
        self._asked[fd] = wanted

    def forget(self, fd: int) -> None:
        """It is about to be closed, and another line may get its number."""
        if self._asked.pop(fd, 0):
            self._kernel.unregister(fd)

    def stop(self) -> None:
        """Takes nobody in any more, answers what has come whole, and ends."""
        self.forget(self._fileno)
        wasyncore.dispatcher.close(self)  # the door alone; what wakes this loop stays open
        until = time.monotonic() + STOP_WITHIN_SECONDS
        self.run_until(
            lambda: time.monotonic() > until or not any(channel.is_at_work for channel in self.active_channels.values())
        )
        self.task_dispatcher.shutdown(timeout=1)


def adjustments(chosen: Namespace, is_for_files: Callable[[str], bool]) -> Adjustments:
    made = Adjustments(
        host=chosen.host,
        port=chosen.port,
        threads=N_THREADS,
        connection_limit=MOST_CONNECTIONS,
        channel_timeout=chosen.silent_seconds,
        cleanup_interval=min(5, chosen.silent_seconds),
        max_request_body_size=settings.UPLOAD_MAX_BYTES + ROUND_AN_UPLOAD,
        send_bytes=SENT_AT_ONCE,
        clear_untrusted_proxy_headers=False,  # datasets.visitors says what of them is believed
        ident=None,
    )
    made.socket_options = [*made.socket_options, (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)]
    made.shares_port, made.is_for_files = chosen.share_port, is_for_files
    made.of_strangers = copy(made)
    made.of_strangers.max_request_body_size = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1  # waitress means: less than
    return made


def main() -> None:
    parser = ArgumentParser(prog="python -m config.web", description="Answer requests until SIGTERM.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--share-port", action="store_true", help="with other processes that are told the same")
    parser.add_argument(
        "--silent-seconds", type=int, default=SILENT_SECONDS, help="after which a silent connection is closed"
    )
    chosen = parser.parse_args()
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each connection is one, or two
    from config.wsgi import application  # it sets Django up, and checks that this host is the site's
    from datasets.uploads import is_for_files

    server = Server(application, adj=adjustments(chosen, is_for_files))
    is_told_to_stop = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal is_told_to_stop
        is_told_to_stop = True
        server.pull_trigger()

    for wish in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wish, stop)
    server.run_until(lambda: is_told_to_stop)
    server.stop()


if __name__ == "__main__":
    main()
