"""One training at a time on a device: two would share its memory until one of them finds none left."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname

import torch


@contextmanager
def turn_on(device: torch.device, locks: Path | None, say: Callable[[str], None]) -> Iterator[None]:
    """Have the device alone among all that name the same folder of locks, and wait until then.

    The lock is the process's own: the system takes it away when the process ends, whatever ended it.
    """
    if locks is None:
        yield
        return
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f"{_name(device)}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {device}, on which another training runs")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _name(device: torch.device) -> str:
    """A GPU's own number: hosts may share the folder, and CUDA_VISIBLE_DEVICES lets each process count from 0."""
    if device.type == "cuda":
        return f"gpu-{torch.cuda.get_device_properties(device).uuid}"
    return f"{device.type}-{gethostname()}"
