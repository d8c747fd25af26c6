"""The machine a figure belongs to, and the processor time of a tree of processes (Linux)."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")  # of processor time in a second


def cpu_seconds(root: int) -> float:
    """User and system time of a process and its descendants, of ended ones too, in steps of 10 ms."""
    stats = {int(path.name): _stat(path) for path in PROC.iterdir() if path.name.isdigit()}
    tree = {root}
    while more := {pid for pid, stat in stats.items() if stat and int(stat[1]) in tree} - tree:
        tree |= more
    # Times of a process itself (11, 12) and of the children it has seen end (13, 14).
    return sum(int(field) for pid in tree if (stat := stats.get(pid)) for field in stat[11:15]) / TICKS


def children(pid: int) -> list[int]:
    listed = (PROC / str(pid)).glob("task/*/children")
    return [int(child) for file in listed for child in file.read_text().split()]


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is more than a line that nobody has read yet."""
    return bool(stat := _stat(PROC / str(pid))) and stat[0] != "Z"


def parent(pid: int) -> int:
    """The parent process. Raises when this machine has no such process."""
    if stat := _stat(PROC / str(pid)):
        return int(stat[1])
    raise SystemExit(f"Process {pid} is not on this machine, so its processor time cannot be measured.")


def _stat(process: Path) -> list[str]:
    """The fields after the command's name, as `man 5 proc` lists them from the third; empty when it has ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def machine() -> str:
    model = _line_after("model name", PROC / "cpuinfo")
    memory = int(_line_after("MemTotal", PROC / "meminfo").split()[0]) / 1024**2
    return f"{len(os.sched_getaffinity(0))} cores ({model}), {memory:.0f} GiB memory, Linux {platform.release()}"


def memory_mb() -> float:
    """The most memory that this process has held so far: VmHWM."""
    return int(_line_after("VmHWM", PROC / "self" / "status").split()[0]) * 1024 / 1e6


def _line_after(name: str, file: Path) -> str:
    lines = [line.partition(":")[2].strip() for line in file.read_text().splitlines() if line.startswith(name)]
    return lines[0] if lines else "unknown"


def versions(database: str) -> str:
    packages = [f"{name} {version(name)}" for name in ("Django", "waitress")]
    return ", ".join([f"Python {platform.python_version()}", *packages, database])
