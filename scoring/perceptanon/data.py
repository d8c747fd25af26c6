"""What a network is shown: the rows of labels.csv, and their pictures as tensors."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from datasets.pictures import PictureRefused, open_display
from datasets.rows import BadLabels, LabelRow, label_rows
from datasets.splits import PARTS, TooSmallToSplit, require_all_parts
from scoring.perceptanon.failures import CannotTrain
from scoring.recipe import Recipe

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
KEPT_BYTES = 2 * 1024**3  # of resized pictures in memory: some 14,000 of 224 x 224; what is beyond is decoded again


def read_labels(folder: Path, recipe: Recipe) -> list[LabelRow]:
    """The rows that take part, with their parts. Raises CannotTrain where the recipe cannot be trained on them."""
    try:
        with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
            rows = label_rows(file)
        rows = [row for row in rows if row.split]
        if unknown := {row.split for row in rows} - set(PARTS):
            raise CannotTrain(f"labels.csv has a split {unknown.pop()!r}; it must be train, val, test or empty.")
        require_all_parts(rows, [row.split for row in rows], "the split in labels.csv")
    except FileNotFoundError as error:
        raise CannotTrain(f"There is no labels.csv in {folder}; unpack a release there.") from error
    except (BadLabels, TooSmallToSplit) as error:
        raise CannotTrain(str(error)) from error
    _refuse_unfit(rows, recipe)
    return rows


def _refuse_unfit(rows: list[LabelRow], recipe: Recipe) -> None:
    if recipe.mode == "HA2" and (alone := [row.pair for row in rows if not row.original]):
        raise CannotTrain(f"HA2 compares with the original, and pair {alone[0]} in labels.csv has none; train HA1.")
    low, high = recipe.scale_min, recipe.scale_max
    if outside := [row for row in rows if not low <= row.mean <= high]:
        raise CannotTrain(
            f"labels.csv: score_mean of pair {outside[0].pair} is {outside[0].mean:g}, outside the recipe's scale from "
            f"{low:g} to {high:g}; set scale_min and scale_max in recipe.json."
        )
    if sum(row.split == "train" for row in rows) < 2:
        raise CannotTrain("labels.csv has a single pair to train on; at least two are needed.")


@dataclass(frozen=True)
class Draw:
    """What chance decides in one epoch, for all rows at once, so that batches and machines make no difference."""

    order: torch.Tensor  # N row numbers
    flipped: torch.Tensor  # N x streams, bool
    degrees: torch.Tensor  # N x streams


def seed_of(recipe: Recipe, epoch: int) -> int:
    return recipe.seed * 1_000_003 + epoch  # far apart: no epoch of one run repeats one of another


def draw(recipe: Recipe, epoch: int, n_rows: int) -> Draw:
    """The same for the same seed and epoch: a run that is taken up again goes on as if nothing had happened."""
    random = torch.Generator().manual_seed(seed_of(recipe, epoch))
    order = torch.randperm(n_rows, generator=random)
    n_streams = 1 if recipe.mode == "HA1" else 2
    flipped = torch.rand(n_rows, n_streams, generator=random) < (0.5 if recipe.flip else 0.0)
    degrees = (torch.rand(n_rows, n_streams, generator=random) * 2 - 1) * recipe.rotation
    if recipe.paired:  # one person looks at both: what moves in one picture alone would be a difference to see
        flipped, degrees = flipped[:, :1].expand(-1, n_streams), degrees[:, :1].expand(-1, n_streams)
    return Draw(order, flipped, degrees)


class Pictures:
    """Pictures by their path under a root, resized to a square; decoded once as far as memory goes."""

    def __init__(self, root: Path, size: int, *, keep_bytes: int = KEPT_BYTES) -> None:
        self.root, self.size = root.resolve(), size
        self._kept: dict[str, torch.Tensor] = {}
        self._room = keep_bytes // (3 * size * size)

    def __getitem__(self, name: str) -> torch.Tensor:
        """3 x size x size, uint8. Raises CannotTrain."""
        kept = self._kept.get(name)
        if kept is None:
            kept = self._resized(name)
            if len(self._kept) < self._room:
                self._kept[name] = kept
        return kept

    def _resized(self, name: str) -> torch.Tensor:
        try:
            path = Path(os.path.realpath(self.root / name))
            if not name or not path.is_relative_to(self.root):
                raise CannotTrain(f"labels.csv names a picture {name!r} that is not below {self.root}.")
            picture = open_display(path.read_bytes())
        except (OSError, ValueError, PictureRefused) as error:  # ValueError: a name that no file can have
            raise CannotTrain(f"The picture {name} below {self.root} cannot be read: {error}.") from error
        square = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)  # aspect ignored, as published
        return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class Batch:
    """Pictures (one stream in HA1; originals, then anonymized in HA2), each B x 3 x S x S in 0..255, and targets."""

    images: tuple[torch.Tensor, ...]
    targets: torch.Tensor  # B: class numbers, or numbers from 0 to 1
    rows: torch.Tensor  # B: which rows these are


class Examples:
    """The rows of one part, ready to be gone through in batches."""

    def __init__(self, rows: Sequence[LabelRow], recipe: Recipe, pictures: Pictures) -> None:
        self.rows, self.recipe, self.pictures = rows, recipe, pictures
        targets = recipe.targets(np.array([row.mean for row in rows], dtype=np.float64))
        self.targets = torch.from_numpy(targets) if recipe.is_classification else torch.tensor(targets).float()

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, order: torch.Tensor | None = None, *, loaders: int = 4) -> Iterator[Batch]:
        """Batches in the given order, each decoded by threads while the one before it is computed on."""
        order = torch.arange(len(self)) if order is None else order
        chunks = _chunks(order, self.recipe.batch_size)
        with ThreadPoolExecutor(loaders) as pool:
            coming = self._decoding(pool, chunks[0])
            for chunk, after in zip(chunks, [*chunks[1:], None], strict=True):
                ready, coming = coming, [] if after is None else self._decoding(pool, after)
                streams = zip(*(future.result() for future in ready), strict=True)
                yield Batch(tuple(torch.stack(stream) for stream in streams), self.targets[chunk], chunk)

    def _decoding(self, pool: ThreadPoolExecutor, chunk: torch.Tensor) -> list[Future[tuple[torch.Tensor, ...]]]:
        return [pool.submit(self._streams, self.rows[row]) for row in chunk.tolist()]

    def _streams(self, row: LabelRow) -> tuple[torch.Tensor, ...]:
        shown = (row.anonymized,) if self.recipe.mode == "HA1" else (row.original, row.anonymized)
        return tuple(self.pictures[name] for name in shown)


def _chunks(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Batches of `size`; a last one of a single row joins the one before, as batch norm has no use for one row."""
    chunks = list(order.split(size))
    if len(chunks) > 1 and len(chunks[-1]) == 1:
        chunks[-2:] = [torch.cat(chunks[-2:])]
    return chunks


def augmented(images: torch.Tensor, flipped: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    """Each picture flipped if said so and turned by its angle, what comes in from outside black. B x 3 x S x S."""
    turn = torch.deg2rad(degrees).to(images)
    mirror = torch.where(flipped, -1.0, 1.0).to(images)
    zero = torch.zeros_like(turn)
    rows = (
        torch.stack([turn.cos() * mirror, -turn.sin(), zero], 1),
        torch.stack([turn.sin() * mirror, turn.cos(), zero], 1),
    )
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)  # B x S x S x 2
    return functional.grid_sample(images, grid, align_corners=False)


def normalised(images: torch.Tensor) -> torch.Tensor:
    """From 0..255 to what ImageNet backbones were trained on. B x 3 x S x S."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1)
    return (images / 255 - mean) / std
