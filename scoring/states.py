"""What worker and training agree on, without torch: states as folders, and how a training ends.

A state is a folder `epoch-0007` that appears by rename, whole or not at all.
"""

import shutil
from pathlib import Path

ORPHANED = 75  # exit status of a training that hears nothing more from its worker
DISK_FULL = 74  # exit status of one that could not write: it may not have been able to write down why, either


def state_name(epoch: int) -> str:
    return f"epoch-{epoch:04}"


def epoch_of(state: Path) -> int:
    return int(state.name.removeprefix("epoch-"))


def newest_state(folder: Path) -> Path | None:
    """The folder of the last whole epoch."""
    return max(folder.glob("epoch-*"), key=epoch_of, default=None)


def take_over_state(before: Path, folder: Path) -> bool:
    """Copy the newest state of an earlier attempt into this one's folder. False: it has none.

    The earlier attempt may not be dead yet and move on to its next epoch meanwhile: then that one is taken.
    """
    while (state := newest_state(before)) is not None:
        draft = folder / f".{state.name}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            shutil.copytree(state, draft)
        except (FileNotFoundError, shutil.Error):
            if state.exists():  # it did not move on: something else is wrong
                raise
            continue
        draft.rename(folder / state.name)
        return True
    return False
