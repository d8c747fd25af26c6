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


def commands(port: int) -> list[list[str]]:
    # One web process: on SQLite its threads take turns at writing (config/sqlite).
    web = ["--interface", "wsgi", "--host", HOST, "--port", str(port), "--workers", "1", "--blocking-threads", "8"]
    return [
        [sys.executable, "-m", "granian", *web, "--log-level", "error", "config.wsgi:application"],
        [sys.executable, "manage.py", "work"],
    ]


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

    signal.signal(signal.SIGTERM, stop)
    # Sessions of their own: Ctrl-C reaches this process alone, which then stops both in order.
    children = [subprocess.Popen(command, start_new_session=True) for command in commands(port)]  # noqa: S603
    try:
        print("\nRunning; Ctrl-C stops web server and worker.", flush=True)  # noqa: T201
        while all(child.poll() is None for child in children):
            time.sleep(0.2)
        print("Web server or worker ended by itself; stopping the other.")  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(STOP_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
