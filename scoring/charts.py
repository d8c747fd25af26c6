"""Where things stand in a drawing: plain numbers that a template puts into SVG, without script or style of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scoring.compare import Row
from scoring.models import Epoch

SIZE = 480  # of the scatter plot's field, in its own units
CURVE = (600, 180)  # width and height of the field of the losses


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high` over `length` units."""

    low: float
    high: float
    length: float

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low or 1)
        return round(share * self.length, 1)


def scatter(rows: Sequence[Row], *, low: float, high: float) -> dict[str, Any]:
    """People's means to the right, predictions upwards, on the same scale: on the diagonal both say the same."""
    axis = Axis(low, high, SIZE)
    points = [
        {
            "row": row,
            "x": axis.place(row.mean),
            "y": SIZE - axis.place(row.prediction),
        }
        for row in rows
    ]
    ticks = [Tick(axis.place(value), f"{value:g}") for value in range(round(low), round(high) + 1)]
    return {"size": SIZE, "points": points, "ticks": ticks, "rows": [Tick(SIZE - tick.at, tick.text) for tick in ticks]}


def losses(epochs: Sequence[Epoch], n_epochs: int) -> dict[str, Any] | None:
    """Two lines over the epochs from 0 upwards; None before the first epoch."""
    if not epochs:
        return None
    width, height = CURVE
    most = max(max(epoch.train_loss, epoch.val_loss) for epoch in epochs) or 1.0
    across, up = Axis(1, max(n_epochs, 2), width), Axis(0, most, height)

    def line(name: str) -> str:
        return " ".join(f"{across.place(each.number)},{height - up.place(getattr(each, name))}" for each in epochs)

    best = min(epochs, key=lambda epoch: epoch.val_loss)
    return {
        "width": width,
        "height": height,
        "train": line("train_loss"),
        "val": line("val_loss"),
        "most": most,
        "n_epochs": n_epochs,
        "best": best,
        "best_x": across.place(best.number),
        "best_y": height - up.place(best.val_loss),
    }
