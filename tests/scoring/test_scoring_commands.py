"""Training, comparing and putting to use on the command line: the same verbs as in the admin."""

import csv
import re
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from datasets.models.jobs import Job
from datasets.models.projects import Project
from datasets.models.releases import Release
from scoring.models import BaselineScore, Checkpoint, Comparison, TrainingRun
from tests import make
from tests.scoring import trained

pytestmark = pytest.mark.django_db

SMALL = ("--backbone", "tiny", "--weights", "random", "--size", "32", "--batch-size", "4", "--epochs", "1")


def command(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def project() -> Project:
    return make.project(slug="faces")


@pytest.fixture
def release(project: Project, media_of_its_own: None) -> Release:
    campaign = project.campaigns.create(slug="autumn", name="Autumn")
    return make.release(make.rated_study(of=project, n_pairs=12, campaign=campaign))


@pytest.mark.django_db(transaction=True)  # the job's heartbeat comes from a thread of its own
def test_the_way_from_a_release_to_a_model_in_use(release, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    told = command("train_release", "faces/autumn-ha2", *SMALL, "--lr", "0.05", "--flip", "false")
    run = TrainingRun.objects.get()
    name = str(run.public_id)[:8]
    assert (run.recipe["lr"], run.recipe["flip"], run.recipe["epochs"], run.job.state) == (0.05, False, 1, "done")
    assert f"run {name}: best epoch 1, validation loss " in told
    assert f"manage.py compare {name}, manage.py use_checkpoint {name}" in told
    assert "Test part: 2 pairs of 2 originals" in command("compare", name, "--to", str(tmp_path / "p.csv"))
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert [float(row["prediction"]) for row in rows] == [
        prediction.score for prediction in run.predictions.order_by("label__number")
    ]
    assert run.checkpoint.sha256 in command("use_checkpoint", name)
    assert Checkpoint.objects.get().in_use


def test_a_run_can_be_left_to_a_worker(release):
    told = command("train_release", "faces/autumn-ha2/1", "--queue")
    run = TrainingRun.objects.get()
    assert told == f"run {str(run.public_id)[:8]} is queued: manage.py work --lane train\n"
    assert (run.job.state, run.recipe["backbone"], run.recipe["epochs"]) == ("queued", "resnet50", 200)


def test_a_training_that_fails_ends_the_command_with_its_reason(release, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # for Python that is a package that cannot be found
    with pytest.raises(CommandError, match="torch is not installed"):
        command("train_release", "faces/autumn-ha2", *SMALL)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere/autumn-ha2",), "There is no project 'nowhere'"),
        (("faces/winter",), "There is no release 'faces/winter'. Releases of faces: autumn-ha2/1"),
        (("faces/autumn-ha2/2",), "There is no release"),
        (("faces/autumn-ha2", "--lr", "50"), "lr must be from 0 to 10"),
        (("faces/autumn-ha2", "--lr", "nan"), "lr must be a finite number"),
        (("faces/autumn-ha2", "--lr", "much"), "argument --lr: invalid float value: 'much'"),
        (("faces/autumn-ha2", "--epochs", "ten"), "argument --epochs: invalid int value: 'ten'"),
        (("faces/autumn-ha2", "--flip", "perhaps"), "argument --flip: must be true or false"),
        (("faces/autumn-ha2", "--backbone", "resnet34"), "backbone must be one of tiny, resnet18"),
        (("faces/autumn-ha2", "--backbone", "tiny"), "weights must be random for the backbone tiny"),
        (("faces/autumn-ha2", "--scheme", "some"), "There is no split scheme 'some'"),
        (("faces/autumn-ha2", "--scheme", "loov-test"), "Too small to split by loov-test"),
        (("faces/autumn-ha2", "--mode", "HA1"), "unrecognized arguments: --mode HA1"),
    ],
)
def test_a_training_that_cannot_be_is_refused_in_plain_words_and_nothing_is_stored(release, arguments, says):
    n_jobs = Job.objects.count()
    with pytest.raises(CommandError, match=re.escape(says)):
        command("train_release", *arguments, "--queue")
    assert (TrainingRun.objects.count(), Job.objects.count()) == (0, n_jobs)


def test_the_pairs_of_a_release_are_scored_once(release):
    assert command("score_baselines", "faces/autumn-ha2") == "autumn-ha2 v1: 12 pairs scored, of 12.\n"
    assert command("score_baselines", "faces/autumn-ha2") == "autumn-ha2 v1: 0 pairs scored, of 12.\n"
    assert BaselineScore.objects.count() == 36
    with pytest.raises(CommandError, match="There is no release 'faces/winter'"):
        command("score_baselines", "faces/winter")


def test_a_comparison_is_printed_with_every_figure_and_its_n():
    run = trained.run(trained.release(n_pairs=24))
    told = command("compare", str(run.public_id))
    figures = Comparison.objects.get(run=run).figures
    assert "Test part: 7 pairs of 7 originals" in told
    assert "Too small to conclude anything: fewer than 30 originals." in told
    for predictor in figures["predictors"]:
        rho, tau = (predictor[statistic] for statistic in ("spearman", "kendall"))
        if rho["value"] is not None:
            assert f"{predictor['name']}: rho {rho['value']:.3f}, tau {tau['value']:.3f}, n 7" in told
    alone = figures["people"]["kendall"]["leave_one_out"]["human"]
    assert f"People, kendall: one against the others {alone['value']:.3f} (3 annotators)" in told


def test_a_figure_that_is_undefined_is_printed_with_its_reason():
    run = trained.run(score=lambda label: 5.0)
    assert "this run: rho undefined (no_variation), tau undefined (no_variation), n 2" in command(
        "compare", str(run.public_id)
    )


def test_a_comparison_can_be_asked_for_by_the_beginning_of_the_runs_id_in_capitals():
    run = trained.run()
    TrainingRun.objects.update(public_id="abcdef00-0000-4000-8000-000000000000")
    assert "Test part" in command("compare", "ABCDEF")
    assert Comparison.objects.get().run == run


def test_predictions_are_not_written_into_a_folder_that_is_not_there(tmp_path):
    run = trained.run()
    with pytest.raises(CommandError, match=r"There is no folder .*nowhere; make it first"):
        command("compare", str(run.public_id), "--to", str(tmp_path / "nowhere" / "p.csv"))
    assert not Comparison.objects.exists()


def test_a_run_without_a_model_is_neither_compared_nor_used():
    run = trained.queued_run()
    with pytest.raises(CommandError, match="This run has no model to compare"):
        command("compare", str(run.public_id))
    with pytest.raises(CommandError, match="has no model; it is Queued"):
        command("use_checkpoint", str(run.public_id))


def two_runs() -> list[TrainingRun]:
    release = trained.release()
    runs = [trained.run(release), trained.run(release)]
    for i, run in enumerate(runs):
        TrainingRun.objects.filter(pk=run.pk).update(public_id=f"aaaaaaa{i}-0000-4000-8000-000000000000")
    return runs


@pytest.mark.parametrize("name", ["compare", "use_checkpoint"])
@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("aaaaaaa", "Several runs begin with 'aaaaaaa'"),
        ("bbb", "No run begins with 'bbb'"),
        ("", "No run begins with ''"),
        ("%", "No run begins with '%'"),
    ],
)
def test_a_run_that_is_not_named_clearly_is_not_guessed(name: str, named: str, says: str) -> None:
    two_runs()
    with pytest.raises(CommandError, match=says) as refused:
        command(name, named)
    assert all(f"aaaaaaa{i}-0000-4000-8000-000000000000" in str(refused.value) for i in (0, 1))
    assert not Checkpoint.objects.filter(in_use=True).exists()
    assert not Comparison.objects.exists()


def test_of_two_runs_the_named_one_is_used():
    _, second = two_runs()
    command("use_checkpoint", "aaaaaaa1")
    assert Checkpoint.objects.get(in_use=True).run == second
