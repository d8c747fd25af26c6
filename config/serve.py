"""Web server and worker together, for one machine: `python -m config.serve`. Ctrl-C stops both."""

import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

HOST = "127.0.0.1"
STOP_WITHIN_SECONDS = 10
LOOK_EVERY_SECONDS = 2


def web_command(port: int) -> list[str]:
    # One web process: on SQLite its threads take turns at writing (config/sqlite).
    options = ["--interface", "wsgi", "--host", HOST, "--port", str(port), "--workers", "1", "--blocking-threads", "8"]
    return [sys.executable, "-m", "granian", *options, "--log-level", "error", "config.wsgi:application"]


WORKER_COMMAND = [sys.executable, "manage.py", "work"]


def started(command: list[str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process alone, which then stops its children in order.
    return subprocess.Popen(command, start_new_session=True)  # noqa: S603


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def main() -> int:
    port = int(os.environ.get("PORT", "8000"))
    if not is_free(port):
        print(f"Port {port} is taken. Stop what uses it, or choose another: PORT=8001 make demo")  # noqa: T201
        return 1

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for wish in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell starts background commands with it ignored
        signal.signal(wish, stop)
    web, worker = started(web_command(port)), started(WORKER_COMMAND)
    try:
        print("\nRunning; Ctrl-C stops web server and worker.", flush=True)  # noqa: T201
        while web.poll() is None:
            time.sleep(LOOK_EVERY_SECONDS)
            if worker.poll() is not None:
                print("The worker ended; starting it again.", flush=True)  # noqa: T201
                worker = started(WORKER_COMMAND)  # rating goes on meanwhile, and its job is taken up again
        print("The web server ended; stopping the worker.")  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        stop_children(web, worker)


def stop_children(*children: subprocess.Popen[bytes]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(STOP_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
