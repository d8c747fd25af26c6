"""The commands of `manage.py`, one after another in a process that stays: each costs what it does, without the second
that Django takes to start. Reads the arguments of one from each line and answers with its status, words and complaints.
"""

import contextlib
import io
import json
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from django.core.management import execute_from_command_line
from django.db import connections

ROOT = Path(__file__).resolve().parents[2]


class Commands:
    """The other end of such a process. It ends with whoever has started it."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.browser.commands"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)

    def run(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        status, said, complained = json.loads(self.process.stdout.readline())
        return status, said, complained

    def end(self) -> None:
        self.process.communicate()


def run(arguments: list[str]) -> tuple[int, str, str]:
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        status = _status(arguments)
    connections.close_all()
    return status, said.getvalue(), complained.getvalue()


def _status(arguments: list[str]) -> int:
    try:
        execute_from_command_line(["manage.py", *arguments])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001  as Python itself at the edge of a process
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)  # noqa: T201
