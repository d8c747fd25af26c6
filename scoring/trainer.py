"""The training process: the folder it reads, how it is started, and what is heard of it.

Django never imports torch. A process of its own gives GPU memory back for sure, takes nothing down with it, and holds
no lock of the database while it computes.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings

from datasets import splits
from datasets.content import labels_csv
from datasets.files import media_path
from datasets.jobs import JobFailed
from datasets.models.pictures import Image
from scoring.models import TrainingRun
from scoring.states import take_over_state

LOOK_EVERY_SECONDS = 0.5  # how soon an epoch is seen, and a wish to cancel
NICE = 10  # annotators on the same machine come first
STOP_WITHIN_SECONDS = 5


def attempt_number(path: Path) -> int:
    """Of an attempt's folder, or of a file in it."""
    found = re.search(r"attempt-([0-9]+)", str(path))
    return int(found[1]) if found else 0


def prepare(run: TrainingRun, number: int) -> Path:
    """A folder for this attempt, with the state of the attempt before where it came to one whole epoch."""
    folder = media_path(run.folder) / f"attempt-{number}"
    earlier = sorted(media_path(run.folder).glob("attempt-*"), key=attempt_number)
    folder.mkdir(parents=True)
    recipe = run.parsed_recipe()
    labels = list(run.release.labels.order_by("number"))
    parts = splits.parts(labels, recipe.scheme, seed=recipe.split_seed)
    part_by_number = {label.number: part for label, part in zip(labels, parts, strict=True)}
    removed = run.release.labels.removed().values_list("number", flat=True)
    part_by_number |= dict.fromkeys(removed, splits.LEFT_OUT)
    with (folder / "labels.csv").open("wb") as file:
        for chunk in labels_csv(run.release, path_of=_path, part_of=lambda label: part_by_number[label.number]):
            file.write(chunk)
    (folder / "recipe.json").write_text(recipe.to_json())
    for before in reversed(earlier):
        if take_over_state(before, folder):
            break
    return folder


def _path(image: Image) -> str:
    """Of the display file, below MEDIA_ROOT."""
    return str(image.display.name) or "removed"


class Child:
    """A training under way in its folder."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process, self.folder = process, folder
        self._read = 0

    def is_running(self) -> bool:
        """Wait a moment; and tell the child that its worker is there, without which it ends itself."""
        if self.process.poll() is None:
            time.sleep(LOOK_EVERY_SECONDS)
            try:
                assert self.process.stdin is not None  # noqa: S101  it was started with a pipe
                self.process.stdin.write(b".")
                self.process.stdin.flush()
            except BrokenPipeError:
                self.process.wait()
        return self.process.poll() is None

    def new_epochs(self) -> list[dict[str, Any]]:
        """The lines of epochs.jsonl that are new since the last call; never half of one."""
        path = self.folder / "epochs.jsonl"
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return []
        self._read += len(whole) + 1
        return [json.loads(line) for line in whole.splitlines()]

    def reread_epochs(self) -> None:
        """From the first again: the last ones could not be stored."""
        self._read = 0

    @property
    def status(self) -> int:
        """Of the ended process; below 0 the signal that killed it."""
        return self.process.wait()

    @property
    def reason(self) -> str | None:
        """Why it could not train, where it knows."""
        path = self.folder / "failed.json"
        return str(json.loads(path.read_text())["reason"]) if path.exists() else None


@contextmanager
def training(folder: Path) -> Iterator[Child]:
    """Start the training of a prepared folder; however the block is left, no process goes on. Raises JobFailed."""
    if find_spec("torch") is None:
        raise JobFailed(
            "torch is not installed where this worker runs. Run: pip install 'perceptanon-studio[train]' there, or "
            "start the worker for the lane train on a machine that has it."
        )
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            _command(folder), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Child(process, folder)
    finally:
        _end(process)


def _command(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "scoring.perceptanon.train", str(folder)]
    command += ["--pictures", str(settings.MEDIA_ROOT), "--device", settings.TRAIN_DEVICE]
    command += ["--locks", str(settings.VAR_DIR / "locks")]
    if n_bytes := settings.TRAIN_MEMORY_BYTES or memory_for_training():
        command += ["--memory", str(n_bytes)]
    if settings.WEIGHTS_DIR:
        command += ["--weights", settings.WEIGHTS_DIR]
    # A worker that stands still as long as its lease has lost the job: nor may its child go on.
    return [*command, "--exit-when-silent", f"{settings.JOB_LEASE_SECONDS:g}", "--nice", str(NICE)]


def memory_for_training() -> int:
    """Bytes: four fifths of what this host, or the worker's control group, has at all; 0 where that cannot be told."""
    found = []
    with suppress(OSError, ValueError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):
        group = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip()
        found.append(int(Path(f"/sys/fs/cgroup{group}/memory.max").read_text()))  # "max" where there is no limit
    return min(found) * 4 // 5 if found else 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """Results appear by rename, so a training may be ended at any moment, in the middle of a step."""
    if process.stdin:
        with suppress(BrokenPipeError):
            process.stdin.close()
    process.terminate()
    try:
        process.wait(STOP_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
