"""That it learns at all: a score that can be seen in the pictures is found in pictures it has not seen."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from scoring.perceptanon.folder import train_folder
from tests.perceptanon.make import folder_to_train

N_PAIRS = 60
CLASSES = {"target": "labels10", "task": "classification"}
ADAM = {"optimizer": "adam", "lr": 0.003, "epochs": 30}


def brightness_task(folder: Path, **changes: object) -> Path:
    """The score is how much brighter than its original a picture has become."""
    random = np.random.default_rng(7)
    level, brighter = random.uniform(110, 145, N_PAIRS), random.uniform(-90, 90, N_PAIRS)

    def picture(pair: int, kind: str) -> Image.Image:
        mean = level[pair] + (brighter[pair] if kind == "anonymized" else 0)
        noise = np.random.default_rng(pair).normal(mean, 8, (32, 32, 3))
        return Image.fromarray(noise.clip(0, 255).astype(np.uint8))

    return folder_to_train(
        folder, n_pairs=N_PAIRS, picture=picture, score=lambda pair: 5.5 + brighter[pair] / 20, **changes
    )


def rho_of_the_test(folder: Path) -> float:
    train_folder(folder, pictures=folder, weights=None, device="cpu", say=lambda _: None)
    with (folder / "predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    means, predicted = ([float(row[name]) for row in rows] for name in ("score_mean", "prediction"))
    assert len(rows) == 12
    return float(spearmanr(means, predicted).statistic)


@pytest.mark.parametrize(
    "recipe",
    [{"mode": "HA2"}, {"mode": "HA1", **CLASSES}, {"mode": "HA2", **CLASSES, "seed": 2}],
    ids=["HA2 regression", "HA1 classification", "HA2 classification"],
)
def test_what_can_be_seen_in_a_picture_is_learnt(tmp_path, recipe):
    assert rho_of_the_test(brightness_task(tmp_path / "run", **ADAM, **recipe)) > 0.8
