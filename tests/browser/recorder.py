"""A proxy between a browser and the site that keeps all that passes, as it is on the wire, whatever the page does."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.browser.conftest import Site

LEASES = re.compile(rb'<script id="leases" type="application/json">(.*?)</script>', re.DOTALL)
# Of one connection each; and static files come as they are rather than compressed.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "accept-encoding"}


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return ", ".join(value for each, value in self.headers if each.lower() == name.lower())

    def named(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    @property
    def sent(self) -> bytes:
        """Head and body, without the address that was asked for, which may come back."""
        head = f"{self.status} {self.headers}".encode()
        return (head + b"\n" + self.body).replace(self.path.encode(), b"ASKED")


@dataclass
class Recording:
    """Of one person's line: the site as that person's browser reaches it, and what came from there."""

    site: Site
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.site.url

    def of(self, end: str) -> list[Exchange]:
        """What came from addresses that end so."""
        return [each for each in self.exchanges if each.path.endswith(end)]

    def turns(self) -> list[dict[str, Any]]:
        """What the answering protocol has replied."""
        return [json.loads(each.body) for each in self.of("/answer/") if each.status == 200]

    def leases(self) -> dict[str, dict[str, Any]]:
        """Every lease by its assignment: those that came with a page, and those in the replies."""
        came = [lists for each in self.exchanges for lists in LEASES.findall(each.body)]
        lists = [*map(json.loads, came), *(turn["leases"] for turn in self.turns())]
        return {lease["assignment"]: lease for leases in lists for lease in leases}


@contextmanager
def recorded(site: Site) -> Iterator[Recording]:
    recording = Recording(site)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            line = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
            line.request(self.command, self.path, body, asked)
            reply = line.getresponse()
            content = reply.read()
            line.close()
            headers = tuple((name, value) for name, value in reply.getheaders() if name.lower() not in HOP_BY_HOP)
            recording.exchanges.append(Exchange(self.command, self.path, reply.status, headers, content))
            self.answer(reply.status, headers, content)

        def answer(self, status: int, headers: tuple[tuple[str, str], ...], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

        do_GET = do_POST = forward  # noqa: N815  as http.server looks for them

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    recording.site = replace(site, port=server.server_port)
    try:
        yield recording
    finally:
        server.shutdown()
        server.server_close()
