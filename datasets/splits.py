"""Which part of a data set a pair belongs to.

The versions of one original look alike. Split by row, some of them are trained on and others tested on: the network
recognises the original, and the test says more than is true. So a whole group (the original's hash, or a person's
label) goes to one part. A group's part depends on its name and the seed alone, not on what else is in the release:
as a release grows, no group that was once tested on is ever trained on.
"""

from collections.abc import Iterable
from hashlib import sha256

SEED = 42
ENDS = {"train": 60, "val": 80, "test": 100}  # percent, cumulative: 60/20/20


def part_of(group: str, *, seed: int = SEED) -> str:
    """`train`, `val` or `test`, the same for ever: a change here would leak test groups into training."""
    digest = sha256(f"{seed}:{group}".encode()).digest()
    place = int.from_bytes(digest) % 100  # of 2^256: the remainder's bias is nil
    return next(part for part, end in ENDS.items() if place < end)


def grouped(groups: Iterable[str], *, seed: int = SEED) -> list[str]:
    """The part of each row, given the rows' groups. Shares of rows are 60/20/20 only on average, over groups."""
    return [part_of(group, seed=seed) for group in groups]
