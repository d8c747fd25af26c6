"""What fine-tuning learns from real ratings: predictions for people the network never saw, beside people's own.

51 photos of faces, each rated by the same 20 people for attractiveness. Never present a figure of it as a result about
anonymity. What the figures show and what they do not is in docs/benchmarks.md.
"""

import csv
import json
import platform
import shlex
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from bench.machine import machine
from datasets.rows import NEEDED_COLUMNS
from datasets.tables import csv_lines
from scoring.measures.correlation import correlation_intervals, kendall, spearman
from scoring.measures.humans import leave_one_out
from scoring.perceptanon.folder import code_sha256, train_folder
from scoring.recipe import Recipe

SHARED = Path(__file__).resolve().parents[2] / "shared"
RATINGS = "ratings_attractiveness_1to7.csv"
N_PEOPLE, N_RATERS, SCALE = 51, 20, (1, 7)
N_FOLDS = 5
RESAMPLES, RESAMPLES_SEED = 2000, 42
STARTS = ("imagenet", "random")
TRIAL_SEED = 100  # its folds are those of no figure

BASE = Recipe(mode="HA1", scale_min=SCALE[0], scale_max=SCALE[1], backbone="mobilenet_v2", epochs=12, batch_size=16)
CANDIDATES = (
    replace(BASE, optimizer="adam", lr=1e-3),
    replace(BASE, optimizer="adam", lr=3e-4),
    replace(BASE, optimizer="sgd", lr=0.01),
)
RECIPE = CANDIDATES[1]  # of `--trial` the one with the lowest validation loss over both starts
QUICK = replace(RECIPE, epochs=1, size=32)
N_QUICK = 15  # people


def main() -> None:
    chosen = options()
    begun = time.monotonic()
    torch.set_num_threads(chosen.threads)
    ratings = read_ratings(chosen.data)
    print("Attractiveness of faces, not anonymity: never present these figures as a result about anonymity.\n")
    if chosen.trial:
        print(table(trial_rows(ratings, chosen)))
        what = f"validation loss: mean squared error on a scale of 0 to 1, in the first fold of seed {TRIAL_SEED}"
    else:
        recipe = QUICK if chosen.quick else RECIPE
        ratings = ratings.first(N_QUICK) if chosen.quick else ratings
        print(table(figure_rows(ratings, recipe, chosen)))
        what = (
            f"{recipe_in_words(recipe)}; {N_FOLDS} folds by person, three trained on, one for validation, one "
            f"predicted; intervals by {RESAMPLES:,} resamples of people"
        )
    print(provenance(chosen, what, n_people=len(ratings.photos), seconds=time.monotonic() - begun))


def options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.finetune", description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "london", help="the London faces")
    parser.add_argument("--weights", type=Path, default=SHARED / "weights", help="holds torchvision's ImageNet weights")
    parser.add_argument("--seeds", type=int, default=2, help="cross-validations, each with folds of its own")
    parser.add_argument("--threads", type=int, default=1, help="of torch; another number may change the last digits")
    parser.add_argument("--trial", action="store_true", help="compare the candidate recipes on validation loss alone")
    parser.add_argument("--quick", action="store_true", help=f"a smoke run: {N_QUICK} people, an epoch, 32 pixels")
    chosen = parser.parse_args()
    if chosen.seeds < 1:
        parser.error("--seeds must be 1 or more")
    if not (chosen.data / RATINGS).is_file():
        parser.error(f"There is no {RATINGS} in {chosen.data}; give the folder of the London faces as --data.")
    return chosen


# Ratings -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ratings:
    photos: list[str]  # one of each person, below the data folder
    scores: np.ndarray  # raters x people

    @property
    def means(self) -> np.ndarray:
        return self.scores.mean(axis=0)

    @property
    def of_the_others(self) -> np.ndarray:
        """For each rater the mean scores that the others gave, raters x people."""
        return (self.scores.sum(axis=0) - self.scores) / (len(self.scores) - 1)

    def first(self, n_people: int) -> "Ratings":
        return Ratings(self.photos[:n_people], self.scores[:, :n_people])


def read_ratings(data: Path) -> Ratings:
    """All of them. Stops when there are fewer people or raters than the figures are published under."""
    with (data / RATINGS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    photos = [row["anonymized_path"] for row in rows]
    scores = [[float(score) for name, score in row.items() if name.startswith("rater") and score] for row in rows]
    n_people, n_raters = len(set(photos)), min((len(row) for row in scores), default=0)
    if n_people < N_PEOPLE or n_raters < N_RATERS:
        raise SystemExit(
            f"{RATINGS} has {n_people} people and {n_raters} raters of some; {N_PEOPLE} and {N_RATERS} are named: "
            "no figure is reported."
        )
    return Ratings(photos, np.array(scores).T)


# Training ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fold:
    """What one training gave: scores of the people it was kept from, and the epoch that was chosen."""

    tested: np.ndarray  # numbers of people
    scores: np.ndarray  # theirs, predicted
    best_epoch: int
    val_loss: float


def folds(n_people: int, seed: int) -> list[np.ndarray]:
    """The numbers of the people in each fold, shuffled."""
    return np.array_split(np.random.default_rng(seed).permutation(n_people), N_FOLDS)


def split_of(parts: Sequence[np.ndarray], number: int) -> list[str]:
    """The part of each person when one fold is kept apart; the fold after it is for validation."""
    split = ["train"] * sum(map(len, parts))
    for part, people in (("test", parts[number]), ("val", parts[(number + 1) % N_FOLDS])):
        for person in people:
            split[person] = part
    return split


def one_fold(ratings: Ratings, recipe: Recipe, number: int, chosen: Namespace) -> Fold:
    """Train as the product trains, on a folder of its own, and read what it wrote."""
    parts = folds(len(ratings.photos), recipe.seed)
    with tempfile.TemporaryDirectory(prefix="studio-finetune-") as name:
        folder = Path(name)
        (folder / "recipe.json").write_text(recipe.to_json())
        write_labels(folder / "labels.csv", ratings, split_of(parts, number))
        train_folder(folder, pictures=chosen.data, weights=chosen.weights, device="cpu", say=lambda _: None)
        with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
            scores = {int(row["pair"]): float(row["prediction"]) for row in csv.DictReader(file)}
        best = json.loads((folder / "result.json").read_text())["best"]
    tested = parts[number]
    done = (
        f"{recipe.weights}, seed {recipe.seed}, fold {number}: best epoch {best['epoch']}, val {best['val_loss']:.5f}"
    )
    print(done, file=sys.stderr, flush=True)
    return Fold(tested, np.array([scores[person] for person in tested]), best["epoch"], best["val_loss"])


def write_labels(file: Path, ratings: Ratings, split: Sequence[str]) -> None:
    described = {"original_path": "", "dataset": "london", "method": "none", "scope": "face"}
    rows = (
        described | {"pair": pair, "anonymized_path": photo, "group": photo, "split": part, "score_mean": float(mean)}
        for pair, (photo, mean, part) in enumerate(zip(ratings.photos, ratings.means, split, strict=True))
    )
    with file.open("w", encoding="utf-8", newline="") as opened:
        opened.writelines(csv_lines(NEEDED_COLUMNS, map(itemgetter(*NEEDED_COLUMNS), rows)))


def cross_validated(ratings: Ratings, recipe: Recipe, chosen: Namespace) -> list[Fold]:
    """Every fold kept apart once. Stops when a person has no prediction, or more than one."""
    trained = [one_fold(ratings, recipe, number, chosen) for number in range(N_FOLDS)]
    if sorted(np.concatenate([fold.tested for fold in trained])) != list(range(len(ratings.photos))):
        raise SystemExit("Not every person has one out-of-fold prediction: no figure is reported.")
    return trained


def trial_rows(ratings: Ratings, chosen: Namespace) -> list[dict[str, str]]:
    """The lowest validation loss that each candidate reaches in one fold, from either start."""
    constant = constant_loss(ratings, split_of(folds(len(ratings.photos), TRIAL_SEED), 0), "val")
    rows = [{"recipe": "always the mean of those trained on"} | dict.fromkeys(STARTS, f"{constant:.4f}")]
    for candidate in CANDIDATES:
        row = {"recipe": recipe_in_words(candidate)}
        for start in STARTS:
            fold = one_fold(ratings, replace(candidate, weights=start, seed=TRIAL_SEED), 0, chosen)
            row[start] = f"{fold.val_loss:.4f} (epoch {fold.best_epoch})"
        rows.append(row)
    return rows


def constant_loss(ratings: Ratings, split: Sequence[str], part: str) -> float:
    """The loss in a part, as training counts it, of always saying the mean of those trained on."""
    targets, part_of = BASE.targets(ratings.means), np.array(split)
    return float(((targets[part_of == part] - targets[part_of == "train"].mean()) ** 2).mean())


# Figures -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures by the table's columns, and for those with an interval the values in all resamples of people."""

    values: dict[str, float]
    resampled: dict[str, np.ndarray]

    def __sub__(self, other: "Measured") -> "Measured":
        return Measured(
            {name: value - other.values[name] for name, value in self.values.items() if name in other.values},
            {name: of - other.resampled[name] for name, of in self.resampled.items() if name in other.resampled},
        )

    def row(self, predicted_by: str, seed: str) -> dict[str, str]:
        return {"predicted by": predicted_by, "seed": seed} | {
            header: self._cell(name, places) for name, (header, places) in COLUMNS.items()
        }

    def _cell(self, name: str, places: int) -> str:
        if name not in self.values:
            return "-"
        value = f"{self.values[name]:.{places}f}"
        if name not in self.resampled:
            return value
        low, high = np.percentile(self.resampled[name], [2.5, 97.5])
        return f"{value} ({low:.{places}f} to {high:.{places}f})"


COLUMNS = {  # how each figure is headed, and its decimals
    "spearman": ("Spearman (95 % CI)", 2),
    "kendall": ("Kendall's tau-b (95 % CI)", 2),
    "others": ("Spearman, mean of 19 raters (95 % CI)", 2),
    "in_folds": ("Spearman within a fold", 2),
    "rmse": ("RMSE", 2),
    "epoch": ("best epoch", 1),
}


def mean_of(cases: Sequence[Measured]) -> Measured:
    names = [name for name in COLUMNS if all(name in case.values for case in cases)]
    return Measured(
        {name: float(np.mean([case.values[name] for case in cases])) for name in names},
        {name: np.mean([case.resampled[name] for case in cases], axis=0) for name in cases[0].resampled},
    )


def figure_rows(ratings: Ratings, recipe: Recipe, chosen: Namespace) -> list[dict[str, str]]:
    """Every start and seed, their differences in the same resamples, and beside them a person and a constant."""
    cases: dict[str, list[Measured]] = {}
    for start in STARTS:
        recipes = [replace(recipe, weights=start, seed=seed) for seed in range(chosen.seeds)]
        cases[start] = [measured(cross_validated(ratings, one, chosen), ratings) for one in recipes]
    imagenet, random = (cases[start] for start in STARTS)
    cases["imagenet less random"] = [one - other for one, other in zip(imagenet, random, strict=True)]
    rows = []
    for name, of_seeds in cases.items():
        rows += [case.row(name, str(seed)) for seed, case in enumerate(of_seeds)]
        rows += [mean_of(of_seeds).row(name, "mean")] if len(of_seeds) > 1 else []
    human = human_reference(ratings)
    rows.append(human.row("one rater", "-"))
    rows.append((mean_of(cases["imagenet"]) - human).row("imagenet less one rater", "mean"))
    constants = [constant_rmse(ratings, seed) for seed in range(chosen.seeds)]
    rows.append(Measured({"rmse": float(np.mean(constants))}, {}).row("the mean of those trained on", "mean"))
    return rows


def measured(trained: Sequence[Fold], ratings: Ratings) -> Measured:
    """The product's figures of one cross-validation. Stops when scipy's are others."""
    means, predicted = ratings.means, np.empty(len(ratings.photos))
    for fold in trained:
        predicted[fold.tested] = fold.scores
    drawn = people_drawn(len(means))
    tau = stats.kendalltau(predicted, means).statistic
    by_every_rater = np.broadcast_to(predicted, ratings.scores.shape)  # the same, whoever is left out
    others, others_resampled = against_others(by_every_rater, ratings)
    reference = leave_one_out(*rating_columns(ratings), model=predicted).model
    values = {
        "spearman": checked_rho(predicted, means),
        "kendall": same("Kendall's tau-b", kendall(predicted, means).value, tau),
        "others": same("the model against raters' means", reference.value if reference else None, others),
        "rmse": float(np.sqrt(((predicted - means) ** 2).mean())),
        "epoch": float(np.median([fold.best_epoch for fold in trained])),
    }
    if all(len(set(fold.scores)) > 1 for fold in trained):  # a network that hardly learnt may say one thing to all
        values["in_folds"] = float(np.mean([checked_rho(fold.scores, means[fold.tested]) for fold in trained]))
    resampled = {
        "spearman": rhos(predicted[drawn], means[drawn]),
        "kendall": np.array([stats.kendalltau(predicted[people], means[people]).statistic for people in drawn]),
    }
    for name, interval in correlation_intervals(
        predicted, means, None, seed=RESAMPLES_SEED, resamples=RESAMPLES
    ).items():
        low, high = np.percentile(resampled[name], [2.5, 97.5])
        same(f"the interval of {name}", interval.low, low)
        same(f"the interval of {name}", interval.high, high)
    return Measured(values, resampled | {"others": others_resampled})


def human_reference(ratings: Ratings) -> Measured:
    """One rater against the mean of the others, the mean over raters."""
    value, resampled = against_others(ratings.scores, ratings)
    ours = leave_one_out(*rating_columns(ratings)).human.value
    return Measured({"others": same("one rater against the others", ours, value)}, {"others": resampled})


def constant_rmse(ratings: Ratings, seed: int) -> float:
    """The RMSE of always saying the mean of those trained on, over the same folds."""
    parts = folds(len(ratings.photos), seed)
    losses = [constant_loss(ratings, split_of(parts, number), "test") * len(parts[number]) for number in range(N_FOLDS)]
    return float(np.sqrt(sum(losses) / len(ratings.photos))) * (SCALE[1] - SCALE[0])


# The check: the same figures by scipy --------------------------------------------------------------------------------


def people_drawn(n_people: int) -> np.ndarray:
    """Resamples x people, as correlation_intervals documents its draws: all intervals are of the same resamples."""
    return np.random.default_rng(RESAMPLES_SEED).integers(n_people, size=(RESAMPLES, n_people))


def rhos(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rho along the last axis, NaN where a column is constant."""
    a, b = (stats.rankdata(column, axis=-1) for column in (x, y))
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        rho: np.ndarray = (a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return rho


def against_others(predicted: np.ndarray, ratings: Ratings) -> tuple[float, np.ndarray]:
    """Rho with the mean of all raters but one, the mean over who is left out; and that in every resample.

    `predicted` is raters x people: what stands for the rater who is left out.
    """
    others, drawn = ratings.of_the_others, people_drawn(len(ratings.photos))
    by_rater = [stats.spearmanr(*columns).statistic for columns in zip(predicted, others, strict=True)]
    in_resamples = rhos(predicted[:, drawn], others[:, drawn])
    return float(np.mean(by_rater)), np.nanmean(in_resamples, axis=0)  # a rater constant in a resample has none there


def checked_rho(x: np.ndarray, y: np.ndarray) -> float:
    return same("Spearman's rho", spearman(x, y).value, stats.spearmanr(x, y).statistic)


def same(what: str, ours: float | None, by_scipy: float) -> float:
    """The product's figure. Stops when it is none, or not scipy's."""
    if ours is None or not abs(ours - by_scipy) < 1e-9:
        raise SystemExit(f"{what} is {ours} by the product and {by_scipy} by scipy: no figure is reported.")
    return ours


def rating_columns(ratings: Ratings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Item, annotator and score of every rating."""
    annotator, item = np.indices(ratings.scores.shape)
    return item.ravel(), annotator.ravel(), ratings.scores.ravel()


# Output --------------------------------------------------------------------------------------------------------------


def table(rows: Sequence[dict[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] + ["---:"] * (len(rows[0]) - 1), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def recipe_in_words(recipe: Recipe) -> str:
    return (
        f"{recipe.backbone}, {recipe.optimizer} at {recipe.lr:g}, batches of {recipe.batch_size}, "
        f"{recipe.epochs} epochs, {recipe.size} pixels"
    )


def provenance(chosen: Namespace, what: str, *, n_people: int, seconds: float) -> str:
    """What a figure needs to be compared with another."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "numpy", "scipy"))
    facts = [
        what,
        f"{n_people} people x {N_RATERS} raters, scores {SCALE[0]} to {SCALE[1]}",
        f"{machine()}; Python {platform.python_version()}, {packages}; {datetime.now(UTC):%d %B %Y}",
        f"training code {code_sha256()[:12]}; {seconds / 60:.1f} minutes with {chosen.threads} threads",
        f"`{shlex.join(['python', '-m', 'bench.finetune', *sys.argv[1:]])}`",
    ]
    return "\n".join(["", *(f"- {fact}" for fact in facts)])


if __name__ == "__main__":
    main()
