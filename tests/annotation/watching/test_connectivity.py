"""Whether a study's annotators can be compared, looked at in the background."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.freeze import request_freeze
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from annotation.studies.pairs import add_items, further_pairs
from annotation.watching.background import checks_of, kinds, last_check, request_check, request_due_checks
from annotation.watching.connectivity import KIND, components
from datasets import jobs
from datasets.models.jobs import Job
from tests import make
from tests.annotation.said import said, say
from tests.races import at_once
from tests.workers import Start, wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def apart() -> Study:
    """Two people share two pairs, a third rated two others; the fifth pair has no rating."""
    study = make.study(n_pairs=5, goal=3)
    said(study, [[5, 6], [7, 8], [None, None, 4, 4]])
    return study


def look_at(study: Study, page: str) -> str:
    researcher = Client()
    researcher.force_login(make.member(study.project))
    return researcher.get(page).content.decode()


def study_page(study: Study) -> str:
    return look_at(study, reverse("annotation:study", args=[study.public_id]))


def rewind(job: Job, **ago: float) -> None:
    """As if the check had been made a while ago."""
    begun, ended = job.started_at, job.finished_at
    assert begun is not None
    assert ended is not None
    then = timezone.now() - timedelta(**ago)
    Job.objects.filter(pk=job.pk).update(started_at=then - (ended - begun), finished_at=then)


# The graph --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 20_000])
def test_people_who_share_no_pair_are_components_of_their_own(apart: Study, batch: int) -> None:
    assert components(apart, rows_at_once=batch) == [(2, 2), (1, 2)]


def test_one_shared_pair_joins_two_components(apart: Study) -> None:
    third = Participation.objects.latest("pk")
    say(third, {apart.items.order_by("pk").first(): 3})  # type: ignore[dict-item]
    assert components(apart) == [(3, 4)]


def test_a_study_without_ratings_has_no_component() -> None:
    study = make.study(n_pairs=2)
    make.participation(study)
    assert components(study) == []


@pytest.mark.parametrize("what", ["withdrawn", "warm-up", "unanswered"])
def test_only_main_answers_of_people_who_stay_join(what: str) -> None:
    study = make.study(n_pairs=2)
    *_, bridge = said(study, [[5, None], [None, 5], [5, 5]])
    assert components(study) == [(3, 2)]
    {
        "withdrawn": lambda: Participation.objects.filter(pk=bridge.pk).update(withdrawn_at=timezone.now()),
        "warm-up": lambda: bridge.assignments.update(purpose=Assignment.Purpose.WARM_UP),
        "unanswered": lambda: bridge.assignments.update(answered_at=None),
    }[what]()
    assert components(study) == [(1, 1), (1, 1)]


def test_another_studys_ratings_do_not_join(apart: Study) -> None:
    beside = make.study(apart.project, n_pairs=0, mode="HA1", campaign=apart.campaign)
    said(beside, [[5] * 5])
    assert components(apart) == [(2, 2), (1, 2)]
    assert components(beside) == [(1, 5)]


def test_who_comes_while_the_check_reads_is_left_to_the_next_one(apart: Study) -> None:
    def newcomers() -> None:
        if apart.participations.count() == 3:
            make.pairs(apart.project, 1)
            add_items(apart, further_pairs(apart))
            said(apart, [[5, 5, 5, 5, None, 5]])

    assert components(apart, between=newcomers) == [(2, 2), (1, 2)]
    assert apart.participations.count() == 4


# The check and its warning ----------------------------------------------------------------------------------------


WARNING = "The ratings fall apart into"


def test_a_study_that_falls_apart_is_warned_of_on_its_page(apart: Study) -> None:
    make.done(request_check(apart, KIND))
    page = study_page(apart)
    assert f"{WARNING} 2 groups of people who share no pair" in page
    assert "2 people with 2 pairs;" in page
    assert "1 person with 2 pairs" in page


def test_a_study_that_hangs_together_is_not_warned_of() -> None:
    study = make.study(n_pairs=3)
    said(study, [[5, 5], [None, 5, 5]])
    make.done(request_check(study, KIND))
    assert last_check(study, KIND)["n_components"] == 1  # type: ignore[index]
    assert WARNING not in study_page(study)


@pytest.mark.parametrize("kind", kinds)
def test_a_checks_job_says_how_long_it_took_and_leads_to_what_it_found(apart: Study, kind: str) -> None:
    job = make.done(request_check(apart, kind))
    quality = reverse("annotation:quality", args=[apart.public_id])
    page = look_at(apart, reverse("datasets:job", args=[job.public_id]))
    assert f'href="{quality}"' in page
    assert "Took " in page


def test_the_quality_page_says_whether_people_can_be_compared(apart: Study) -> None:
    quality = reverse("annotation:quality", args=[apart.public_id])
    make.done(request_check(apart, KIND))
    assert WARNING in look_at(apart, quality)
    said(apart, [[5, 5, 5]])
    make.done(request_check(apart, KIND))
    assert "All who have rated can be compared" in look_at(apart, quality)


def test_neither_a_study_without_ratings_nor_one_without_a_check_is_warned_of(apart: Study) -> None:
    empty = make.study(n_pairs=2)
    make.done(request_check(empty, KIND))
    assert last_check(empty, KIND)["n_components"] == 0  # type: ignore[index]
    assert WARNING not in study_page(empty) + study_page(apart)


def test_a_study_that_was_joined_since_is_warned_of_no_more(apart: Study) -> None:
    make.done(request_check(apart, KIND))
    said(apart, [[5, 5, 5]])
    make.done(request_check(apart, KIND))
    assert WARNING not in study_page(apart)
    assert checks_of(apart, KIND).count() == 1  # the earlier one is gone


def test_a_check_of_a_study_that_is_gone_says_so() -> None:
    study = make.study(n_pairs=1, is_open=False)
    job = request_check(study, KIND)
    study.delete()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "The study was deleted before it could be looked at.")


def test_checks_do_not_crowd_the_projects_page(apart: Study) -> None:
    asked_for, check = request_freeze(apart), request_check(apart, KIND)
    make.done(check)
    researcher = Client()
    researcher.force_login(make.member(apart.project))
    project = reverse("annotation:project", args=[apart.project.slug])
    shown = [str(job.public_id) in researcher.get(project).content.decode() for job in (asked_for, check)]
    assert shown == [True, False]


def test_the_check_takes_as_many_queries_for_little_and_much() -> None:
    costs = []
    for n_pairs in (2, 30):
        study = make.study(n_pairs=n_pairs)
        said(study, [[5] * n_pairs] * 3)
        with CaptureQueriesContext(connection) as captured:
            components(study)
        costs.append(len(captured))
    assert costs[0] == costs[1] == 3


# Unasked ----------------------------------------------------------------------------------------------------------


def n_due() -> int:
    """How many checks the worker asks for."""
    before = set(Job.objects.values_list("pk", flat=True))
    request_due_checks()
    return Job.objects.filter(kind=KIND).exclude(pk__in=before).count()


def test_workers_check_unasked() -> None:
    assert request_due_checks in jobs.repeated
    assert KIND in kinds


def test_an_open_study_with_ratings_is_checked_and_once_only(apart: Study) -> None:
    make.study(n_pairs=1)
    assert [n_due(), n_due()] == [1, 0]
    assert Job.objects.get(kind=KIND).arguments == {"study": apart.pk}


@pytest.mark.parametrize("state", ["paused", "closed", "draft"])
def test_a_study_that_is_not_open_is_left_alone(apart: Study, state: str) -> None:
    Study.objects.update(state=state)
    assert n_due() == 0


def test_a_study_is_checked_again_after_a_while_if_there_are_new_answers(apart: Study) -> None:
    job = make.done(request_check(apart, KIND))
    rewind(job, minutes=11)
    assert n_due() == 0  # nothing new
    said(apart, [[None, None, None, None, 2]])
    rewind(job, minutes=9)
    assert n_due() == 0  # too soon
    rewind(job, minutes=11)
    assert n_due() == 1


def test_a_check_that_takes_long_is_made_more_rarely(apart: Study) -> None:
    job = make.done(request_check(apart, KIND))
    said(apart, [[5]])
    ended = timezone.now() - timedelta(minutes=11)
    Job.objects.filter(pk=job.pk).update(started_at=ended - timedelta(minutes=1), finished_at=ended)
    assert n_due() == 0
    Job.objects.filter(pk=job.pk).update(
        finished_at=ended - timedelta(minutes=40), started_at=ended - timedelta(minutes=41)
    )
    assert n_due() == 1


@pytest.mark.django_db(transaction=True)
def test_workers_that_find_a_study_due_at_once_ask_for_one_check() -> None:
    study = make.study(n_pairs=2)
    said(study, [[5, 5]])
    at_once(*[request_due_checks] * 4)
    assert checks_of(study, KIND).count() == 1


@pytest.mark.services
def test_a_real_worker_checks_a_study_that_nobody_asked_about(start_worker: Start) -> None:
    study = make.study(n_pairs=2)
    said(study, [[5, None], [None, 5]])
    start_worker()
    wait_until(lambda: last_check(study, KIND))
    assert last_check(study, KIND)["n_components"] == 2  # type: ignore[index]
