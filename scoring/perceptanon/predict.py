"""What a network says of pictures, as scores in the release's own scale."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from datasets.rows import LabelRow
from datasets.tables import csv_lines
from scoring.perceptanon.checkpoint import replacing
from scoring.perceptanon.data import Examples
from scoring.perceptanon.loop import steps
from scoring.recipe import Recipe

PREDICTION_COLUMNS = ("pair", "split", "score_mean", "target", "prediction")


def predictions(net: nn.Module, examples: Examples, device: torch.device) -> np.ndarray:
    """The predicted score of each row, N floats."""
    net.eval()
    with torch.inference_mode():
        outputs = [net(*images).float().cpu().numpy() for images, _ in steps(examples, device)]
    return examples.recipe.scores(np.concatenate(outputs).astype(np.float64))


def write_predictions(path: Path, rows: Sequence[LabelRow], recipe: Recipe, scores: np.ndarray) -> None:
    """One line per row of labels.csv that took part: the human mean, what was learnt of it, and the prediction."""
    targets = recipe.target_scores(np.array([row.mean for row in rows]))
    cells = (
        (row.pair, row.split, repr(row.mean), repr(float(target)), repr(float(score)))
        for row, target, score in zip(rows, targets, scores, strict=True)
    )
    with replacing(path) as draft, draft.open("w", newline="") as file:
        file.writelines(csv_lines(PREDICTION_COLUMNS, cells))
