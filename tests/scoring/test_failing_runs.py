"""Trainings that fail, by real processes: whichever database the site has, each says why and leaves no model."""

import re
import sys

import pytest

from datasets import jobs
from datasets.files import media_path
from datasets.models.jobs import Job
from scoring.models import Checkpoint, Prediction, TrainingRun
from scoring.runs import log_tail
from tests.scoring import trained

pytestmark = pytest.mark.django_db(transaction=True)  # the job's heartbeat comes from a thread of its own


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def failed(run: TrainingRun) -> str:
    """The reason why the run's job failed."""
    jobs.run(run.job.pk)
    run.job.refresh_from_db()
    assert (run.job.state, run.job.traceback) == (Job.State.FAILED, "")
    assert not Checkpoint.objects.exists()
    assert not Prediction.objects.exists()
    assert not Job.objects.filter(kind="compare_run").exists()
    return run.job.error


def test_a_training_that_diverges_fails_with_its_epoch_and_leaves_no_model(media_of_its_own, one_thread):
    run = trained.queued_run(trained.release(mode="HA1"), lr=10, weight_decay=1, batch_size=1, epochs=30)
    reason = failed(run)
    found = re.search(r"in epoch (\d+): the training has diverged\. Lower the learning rate", reason)
    assert found, reason
    assert run.epochs.count() == int(found[1]) - 1
    assert reason in log_tail(run)


def test_weights_that_are_nowhere_are_named(media_of_its_own, one_thread, settings, tmp_path, monkeypatch):
    settings.WEIGHTS_DIR = str(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    reason = failed(trained.queued_run(backbone="resnet18", weights="imagenet"))
    assert f"The weights of resnet18 are not in {tmp_path}" in reason
    assert re.search(r"Download https://\S+/resnet18-f37072fd\.pth into the weights folder", reason)


def test_a_missing_picture_fails_the_run_with_its_path(media_of_its_own, one_thread):
    run = trained.queued_run()
    lost = run.release.labels.first().anonymized.display.name
    media_path(lost).unlink()
    assert re.search(rf"The picture {re.escape(lost)} below .* cannot be read: .*No such file", failed(run))


def test_where_torch_is_not_installed_the_run_says_how_to_install_it(media_of_its_own, monkeypatch):
    run = trained.queued_run()
    monkeypatch.setitem(sys.modules, "torch", None)  # for Python that is a package that cannot be found
    assert "torch is not installed where this worker runs. Run: pip install" in failed(run)
