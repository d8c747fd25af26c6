"""A study gets its pairs, at once or in the background, and nobody who rates has to wait for it."""

from contextlib import suppress
from itertools import pairwise
from threading import Thread
from time import sleep
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from annotation.models.quality import StudyPlan
from annotation.models.studies import Study
from annotation.studies import pairs, setup
from annotation.studies.history import NotPossible
from annotation.studies.life import change_state, delete_draft
from annotation.studies.pairs import PairsDoNotFit
from annotation.studies.setup import add_further_pairs, set_up_study
from datasets import jobs
from datasets.models.jobs import Job
from datasets.models.projects import Project
from tests import make
from tests.annotation.pages.test_pages import study_form
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)
BATCH, AT_ONCE, MANY = 3, 6, 10


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "PAIRS_AT_ONCE", BATCH)
    monkeypatch.setattr(setup, "AT_ONCE", AT_ONCE)


@pytest.fixture
def project() -> Project:
    made = make.project()
    make.pairs(made, MANY)
    return made


def begun(project: Project, **fields: Any) -> tuple[Study, Job]:
    study, job = set_up_study(project, **{"campaign": "C", "mode": "HA2", "name": "S"} | fields)
    assert job
    return study, job


def n_pairs(study: Study) -> int:
    return study.items.count()


def die_in_batch(number: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the process be told to end while it writes this batch; says how many pairs each batch had."""
    sizes, put = [], pairs._added

    def dying(study: Study, batch: Any, places: Any) -> int:
        sizes.append(len(batch))
        if len(sizes) == number:
            raise SystemExit
        return put(study, batch, places)

    monkeypatch.setattr(pairs, "_added", dying)
    return sizes


# Few and many -----------------------------------------------------------------------------------------------------


def test_a_small_study_is_ready_at_once() -> None:
    project = make.project()
    make.pairs(project, AT_ONCE)
    study, job = set_up_study(project, campaign="C", mode="HA2", name="S")
    assert (n_pairs(study), job, Job.objects.exists()) == (AT_ONCE, None, False)


def test_nobody_opens_a_small_study_before_all_its_pairs_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    project, put = make.project(), pairs._added
    make.pairs(project, AT_ONCE)

    def slowly(*args: Any) -> int:
        n = put(*args)
        sleep(0.1)  # time enough for somebody who wants to open it
        return n

    def open_as_soon_as_possible() -> None:
        for _ in range(4000):
            with suppress(NotPossible, Study.DoesNotExist):
                change_state(Study.objects.get(), Study.State.OPEN)
                break
            sleep(0.005)

    monkeypatch.setattr(pairs, "_added", slowly)
    at_once(lambda: set_up_study(project, campaign="C", mode="HA2", name="S"), open_as_soon_as_possible)
    assert StudyPlan.objects.get().fixed["n_pairs"] == AT_ONCE


def test_nobody_opens_a_draft_between_the_further_pairs_that_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    study, put = make.study(n_pairs=1, is_open=False), pairs._added
    make.pairs(study.project, AT_ONCE)

    def opened_after_a_batch(*args: Any) -> int:
        n = put(*args)
        if opening.ident is None:
            opening.start()
            opening.join(timeout=0.3)
        return n

    opening = Thread(target=at_once, args=[lambda: change_state(study, Study.State.OPEN)])
    monkeypatch.setattr(pairs, "_added", opened_after_a_batch)
    add_further_pairs(study)
    opening.join()
    assert StudyPlan.objects.get().fixed["n_pairs"] == 1 + AT_ONCE


def test_a_large_study_is_filled_by_a_job_and_opens_when_it_is_whole(project: Project) -> None:
    study, job = begun(project)
    with pytest.raises(NotPossible, match="still being filled"):
        change_state(study, Study.State.OPEN)
    assert (n_pairs(study), Study.objects.get().state) == (0, "draft")
    job = make.done(job)
    assert (n_pairs(study), job.n_done, job.n_total, job.result["n_pairs"]) == (MANY, MANY, MANY, MANY)
    change_state(study, Study.State.OPEN)


def test_it_is_filled_batch_by_batch_and_people_rate_in_between(project: Project) -> None:
    """Between any two batches the database is free: somebody on another connection answers."""
    elsewhere = make.participation(make.study(n_pairs=MANY))
    study, job = begun(project)
    sizes = [0]

    def rate_meanwhile() -> None:
        sizes.append(n_pairs(study))
        at_once(lambda: make.rate(elsewhere, 5))

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('INSERT INTO "annotation_item"'):
            transaction.on_commit(rate_meanwhile)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
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
        set_up_study(project, campaign="C", mode="HA2", name="S")
    assert not project.campaigns.exists()
    assert not Job.objects.exists()


def test_pairs_without_original_that_come_meanwhile_stay_out_of_ha2(project: Project) -> None:
    study, job = begun(project)
    project.pairs.filter(pk=project.pairs.latest("pk").pk).update(original=None)
    make.done(job)
    assert n_pairs(study) == MANY - 1


# What goes wrong --------------------------------------------------------------------------------------------------


def test_where_filling_at_once_fails_neither_draft_nor_campaign_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make.project()
    make.pairs(project, AT_ONCE)
    die_in_batch(2, monkeypatch)
    with pytest.raises(SystemExit):
        set_up_study(project, campaign="C", mode="HA2", name="S")
    assert not Study.objects.exists()
    assert not project.campaigns.exists()


def test_whoever_takes_the_job_up_goes_on_where_it_stopped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    study, job = begun(project)
    sizes = die_in_batch(3, monkeypatch)
    with pytest.raises(SystemExit):
        jobs.run(job.pk)
    first = list(study.items.order_by("pk").values_list("pk", "shuffle"))
    assert len(first) == 2 * BATCH
    job = make.done(job)
    assert list(study.items.order_by("pk").values_list("pk", "shuffle"))[: 2 * BATCH] == first
    assert (n_pairs(study), job.attempt, job.n_done) == (MANY, 2, MANY)
    assert sum(sizes) == 3 * BATCH + (MANY - 2 * BATCH)  # those that were in are not even looked at


def test_a_worker_that_lost_the_job_puts_nothing_more_in(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    study, job = begun(project)
    put = pairs._added

    def overtaken(*args: Any) -> int:
        Job.objects.filter(pk=job.pk).update(attempt=7)
        return put(*args)

    monkeypatch.setattr(pairs, "_added", overtaken)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (n_pairs(study), job.state, job.attempt) == (BATCH, "running", 7)


def test_a_cancelled_filling_keeps_what_is_in_and_is_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, job = begun(project)
    put = pairs._added

    def cancelled(*args: Any) -> int:
        jobs.cancel_job(job)
        return put(*args)

    with monkeypatch.context() as patch:
        patch.setattr(pairs, "_added", cancelled)
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
    again = add_further_pairs(study)
    assert isinstance(again, Job)
    assert add_further_pairs(study) == again  # a second click
    make.done(again)
    assert n_pairs(study) == MANY


@pytest.mark.parametrize("n_batches", [0, 2])
def test_a_draft_is_deleted_while_it_is_being_filled(
    project: Project, monkeypatch: pytest.MonkeyPatch, n_batches: int
) -> None:
    study, job = begun(project)
    if n_batches:
        die_in_batch(n_batches + 1, monkeypatch)
        with pytest.raises(SystemExit):
            jobs.run(job.pk)
    delete_draft(study)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (Study.objects.exists(), job.state) == (False, "cancelled")


def test_a_job_whose_study_is_gone_says_so(project: Project) -> None:
    study, job = begun(project)
    study.delete()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "The study was deleted before it was filled.")


def test_a_study_that_has_been_open_is_neither_emptied_nor_its_filling_cancelled(project: Project) -> None:
    study = make.study(project, n_pairs=0)
    make.pairs(project, MANY)
    job = add_further_pairs(study)
    with pytest.raises(NotPossible, match="has been open"):
        delete_draft(study)
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
    assert f"The study holds {MANY} pairs." in done
    assert page in done


def test_the_page_says_where_filling_stopped_and_how_to_go_on(project: Project, researcher: Client) -> None:
    study, job = begun(project)
    jobs.cancel_job(job)
    page = researcher.get(reverse("annotation:study", args=[study.public_id])).content.decode()
    assert "did not come to its end" in page
    assert f"Add {MANY} more pairs" in page
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
