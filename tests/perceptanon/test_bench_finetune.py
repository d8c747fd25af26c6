"""The fine-tuning bench runs, keeps people apart, and refuses to publish a figure for less than it is named for."""

import csv
import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import finetune
from scoring.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT.parent / "shared" / "weights" / "mobilenet_v2-b0353104.pth"
TINY = Recipe(
    mode="HA1", scale_min=1, scale_max=7, backbone="tiny", weights="random", epochs=1, batch_size=4, size=32, lr=0.001
)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def ratings_of(n_people: int, folder: Path, *, n_raters: int = 3) -> finetune.Ratings:
    """People whose pictures are the lighter, the higher the raters' scores."""
    photos = [f"{number}.png" for number in range(n_people)]
    for number, photo in enumerate(photos):
        Image.new("RGB", (32, 32), (number * 255 // n_people,) * 3).save(folder / photo)
    random = np.random.default_rng(0)
    scores = np.linspace(1, 7, n_people) + random.normal(0, 1, (n_raters, n_people))
    return finetune.Ratings(photos, scores.round().clip(1, 7))


@pytest.mark.long
def test_the_bench_reports_both_starts_their_difference_and_a_person_beside_them(london: Path) -> None:
    if not WEIGHTS.is_file():
        pytest.skip(f"the ImageNet weights are not beside this checkout ({WEIGHTS.name} in ../shared/weights)")
    command = [sys.executable, "-m", "bench.finetune", "--quick", "--seeds", "1"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    header, _, *rows = [cells(line) for line in run.stdout.splitlines() if line.startswith("|")]
    assert [row[0] for row in rows] == [
        "imagenet",
        "random",
        "imagenet less random",
        "one rater",
        "imagenet less one rater",
        "the mean of those trained on",
    ]
    assert all(" to " in row[header.index("Spearman (95 % CI)")] for row in rows[:3])
    assert run.stdout.startswith("Attractiveness of faces, not anonymity")
    assert "15 people x 20 raters" in run.stdout


def test_every_person_is_predicted_once_by_a_network_that_was_kept_from_them(tmp_path: Path) -> None:
    ratings = ratings_of(11, tmp_path)
    chosen = Namespace(data=tmp_path, weights=None)
    trained = finetune.cross_validated(ratings, TINY, chosen)
    assert sorted(np.concatenate([fold.tested for fold in trained])) == list(range(11))
    assert all(1 <= score <= 7 for fold in trained for score in fold.scores)


def test_a_fold_is_in_one_part_and_three_are_trained_on() -> None:
    parts = finetune.folds(51, seed=0)
    for number, tested in enumerate(parts):
        split = np.array(finetune.split_of(parts, number))
        assert set(np.flatnonzero(split == "test")) == set(tested)
        assert sorted([sum(split == "val"), sum(split == "test")]) in ([10, 10], [10, 11])
        assert sum(split == "train") == 51 - sum(split == "val") - len(tested)


def test_folds_differ_by_seed_and_are_the_same_for_the_same_seed() -> None:
    first, again, other = (np.concatenate(finetune.folds(51, seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_no_figure_is_reported_for_fewer_people_or_raters_than_named(london: Path, tmp_path: Path) -> None:
    with (london / finetune.RATINGS).open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))

    def write(rows: list[list[str]]) -> None:
        with (tmp_path / finetune.RATINGS).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    write(rows)
    assert finetune.read_ratings(tmp_path).scores.shape == (20, 51)
    write(rows[1:])
    with pytest.raises(SystemExit, match="50 people and 20 raters"):
        finetune.read_ratings(tmp_path)
    rows[7][header.index("rater0042")] = ""
    write(rows)
    with pytest.raises(SystemExit, match="51 people and 19 raters"):
        finetune.read_ratings(tmp_path)


def test_a_figure_that_scipy_does_not_confirm_stops_the_bench() -> None:
    assert finetune.same("rho", 0.5, 0.5) == 0.5
    for ours, by_scipy in ((0.5, 0.51), (None, 0.5), (0.5, float("nan"))):
        with pytest.raises(SystemExit, match="no figure is reported"):
            finetune.same("rho", ours, by_scipy)


def test_figures_of_perfect_and_of_reversed_predictions_differ_by_two_in_every_resample(tmp_path: Path) -> None:
    ratings = ratings_of(20, tmp_path)
    parts = finetune.folds(20, seed=0)

    def predicting(scores: np.ndarray) -> finetune.Measured:
        return finetune.measured([finetune.Fold(part, scores[part], 1, 0.1) for part in parts], ratings)

    right, wrong = predicting(ratings.means), predicting(-ratings.means)
    assert right.values["spearman"] == pytest.approx(1)
    assert right.values["in_folds"] == pytest.approx(1)
    assert right.values["rmse"] == 0
    assert (right - wrong).row("right less wrong", "0")["Spearman (95 % CI)"] == "2.00 (2.00 to 2.00)"


def test_a_network_that_says_the_same_of_a_whole_fold_has_no_figure_within_folds(tmp_path: Path) -> None:
    ratings = ratings_of(20, tmp_path)
    trained = [
        finetune.Fold(part, np.full(len(part), float(number)), 1, 0.1)
        for number, part in enumerate(finetune.folds(20, seed=0))
    ]
    row = finetune.measured(trained, ratings).row("constant", "0")
    assert row["Spearman within a fold"] == "-"
    assert row["Spearman (95 % CI)"] != "-"


def test_always_saying_the_mean_is_wrong_by_about_the_spread_of_the_means(tmp_path: Path) -> None:
    ratings = ratings_of(20, tmp_path)
    assert finetune.constant_rmse(ratings, seed=0) == pytest.approx(ratings.means.std(), rel=0.2)


def test_one_rater_is_compared_with_the_mean_of_the_others() -> None:
    rising = np.arange(10.0)
    last_two_swapped = np.array([*range(8), 9, 8])
    scores = np.stack([rising, rising, last_two_swapped])
    reference = finetune.human_reference(finetune.Ratings([f"{number}.png" for number in range(10)], scores))
    # The first two are compared with a mean in which the last two people tie, the third with the first two.
    assert reference.values["others"] == pytest.approx((2 * np.sqrt(82 / 82.5) + 1 - 12 / 990) / 3)


def test_trial_recipes_share_all_but_how_the_steps_are_taken() -> None:
    changed = {replace(one, optimizer="sgd", lr=1.0) for one in finetune.CANDIDATES}
    assert len(changed) == 1
    assert finetune.RECIPE in finetune.CANDIDATES
