"""A training as a whole: a folder with recipe and labels in, the same folder with model and predictions out."""

import json
import platform
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from datasets.rows import LabelRow
from datasets.splits import PARTS
from scoring.perceptanon.checkpoint import save_model, sha256_of, write_json
from scoring.perceptanon.data import Examples, Pictures, read_labels
from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.loop import train
from scoring.perceptanon.memory import check_fits, told_in_words
from scoring.perceptanon.networks import PerceptAnon, network
from scoring.perceptanon.predict import predictions, write_predictions
from scoring.perceptanon.turns import turn_on
from scoring.perceptanon.weights import imagenet_weights
from scoring.recipe import BadRecipe, Recipe, recipe_from
from scoring.states import newest_state


def train_folder(
    folder: Path,
    *,
    pictures: Path,
    weights: Path | None,
    device: str,
    say: Callable[[str], None],
    locks: Path | None = None,
) -> None:
    """Train on the folder, or go on where it was left. Raises CannotTrain with a reason in plain words."""
    recipe = read_recipe(folder)
    rows = read_labels(folder, recipe)
    where = _device(device)
    with turn_on(where, locks, say), told_in_words(recipe, where):
        _train_on(where, folder, recipe, rows, pictures=pictures, weights=weights, say=say)


def _train_on(
    where: torch.device,
    folder: Path,
    recipe: Recipe,
    rows: list[LabelRow],
    *,
    pictures: Path,
    weights: Path | None,
    say: Callable[[str], None],
) -> None:
    if recipe.backbone == "tiny":
        torch.set_num_threads(1)  # on so small a network more threads only wait for one another
    net, weights_file = _fresh_network(recipe, weights)
    net.to(where)
    shown = Pictures(pictures, recipe.size)
    parts = {part: Examples([row for row in rows if row.split == part], recipe, shown) for part in PARTS}
    say(f"{recipe.mode} {recipe.backbone} on {where}: " + ", ".join(f"{len(parts[part])} {part}" for part in PARTS))
    check_fits(net, recipe, len(parts["train"]), where)
    (folder / "result.json").unlink(missing_ok=True)  # of an earlier training: it would vouch for this one
    origin = {name: sha256_of(folder / name) for name in ("recipe.json", "labels.csv")}
    facts = _facts(recipe, rows, origin, weights_file, where)
    write_json(folder / "meta.json", facts)
    state = train(net, parts, recipe, folder, origin=origin, device=where, say=say)
    kept = newest_state(folder)
    assert kept is not None  # noqa: S101  a recipe has at least one epoch
    net.core.load_state_dict(load_file(kept / "best.safetensors"))
    scores = predictions(net, Examples(rows, recipe, shown), where)
    if not np.isfinite(scores).all():
        raise CannotTrain("The trained network's predictions are not finite: lower the learning rate and run again.")
    write_predictions(folder / "predictions.csv", rows, recipe, scores)
    best = {"epoch": state.best["epoch"], "val_loss": state.best["val_loss"]}
    save_model(folder, kept, facts | {"best": best})
    write_json(folder / "result.json", {"n_epochs": len(state.epochs), "best": best})  # last: says that all is there
    say(f"done: best epoch {best['epoch']}, val {best['val_loss']:.5f}")


def read_recipe(folder: Path) -> Recipe:
    try:
        return recipe_from(json.loads((folder / "recipe.json").read_text()))
    except FileNotFoundError as error:
        raise CannotTrain(f'There is no recipe.json in {folder}; write one such as {{"mode": "HA1"}}.') from error
    except BadRecipe as error:
        raise CannotTrain(f"recipe.json: {error}") from error
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number of thousands of digits, nested too deep
        raise CannotTrain(f"recipe.json is not JSON: {error}.") from error


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if not name.startswith(("cpu", "cuda")):
            raise RuntimeError(name)
        device = torch.device(name)
        if device.type == "cuda":
            torch.cuda.get_device_properties(device)  # takes none of its memory: another training may have it still
    except (RuntimeError, AssertionError) as error:
        raise CannotTrain(f"There is no device {name!r} here; take cpu, or cuda where there is a GPU.") from error
    return device


def _fresh_network(recipe: Recipe, weights: Path | None) -> tuple[PerceptAnon, str]:
    """The network before its first step, and the file its weights are from ("" where all are random)."""
    torch.manual_seed(recipe.seed)
    if recipe.weights == "random":
        return network(recipe), ""
    pretrained, name = imagenet_weights(recipe.backbone, weights)
    return network(recipe, pretrained), name


def _facts(
    recipe: Recipe, rows: list[LabelRow], origin: dict[str, str], weights_file: str, device: torch.device
) -> dict[str, Any]:
    """Where a model comes from: what anybody needs who wants to make it again, or to use it."""
    return {
        "format": 1,
        "recipe": recipe.to_dict(),
        "recipe_sha256": origin["recipe.json"],
        "labels_sha256": origin["labels.csv"],
        "n_pairs": {part: sum(row.split == part for row in rows) for part in PARTS},
        "n_groups": {part: len({row.group for row in rows if row.split == part}) for part in PARTS},
        "weights_file": weights_file,
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(device),
        "versions": {
            "perceptanon-studio": _studio_version(),
            "code_sha256": code_sha256(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
        },
    }


def _studio_version() -> str | None:
    try:
        return version("perceptanon-studio")
    except PackageNotFoundError:  # run from a bare checkout
        return None


def code_sha256() -> str:
    """SHA-256 over the code that training runs: its files' hashes and names, as `sha256sum` prints them."""
    home = Path(__file__).parent
    files = [
        *home.glob("*.py"),
        home.parent / "recipe.py",
        home.parent / "states.py",
        *(home.parents[1] / "datasets" / f"{name}.py" for name in CODE),
    ]
    lines = (f"{sha256_of(file)}  {file.name}\n" for file in sorted(files, key=lambda file: file.name))
    return sha256("".join(lines).encode()).hexdigest()


CODE = ("rows", "tables", "splits", "pictures", "metadata")  # of datasets, as far as training uses it
