"""A project goes with all that it holds, unless something of it was published."""

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models.people import Participation
from annotation.models.ratings import Rating
from annotation.models.studies import Study
from annotation.studies.deleting import PEOPLE_AT_ONCE
from datasets import jobs
from datasets.files import media_path
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.models.releases import Release
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make.user("root", is_staff=True, is_superuser=True))
    return client


def page_of(project: Project) -> str:
    return reverse("admin:datasets_project_delete", args=[project.pk])


def test_a_rated_project_is_deleted_by_a_job_and_another_one_stays(admin: Client) -> None:
    kept = make.rated_study(n_pairs=2, n_people=2).project
    n_people = PEOPLE_AT_ONCE + 1
    project = make.rated_study(n_pairs=3, n_people=n_people).project
    file = media_path(f"pictures/{project.pk}/aa/picture.png")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    page = admin.get(page_of(project)).content.decode()
    holds = f"3 pairs, 1 study, {n_people} people who rated or began to, {3 * n_people} ratings and 0 releases"
    assert holds in page
    assert "is being deleted" in admin.post(page_of(project), {"typed": project.slug}, follow=True).content.decode()
    jobs.run(Job.objects.get(kind="delete_project").pk)
    assert list(Project.objects.all()) == [kept]
    assert not file.exists()
    left = [Study.objects.count(), Pair.objects.count(), Participation.objects.count(), Rating.objects.count()]
    assert left == [1, 2, 2, 4]
    assert not Image.objects.exclude(project=kept).exists()


def test_nothing_is_deleted_until_the_name_is_typed(admin: Client) -> None:
    project = make.project()
    assert admin.post(page_of(project), {"typed": "another"}).status_code == 400
    assert not Job.objects.exists()


def test_a_project_with_a_frozen_release_is_told_to_be_closed(admin: Client) -> None:
    release = make.release(make.rated_study(n_pairs=3, n_people=2))
    page = admin.get(page_of(release.project)).content.decode()
    assert "cannot be deleted" in page
    assert "Delete the project" not in page.split("<h1>")[1].split("</h1>")[1]
    admin.post(page_of(release.project), {"typed": release.project.slug})
    assert not Job.objects.filter(kind="delete_project").exists()
    assert Release.objects.exists()


def test_projects_are_not_deleted_by_the_dozen_or_without_the_permission(admin: Client) -> None:
    project = make.project()
    assert "delete_selected" not in admin.get(reverse("admin:datasets_project_changelist")).content.decode()
    staff = Client()
    staff.force_login(make.user("viewer", is_staff=True))
    assert staff.get(page_of(project)).status_code == 403
    assert admin.get(reverse("admin:datasets_project_delete", args=[0])).status_code == 404
