"""A run held against people: every figure again by scipy, from nothing but the downloaded predictions.csv."""

import csv
import json
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from scipy import stats

from annotation.models.ratings import Revision
from datasets import jobs, splits
from datasets.models.jobs import Job
from datasets.models.projects import Project
from datasets.models.releases import FrozenRating, Release
from scoring.compare import COLUMNS, request_comparison, rows_of
from scoring.models import Comparison, TrainingRun
from tests import make
from tests.races import at_once
from tests.scoring import trained

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

TableRow = dict[str, str]
STATISTICS: dict[str, Callable[..., Any]] = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}
SEED, RESAMPLES, SPLITS = 20240721, 1000, 100  # as the page and the figures say
exactly = {"abs": 1e-12, "rel": 1e-9}


def downloaded(client: Client, run: TrainingRun) -> str:
    reply = client.get(reverse("scoring:predictions", args=[run.public_id]))
    assert reply["Content-Type"] == "text/csv"
    return b"".join(reply).decode()  # type: ignore[arg-type]


def rows_in(text: str) -> list[TableRow]:
    return list(csv.DictReader(text.splitlines()))


def page_of(run: TrainingRun) -> str:
    return trained.researcher(run).get(reverse("scoring:comparison", args=[run.public_id])).content.decode()


# The figures again, by scipy and the definitions ---------------------------------------------------------------------


def scipys(statistic: str, x: Sequence[float], y: Sequence[float]) -> float | None:
    if len(x) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        value = float(STATISTICS[statistic](x, y).statistic)
    return None if np.isnan(value) else value


def columns(rows: list[TableRow], column: str, against: str) -> tuple[list[float], list[float], list[str]]:
    usable = [row for row in rows if row[column]]
    return (
        [float(row[column]) for row in usable],
        [float(row[against]) for row in usable],
        [row["group"] for row in usable],
    )


def scores(row: TableRow) -> dict[str, float]:
    found: dict[str, float] = json.loads(row["ratings"])
    return found


def one_against_the_others(rows: list[TableRow], statistic: str) -> tuple[list[float], list[float], int]:
    """Each person against the mean of the others; the model against those same means; from how many ratings."""
    shared = [row for row in rows if len(scores(row)) >= 2]
    human, model, n_rows = [], [], 0
    for who in sorted({who for row in rows for who in scores(row)}):
        mine = [row for row in shared if who in scores(row)]
        if len(mine) < 3:
            continue
        others = [round(fmean(score for by, score in scores(row).items() if by != who), 9) for row in mine]
        value = scipys(statistic, [scores(row)[who] for row in mine], others)
        if value is not None:
            human.append(value)
            n_rows += len(mine)
            model.append(scipys(statistic, [float(row["prediction"]) for row in mine], others))
    return human, [value for value in model if value is not None], n_rows


def half_against_half(rows: list[TableRow], statistic: str) -> list[float]:
    """Each item's people split at random: the documented draws, taken item by item."""
    said = [[score for _, score in sorted(scores(row).items())] for row in rows if len(scores(row)) >= 2]
    starts = np.cumsum([0, *map(len, said)])
    rng = np.random.default_rng(SEED)
    values = []
    for _ in range(SPLITS):
        keys, coins = rng.random(starts[-1]), rng.random(len(said))
        one, other = [], []
        for item, given in enumerate(said):
            n = len(given)
            k = n // 2 + (1 if n % 2 and coins[item] < 0.5 else 0)
            order = np.argsort(keys[starts[item] : starts[item + 1]])
            one.append(round(fmean(given[i] for i in order[:k]), 9))
            other.append(round(fmean(given[i] for i in order[k:]), 9))
        values.append(scipys(statistic, one, other))
    return [value for value in values if value is not None]


def interval(x: list[float], y: list[float], groups: list[str], statistic: str) -> list[float]:
    """The middle 95 percent over resamples of whole originals."""
    names = sorted(set(groups))
    rows_of_group = [[i for i, group in enumerate(groups) if group == name] for name in names]
    a, b = np.array(x), np.array(y)
    values = []
    for drawn in np.random.default_rng(SEED).integers(len(names), size=(RESAMPLES, len(names))):
        rows = [i for unit in drawn for i in rows_of_group[unit]]
        values.append(scipys(statistic, a[rows], b[rows]))
    return [float(bound) for bound in np.percentile([value for value in values if value is not None], [2.5, 97.5])]


def assert_held_against_people(held: dict[str, Any], rows: list[TableRow]) -> None:
    """Every value and n of one table of the page."""
    for predictor in held["predictors"]:
        x, y, _ = columns(rows, predictor["column"], {"mean": "score_mean"}.get(predictor["against"], "target"))
        assert predictor["n"] == len(x), predictor["name"]
        for statistic in STATISTICS:
            value = scipys(statistic, x, y)
            assert predictor[statistic]["value"] == (None if value is None else pytest.approx(value, **exactly))
            assert (predictor[statistic]["reason"] is None) == (value is not None)
    for statistic in STATISTICS:
        assert_people(held["people"][statistic], rows, statistic)


def assert_people(found: dict[str, Any], rows: list[TableRow], statistic: str) -> None:
    human, model, n_rows = one_against_the_others(rows, statistic)
    n_people = len({who for row in rows for who in scores(row)})
    alone = found["leave_one_out"]["human"]
    assert (alone["n_annotators"], alone["n_left_out"], alone["n_rows"]) == (len(human), n_people - len(human), n_rows)
    for figure, values in ((alone, human), (found["leave_one_out"]["model"], model)):
        assert figure["value"] == (pytest.approx(fmean(values), **exactly) if values else None)
    halves, n_items = half_against_half(rows, statistic), sum(len(scores(row)) >= 2 for row in rows)
    assert found["split_half"]["n_items"] == n_items
    if n_items >= 3 and len(halves) >= 0.95 * SPLITS:
        assert found["split_half"]["value"] == pytest.approx(fmean(halves), **exactly)
    else:
        assert (found["split_half"]["value"], found["split_half"]["reason"] is None) == (None, False)


# One comparison with all that may befall a pair, made once -----------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    figures: dict[str, Any]
    text: str
    page: str
    labels: list[tuple[int, str]]  # of each its pair, and its group as imported

    @property
    def rows(self) -> list[TableRow]:
        return rows_in(self.text)

    @property
    def tested(self) -> list[TableRow]:
        return [row for row in self.rows if row["split"] == "test"]


def motley_project() -> Project:
    """Two methods, two sources, and in the test part what a metric or a table may not know."""
    project = make.project()
    for i in range(60):
        original = make.image(project)
        for method in ("blur", "mask"):
            source = {"source": "coco" if i % 3 else "lfw"}
            make.pair(project, group=f"g{i}", original=original, method=method, scope="global", **source)
    twin, small = make.image(project), {"size": (30, 10)}
    odd: list[dict[str, Any]] = [
        {"original": make.image(project, size=(40, 60))},  # another size than the anonymized
        {"original": make.old_image(project, **small), "anonymized": make.old_image(project, **small)},
        {"original": twin, "anonymized": twin},
        {"method": "swap", "scope": "region"},  # which nothing in training has
        {"method": "", "scope": ""},
    ]
    for i, fields in enumerate(odd):
        make.pair(project, **{"group": f"g{(9, 10, 14, 16, 19)[i]}", "source": "coco"} | fields)
    return project


def unevenly_rated(project: Project) -> Release:
    """Five people of whom two stop early, so that pairs have three to five ratings."""
    study = make.rated_study(of=project, n_pairs=0, n_people=5)
    first, second = study.participations.order_by("pk")[:2]
    for person, last in ((first, 40), (second, 90)):
        given = {"rating__assignment__participation": person, "rating__assignment__position__gt": last}
        Revision.objects.filter(**given).delete()
    return make.release(study)


@pytest.fixture(scope="module")
def compared(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    with trained.site_for_a_module(django_db_blocker, tmp_path_factory.mktemp("media")):
        run = trained.compared(trained.run(unevenly_rated(motley_project())))
        figures = Comparison.objects.get(run=run).figures
        labels = list(run.release.labels.order_by("number").values_list("pair", "group"))
        return Compared(figures, downloaded(trained.researcher(run), run), page_of(run), labels)


@pytest.mark.rarely
def test_the_made_up_comparison_has_everything_that_may_befall_a_pair(compared):
    assert {len(scores(row)) for row in compared.tested} == {3, 4, 5}
    assert [row["psnr"] for row in compared.tested].count("inf") == 1
    lacking = [(row["psnr"] == "", row["ssim"] == "") for row in compared.tested]
    assert (lacking.count((True, True)), lacking.count((False, True))) == (1, 1)


def test_the_file_has_its_documented_columns_and_every_pair_in_order(compared):
    assert compared.text.splitlines()[0] == ",".join(COLUMNS)
    assert [int(row["pair"]) for row in compared.rows] == [pair for pair, _ in compared.labels]
    assert [row["split"] for row in compared.rows] == splits.grouped(group for _, group in compared.labels)


def test_peoples_mean_in_the_file_is_the_mean_of_their_scores_there(compared):
    for row in compared.rows:
        assert float(row["score_mean"]) == pytest.approx(fmean(scores(row).values()))


def test_every_correlation_is_scipys_from_the_downloaded_file(compared):
    assert_held_against_people(compared.figures, compared.tested)
    assert (compared.figures["n_pairs"], compared.figures["n_groups"]) == (len(compared.tested), 14)


def test_within_each_method_every_correlation_is_scipys_too(compared):
    by_kind = defaultdict(list)
    for row in compared.tested:
        by_kind[f"{row['scope']} {row['method']}".strip()].append(row)
    assert [kind["kind"] for kind in compared.figures["by_kind"]] == ["", "global blur", "global mask", "region swap"]
    for kind in compared.figures["by_kind"]:
        assert kind["n_pairs"] == len(by_kind[kind["kind"]])
        assert_held_against_people(kind, by_kind[kind["kind"]])


@pytest.mark.rarely
@pytest.mark.parametrize("column", ["prediction", "lookup", "psnr", "mse", "ssim"])
def test_intervals_are_resampled_by_whole_originals(compared, column):
    [predictor] = [each for each in compared.figures["predictors"] if each["column"] == column]
    x, y, groups = columns(compared.tested, column, "score_mean")
    x, y = list(stats.rankdata(x)), list(stats.rankdata(y))  # the ranks of all, quicker to rank again
    for statistic in STATISTICS:
        found = predictor[statistic]
        assert [found["low"], found["high"]] == pytest.approx(interval(x, y, groups, statistic), **exactly)
        assert found["low"] <= found["value"] <= found["high"]


def test_the_lookup_is_the_training_parts_mean_of_source_scope_and_method(compared):
    cells, overall = defaultdict(list), []
    for row in compared.rows:
        if row["split"] == "train":
            cells[row["dataset"], row["scope"], row["method"]].append(float(row["score_mean"]))
            overall.append(float(row["score_mean"]))
    assert len(cells) == 4
    for row in compared.rows:
        seen = cells.get((row["dataset"], row["scope"], row["method"]), overall)
        assert float(row["lookup"]) == pytest.approx(fmean(seen), **exactly)


def test_a_kind_that_training_never_saw_gets_the_overall_training_mean(compared):
    overall = fmean(float(row["score_mean"]) for row in compared.rows if row["split"] == "train")
    unseen = [row for row in compared.rows if row["method"] in {"swap", ""}]
    assert [float(row["lookup"]) for row in unseen] == [pytest.approx(overall, **exactly)] * 2


def test_a_pair_without_a_metrics_value_is_left_out_of_that_metric_alone(compared):
    n = len(compared.tested)
    told = {predictor["column"]: predictor["n"] for predictor in compared.figures["predictors"]}
    assert told == {"prediction": n, "lookup": n, "psnr": n - 1, "mse": n - 1, "ssim": n - 2}


def test_pairs_outside_the_test_part_are_not_scored_for_a_comparison(compared):
    others = [row for row in compared.rows if row["split"] != "test"]
    assert {(row["psnr"], row["mse"], row["ssim"]) for row in others} == {("", "", "")}


def test_the_page_shows_the_figures_as_they_were_computed(compared):
    for predictor in compared.figures["predictors"]:
        start = compared.page.index(f'data-predictor="{predictor["column"]}" data-against="mean"')
        row = compared.page[start : compared.page.index("</tr>", start)]
        shown = [float(value) for value in re.findall(r'data-figure="([^"]+)"', row)]
        assert shown == [predictor[statistic]["value"] for statistic in STATISTICS]
        assert f'<td class="number">{predictor["n"]}</td>' in row


def test_the_page_shows_the_human_reference_with_its_n(compared):
    rho = compared.figures["people"]["spearman"]
    alone = rho["leave_one_out"]["human"]
    words = " ".join(compared.page.split())
    assert f"{alone['n_rows']} ratings by {alone['n_annotators']}" in words
    assert f'data-figure="{rho["split_half"]["value"]}"' in words


def test_every_test_pair_is_a_point_that_says_which_it_is(compared):
    points = re.findall(r'data-pair="(\d+)"', compared.page)
    assert [int(number) for number in points] == [int(row["pair"]) for row in compared.tested]
    row = compared.tested[0]
    told = f"people {float(row['score_mean']):.2f}, model {float(row['prediction']):.2f}"
    assert re.search(rf"<title>Pair {row['pair']}, [^<]*: {re.escape(told)}</title>", compared.page)


def test_pairs_are_listed_by_how_far_the_model_is_off(compared):
    furthest = sorted(compared.tested, key=lambda row: -abs(float(row["prediction"]) - float(row["score_mean"])))
    assert re.findall(r'<tr id="pair-(\d+)">', compared.page) == [row["pair"] for row in furthest]


def test_figures_say_how_they_can_be_drawn_again(compared):
    assert (compared.figures["seed"], compared.figures["resamples"]) == (SEED, RESAMPLES)
    assert {"numpy", "perceptanon-studio"} == compared.figures["versions"].keys()
    assert f"{RESAMPLES} resamples of originals, seed {SEED}" in compared.page


# Too little ----------------------------------------------------------------------------------------------------------


def test_fewer_than_ten_originals_have_no_interval_but_the_reason():
    run = trained.compared(trained.run(trained.release(n_pairs=24)))
    figures = run.comparison.figures
    assert figures["n_groups"] == 7
    for predictor in figures["predictors"]:
        for statistic in STATISTICS:
            found = predictor[statistic]
            assert (found["low"], found["high"], found["ci_reason"]) == (None, None, "few_groups")
    assert "no interval: fewer than ten originals" in " ".join(page_of(run).split()).replace(" </span>", "")


@pytest.mark.rarely
@pytest.mark.parametrize(("n_groups", "is_too_small"), [(29, True), (30, False)])
def test_fewer_than_thirty_originals_are_called_too_small(n_groups, is_too_small):
    project = make.project()
    for part, n in (("train", 2), ("val", 1), ("test", n_groups)):
        trained.originals(project, n, part)
    run = trained.compared(trained.run(make.release(make.rated_study(of=project, n_pairs=0))))
    assert run.comparison.figures["is_too_small"] is is_too_small
    said = " ".join(page_of(run).split())
    assert (f"too small to conclude anything: {n_groups} pairs of {n_groups} originals" in said) is is_too_small
    assert run.comparison.figures["predictors"][0]["spearman"]["low"] is not None  # said with its interval all the same


def test_a_model_that_always_says_the_same_has_no_correlation_and_its_page_says_why():
    run = trained.compared(trained.run(trained.release(n_pairs=24), score=lambda label: 5.0))
    model, lookup = run.comparison.figures["predictors"][:2]
    for statistic in STATISTICS:
        assert (model[statistic]["value"], model[statistic]["reason"]) == (None, "no_variation")
        assert (lookup[statistic]["value"], lookup[statistic]["reason"]) == (None, "no_variation")  # one kind of pair
        assert run.comparison.figures["people"][statistic]["leave_one_out"]["model"]["value"] is None
        assert run.comparison.figures["people"][statistic]["leave_one_out"]["human"]["value"] is not None
    assert "undefined: one of the two never varies" in " ".join(page_of(run).split())
    runs = trained.researcher(run).get(reverse("scoring:runs", args=[run.project.slug])).content.decode()
    assert ">undefined</a>" in runs


def test_a_single_test_pair_is_too_few_for_any_figure():
    run = trained.compared(trained.run(trained.release(n_pairs=10)))
    assert (run.comparison.figures["n_pairs"], run.comparison.figures["n_groups"]) == (1, 1)
    assert {predictor["spearman"]["reason"] for predictor in run.comparison.figures["predictors"]} == {"too_few_rows"}
    assert "undefined: too few pairs" in " ".join(page_of(run).split())


def test_people_who_never_rated_the_same_pair_have_no_reference():
    run = trained.compared(trained.run(trained.release(n_pairs=24, n_people=1)))
    people = run.comparison.figures["people"]["spearman"]
    assert people["leave_one_out"]["human"]["reason"] == people["split_half"]["reason"] == "no_pairable_values"
    assert "undefined: no pair has two ratings" in " ".join(page_of(run).split())


def test_an_ha1_release_without_originals_is_compared_without_metrics():
    project = make.project()
    for i in range(24):
        make.pair(project, group=f"g{i}", original=None)
    run = trained.compared(trained.run(make.release(make.rated_study(of=project, n_pairs=0, mode="HA1"))))
    told = {predictor["column"]: predictor["n"] for predictor in run.comparison.figures["predictors"]}
    assert told == {"prediction": 7, "lookup": 7, "psnr": 0, "mse": 0, "ssim": 0}
    assert "undefined: too few pairs" in " ".join(page_of(run).split())


# Classes, repeats, schemes -------------------------------------------------------------------------------------------


def whole_score(label: Any) -> float:
    return float(1 + label.number * 7 % 10)


@pytest.mark.rarely
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_model_of_classes_is_held_against_the_classes_it_learnt_too(task):
    run = trained.run(trained.release(n_pairs=24), score=whole_score, target="labels10", task=task)
    run = trained.compared(run)
    figures = run.comparison.figures
    assert [(each["column"], each["against"]) for each in figures["predictors"][:2]] == [
        ("prediction", "mean"),
        ("prediction", "target"),
    ]
    rows = [row for row in rows_in(downloaded(trained.researcher(run), run)) if row["split"] == "test"]
    assert [float(row["target"]) for row in rows] == [round(float(row["score_mean"])) for row in rows]
    assert_held_against_people(figures, rows)
    assert "against the classes it learnt" in page_of(run)


def test_a_model_of_means_has_no_row_of_its_own():
    run = trained.compared()
    assert {predictor["against"] for predictor in run.comparison.figures["predictors"]} == {"mean"}
    assert len(run.comparison.figures["predictors"]) == 5


def test_of_repeated_ratings_the_first_counts():
    run = trained.run(trained.release(n_pairs=24))
    for rating in FrozenRating.objects.filter(label__release=run.release):
        rating.pk, rating.occurrence, rating.score = None, 1, 11 - rating.score
        rating.save()
    run = trained.compared(run)
    first = FrozenRating.objects.filter(label__release=run.release, occurrence=0)
    rows = rows_in(downloaded(trained.researcher(run), run))
    for row in rows:
        assert scores(row) == dict(first.filter(label__number=row["pair"]).values_list("annotator", "score"))
    assert_held_against_people(run.comparison.figures, [row for row in rows if row["split"] == "test"])


def test_pairs_that_a_scheme_leaves_out_are_in_no_figure():
    project = make.project()
    for i in range(40):
        make.pair(project, group=f"g{i}", method="blur" if i % 2 else "mask")
    run = trained.run(make.release(make.rated_study(of=project, n_pairs=0)), scheme="anon-mask")
    run = trained.compared(run)
    rows = rows_in(downloaded(trained.researcher(run), run))
    assert {(row["split"] == "test", row["method"]) for row in rows} == {(True, "mask"), (False, "blur")}
    assert len(rows) == run.predictions.count() < run.release.labels.count()
    overall = fmean(float(row["score_mean"]) for row in rows if row["split"] == "train")
    for row in rows:
        if row["split"] == "test":
            assert float(row["lookup"]) == pytest.approx(overall, **exactly)


# Asking for it -------------------------------------------------------------------------------------------------------


def test_a_second_click_makes_no_second_comparison():
    run = trained.run()
    job = request_comparison(run)
    assert request_comparison(run) == job
    make.done(job)
    assert request_comparison(run) != job


@pytest.mark.django_db(transaction=True)
def test_clicks_at_the_same_moment_make_one_comparison():
    run = trained.run()
    assert len({job.pk for job in at_once(*[lambda: request_comparison(run)] * 4)}) == 1


def test_comparing_again_replaces_the_figures():
    run = trained.compared()
    run.predictions.update(score=3.0)
    again = trained.compared(run)
    assert Comparison.objects.get() == again.comparison
    assert again.comparison.figures["predictors"][0]["spearman"]["reason"] == "no_variation"


def test_a_run_without_a_model_is_not_compared():
    job = request_comparison(trained.queued_run())
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.FAILED, "This run has no model to compare; it must be done first.")


def test_the_download_is_named_after_the_release_and_the_run():
    run = trained.run()
    reply = trained.researcher(run).get(reverse("scoring:predictions", args=[run.public_id]))
    name = f"{run.release.slug}-v1-{str(run.public_id)[:8]}-predictions.csv"
    assert reply["Content-Disposition"] == f'attachment; filename="{name}"'


# Queries -------------------------------------------------------------------------------------------------------------


def n_queries(act: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)


def test_rows_cost_the_same_however_many_there_are():
    few, many = (trained.compared(trained.run(trained.release(n_pairs=n))) for n in (20, 200))
    assert [len(list(rows_of(run))) for run in (few, many)] == [20, 200]
    costs = [n_queries(lambda run=run: list(rows_of(run))) for run in (few, many)]
    assert costs[0] == costs[1] <= 5
    browsers = [trained.researcher(run) for run in (few, many)]
    for name in ("comparison", "predictions", "run"):
        urls = [reverse(f"scoring:{name}", args=[run.public_id]) for run in (few, many)]
        small, large = (
            n_queries(lambda browser=browser, url=url: b"".join(browser.get(url)))
            for browser, url in zip(browsers, urls, strict=True)
        )
        assert small == large, name
