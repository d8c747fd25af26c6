"""The training loop, in plain sight. The modes differ in their data; the loop does not ask."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from scoring.perceptanon.checkpoint import State, load_state, save_state
from scoring.perceptanon.data import Draw, Examples, augmented, draw, normalised, seed_of
from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.networks import PerceptAnon
from scoring.recipe import Recipe
from scoring.states import newest_state

STEP_EPOCHS = 10  # of the schedule `step`, which then goes on with a tenth of the rate
Step = tuple[tuple[torch.Tensor, ...], torch.Tensor]  # pictures ready for the network, and targets


def train(
    net: PerceptAnon,
    parts: dict[str, Examples],
    recipe: Recipe,
    folder: Path,
    *,
    origin: dict[str, str],
    device: torch.device,
    say: Callable[[str], None],
) -> State:
    """Train to the last epoch, from the newest state in the folder if there is one.

    After each epoch its state is kept and its line stands in epochs.jsonl. Raises CannotTrain.
    """
    optimizer = _optimizer(net, recipe)
    state = State(origin)
    if found := newest_state(folder):
        state = load_state(found, net, optimizer, origin)
        say(f"going on after epoch {len(state.epochs)}")
    lines = folder / "epochs.jsonl"
    lines.write_text("".join(f"{json.dumps(epoch)}\n" for epoch in state.epochs))
    for number in range(len(state.epochs) + 1, recipe.epochs + 1):
        epoch = _one_epoch(net, parts, recipe, number, optimizer, device)
        state = state.after(epoch)
        save_state(folder, state, net, optimizer)
        with lines.open("a") as file:
            file.write(f"{json.dumps(epoch)}\n")
        say(f"epoch {number} of {recipe.epochs}: train {epoch['train_loss']:.5f}, val {epoch['val_loss']:.5f}")
    return state


def _one_epoch(
    net: PerceptAnon,
    parts: dict[str, Examples],
    recipe: Recipe,
    number: int,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> dict[str, Any]:
    started, rate = time.monotonic(), learning_rate(recipe, number)
    torch.manual_seed(seed_of(recipe, number))  # dropout: after an interruption the same as without
    for group in optimizer.param_groups:
        group["lr"] = rate
    chance = draw(recipe, number, len(parts["train"]))
    loss_of = functional.cross_entropy if recipe.is_classification else _squared_error
    try:
        train_loss = mean_loss(net, training_steps(parts["train"], chance, device), loss_of, optimizer)
        val_loss = mean_loss(net, steps(parts["val"], device), loss_of)
    except NotFinite as error:
        raise CannotTrain(
            f"The loss became {error} in epoch {number}: the training has diverged. Lower the learning rate "
            f"(it was {rate:g}) and run again."
        ) from error
    seconds = round(time.monotonic() - started, 3)
    return {"epoch": number, "train_loss": train_loss, "val_loss": val_loss, "lr": rate, "seconds": seconds}


class NotFinite(ArithmeticError):
    """A loss is infinite or not a number."""


def mean_loss(
    net: nn.Module,
    batches: Iterable[Step],
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    optimizer: torch.optim.Optimizer | None = None,
) -> float:
    """One pass over the data, the mean over its rows: trains when given an optimizer, only measures when not.

    Raises NotFinite before a step is taken on such a loss.
    """
    net.train(optimizer is not None)
    total = seen = 0.0
    with torch.set_grad_enabled(optimizer is not None):
        for images, targets in batches:
            loss = loss_of(net(*images), targets)
            if not math.isfinite(value := loss.item()):
                raise NotFinite(str(value))
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += value * len(targets)
            seen += len(targets)
    return total / seen


def training_steps(examples: Examples, chance: Draw, device: torch.device) -> Iterator[Step]:
    """Batches in the order of the draw, each stream flipped and turned as it says."""
    for batch in examples.batches(chance.order):
        streams = (
            augmented(
                images.to(device).float(),
                chance.flipped[batch.rows, stream].to(device),
                chance.degrees[batch.rows, stream].to(device),
            )
            for stream, images in enumerate(batch.images)
        )
        yield tuple(normalised(images) for images in streams), batch.targets.to(device)


def steps(examples: Examples, device: torch.device) -> Iterator[Step]:
    """Batches in the rows' own order, as they are."""
    for batch in examples.batches():
        yield tuple(normalised(images.to(device).float()) for images in batch.images), batch.targets.to(device)


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The rate in an epoch, counted from 1: a half cosine down to 0 after the last, or a tenth every ten."""
    if recipe.schedule == "cosine":
        return recipe.lr * (1 + math.cos(math.pi * (epoch - 1) / recipe.epochs)) / 2
    return recipe.lr * 0.1 ** ((epoch - 1) // STEP_EPOCHS)


def _optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), **common)
    return torch.optim.SGD(net.parameters(), momentum=recipe.momentum, **common)


def _squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(outputs[:, 0], targets)
