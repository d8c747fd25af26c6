"""Real workers, really killed: the work is done once, whole, and by whoever is left.

Each death comes after the worker's first progress. One kill of each kind is in every run, the others are long.
"""

import hashlib
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django_tasks_db.models import DBTaskResult
from PIL import Image as PillowImage

from annotation.freeze import request_freeze
from annotation.models.studies import Study
from annotation.studies.setup import set_up_study
from datasets.export import archive_name, request_export
from datasets.files import media_path, store
from datasets.jobs import queue_job
from datasets.models.hosts import Worker
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from datasets.models.releases import FrozenRating, Release
from tests import make
from tests.workers import (
    TAKEN_OVER_WITHIN,
    finished,
    has_progress,
    is_taken_over,
    kill,
    pause_between_transactions,
    wait_until,
)

pytestmark = [
    pytest.mark.services,
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("media_of_its_own"),
]
N_PICTURES = 250
N_LABELS = 1500
N_SIDE = 150  # originals, and versions of each: a dozen batches of pairs

# An import


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that keep a worker busy for some seconds."""
    root, random = tmp_path_factory.mktemp("noise"), np.random.default_rng(7)
    lines = ["anonymized,group"]
    for n in range(N_PICTURES):
        pixels = random.integers(0, 256, (300, 300, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(root / f"{n}.png", compress_level=1)
        lines.append(f"{n}.png,g{n // 4}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def one_picture(root: Path) -> Path:
    (root / "a.png").write_bytes(make.picture_bytes())
    (root / "manifest.csv").write_text("anonymized,group\na.png,g\n")
    return root


def import_arguments(root: Path) -> dict[str, str]:
    return {"root": str(root), "manifest": str(root / "manifest.csv")}


def assert_imported_once_and_whole(project: Project, job: Job) -> None:
    assert (job.state, job.attempt, job.error) == (Job.State.DONE, 2, "")
    assert job.result.items() >= {"n_rows": N_PICTURES, "n_new": N_PICTURES, "n_known": 0}.items()  # new to this job
    assert (job.n_done, job.n_total) == (N_PICTURES, N_PICTURES)
    paths = list(project.pairs.values_list("anonymized_path", flat=True))
    assert sorted(paths) == sorted(f"{n}.png" for n in range(N_PICTURES))
    assert_pictures_are_whole(project)


def assert_pictures_are_whole(project: Project) -> None:
    named = {}
    for image in Image.objects.filter(project=project):
        named |= {image.original.name: image.sha256, image.display.name: image.display_sha256}
    for name, sha256 in named.items():
        assert hashlib.sha256(media_path(name).read_bytes()).hexdigest() == sha256
    there = {path for path in media_path(f"pictures/{project.pk}").rglob("*") if path.is_file()}
    assert there == {media_path(name) for name in named}


def test_an_import_is_finished_by_another_worker_when_its_own_is_killed(start_worker, noise):
    project = make.project()
    job = queue_job("import_pairs", project, **import_arguments(noise))
    first = start_worker(own_lease=True)
    wait_until(lambda: has_progress(job))
    kill(first)
    assert 0 < project.pairs.count() < N_PICTURES
    start_worker(own_lease=True)
    wait_until(lambda: is_taken_over(job), seconds=TAKEN_OVER_WITHIN)
    assert_imported_once_and_whole(project, finished(job))


def test_a_worker_that_wakes_up_after_its_job_was_taken_over_writes_nothing_and_works_on(start_worker, noise, tmp_path):
    project = make.project()
    job = queue_job("import_pairs", project, **import_arguments(noise))
    zombie = start_worker()
    wait_until(lambda: has_progress(job))
    pause_between_transactions(zombie, job)
    second = start_worker()
    wait_until(lambda: is_taken_over(job), seconds=TAKEN_OVER_WITHIN)
    assert_imported_once_and_whole(project, finished(job))
    kill(second)

    before = written(job)
    os.kill(zombie.pid, signal.SIGCONT)
    next_job = queue_job("import_pairs", make.project(), **import_arguments(one_picture(tmp_path)))
    assert finished(next_job).result["n_new"] == 1
    assert written(job) == before


def written(job: Job) -> list[Any]:
    rows = [model.objects.filter(project=job.project).order_by("pk") for model in (Pair, Image, Source)]
    return [Job.objects.filter(pk=job.pk).values().get(), *(list(each.values()) for each in rows)]


# Two hosts, of which one is unfit


def test_a_job_is_done_by_another_host_when_a_workers_own_has_lost_its_media_folder(start_worker, settings, tmp_path):
    start_worker()
    wait_until(lambda: Worker.objects.count() == 1)
    elsewhere = settings.MEDIA_ROOT.parent.rename(tmp_path / "mounted")
    job = queue_job("import_pairs", make.project(), **import_arguments(one_picture(tmp_path)))
    wait_until(lambda: DBTaskResult.objects.count() == 2)  # the ticket that it took, and the one that it left to others
    start_worker(STUDIO_VAR=str(elsewhere))
    done = finished(job)
    assert (done.state, done.attempt, done.n_returns) == (Job.State.DONE, 1, 0)
    assert list((elsewhere / "media" / "pictures").glob("*/*"))


# A freeze and an export


@pytest.fixture
def large_study(transactional_db: None) -> Study:
    project = make.project()
    source = Source.objects.create(project=project, name="test")
    images = Image.objects.bulk_create(small_image(project, n) for n in range(N_LABELS))
    Pair.objects.bulk_create(
        Pair(project=project, anonymized=image, group=f"g{n // 4}", source=source, anonymized_path=f"{n}.png")
        for n, image in enumerate(images)
    )
    study = make.study(project, mode="HA1", n_pairs=0)
    make.fill_in(study, n_people=3)
    return study


def small_image(project: Project, n: int) -> Image:
    """A row and a file. Neither a freeze nor an export looks at pixels."""
    data = f"the pixels of picture {n} ".encode() * 200
    sha256 = hashlib.sha256(data).hexdigest()
    name = f"pictures/{project.pk}/{sha256}.png"
    store(name, data)
    facts = {"content_type": "image/png", "width": 1, "height": 1, "n_bytes": len(data)}
    return Image(project=project, sha256=sha256, display_sha256=sha256, original=name, display=name, **facts)


@pytest.mark.long
def test_a_freeze_whose_worker_is_killed_leaves_one_release_and_no_half_one(start_worker, large_study):
    job = request_freeze(large_study)
    first = start_worker()
    wait_until(lambda: has_progress(job))
    kill(first)
    draft = Release.objects.get()
    assert draft.frozen_at is None
    assert 0 < draft.labels.count() < N_LABELS
    start_worker()
    wait_until(lambda: is_taken_over(job), seconds=TAKEN_OVER_WITHIN)
    done = finished(job)
    release = Release.objects.get()
    assert (done.state, done.attempt, done.result["release"]) == (Job.State.DONE, 2, release.pk)
    assert release.frozen_at
    assert release.version == 1
    assert release.labels.count() == N_LABELS
    assert FrozenRating.objects.count() == N_LABELS * 3


@pytest.mark.long
def test_an_export_whose_worker_is_killed_puts_no_half_archive_in_place(start_worker, large_study):
    release = make.release(large_study)
    job, path = request_export(release), media_path(archive_name(release))
    first = start_worker()
    wait_until(lambda: has_progress(job))
    kill(first)
    assert not path.exists()
    assert [each.name for each in path.parent.iterdir()] == [f".job-{job.pk}-attempt-1.zip"]
    start_worker()
    wait_until(lambda: is_taken_over(job), seconds=TAKEN_OVER_WITHIN)
    done = finished(job)
    assert (done.state, done.attempt) == (Job.State.DONE, 2)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == done.result["sha256"]
    assert list(path.parent.iterdir()) == [path]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len([name for name in archive.namelist() if name.startswith("pictures/")]) == N_LABELS


# A study that is filled


@pytest.mark.long
def test_a_study_whose_worker_is_killed_is_filled_to_its_end_by_another(start_worker):
    project = make.project()
    source = Source.objects.create(project=project, name="test")
    facts = {"display_sha256": "", "width": 1, "height": 1, "n_bytes": 1}
    sides = [
        Image.objects.bulk_create(Image(project=project, sha256=f"{side}{n}", **facts) for n in range(N_SIDE))
        for side in "oa"
    ]
    Pair.objects.bulk_create(
        (
            Pair(project=project, original=one, anonymized=other, group=one.sha256, source=source, anonymized_path="x")
            for one in sides[0]
            for other in sides[1]
        ),
        batch_size=1000,
    )
    study, job = set_up_study(project, campaign="C", mode="HA2", name="S")
    first = start_worker()
    wait_until(lambda: has_progress(job))
    kill(first)
    held = list(study.items.order_by("pk").values_list("pk", flat=True))
    assert 0 < len(held) < N_SIDE**2
    start_worker()
    wait_until(lambda: is_taken_over(job), seconds=TAKEN_OVER_WITHIN)
    done = finished(job)
    assert (done.state, done.attempt, done.result["n_pairs"], done.n_done) == (Job.State.DONE, 2, N_SIDE**2, N_SIDE**2)
    assert list(study.items.order_by("pk").values_list("pk", flat=True))[: len(held)] == held  # they stayed
    assert study.items.count() == N_SIDE**2
