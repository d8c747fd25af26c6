"""How much a project may hold, and that two imports at once do not pass it together."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets import jobs
from datasets.jobs import queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Image
from datasets.models.projects import Project, Role
from datasets.quotas import Room, held_by
from tests import make
from tests.races import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture
def project() -> Project:
    return make.project()


def import_of(folder: Path, *names: str) -> dict[str, str]:
    """A folder with a pair of two pictures for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["original,anonymized"]
    for name in names:
        for side in ("original", "anonymized"):
            (folder / f"{name}-{side}.png").write_bytes(make.picture_bytes())
        rows.append(f"{name}-original.png,{name}-anonymized.png")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return {"root": str(folder), "manifest": str(folder / "manifest.csv")}


def done(project: Project, arguments: dict[str, str]) -> Job:
    job = queue_job("import_pairs", project, **arguments)
    jobs.run(job.pk)
    job.refresh_from_db()
    return job


def test_what_does_not_fit_is_refused_before_any_of_it_is_kept(project: Project, tmp_path: Path, settings: Any) -> None:
    settings.PROJECT_MAX_PAIRS = 3
    assert done(project, import_of(tmp_path / "a", "one", "two")).state == "done"
    refused = done(project, import_of(tmp_path / "b", "three", "four"))
    assert (refused.state, project.pairs.count(), project.images.count()) == ("failed", 2, 4)
    assert "holds 2 pairs, this would add 2, and 3 is the most" in refused.error
    assert "PROJECT_MAX_PAIRS" in refused.error
    assert done(project, import_of(tmp_path / "c", "three")).state == "done"


def test_what_is_there_already_needs_no_room(project: Project, tmp_path: Path, settings: Any) -> None:
    settings.PROJECT_MAX_PAIRS = 2
    first = import_of(tmp_path, "one", "two")
    assert [done(project, first).state for _ in range(2)] == ["done", "done"]


def test_bytes_are_of_the_pictures_as_they_came_each_once(project: Project, tmp_path: Path, settings: Any) -> None:
    arguments = import_of(tmp_path, "one", "two")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(manifest.read_text() + "one-original.png,two-anonymized.png\n")
    size = sum(each.stat().st_size for each in tmp_path.glob("*.png"))
    settings.PROJECT_MAX_BYTES = size - 1
    assert "GB of pictures" in done(project, arguments).error
    assert not Image.objects.exists()
    settings.PROJECT_MAX_BYTES = size
    assert done(project, arguments).state == "done"
    assert held_by(project) == Room(3, size)


def test_a_superuser_gives_a_project_another_quota(project: Project, tmp_path: Path, settings: Any) -> None:
    settings.PROJECT_MAX_PAIRS = 1
    Project.objects.filter(pk=project.pk).update(max_pairs=2)
    assert done(project, import_of(tmp_path / "a", "one", "two")).state == "done"
    assert done(project, import_of(tmp_path / "b", "three")).state == "failed"


@pytest.mark.parametrize("_", range(3))
def test_two_imports_at_once_do_not_pass_it_together(_: int, project: Project, tmp_path: Path, settings: Any) -> None:
    settings.PROJECT_MAX_PAIRS = 5
    both = [import_of(tmp_path / name, *(f"{name}{n}" for n in range(3))) for name in "ab"]
    queued = [queue_job("import_pairs", project, **arguments) for arguments in both]
    at_once(*[lambda job=job: jobs.run(job.pk) for job in queued])
    assert sorted(Job.objects.values_list("state", flat=True)) == ["done", "failed"]
    assert project.pairs.count() == 3


def test_the_import_page_says_what_is_used(project: Project, tmp_path: Path, settings: Any) -> None:
    settings.PROJECT_MAX_PAIRS = 1200
    done(project, import_of(tmp_path, "one"))
    browser = Client()
    browser.force_login(make.member(project, Role.RESEARCHER))
    page = browser.get(reverse("datasets:import", args=[project.slug])).content.decode()
    assert "The project holds 1 of 1,200 pairs" in page
