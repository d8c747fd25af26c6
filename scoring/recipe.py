"""What a training run is, apart from its data: every choice by name, checked before anything starts.

Plain Python and numpy: the site validates recipes without torch, the training process reads them without Django.
"""

import json
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

import numpy as np

from datasets.refusals import Refusal
from datasets.splits import SEED, UnknownScheme, checked_scheme

MODES = ("HA1", "HA2")
BACKBONES = (
    "tiny",
    "resnet18",
    "resnet50",
    "resnet152",
    "densenet121",
    "vgg11",
    "alexnet",
    "vit_b_16",
    "mobilenet_v2",
)
FIXED_SIZE = {"vit_b_16": 224}  # its positions are learnt for this size alone
LEAST_SIZE = {"alexnet": 63}  # below, nothing is left to pool
CLASSES = {"mean": 0, "labels10": 10}  # how many classes a target has; 0: it is continuous
TASKS = ("regression", "classification")
WEIGHTS = ("imagenet", "random")
OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("cosine", "step")


class BadRecipe(Refusal):
    """The recipe cannot be trained; `field` is where, the message says what to change."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training of PerceptAnon. Defaults are the paper's; raises BadRecipe where a value makes no sense.

    `mode` and the scale are the release's. Sizes are pixels, `rotation` degrees to either side.
    """

    mode: str
    scale_min: float = 1.0
    scale_max: float = 10.0
    backbone: str = "resnet50"
    weights: str = "imagenet"
    target: str = "mean"
    task: str = "regression"
    scheme: str = "all"
    split_seed: int = SEED
    seed: int = 0  # of the weights that start at random, the order of the rows, and the augmentation
    epochs: int = 200
    batch_size: int = 128
    size: int = 224
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9  # of sgd alone
    weight_decay: float = 0.0
    schedule: str = "cosine"  # or step: a tenth of the rate after every 10 epochs
    flip: bool = True
    rotation: float = 10.0
    paired: bool = True  # HA2: the same flip and rotation for both pictures (the published code draws two)

    def __post_init__(self) -> None:
        self._check_types()
        for name, allowed in _CHOICES.items():
            _require(getattr(self, name) in allowed, name, f"must be one of {', '.join(allowed)}")
        for name, (least, most) in _RANGES.items():
            _require(least <= getattr(self, name) <= most, name, f"must be from {least} to {most}")
        _require(self.lr > 0, "lr", "must be above 0")
        _require(self.scale_min < self.scale_max, "scale_max", "must be above scale_min")
        self._check_together()
        try:
            checked_scheme(self.scheme)
        except UnknownScheme as error:
            raise BadRecipe(str(error), "scheme") from error

    def _check_types(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is float and type(value) is int:
                object.__setattr__(self, field.name, _float(field.name, value))
            elif type(value) is not field.type:
                raise BadRecipe(f"{field.name} must be of type {field.type.__name__}; it is {value!r}.", field.name)  # type: ignore[union-attr]
            elif field.type is float and not isfinite(value):
                raise BadRecipe(f"{field.name} must be a finite number; it is {value!r}.", field.name)

    def _check_together(self) -> None:
        _require(
            self.target != "mean" or self.task == "regression", "task", "must be regression where the target is mean"
        )
        is_1_to_10 = (self.scale_min, self.scale_max) == (1, 10)
        _require(self.target != "labels10" or is_1_to_10, "target", "labels10 needs a scale from 1 to 10")
        _require(
            self.backbone != "tiny" or self.weights == "random",
            "weights",
            "must be random for the backbone tiny, which nobody has trained on ImageNet",
        )
        _require(
            self.backbone == "tiny" or self.batch_size > 1, "batch_size", "must be at least 2: batch norm compares rows"
        )
        least = LEAST_SIZE.get(self.backbone, 0)
        _require(self.size >= least, "size", f"must be at least {least} for {self.backbone}")
        size = FIXED_SIZE.get(self.backbone, self.size)
        _require(self.size == size, "size", f"must be {size} for {self.backbone}")

    @property
    def is_classification(self) -> bool:
        return self.task == "classification"

    @property
    def outputs(self) -> int:
        """How many numbers the network gives: one for regression, else one for each class."""
        return CLASSES[self.target] if self.is_classification else 1

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2) + "\n"

    # What the network learns, and what its output says --------------------------------------------------------------

    def targets(self, means: np.ndarray) -> np.ndarray:
        """What to learn, from mean scores: class numbers from 0, or for regression numbers from 0 to 1."""
        if self.target == "mean":
            return (means - self.scale_min) / (self.scale_max - self.scale_min)
        classes = np.round(means).astype(np.int64) - 1  # half to even, as published
        return classes if self.is_classification else classes / (CLASSES[self.target] - 1)

    def target_scores(self, means: np.ndarray) -> np.ndarray:
        """What `targets` keeps of the means, in the release's scale: the mean itself, or its class's score."""
        return means if self.target == "mean" else np.round(means)

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Scores in the release's scale, from what the network gives (rows x outputs): of classes the likeliest."""
        if self.is_classification:
            return outputs.argmax(axis=1) + 1.0
        return self.scale_min + outputs[:, 0] * (self.scale_max - self.scale_min)


_CHOICES = {
    "mode": MODES,
    "backbone": BACKBONES,
    "weights": WEIGHTS,
    "target": tuple(CLASSES),
    "task": TASKS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}
_RANGES = {
    "epochs": (1, 10_000),
    "batch_size": (1, 4096),
    "size": (32, 1024),
    "lr": (0, 10),
    "momentum": (0, 0.999),
    "weight_decay": (0, 1),
    "rotation": (0, 180),
    "seed": (0, 2**31 - 1),
    "split_seed": (0, 2**31 - 1),
}


def _float(field: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise BadRecipe(f"{field} must be a finite number; it has {value.bit_length()} bits.", field) from error


def _require(is_so: bool, field: str, rule: str) -> None:
    if not is_so:
        raise BadRecipe(f"{field} {rule}.", field)


def recipe_from(data: Any) -> Recipe:
    """A recipe from a JSON object. Raises BadRecipe for what is missing, unknown or out of range."""
    if not isinstance(data, dict):
        raise BadRecipe('A recipe is a JSON object such as {"mode": "HA1"}.')
    known = {field.name for field in fields(Recipe)}
    if unknown := sorted(set(data) - known):
        raise BadRecipe(f"A recipe has no field {unknown[0]!r}; it has {', '.join(sorted(known))}.", unknown[0])
    if "mode" not in data:
        raise BadRecipe("A recipe needs a mode: HA1 or HA2.", "mode")
    return Recipe(**data)
