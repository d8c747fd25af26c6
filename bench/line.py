"""A line to the site that takes its time: every byte arrives later, in both directions."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from bench.site import free_port

CHUNK = 65_536
CUT = (ConnectionError, asyncio.IncompleteReadError)  # a browser drops connections as it likes


@contextmanager
def slow_line(port: int, *, one_way: float) -> Iterator[int]:
    """The port of a line to `port` that adds `one_way` seconds in each direction; opening it takes both."""
    listening, loop = free_port(), asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    opened = asyncio.start_server(lambda *near: _connect(*near, port, one_way), "127.0.0.1", listening)
    server = asyncio.run_coroutine_threadsafe(opened, loop).result()
    try:
        yield listening
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _connect(reader: StreamReader, writer: StreamWriter, port: int, one_way: float) -> None:
    await asyncio.sleep(2 * one_way)  # the handshake, there and back
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_carry(reader, far_writer, one_way), _carry(far_reader, writer, one_way))


async def _carry(reader: StreamReader, writer: StreamWriter, one_way: float) -> None:
    """Read on while earlier bytes are still on their way: the line is slow to arrive, not narrow."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    arriving = asyncio.create_task(_arrive(under_way, writer))
    data = b"first"
    while data:
        try:
            data = await reader.read(CHUNK)
        except CUT:
            data = b""
        under_way.put_nowait((asyncio.get_running_loop().time() + one_way, data))
    await arriving


async def _arrive(under_way: asyncio.Queue[tuple[float, bytes]], writer: StreamWriter) -> None:
    with suppress(*CUT):
        while (last := await under_way.get())[1]:
            await asyncio.sleep(max(0, last[0] - asyncio.get_running_loop().time()))
            writer.write(last[1])
            await writer.drain()
    writer.close()
