"""A training run from the wish to the model: asked for, trained by a real process, taken in, looked at, put to use."""

import csv
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from datasets import jobs, splits
from datasets.files import media_path
from datasets.jobs import JobFailed, cancel_job, claim
from datasets.models.jobs import Job
from datasets.models.projects import Role
from datasets.models.releases import Label
from datasets.splits import TooSmallToSplit
from scoring import results, trainer
from scoring.models import Checkpoint, Epoch, Prediction, TrainingRun
from scoring.recipe import Recipe
from scoring.runs import CannotQueue, log_tail, queue_run, recipe_for, run_again
from tests import make
from tests.races import at_once
from tests.scoring import trained

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
real_process = pytest.mark.django_db(transaction=True)  # the job's heartbeat comes from a thread of its own


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def page(client: Client, name: str, run: TrainingRun) -> str:
    return client.get(reverse(f"scoring:{name}", args=[run.public_id])).content.decode()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# Asking --------------------------------------------------------------------------------------------------------------


def test_a_run_keeps_its_recipe_and_waits_in_the_lane_for_training():
    release, ann = trained.release(), make.user("ann")
    recipe = recipe_for(release, backbone="tiny", weights="random", size=64, seed=7)
    run = queue_run(release, recipe, by=ann)
    run.refresh_from_db()
    assert run.recipe == recipe.to_dict()
    assert (run.project, run.release) == (release.project, release)
    assert (run.job.kind, run.job.lane, run.job.state, run.job.created_by) == ("train_release", "train", "queued", ann)


def test_the_release_says_mode_and_scale_whatever_else_is_asked_for():
    recipe = recipe_for(trained.release(mode="HA1"), mode="HA2", scale_max=7.0)
    assert (recipe.mode, recipe.scale_min, recipe.scale_max) == ("HA1", 1, 10)


def test_a_release_too_small_to_split_is_refused_in_plain_words_before_anything_is_stored():
    release = trained.release(n_pairs=4)
    n_jobs = Job.objects.count()
    says = r"Too small to split by all: of 4 originals none falls into test\. .*seed"
    with pytest.raises(TooSmallToSplit, match=says):
        trained.queued_run(release)
    assert (TrainingRun.objects.count(), Job.objects.count()) == (0, n_jobs)


def test_a_scheme_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(TooSmallToSplit, match=r"Too small to split by loov-test: .* train and val"):
        trained.queued_run(scheme="loov-test")
    assert not TrainingRun.objects.exists()


@pytest.mark.rarely
@pytest.mark.parametrize("other", [{"mode": "HA1"}, {"scale_max": 7.0}, {"scale_min": 0.0}])
def test_a_recipe_for_another_mode_or_scale_is_refused(other):
    release = trained.release()
    with pytest.raises(CannotQueue, match="for another mode or scale than"):
        queue_run(release, Recipe(**{"mode": "HA2"} | other))
    assert not TrainingRun.objects.exists()


def test_running_again_queues_an_equal_recipe_on_the_same_release():
    first, ann = trained.run(seed=3, lr=0.5), make.user("ann")
    again = run_again(first, by=ann)
    assert (again.recipe, again.release) == (first.recipe, first.release)
    assert (again.job.state, again.job.created_by) == ("queued", ann)
    assert again.pk != first.pk
    assert Checkpoint.objects.get().run == first


def test_a_recipe_of_an_older_version_that_is_no_longer_possible_is_refused_with_the_reason():
    run = trained.queued_run()
    run.recipe["epochs"] = 0
    with pytest.raises(CannotQueue, match="no longer possible: epochs must be from 1 to 10000"):
        run_again(run)
    assert TrainingRun.objects.count() == 1


def test_a_cancelled_run_is_never_trained(media_of_its_own):
    run = trained.queued_run()
    cancel_job(run.job)
    jobs.run(run.job.pk)
    run.job.refresh_from_db()
    assert run.job.state == Job.State.CANCELLED
    assert not media_path(run.folder).exists()


# Training: one real run, looked at from all sides --------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """What a real training left, as plain values."""

    run: TrainingRun
    job: Job
    folder: Path
    epochs: list[Epoch]
    checkpoint: Checkpoint
    predictions: list[Prediction]
    labels: list[Label]
    pictures: Path
    comparisons: list[Job]


@pytest.fixture(scope="module")
def done(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    media = tmp_path_factory.mktemp("site") / "media"
    with trained.site_for_a_module(django_db_blocker, media):
        run = trained.queued_run(trained.release(), seed=5, epochs=3, lr=0.05)
        make.done(run.job)
        checkpoint = Checkpoint.objects.get(run=run)
        return Trained(
            run=run,
            job=run.job,
            folder=media_path(checkpoint.file.name).parent,
            epochs=list(run.epochs.all()),
            checkpoint=checkpoint,
            predictions=list(run.predictions.select_related("label")),
            labels=list(run.release.labels.select_related("original", "anonymized").order_by("number")),
            pictures=media,
            comparisons=list(Job.objects.filter(kind="compare_run")),
        )


@pytest.mark.rarely
def test_every_epoch_is_stored_with_its_losses(done):
    lines = [json.loads(line) for line in (done.folder / "epochs.jsonl").read_text().splitlines()]
    stored = [(epoch.number, epoch.train_loss, epoch.val_loss, epoch.lr, epoch.seconds) for epoch in done.epochs]
    assert stored == [
        tuple(line[name] for name in ("epoch", "train_loss", "val_loss", "lr", "seconds")) for line in lines
    ]
    assert [number for number, *_ in stored] == [1, 2, 3]
    assert (done.job.n_done, done.job.n_total) == (3, 3)


def test_the_model_is_kept_by_the_hash_of_its_file(done):
    model = done.folder / "model.safetensors"
    assert (done.checkpoint.sha256, done.checkpoint.mode, done.checkpoint.in_use) == (sha256(model), "HA2", False)
    assert done.job.result == {"run": done.run.pk, "checkpoint": sha256(model)}


def test_a_model_says_where_it_comes_from(done):
    meta = done.checkpoint.meta
    assert meta["labels_sha256"] == sha256(done.folder / "labels.csv")
    assert meta["recipe_sha256"] == sha256(done.folder / "recipe.json")
    assert meta["recipe"] == done.run.recipe
    assert (meta["recipe"]["seed"], meta["recipe"]["split_seed"], meta["weights_file"]) == (5, 42, "")
    assert meta["n_pairs"] == meta["n_groups"] == {"train": 8, "val": 2, "test": 2}
    installed = {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow", "perceptanon-studio")}
    assert installed.items() <= meta["versions"].items()
    assert re.fullmatch("[0-9a-f]{64}", meta["versions"]["code_sha256"])


def test_the_best_epoch_is_the_one_with_the_lowest_validation_loss(done):
    best = min(done.epochs, key=lambda epoch: epoch.val_loss)
    assert done.checkpoint.meta["best"] == {"epoch": best.number, "val_loss": best.val_loss}


def test_the_training_reads_the_releases_labels_with_the_parts_it_uses(done):
    rows = table(done.folder / "labels.csv")
    assert [int(row["pair"]) for row in rows] == [label.number for label in done.labels]
    assert [row["split"] for row in rows] == splits.parts(done.labels, "all", seed=42)
    assert [float(row["score_mean"]) for row in rows] == pytest.approx([label.mean for label in done.labels], abs=1e-6)
    for row, label in zip(rows, done.labels, strict=True):
        assert sha256(done.pictures / row["original_path"]) == label.original.display_sha256
        assert sha256(done.pictures / row["anonymized_path"]) == label.anonymized.display_sha256


def test_every_pair_has_a_prediction_on_the_scale_and_its_part(done):
    assert [prediction.label for prediction in done.predictions] == done.labels
    assert [prediction.split for prediction in done.predictions] == splits.parts(done.labels, "all", seed=42)
    assert all(1 <= prediction.score <= 10 for prediction in done.predictions)
    assert len({prediction.score for prediction in done.predictions}) > 1
    targets = [prediction.target for prediction in done.predictions]
    assert targets == pytest.approx([label.mean for label in done.labels], abs=1e-6)  # as far as labels.csv has it


def test_the_predictions_are_those_of_the_trainings_own_file(done):
    told = [(int(row["pair"]), float(row["prediction"])) for row in table(done.folder / "predictions.csv")]
    assert told == [(prediction.label.number, prediction.score) for prediction in done.predictions]


def test_a_comparison_is_asked_for_once(done):
    assert [(job.arguments, job.state) for job in done.comparisons] == [({"run": done.run.pk}, "queued")]


def test_the_states_to_go_on_from_are_gone_and_the_model_stays(done):
    left = {path.name for path in done.folder.iterdir()}
    assert {"model.safetensors", "meta.json", "predictions.csv", "result.json", "epochs.jsonl", "log.txt"} <= left
    assert [name for name in left if "epoch-" in name or "draft" in name] == []
    assert [path.name for path in done.folder.parent.iterdir()] == ["attempt-1"]


def test_an_ha1_training_is_shown_no_original(media_of_its_own):
    run = trained.queued_run(trained.release(mode="HA1"))
    rows = table(trainer.prepare(run, 1) / "labels.csv")
    assert {row["original_path"] for row in rows} == {row["original_sha256"] for row in rows} == {""}
    assert all(label.original for label in run.release.labels.all())


# What a training wrote -----------------------------------------------------------------------------------------------


def test_the_log_is_the_newest_attempts_and_only_its_end(media_of_its_own):
    run = trained.queued_run()
    for number, text in {1: "first", 9: "ninth", 10: "begin " + "x" * 5000 + " end"}.items():
        folder = media_path(run.folder) / f"attempt-{number}"
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text(text)
    assert log_tail(run) == "x" * 3996 + " end"


def test_a_run_that_has_not_begun_has_no_log(media_of_its_own):
    assert log_tail(trained.queued_run()) == ""


def test_a_log_with_damaged_characters_is_shown_all_the_same(media_of_its_own):
    run = trained.queued_run()
    folder = media_path(run.folder) / "attempt-1"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_bytes(b"loss \xff nan")
    assert log_tail(run) == "loss \N{REPLACEMENT CHARACTER} nan"


# Taking in -----------------------------------------------------------------------------------------------------------


def left_by_training(run: TrainingRun) -> Path:
    """A folder as a finished training leaves it, its weights a few bytes."""
    folder = trainer.prepare(run, 1)
    (folder / "model.safetensors").write_bytes(b"weights")
    meta = {"recipe": run.recipe, "sha256": hashlib.sha256(b"weights").hexdigest()}
    (folder / "meta.json").write_text(json.dumps(meta))
    lines = [f"{row['pair']},{row['split']},{row['score_mean']},4.0,6.5" for row in table(folder / "labels.csv")]
    (folder / "predictions.csv").write_text("\n".join(["pair,split,score_mean,target,prediction", *lines]))
    (folder / "result.json").write_text("{}")
    return folder


def test_a_finished_folder_becomes_a_model_with_its_predictions(media_of_its_own):
    run = trained.queued_run()
    results.take_in(claim(run.job.pk), run, left_by_training(run))
    assert Checkpoint.objects.get().sha256 == hashlib.sha256(b"weights").hexdigest()
    assert Counter(run.predictions.values_list("split", "target", "score")) == {
        ("train", 4.0, 6.5): 8,
        ("val", 4.0, 6.5): 2,
        ("test", 4.0, 6.5): 2,
    }


def test_what_a_dead_attempt_left_of_its_predictions_is_replaced(media_of_its_own):
    run = trained.queued_run()
    Prediction.objects.create(run=run, label=run.release.labels.first(), split="test", target=1, score=1)
    results.take_in(claim(run.job.pk), run, left_by_training(run))
    assert set(run.predictions.values_list("score", flat=True)) == {6.5}


def spoil_model(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"Weights")


def lose_result(folder: Path) -> None:
    (folder / "result.json").unlink()


def lose_meta(folder: Path) -> None:
    (folder / "meta.json").unlink()


def cut_meta(folder: Path) -> None:
    (folder / "meta.json").write_text('{"recipe"')


@pytest.mark.rarely
@pytest.mark.parametrize("spoil", [spoil_model, lose_result, lose_meta, cut_meta])
def test_a_damaged_or_unfinished_result_is_refused(media_of_its_own, spoil):
    run = trained.queued_run()
    folder = left_by_training(run)
    spoil(folder)
    with pytest.raises(JobFailed, match="The training ended without its result"):
        results.take_in(claim(run.job.pk), run, folder)
    assert not Checkpoint.objects.exists()
    assert not Job.objects.filter(kind="compare_run").exists()


@real_process
def test_a_run_that_has_its_model_already_is_not_trained_or_taken_in_again(media_of_its_own):
    run = trained.run()
    before = list(run.predictions.values_list("pk", "score"))
    (media_path(run.folder) / "attempt-0").mkdir()  # of an attempt that came to nothing
    Job.objects.filter(pk=run.job.pk).update(state=Job.State.QUEUED)  # its worker died before it could say done
    make.done(run.job)
    assert Checkpoint.objects.get() == run.checkpoint
    assert list(run.predictions.values_list("pk", "score")) == before
    assert not Job.objects.filter(kind="compare_run").exists()
    assert [path.name for path in media_path(run.folder).iterdir()] == ["attempt-1"]


# In use --------------------------------------------------------------------------------------------------------------


def in_use() -> set[int]:
    return set(Checkpoint.objects.filter(in_use=True).values_list("pk", flat=True))


def test_a_checkpoint_takes_the_place_of_the_one_that_was_in_use():
    release = trained.release()
    first, second = trained.run(release).checkpoint, trained.run(release).checkpoint
    first.use()
    second.use()
    assert in_use() == {second.pk}
    second.use()
    assert in_use() == {second.pk}


def test_each_mode_and_each_project_has_a_checkpoint_of_its_own_in_use():
    project = make.project()
    releases = [
        make.release(make.rated_study(of=project, n_pairs=12, mode="HA1")),
        make.release(make.rated_study(of=project, n_pairs=0, mode="HA2")),
        trained.release(mode="HA2"),
    ]
    checkpoints = [trained.run(release).checkpoint for release in releases]
    for checkpoint in checkpoints:
        checkpoint.use()
    assert in_use() == {checkpoint.pk for checkpoint in checkpoints}


@real_process
def test_of_two_checkpoints_put_in_use_at_the_same_moment_one_stays():
    release = trained.release()
    checkpoints = [trained.run(release).checkpoint for _ in range(4)]
    for _ in range(3):
        at_once(*[checkpoint.use for checkpoint in checkpoints])
        assert len(in_use()) == 1


# Pages ---------------------------------------------------------------------------------------------------------------

PAGES = ("run", "comparison", "predictions")


def pages_of(run: TrainingRun) -> list[str]:
    return [
        reverse("scoring:runs", args=[run.project.slug]),
        *[reverse(f"scoring:{name}", args=[run.public_id]) for name in PAGES],
    ]


def test_researchers_see_the_runs_and_everything_of_them():
    run = trained.compared()
    assert {trained.researcher(run).get(url).status_code for url in pages_of(run)} == {200}


def test_superusers_see_every_run(client):
    run = trained.compared()
    client.force_login(make.user(is_staff=True, is_superuser=True))
    assert {client.get(url).status_code for url in pages_of(run)} == {200}


@pytest.mark.parametrize("who", ["an annotator", "a researcher of another project"])
def test_others_see_no_run(who):
    run, client = trained.compared(), Client()
    client.force_login(
        {
            "an annotator": lambda: make.member(run.project, Role.ANNOTATOR),
            "a researcher of another project": lambda: make.member(make.project()),
        }[who]()
    )
    assert {client.get(url).status_code for url in pages_of(run)} == {404}


def test_who_is_not_logged_in_is_sent_to_the_log_in(client):
    run = trained.compared()
    assert {client.get(url).url for url in pages_of(run)} == {f"/login/?next={url}" for url in pages_of(run)}


def test_the_runs_pages_are_for_looking_only():
    run = trained.compared()
    assert {trained.researcher(run).post(url).status_code for url in pages_of(run)} == {405}


def test_a_run_without_model_has_no_comparison_and_no_predictions():
    run = trained.queued_run()
    client = trained.researcher(run)
    status = {name: client.get(reverse(f"scoring:{name}", args=[run.public_id])).status_code for name in PAGES}
    assert status == {"run": 200, "comparison": 404, "predictions": 404}


def test_the_list_shows_each_run_with_its_correlation_and_which_model_is_in_use():
    release = trained.release(n_pairs=24)
    first, second = trained.compared(trained.run(release)), trained.queued_run(release)
    first.checkpoint.use()
    html = trained.researcher(first).get(reverse("scoring:runs", args=[first.project.slug])).content.decode()
    rho = first.comparison.figures["predictors"][0]["spearman"]["value"]
    assert f">{rho:.3f}</a>" in html
    assert all(str(run.public_id)[:8] in html for run in (first, second))
    assert html.count("in use</span>") == 1
    assert f"{first.checkpoint.sha256[:12]}</code>" in html


def test_the_list_is_empty_before_the_first_run(client):
    project = make.project()
    client.force_login(make.member(project))
    page = client.get(reverse("scoring:runs", args=[project.slug])).content.decode()
    assert "No run yet" in page
    assert "None yet" in page


def test_a_queued_run_waits_for_a_worker(media_of_its_own):
    run = trained.queued_run()
    html = page(trained.researcher(run), "run", run)
    assert "Waiting for a worker of the lane" in html
    assert 'data-finished="false"' in html
    assert "<polyline" not in html


def test_a_running_run_shows_its_epochs_and_losses_so_far(media_of_its_own):
    run = trained.queued_run(epochs=10)
    claim(run.job.pk)
    html = page(trained.researcher(run), "run", run)
    assert "Starting, or in the first epoch" in html
    trained.epochs(run, 3)
    html = page(trained.researcher(run), "run", run)
    assert "3 of 10 epochs" in html
    assert re.search(r'<progress[^>]* max="10" value="3"', html)
    assert [f'<td class="number">{loss:.6f}</td>' in html for loss in (0.5 / 3, 0.6 / 3)] == [True, True]
    assert 'data-state="running"' in html
    assert 'data-finished="false"' in html


def test_a_failed_run_shows_its_reason_and_the_end_of_its_log(media_of_its_own):
    run = trained.queued_run()
    (media_path(run.folder) / "attempt-1").mkdir(parents=True)
    (media_path(run.folder) / "attempt-1" / "log.txt").write_text("epoch 1 of 2: <train>")
    Job.objects.filter(pk=run.job.pk).update(state=Job.State.FAILED, error="The loss became nan in epoch 2")
    html = page(trained.researcher(run), "run", run)
    assert "The loss became nan in epoch 2" in html
    assert "<pre>epoch 1 of 2: &lt;train&gt;</pre>" in html
    assert 'data-finished="true"' in html


def test_a_done_run_is_looked_at_again_until_its_comparison_is_there(media_of_its_own):
    run = trained.run()
    results.request_comparison(run)
    waiting = page(trained.researcher(run), "run", run)
    assert "The comparison with people is being made" in waiting
    assert 'data-finished="false"' in waiting
    trained.compared(run)
    html = page(trained.researcher(run), "run", run)
    assert reverse("scoring:comparison", args=[run.public_id]) in html
    assert 'data-finished="true"' in html


def test_a_comparison_that_failed_is_said_on_the_runs_page(media_of_its_own):
    run = trained.run()
    label = run.release.labels.get(number=run.predictions.filter(split="test").first().label.number)
    media_path(label.original.display.name).unlink()
    jobs.run(results.request_comparison(run).pk)
    html = page(trained.researcher(run), "run", run)
    assert "The comparison with people failed." in html
    assert f"The file of picture {label.original.display_sha256} cannot be read" in html


@pytest.mark.parametrize("name", ["run", "comparison"])
def test_a_page_tells_the_models_whole_lineage(name):
    run = trained.compared(trained.run(seed=11, split_seed=42, lr=0.125))
    said = words(page(trained.researcher(run), name, run))
    assert run.checkpoint.sha256 in said
    assert str(run.public_id) in said
    assert f"content hash {run.release.content_hash}" in said
    assert "Seeds 11, split 42 (all, whole originals)" in said
    assert "lr 0.125" in said
    assert all(f"{field} {value}" in said for field, value in trained.VERSIONS.items())
    assert set(re.search(r"Parts (.*?) pairs", said)[1].split(" · ")) == {"train 8", "val 2", "test 2"}
    assert "random weights" in said


@pytest.mark.parametrize("name", ["run", "comparison"])
@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_ratings_are_named_wherever_a_figure_rests_on_them(name, simulated):
    run = trained.compared(trained.run(trained.release(simulated=simulated)))
    html = page(trained.researcher(run), name, run)
    assert (html.count("simulated ratings</span>") > 0) == simulated
    listed = trained.researcher(run).get(reverse("scoring:runs", args=[run.project.slug])).content.decode()
    assert ("simulated ratings</span>" in listed) == simulated


def offered(client: Client, run: TrainingRun) -> list[str]:
    """The verbs that the run's page has buttons for."""
    return re.findall(rf'action="/runs/{run.public_id}/([\w-]+)/"', page(client, "run", run))


@pytest.mark.parametrize(
    ("role", "is_superuser", "may"),
    [(Role.RESEARCHER, False, False), (Role.ADMIN, False, True), (Role.RESEARCHER, True, True)],
)
def test_buttons_are_for_the_projects_admins(client, role, is_superuser, may):
    run = trained.compared()
    client.force_login(make.member(run.project, role, is_staff=not may, is_superuser=is_superuser))
    assert offered(client, run) == (["use", "compare", "again"] if may else [])


def test_an_unfinished_run_can_be_cancelled_and_a_model_in_use_not_used_again(client):
    run = trained.run()
    other = trained.queued_run(run.release)
    run.checkpoint.use()
    client.force_login(make.member(run.project, Role.ADMIN))
    assert offered(client, run) == ["out-of-use", "compare", "again"]
    assert offered(client, other) == ["cancel"]


def n_queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        reply = client.get(url)
        b"".join(reply)  # type: ignore[arg-type]
    assert reply.status_code == 200
    return len(captured)


def test_the_list_costs_the_same_however_many_runs_there_are():
    release = trained.release()
    run = trained.compared(trained.run(release))
    client, url = trained.researcher(run), reverse("scoring:runs", args=[run.project.slug])
    before = n_queries(client, url)
    for _ in range(3):
        trained.compared(trained.run(release)).checkpoint.use()
        trained.queued_run(release)
    assert n_queries(client, url) == before


def test_a_runs_page_costs_the_same_however_many_epochs_it_has():
    run = trained.queued_run(epochs=50)
    client, url = trained.researcher(run), reverse("scoring:run", args=[run.public_id])
    trained.epochs(run, 1)
    before = n_queries(client, url)
    Epoch.objects.all().delete()
    trained.epochs(run, 50)
    assert n_queries(client, url) == before
