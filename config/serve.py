"""Web server and workers together, for one machine: `python -m config.serve`. Ctrl-C stops them all."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

HOST = "127.0.0.1"
STOP_WITHIN_SECONDS = 10
LOOK_EVERY_SECONDS = 0.5
SETTLED_AFTER_SECONDS = 10  # a web server that ends sooner would end again: whoever started it should know


def web_command(port: int) -> list[str]:
    return [sys.executable, "-m", "config.web", "--host", HOST, "--port", str(port)]


# One worker a lane: an import or a freeze does not wait until a training has ended.
WORKER_COMMANDS = [[sys.executable, "manage.py", "work", "--lane", lane] for lane in ("short", "train")]


def started(command: list[str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process alone, which then stops its children in order.
    child = [sys.executable, "-m", "config.child", str(os.getpid()), *command]
    return subprocess.Popen(child, start_new_session=True)  # noqa: S603


def wanted_port() -> int:
    given = os.environ.get("PORT", "8000")
    if not (given.isdecimal() and len(given) <= 5 and 1 <= int(given) <= 65_535):
        sys.exit(f"PORT must be a number from 1 to 65535; it is {given!r}.")
    return int(given)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def stop_on_signals() -> None:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for wish in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell starts background commands with it ignored
        signal.signal(wish, stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # the terminal was closed; nohup asks to go on then
        signal.signal(signal.SIGHUP, stop)


def main() -> int:
    port = wanted_port()
    if not is_free(port):
        print(f"Port {port} is taken. Stop what uses it, or choose another: PORT=8001 make demo")  # noqa: T201
        return 1
    stop_on_signals()
    web, workers = started(web_command(port)), [started(command) for command in WORKER_COMMANDS]
    since = time.monotonic()
    try:
        print("\nRunning; Ctrl-C stops web server and workers.", flush=True)  # noqa: T201
        while web.poll() is None or time.monotonic() - since > SETTLED_AFTER_SECONDS:
            if web.poll() is not None:
                print("The web server ended; starting it again.", flush=True)  # noqa: T201
                stop_children(web)  # what it has started may have outlived it, and would keep the port
                web, since = started(web_command(port)), time.monotonic()
            time.sleep(LOOK_EVERY_SECONDS)
            for n, command in enumerate(WORKER_COMMANDS):
                if workers[n].poll() is not None:
                    print("A worker ended; starting it again.", flush=True)  # noqa: T201
                    workers[n] = started(command)  # rating goes on meanwhile, and its job is taken up again
        print("The web server ended; stopping the workers.")  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        stop_children(web, *workers)


def stop_children(*children: subprocess.Popen[bytes]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_WITHIN_SECONDS)
        with suppress(ProcessLookupError):  # the rule; else it did not stop, or what it had started outlives it
            os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
