"""Small folders to train on: real pictures, labels.csv and recipe.json, with defaults."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.rows import NEEDED_COLUMNS, LabelRow
from scoring.perceptanon.data import Examples, Pictures, read_labels
from scoring.recipe import Recipe

TINY = {"mode": "HA1", "backbone": "tiny", "weights": "random", "size": 32, "batch_size": 8, "epochs": 2}
PARTS_IN_TURN = ("train", "train", "train", "val", "test")


def recipe(**changes: object) -> Recipe:
    return Recipe(**{**TINY, **changes})


def write_recipe(folder: Path, **changes: object) -> None:
    (folder / "recipe.json").write_text(json.dumps({**TINY, **changes}))


def write_labels(folder: Path, rows: list[dict[str, object]]) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, NEEDED_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def label(pair: int, **changes: object) -> dict[str, object]:
    """A row of labels.csv; every fifth pair is for validation, every fifth for the test."""
    return {
        "pair": pair,
        "original_path": f"original/{pair}.png",
        "anonymized_path": f"anonymized/{pair}.png",
        "dataset": "coco",
        "method": "mask",
        "scope": "global",
        "group": f"group-{pair}",
        "split": PARTS_IN_TURN[pair % 5],
        "score_mean": 1 + pair % 10,
    } | changes


def noise(seed: int, *, size: int = 32, low: int = 0, high: int = 256) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(low, high, (size, size, 3), dtype=np.uint8))


def folder_to_train(
    folder: Path,
    *,
    n_pairs: int = 15,
    picture: Callable[[int, str], Image.Image] | None = None,
    score: Callable[[int], float] = lambda pair: 1.0 + pair % 10,
    **changes: object,
) -> Path:
    """A folder with everything in it: `picture` makes the original and the anonymized one of a pair."""
    picture = picture or (lambda pair, kind: noise(2 * pair + (kind == "original")))
    for kind in ("original", "anonymized"):
        (folder / kind).mkdir(parents=True)
        for pair in range(n_pairs):
            picture(pair, kind).save(folder / kind / f"{pair}.png")
    write_labels(folder, [label(pair, score_mean=score(pair)) for pair in range(n_pairs)])
    write_recipe(folder, **changes)
    return folder


def row(pair: int, mean: float = 5.0) -> LabelRow:
    return LabelRow(
        pair=pair,
        original=f"original/{pair}.png",
        anonymized=f"anonymized/{pair}.png",
        source="coco",
        method="mask",
        scope="global",
        group=f"group-{pair}",
        split="train",
        mean=mean,
    )


def examples(folder: Path, recipe: Recipe, part: str = "train", **options: int) -> Examples:
    rows = [row for row in read_labels(folder, recipe) if row.split == part]
    return Examples(rows, recipe, Pictures(folder, recipe.size, **options))
