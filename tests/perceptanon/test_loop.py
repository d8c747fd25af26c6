import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from scoring.perceptanon.data import draw
from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.folder import train_folder
from scoring.perceptanon.loop import NotFinite, learning_rate, mean_loss, train, training_steps
from scoring.perceptanon.networks import network
from scoring.recipe import Recipe
from scoring.states import take_over_state
from tests.perceptanon.make import examples, folder_to_train, noise, recipe, write_recipe

CPU = torch.device("cpu")
OF_A_STATE = ("network.safetensors", "optimizer.safetensors", "best.safetensors")


def trained(folder: Path, *, until: int | None = None) -> list[str]:
    """Train on the folder, to the end or until an epoch after which somebody presses Ctrl-C; returns what was said."""
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith(f"epoch {until} of"):
            raise KeyboardInterrupt

    try:
        train_folder(folder, pictures=folder, weights=None, device="cpu", say=say)
    except KeyboardInterrupt:
        assert until is not None
    return said


def epochs(folder: Path) -> list[dict[str, float]]:
    """What epochs.jsonl says, but for the time it took."""
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def state_of(folder: Path) -> Path:
    (state,) = folder.glob("epoch-*")
    return state


def assert_ended_alike(one: Path, other: Path) -> None:
    """Bit by bit: weights, momentum, best epoch, predictions."""
    assert epochs(one) == epochs(other)
    assert state_of(one).name == state_of(other).name
    for name in OF_A_STATE:
        assert (state_of(one) / name).read_bytes() == (state_of(other) / name).read_bytes()
    for name in ("model.safetensors", "predictions.csv", "result.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


# The rate ------------------------------------------------------------------------------------------------------------


def rates_of(schedule: type[torch.optim.lr_scheduler.LRScheduler], n_epochs: int, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    scheduler, rates = schedule(optimizer, **options), []
    for _ in range(n_epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_the_rate_falls_as_torchs_cosine():
    cosine = rates_of(torch.optim.lr_scheduler.CosineAnnealingLR, 200, T_max=200)
    assert [learning_rate(Recipe(mode="HA1"), epoch) for epoch in range(1, 201)] == pytest.approx(cosine, abs=1e-12)


def test_the_rate_falls_as_torchs_step():
    steps = rates_of(torch.optim.lr_scheduler.StepLR, 35, step_size=10, gamma=0.1)
    chosen = Recipe(mode="HA1", schedule="step", epochs=35)
    assert [learning_rate(chosen, epoch) for epoch in range(1, 36)] == pytest.approx(steps)


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_each_epoch_says_the_rate_it_was_trained_at(folder, schedule):
    write_recipe(folder, schedule=schedule, epochs=3)
    trained(folder)
    chosen = recipe(schedule=schedule, epochs=3)
    assert [epoch["lr"] for epoch in epochs(folder)] == [learning_rate(chosen, epoch) for epoch in (1, 2, 3)]


# The loss ------------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_rows_however_they_fall_into_batches():
    images, targets = torch.rand(7, 1), torch.rand(7, 1)
    batches = [((images[:4],), targets[:4]), ((images[4:6],), targets[4:6]), ((images[6:],), targets[6:])]
    assert mean_loss(nn.Identity(), batches, functional.mse_loss) == pytest.approx(
        functional.mse_loss(images, targets).item()
    )


def test_measuring_changes_no_weight_and_no_statistic():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    batches = [((torch.rand(4, 3),), torch.rand(4, 1))]
    assert mean_loss(net, batches, functional.mse_loss) == mean_loss(net, batches, functional.mse_loss)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_no_step_is_taken_on_a_loss_that_is_not_finite():
    net = nn.Linear(2, 1)
    before = net.weight.detach().clone()
    with pytest.raises(NotFinite, match="inf"):
        mean_loss(
            net,
            [((torch.full((1, 2), 1e30),), torch.zeros(1, 1))],
            functional.mse_loss,
            torch.optim.SGD(net.parameters(), lr=0.1),
        )
    assert torch.equal(net.weight, before)


@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_a_training_is_the_plain_loop_that_anybody_would_write(folder, mode):
    chosen = recipe(mode=mode, batch_size=9, epochs=4, flip=False, rotation=0.0, weight_decay=0.01, lr=0.1)
    write_recipe(folder, **json.loads(chosen.to_json()))
    trained(folder)

    torch.manual_seed(chosen.seed)
    net = network(chosen)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    kinds = ["original", "anonymized"][2 - int(mode[-1]) :]

    def loss_of(pairs: list[int]) -> torch.Tensor:
        shown = [
            torch.stack([torch.tensor(np.array(Image.open(folder / kind / f"{pair}.png"))) for pair in pairs])
            for kind in kinds
        ]
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        images = [((pictures / 255 - mean) / std).permute(0, 3, 1, 2) for pictures in shown]
        return functional.mse_loss(net(*images).squeeze(1), torch.tensor([pair % 10 / 9 for pair in pairs]))

    for epoch in epochs(folder):
        net.train()
        loss = loss_of([pair for pair in range(15) if pair % 5 < 3])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        net.eval()
        assert epoch["train_loss"] == pytest.approx(loss.item(), abs=1e-5)
        assert epoch["val_loss"] == pytest.approx(loss_of([3, 8, 13]).item(), abs=1e-5)
    torch.testing.assert_close(
        load_file(state_of(folder) / "network.safetensors"), net.core.state_dict(), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("paired", [True, False])
def test_the_two_pictures_of_a_pair_are_augmented_alike_only_if_paired(tmp_path, paired):
    folder = folder_to_train(tmp_path / "run", picture=lambda pair, _: noise(pair))
    chosen = recipe(mode="HA2", paired=paired, batch_size=5)
    steps = training_steps(examples(folder, chosen), draw(chosen, 1, 9), CPU)
    assert [torch.equal(*images) for images, _ in steps] == [paired, paired]


def test_rows_are_augmented_as_drawn_whatever_batch_they_fall_into(folder):
    def shown(batch_size: int) -> torch.Tensor:
        chosen = recipe(mode="HA2", batch_size=batch_size)
        steps = training_steps(examples(folder, chosen), draw(chosen, 1, 9), CPU)
        return torch.cat([torch.stack(images, 1) for images, _ in steps])

    torch.testing.assert_close(shown(4), shown(9))


# Divergence ----------------------------------------------------------------------------------------------------------


def with_infinite_weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(tensor, torch.inf) for name, tensor in state.items()}


def test_a_loss_that_is_not_finite_ends_the_training_with_its_epoch(folder):
    chosen = recipe(lr=0.5)
    net = network(chosen)
    net.core.load_state_dict(with_infinite_weights(net.core.state_dict()))
    parts = {part: examples(folder, chosen, part) for part in ("train", "val")}
    with pytest.raises(CannotTrain, match=r"became nan in epoch 1: .* Lower the learning rate \(it was 0\.5\)"):
        train(net, parts, chosen, folder, origin={}, device=CPU, say=print)
    assert [path.name for path in folder.glob("*epoch*")] == ["epochs.jsonl"]
    assert epochs(folder) == []


def test_a_later_divergence_leaves_the_state_of_the_epoch_before(folder):
    trained(folder, until=1)
    weights = folder / "epoch-0001" / "network.safetensors"
    save_file(with_infinite_weights(load_file(weights)), weights)
    with pytest.raises(CannotTrain, match="in epoch 2"):
        trained(folder)
    assert [path.name for path in folder.glob("*epoch-*")] == ["epoch-0001"]
    assert [epoch["epoch"] for epoch in epochs(folder)] == [1]


# Interruptions -------------------------------------------------------------------------------------------------------

KINDS = {
    "sgd": {"optimizer": "sgd", "mode": "HA2"},
    "no momentum": {"optimizer": "sgd", "momentum": 0.0},
    "adam": {"optimizer": "adam", "lr": 0.003, "weight_decay": 1e-4, "schedule": "step"},
    # Batch norm's statistics and dropout.
    "mobilenet": {"optimizer": "adam", "mode": "HA2", "backbone": "mobilenet_v2"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_was_interrupted_ends_as_one_that_was_not(tmp_path, kind):
    whole, halved = (folder_to_train(tmp_path / name, epochs=4, **KINDS[kind]) for name in ("whole", "halved"))
    trained(whole)
    trained(halved, until=1)
    trained(halved, until=3)
    assert state_of(halved).name == "epoch-0003"
    assert "going on after epoch 3" in trained(halved)
    assert_ended_alike(whole, halved)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_another_attempt_goes_on_from_the_state_of_the_one_before(tmp_path, kind):
    whole, before, after = (
        folder_to_train(tmp_path / name, epochs=4, **KINDS[kind]) for name in ("whole", "before", "after")
    )
    trained(whole)
    trained(before, until=2)
    kept = {path.name: path.read_bytes() for path in state_of(before).iterdir()}
    take_over_state(before, after)
    assert "going on after epoch 2" in trained(after)
    assert_ended_alike(whole, after)
    assert {path.name: path.read_bytes() for path in state_of(before).iterdir()} == kept


def test_a_killed_training_ends_as_one_that_was_not(tmp_path):
    whole, killed = (folder_to_train(tmp_path / name, epochs=30, **KINDS["adam"]) for name in ("whole", "killed"))
    process = subprocess.Popen(
        [sys.executable, "-m", "scoring.perceptanon.train", str(killed), "--device", "cpu"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as here: more would add up in another order
    )
    with process, process.stdout:
        assert any(line.startswith("epoch 1 of 30") for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    assert not (killed / "result.json").exists()
    trained(killed)
    trained(whole)
    assert_ended_alike(whole, killed)


def test_a_finished_training_started_again_comes_to_the_same_end(folder):
    trained(folder)
    first = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    trained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == first


def test_the_same_recipe_labels_and_seed_give_the_same_network(tmp_path):
    one, other, reseeded = (folder_to_train(tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2)))
    for folder in (one, other, reseeded):
        trained(folder)
    assert_ended_alike(one, other)
    assert (one / "model.safetensors").read_bytes() != (reseeded / "model.safetensors").read_bytes()


@pytest.mark.parametrize("changed", ["recipe", "labels"])
def test_a_state_of_another_recipe_or_other_labels_is_refused(folder, changed):
    trained(folder, until=1)
    if changed == "recipe":
        write_recipe(folder, lr=0.02)
    else:
        (folder / "labels.csv").write_text((folder / "labels.csv").read_text().replace(",train,1", ",train,2"))
    with pytest.raises(CannotTrain, match="epoch-0001 belongs to another recipe or other labels"):
        trained(folder)
    assert state_of(folder).name == "epoch-0001"


def test_the_model_is_that_of_the_epoch_with_the_lowest_validation_loss(folder):
    # At a rate this high it only gets worse.
    write_recipe(folder, epochs=6, lr=1.0, schedule="step")
    best: list[bytes] = []
    for number in range(1, 7):
        trained(folder, until=number)
        if min(epochs(folder), key=lambda epoch: epoch["val_loss"])["epoch"] == number:
            best.append((state_of(folder) / "network.safetensors").read_bytes())
    trained(folder)
    losses = [epoch["val_loss"] for epoch in epochs(folder)]
    assert min(losses) < losses[-1]
    assert (folder / "model.safetensors").read_bytes() == best[-1]
    assert json.loads((folder / "result.json").read_text()) == {
        "n_epochs": 6,
        "best": {"epoch": losses.index(min(losses)) + 1, "val_loss": min(losses)},
    }
