"""What a training leaves on disk: after each epoch the state to go on from, at the end the model.

A state is a folder `epoch-0007` that appears by rename, whole or not at all:

network.safetensors    the weights after that epoch
optimizer.safetensors  the optimizer's memory, by parameter and name
best.safetensors       the weights of the epoch with the lowest validation loss so far
state.json             what belongs to which recipe and labels, and the epochs so far

No generator's state is kept: what chance decides depends on the seed and the epoch alone.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.networks import PerceptAnon
from scoring.states import newest_state, state_name


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file to, which then takes its name: nobody ever reads half of one."""
    draft = path.with_name(f".{path.name}.draft")
    yield draft
    draft.replace(path)


def write_json(path: Path, content: Any) -> None:
    with replacing(path) as draft:
        draft.write_text(json.dumps(content, indent=2) + "\n")


@dataclass(frozen=True)
class State:
    """How far a training has come. `origin` names what it was trained from: SHA-256 of recipe and labels."""

    origin: dict[str, str]
    epochs: list[dict[str, Any]] = field(default_factory=list)  # one per epoch, as in epochs.jsonl

    @property
    def best(self) -> dict[str, Any]:
        """The epoch with the lowest validation loss, the first of equals."""
        return min(self.epochs, key=lambda epoch: float(epoch["val_loss"]))

    def after(self, epoch: dict[str, Any]) -> "State":
        return replace(self, epochs=[*self.epochs, epoch])


def save_state(folder: Path, state: State, net: PerceptAnon, optimizer: torch.optim.Optimizer) -> None:
    """Write the state after the last of its epochs, then remove the one before."""
    number = len(state.epochs)
    draft = folder / f".{state_name(number)}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    before = newest_state(folder)
    _save(net.core.state_dict(), draft / "network.safetensors")
    _save(dict(_flat(optimizer)), draft / "optimizer.safetensors")
    is_best = state.best is state.epochs[-1]
    best = draft / "network.safetensors" if before is None or is_best else before / "best.safetensors"
    os.link(best, draft / "best.safetensors")
    write_json(draft / "state.json", asdict(state))
    draft.rename(folder / state_name(number))
    for old in folder.glob("epoch-*"):
        if old.name != state_name(number):
            # Under another name first: whoever takes it over meanwhile gets all of it or none.
            shutil.rmtree(old.rename(folder / f".{old.name}.old"))


def load_state(path: Path, net: PerceptAnon, optimizer: torch.optim.Optimizer, origin: dict[str, str]) -> State:
    """Go on from a state: fills net and optimizer. Raises CannotTrain if it is of another recipe or other labels."""
    state = State(**json.loads((path / "state.json").read_text()))
    if state.origin != origin:
        raise CannotTrain(
            f"{path} belongs to another recipe or other labels. Delete the epoch-* folders to start from the beginning."
        )
    net.core.load_state_dict(load_file(path / "network.safetensors"))
    _fill(optimizer, load_file(path / "optimizer.safetensors"))
    return state


def save_model(folder: Path, state: Path, meta: dict[str, Any]) -> None:
    """The weights of the best epoch as `model.safetensors`, and what they are as `meta.json`."""
    with replacing(folder / "model.safetensors") as draft:
        shutil.copyfile(state / "best.safetensors", draft)
    write_json(folder / "meta.json", meta | {"sha256": sha256_of(folder / "model.safetensors")})


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def _flat(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
    """The optimizer's tensors (momentum, moments, step) named `PARAMETER.NAME`."""
    for parameter, memory in optimizer.state_dict()["state"].items():
        for name, value in memory.items():
            if value is not None:
                yield f"{parameter}.{name}", torch.as_tensor(value)


def _fill(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    memory: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        parameter, _, name = key.partition(".")
        memory.setdefault(int(parameter), {})[name] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": memory})
