import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from datasets.jobs import queue_job
from datasets.models.projects import Project
from datasets.models.releases import Release
from scoring.models import Checkpoint, TrainingRun
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def release() -> Release:
    return make.release(make.rated_study())


@pytest.fixture
def run(release) -> TrainingRun:
    return a_run(release)


def a_run(of: Release, project: Project | None = None) -> TrainingRun:
    project = project or of.project
    job = queue_job("train_release", project)
    return TrainingRun.objects.create(project=project, release=of, recipe={"epochs": 1}, job=job)


def checkpoint(of: TrainingRun, mode: str = "HA2", *, in_use: bool = True) -> Checkpoint:
    return Checkpoint.objects.create(
        project=of.project, run=of, mode=mode, file="best.safetensors", sha256="0" * 64, in_use=in_use
    )


def test_one_checkpoint_is_in_use_per_project_and_mode(run):
    checkpoint(run)
    with pytest.raises(IntegrityError, match=r"one_checkpoint_in_use|project_id"), transaction.atomic():
        checkpoint(a_run(run.release))
    assert Checkpoint.objects.count() == 1


def test_a_run_ends_with_one_checkpoint(run):
    checkpoint(run, in_use=False)
    with pytest.raises(IntegrityError, match="run_id"), transaction.atomic():
        checkpoint(run, in_use=False)


def test_any_number_of_checkpoints_may_lie_unused(run):
    for in_use in (True, False, False):
        checkpoint(a_run(run.release), in_use=in_use)
    assert Checkpoint.objects.get(in_use=True)


def test_each_mode_and_each_project_has_its_own_checkpoint_in_use(run):
    checkpoint(run, "HA1")
    checkpoint(a_run(run.release), "HA2")
    checkpoint(a_run(run.release, make.project()), "HA2")
    assert Checkpoint.objects.filter(in_use=True).count() == 3


def test_a_release_that_a_model_was_trained_on_cannot_be_deleted(run):
    with pytest.raises(ProtectedError) as refused:
        run.release.delete()
    assert run in refused.value.protected_objects


def test_a_run_with_a_checkpoint_cannot_be_deleted(run):
    checkpoint(run)
    with pytest.raises(ProtectedError):
        run.delete()


def test_the_job_of_a_run_cannot_be_deleted(run):
    with pytest.raises(ProtectedError):
        run.job.delete()
