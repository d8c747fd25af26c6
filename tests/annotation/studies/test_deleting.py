"""A study goes while nobody has rated in it; a project with all that it holds, unless something of it was published."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.freeze import request_freeze
from annotation.giving.join import join_as_member
from annotation.models.people import Annotator, Participation
from annotation.models.ratings import Assignment, Rating
from annotation.models.studies import Study
from annotation.privacy import erase_participation
from annotation.studies.deleting import PEOPLE_AT_ONCE, delete_study
from annotation.studies.wording import current_texts
from datasets import jobs
from datasets.files import media_path
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project, Role
from datasets.models.releases import Release
from datasets.refusals import Refusal
from tests import make
from tests.annotation.places import assert_places_add_up
from tests.races import Moment, at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make.user("root", is_staff=True, is_superuser=True))
    return client


# A study ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def begun() -> Study:
    """Open, with a link and two people who have begun and said nothing: one of them rates in another study too."""
    study = make.study(n_pairs=3, goal=2)
    make.invitation(study)
    make.leases(make.participation(study))
    member = make.member(study.project)
    join_as_member(study, member.pk, agreed_to=current_texts(study)["consent"])
    other = make.study(study.project, n_pairs=2)
    make.rate(join_as_member(other, member.pk, agreed_to=current_texts(other)["consent"]), 5)
    return study


def researcher_of(study: Study) -> Client:
    client = Client()
    client.force_login(make.member(study.project))
    return client


def delete_page(study: Study) -> str:
    return reverse("annotation:delete-study", args=[study.public_id])


def test_a_study_that_nobody_has_rated_in_goes_with_those_who_began_and_the_project_keeps_that_it_did(
    begun: Study,
) -> None:
    client, project = researcher_of(begun), begun.project
    held = Assignment.objects.filter(participation__study=begun).held().count()
    page = " ".join(client.get(delete_page(begun)).content.decode().split())
    for what, n in (("Pairs", 3), ("Links", 1), ("People who began", 2), ("Pairs that wait for their answer", held)):
        assert f"<dt>{what}</dt> <dd>{n}</dd>" in page
    assert "Delete this study" in client.get(reverse("annotation:study", args=[begun.public_id])).content.decode()
    assert client.post(delete_page(begun), {"typed": "another"}).status_code == 400
    page = client.post(delete_page(begun), {"typed": begun.short_name}, follow=True).content.decode()
    assert f"The study {begun.name} is deleted." in page
    assert "Study deleted" in page
    [change] = project.changes.all()
    assert change.by is not None
    assert (change.facts["short name"], change.facts["people who began"]) == (begun.short_name, 2)
    assert not Study.objects.filter(pk=begun.pk).exists()
    assert (Participation.objects.count(), Annotator.objects.count(), Rating.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize("what", ["practice", "release"])
def test_a_study_that_somebody_has_answered_in_or_that_was_released_stays(what: str) -> None:
    study = make.rated_study(n_pairs=2, n_people=1)
    if what == "practice":
        Assignment.objects.update(purpose=Assignment.Purpose.PRACTICE)
    else:
        make.release(study)
        erase_participation(study.participations.get())
    page = researcher_of(study).post(delete_page(study), {"typed": study.short_name}, follow=True).content.decode()
    assert "so it stays; close it instead" in page
    assert Study.objects.get().is_open
    assert delete_page(study) not in page


@pytest.mark.django_db(transaction=True)
def test_whoever_answers_while_their_study_is_deleted_is_heard_and_the_study_stays_closed() -> None:
    study = make.study(n_pairs=2)
    answers = [partial(make.rate, make.participation(study), 5) for _ in range(2)]
    at_once(partial(tried, partial(delete_study, study)), *[partial(tried, answer) for answer in answers])
    assert Study.objects.exists() == Rating.objects.exists()
    assert Study.objects.exists() or not Participation.objects.exists()
    for left in Study.objects.all():
        assert_places_add_up(left)


def tried(act: Callable[[], Any]) -> None:
    with suppress(Refusal, IndexError, Study.DoesNotExist):  # refused; or gone, so that there is no pair to answer
        act()


@pytest.mark.django_db(transaction=True)
def test_a_study_is_deleted_once_by_two_clicks_and_both_are_told(begun: Study) -> None:
    client, twin = researcher_of(begun), Client()
    twin.cookies = client.cookies
    send = [partial(each.post, delete_page(begun), {"typed": begun.short_name}) for each in (client, twin)]
    replies = [*at_once(*send), send[0]()]  # and a third one, later
    project = reverse("annotation:project", args=[begun.project.slug])
    assert [reply.url for reply in replies] == [project] * 3
    assert begun.project.changes.count() == 1
    stranger = Client()
    stranger.force_login(make.member(make.project()))
    assert stranger.post(delete_page(begun)).status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_member", [False, True])
def test_whoever_comes_in_while_their_study_is_deleted_finds_nothing_or_begins_and_is_gone(is_member: bool) -> None:
    replies = []
    for n in count():
        study = make.study(n_pairs=2)
        client = Client()
        address = reverse("annotation:join", args=[make.invitation(study).token])
        if is_member:
            client.force_login(make.member(study.project, Role.ANNOTATOR))
            address = reverse("annotation:take-part", args=[study.public_id])
        agrees = {"agree": "on", "consent": current_texts(study)["consent"].edition}
        with Moment(n, partial(delete_study, study)) as moment:
            replies.append(client.post(address, agrees).status_code)
        if not moment.has_come:
            break
        assert not Study.objects.filter(pk=study.pk).exists()
        assert not Participation.objects.exists()
    assert replies[0] == 404
    assert set(replies) <= {404, 302, 409}  # 409: the text is not there any more


# A project ----------------------------------------------------------------------------------------------------------


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
    staff.force_login(make.member(project, Role.ADMIN, is_staff=True))
    assert staff.get(page_of(project)).status_code == 403
    assert admin.get(reverse("admin:datasets_project_delete", args=[0])).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_a_projects_deletion_and_a_freeze_at_once_each_waits_for_the_other_or_is_refused() -> None:
    for _ in range(5):
        study = make.rated_study(n_pairs=2, n_people=1)
        deletion = jobs.queue_job("delete_project", study.project)
        at_once(partial(tried, partial(jobs.run, deletion.pk)), partial(tried, partial(request_freeze, study)))
        was_refused = Job.objects.filter(pk=deletion.pk, state=Job.State.FAILED).exists()
        assert Project.objects.filter(pk=study.project.pk).exists() == was_refused
        assert Study.objects.filter(pk=study.pk).exists() == was_refused
