"""What a training may take of the host's memory: it is told beforehand what does not fit, and is the first to die."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path

import torch

from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.networks import PerceptAnon
from scoring.recipe import Recipe

# What torch says on a CPU; on a GPU it has an exception of its own.
_WORDS = ("can't allocate memory", "Cannot allocate memory", "not enough memory", "can't start new thread")


def first_to_die() -> None:
    """Where the host runs out of memory the kernel ends this process, not one that answers people."""
    with suppress(OSError):  # no Linux
        Path("/proc/self/oom_score_adj").write_text("1000")


def limit_memory(n_bytes: int) -> None:
    """No more than this for what the process computes with; beyond it an allocation fails, and nothing is killed."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, most))


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


@contextmanager
def told_in_words(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Raises CannotTrain where memory is too small for what is done within."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise CannotTrain(
            f"This recipe does not fit into the memory of {device}: {recipe.batch_size} pairs at a time of "
            f"{recipe.size} pixels, {recipe.backbone}. Halve the batch size, or take smaller pictures or a smaller "
            "network."
        ) from error


def check_fits(net: PerceptAnon, recipe: Recipe, n_rows: int, device: torch.device) -> None:
    """One step on a copy of the network with as many empty pictures as a batch has: all that a later one takes too.

    Raises what torch raises where memory is too small.
    """
    n = min(recipe.batch_size, n_rows)
    if n < 2:  # which batch normalization would refuse, in words of its own
        return
    copy = deepcopy(net).train()
    streams = 2 if recipe.mode == "HA2" else 1
    images = [torch.zeros(n, 3, recipe.size, recipe.size, device=device) for _ in range(streams)]
    optimizer = torch.optim.SGD(copy.parameters(), lr=0.0, momentum=0.9)
    copy(*images).sum().backward()
    optimizer.step()
    del copy, images, optimizer
    if device.type == "cuda":
        torch.cuda.empty_cache()
