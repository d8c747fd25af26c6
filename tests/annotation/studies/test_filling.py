"""A study gets its pairs, at once or in the background, and nobody who rates has to wait for it."""

from contextlib import AbstractContextManager
from itertools import pairwise
from math import ceil
from threading import Thread
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from annotation.models.quality import Preregistration
from annotation.models.studies import Study
from annotation.studies.deleting import delete_study
from annotation.studies.filling import add_further_pairs
from annotation.studies.history import NotPossible
from annotation.studies.life import change_state
from annotation.studies.pairs import PAIRS_AT_ONCE, PairsDoNotFit
from annotation.studies.setup import set_up_study
from datasets import jobs
from datasets.models.jobs import Job
from datasets.models.projects import Project
from tests import make
from tests.annotation.pages.test_pages import study_form
from tests.races import at_once, meanwhile

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
BATCH, MANY = 3, 10
LOOK = 'SELECT "annotation_item"."pair_id"'  # at each batch: which of its pairs are in the study
WRITE = 'INSERT INTO "annotation_item"'


@pytest.fixture
def project() -> Project:
    made = make.project()
    make.pairs(made, MANY)
    return made


def begun(project: Project, **fields: Any) -> tuple[Study, Job]:
    given = {"campaign": "C", "mode": "HA2", "name": "S", "at_once": BATCH}
    study, job = set_up_study(project, **given | fields)
    assert job
    return study, job


def n_pairs(study: Study) -> int:
    return study.items.count()


def dying_in_batch(number: int) -> AbstractContextManager[None]:
    """Let the process be told to end while it writes this batch."""
    written = []

    def die() -> None:
        written.append(len(written) + 1)
        if written[-1] == number:
            raise SystemExit

    return meanwhile(WRITE, die)


# Few and many -----------------------------------------------------------------------------------------------------


def test_a_small_study_is_ready_at_once() -> None:
    project = make.project()
    make.pairs(project, BATCH)
    study, job = set_up_study(project, campaign="C", mode="HA2", name="S", at_once=BATCH)
    assert (n_pairs(study), job, Job.objects.exists()) == (BATCH, None, False)


@pytest.mark.django_db(transaction=True)
def test_nobody_sees_a_small_study_before_all_its_pairs_are_in(project: Project) -> None:
    seen = []

    def look() -> None:
        seen.extend(at_once(Study.objects.exists))

    with meanwhile(WRITE, look, after=True):
        study, job = set_up_study(project, campaign="C", mode="HA2", name="S")
    assert (seen, job) == ([False], None)
    change_state(study, Study.State.OPEN)
    assert Preregistration.objects.get().fixed["n_pairs"] == MANY


@pytest.mark.django_db(transaction=True)
def test_nobody_opens_a_draft_between_the_further_pairs_that_it_gets() -> None:
    study = make.study(n_pairs=1, is_open=False)
    make.pairs(study.project, MANY)

    def somebody_opens_it() -> None:
        if opening.ident is None:
            opening.start()
            opening.join(timeout=0.3)

    opening = Thread(target=at_once, args=[lambda: change_state(study, Study.State.OPEN)])
    with meanwhile(WRITE, somebody_opens_it, after=True):
        assert add_further_pairs(study) == MANY
    opening.join()
    assert Preregistration.objects.get().fixed["n_pairs"] == 1 + MANY


def test_a_large_study_is_filled_by_a_job_and_opens_when_it_is_whole(project: Project) -> None:
    study, job = begun(project)
    with pytest.raises(NotPossible, match="still being filled"):
        change_state(study, Study.State.OPEN)
    assert (n_pairs(study), Study.objects.get().state) == (0, "draft")
    job = make.done(job)
    assert (n_pairs(study), job.n_done, job.n_total, job.result["n_pairs"]) == (MANY, MANY, MANY, MANY)
    change_state(study, Study.State.OPEN)


@pytest.mark.django_db(transaction=True)
def test_it_is_filled_batch_by_batch_and_people_rate_in_between(project: Project) -> None:
    """Between any two batches the database is free: somebody on another connection answers."""
    elsewhere = make.participation(make.study(n_pairs=MANY))
    study, job = begun(project)
    sizes = [0]

    def rate_meanwhile() -> None:
        sizes.append(n_pairs(study))
        at_once(lambda: make.rate(elsewhere, 5))

    with meanwhile(WRITE, lambda: transaction.on_commit(rate_meanwhile)):
        make.done(job)
    assert all(after - before <= BATCH for before, after in pairwise(sizes))
    assert sizes[-1] == MANY
    assert elsewhere.assignments.exclude(answered_at=None).count() >= MANY // BATCH


def test_the_form_decides_which_pairs_and_what_is_imported_later_stays_out(project: Project) -> None:
    for _ in range(MANY):
        make.pair(project, method="mask")
    study, job = begun(project, kinds=[("test", "global", "mask")])
    make.pair(project, method="mask")
    make.done(job)
    assert job.arguments["kinds"] == [["test", "global", "mask"]]
    assert set(study.items.values_list("pair__method", flat=True)) == {"mask"}
    assert n_pairs(study) == MANY
    assert add_further_pairs(study) == 1


@pytest.mark.parametrize("n", [1, MANY])
def test_ha2_refuses_pairs_without_original_before_anything_is_stored(n: int) -> None:
    project = make.project()
    make.pairs(project, n - 1)
    make.pair(project, original=None)
    with pytest.raises(PairsDoNotFit):
        set_up_study(project, campaign="C", mode="HA2", name="S", at_once=BATCH)
    assert not project.campaigns.exists()
    assert not Job.objects.exists()


def test_pairs_without_original_that_come_meanwhile_stay_out_of_ha2(project: Project) -> None:
    study, job = begun(project)
    project.pairs.filter(pk=project.pairs.latest("pk").pk).update(original=None)
    make.done(job)
    assert n_pairs(study) == MANY - 1


# What goes wrong --------------------------------------------------------------------------------------------------


def test_where_filling_at_once_fails_neither_draft_nor_campaign_stay(project: Project) -> None:
    with dying_in_batch(1), pytest.raises(SystemExit):
        set_up_study(project, campaign="C", mode="HA2", name="S")
    assert not Study.objects.exists()
    assert not project.campaigns.exists()


def test_whoever_takes_the_job_up_goes_on_where_it_stopped(project: Project) -> None:
    study, job = begun(project)
    with dying_in_batch(3), pytest.raises(SystemExit):
        jobs.run(job.pk)
    first = list(study.items.order_by("pk").values_list("pk", "shuffle"))
    assert len(first) == 2 * BATCH
    looks: list[None] = []
    with meanwhile(LOOK, lambda: looks.append(None)):
        job = make.done(job)
    assert list(study.items.order_by("pk").values_list("pk", "shuffle"))[: 2 * BATCH] == first
    assert (n_pairs(study), job.attempt, job.n_done) == (MANY, 2, MANY)
    assert len(looks) == ceil((MANY - 2 * BATCH) / BATCH)  # those that were in are not even looked at


def test_a_worker_that_lost_the_job_puts_nothing_more_in(project: Project) -> None:
    study, job = begun(project)
    with meanwhile(WRITE, lambda: Job.objects.filter(pk=job.pk).update(attempt=7)):
        jobs.run(job.pk)
    job.refresh_from_db()
    assert (n_pairs(study), job.state, job.attempt) == (BATCH, "running", 7)


def test_a_cancelled_filling_keeps_what_is_in_and_is_tried_again(project: Project) -> None:
    study, job = begun(project)
    with meanwhile(WRITE, lambda: jobs.cancel_job(job)):
        jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, n_pairs(study)) == ("cancelled", BATCH)
    assert "are kept" in job.error
    jobs.retry_job(job)
    make.done(job)
    assert n_pairs(study) == MANY


def test_a_study_whose_filling_stopped_takes_the_rest_as_further_pairs(project: Project) -> None:
    study, job = begun(project)
    jobs.cancel_job(job)
    again = add_further_pairs(study, at_once=BATCH)
    assert isinstance(again, Job)
    assert add_further_pairs(study, at_once=BATCH) == again  # a second click
    make.done(again)
    assert n_pairs(study) == MANY


@pytest.mark.parametrize("n_batches", [0, 2])
def test_a_draft_is_deleted_while_it_is_being_filled(project: Project, n_batches: int) -> None:
    study, job = begun(project)
    if n_batches:
        with dying_in_batch(n_batches + 1), pytest.raises(SystemExit):
            jobs.run(job.pk)
    delete_study(study, at_once=BATCH)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (Study.objects.exists(), job.state) == (False, "cancelled")


def test_a_job_whose_study_is_gone_says_so(project: Project) -> None:
    study, job = begun(project)
    study.delete()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "The study was deleted before it was filled.")


def test_a_study_that_somebody_has_rated_in_is_neither_emptied_nor_its_filling_cancelled(project: Project) -> None:
    study = make.study(project, n_pairs=0)
    make.rate(make.participation(study), 5)
    make.pairs(project, MANY)
    job = add_further_pairs(study, at_once=BATCH)
    with pytest.raises(NotPossible, match="have rated"):
        delete_study(study)
    assert isinstance(job, Job)
    make.done(job)
    [change] = study.changes.filter(kind="pairs")
    assert (n_pairs(study), change.before, change.after) == (2 * MANY, MANY, 2 * MANY)


# By page ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def researcher(project: Project) -> Client:
    client = Client()
    client.force_login(make.member(project))
    return client


def test_the_page_leads_to_the_job_and_says_that_the_study_is_being_filled(
    project: Project, researcher: Client
) -> None:
    n_more = PAIRS_AT_ONCE + 1 - MANY
    make.many_pairs(project, n_more)
    reply = researcher.post(reverse("annotation:study-new", args=[project.slug]), study_form(), follow=True)
    study, job = Study.objects.get(), Job.objects.get()
    assert reply.redirect_chain[-1][0] == reverse("datasets:job", args=[job.public_id])
    assert "is a draft that is being filled" in reply.content.decode()
    page = reverse("annotation:study", args=[study.public_id])
    assert "still being filled" in researcher.get(page).content.decode()
    opened = researcher.post(reverse("annotation:state", args=[study.public_id]), {"state": "open"}, follow=True)
    assert "open it once they are all there" in opened.content.decode()
    assert job.created_by == project.members.get()
    make.done(job)
    assert "being filled" not in researcher.get(page).content.decode()
    done = researcher.get(reverse("datasets:job", args=[job.public_id])).content.decode()
    assert f"The study holds {MANY + n_more} pairs." in done
    assert page in done


def test_the_page_says_where_filling_stopped_and_how_to_go_on(project: Project, researcher: Client) -> None:
    make.many_pairs(project, PAIRS_AT_ONCE + 1 - MANY)
    study, job = begun(project)
    jobs.cancel_job(job)
    page = researcher.get(reverse("annotation:study", args=[study.public_id])).content.decode()
    assert "did not come to its end" in page
    assert f"Add {PAIRS_AT_ONCE + 1} more pairs" in page
    reply = researcher.post(reverse("annotation:more-pairs", args=[study.public_id]))
    again = Job.objects.exclude(pk=job.pk).get()
    assert reply.headers["Location"] == reverse("datasets:job", args=[again.public_id])


def test_nobody_else_sees_or_steers_the_filling(project: Project) -> None:
    study, job = begun(project)
    for other in (make.member(make.project()), make.member(project, "annotator")):
        stranger = Client()
        stranger.force_login(other)
        assert stranger.post(reverse("annotation:more-pairs", args=[study.public_id])).status_code == 404
        assert stranger.get(reverse("datasets:job", args=[job.public_id])).status_code == 404
        assert stranger.post(reverse("datasets:job-cancel", args=[job.public_id])).status_code == 404
    assert Job.objects.get().state == "queued"
