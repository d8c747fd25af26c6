"""From what people said to a release: what counts, as of when, and what nobody can change any more."""

import re
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.freeze import FreezeUnderWay, NothingToFreeze, doubts, request_freeze
from annotation.models.people import Participation
from annotation.models.quality import Decision
from annotation.models.ratings import Assignment, Rating, Revision
from annotation.models.studies import Study, StudyText
from annotation.privacy import erase_participation
from annotation.studies.wording import write_texts
from datasets import jobs
from datasets.content import CONTENT
from datasets.jobs import claim, in_seconds
from datasets.models.jobs import Job
from datasets.models.releases import FrozenRating, Label, Release
from datasets.releases import begin_release
from scoring.measures.consensus import corrected_scores
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def frozen_scores(release: Release) -> list[int]:
    return sorted(FrozenRating.objects.filter(label__release=release).values_list("score", flat=True))


def contents(release: Release) -> list[Any]:
    """Everything that the database holds of a release."""
    ratings = FrozenRating.objects.filter(label__release=release).order_by("pk")
    return [Release.objects.filter(pk=release.pk).values().get(), *release.labels.values(), *ratings.values()]


def set_aside(participation: Participation, *, is_used: bool = False) -> None:
    Decision.objects.create(participation=participation, kind=Decision.Kind.USE, verdict=is_used, reason="too fast")


# Nothing to freeze


def test_a_study_without_ratings_cannot_be_frozen():
    study = make.study()
    with pytest.raises(NothingToFreeze, match="no ratings yet"):
        request_freeze(study)
    assert not Job.objects.exists()
    assert not Release.objects.exists()


def test_a_freeze_is_offered_once_there_is_a_rating_that_it_would_hold(client):
    study = make.study()
    client.force_login(make.member(study.project))
    page, freeze = (reverse(f"annotation:{name}", args=[study.public_id]) for name in ("study", "freeze"))
    person = make.participation(study)
    before = client.get(page).content.decode()
    assert freeze not in before
    assert "There is nothing to freeze yet" in before
    make.rate(person, 7)
    assert freeze in client.get(page).content.decode()


def test_the_page_says_that_there_is_nothing_to_freeze(client):
    study = make.study()
    client.force_login(make.member(study.project))
    answer = client.post(reverse("annotation:freeze", args=[study.public_id]), follow=True)
    assert "there is nothing to freeze" in answer.content.decode()
    assert not Job.objects.exists()


def test_a_study_whose_people_have_all_been_set_aside_cannot_be_frozen():
    study = make.rated_study(n_people=1)
    set_aside(study.participations.get())
    with pytest.raises(NothingToFreeze):
        request_freeze(study)


def test_when_the_last_person_withdraws_before_the_job_runs_no_release_is_made():
    study = make.rated_study(n_people=1)
    job = request_freeze(study)
    study.participations.update(withdrawn_at=timezone.now())
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error[:27]) == (Job.State.FAILED, "No rating is left to releas")
    assert not Release.objects.exists()


def test_only_who_manages_the_project_can_freeze(client):
    study = make.rated_study()
    client.force_login(make.member(study.project, "annotator"))
    assert client.post(reverse("annotation:freeze", args=[study.public_id])).status_code == 404
    assert not Job.objects.exists()


def test_a_researcher_freezes_by_the_page(client):
    study = make.rated_study()
    client.force_login(make.member(study.project))
    study.project.sources.update(licence="CC BY 4.0", citation="Somebody 2026")
    answer = client.post(reverse("annotation:freeze", args=[study.public_id]))
    job = Job.objects.get()
    assert answer.url == reverse("datasets:job", args=[job.public_id])
    jobs.run(job.pk)
    assert Release.objects.frozen().get().labels.count() == 4


def test_a_source_without_licence_or_citation_is_named_before_a_freeze_which_goes_on_when_confirmed(client):
    study = make.rated_study()
    study.project.sources.update(licence="CC BY 4.0")
    client.force_login(make.member(study.project))
    address = reverse("annotation:freeze", args=[study.public_id])
    page = client.post(address).content.decode()
    assert "The source “test” has no citation." in page
    assert reverse("datasets:sources", args=[study.project.slug]) in page
    assert not Job.objects.exists()
    assert client.post(address, {"confirmed": "yes"}).status_code == 302
    assert Job.objects.get().kind == "freeze_study"


def test_file_names_are_chosen_on_the_page_and_the_choice_goes_along_where_it_asks_again(client):
    study = make.rated_study()
    client.force_login(make.member(study.project))
    address = reverse("annotation:freeze", args=[study.public_id])
    study_page = client.get(reverse("annotation:study", args=[study.public_id])).content.decode()
    assert "can give away a person" in study_page
    assert re.search(r'name="names_files"(?![^>]*checked)', study_page)
    asked = client.post(address, {"names_files": "on"}).content.decode()
    assert "has no licence" in asked
    assert re.search(r'name="names_files"[^>]*checked', asked)
    client.post(address, {"names_files": "on", "confirmed": "yes"})
    release = Release.objects.get(pk=make.done(Job.objects.get()).result["release"])
    assert release.names_files
    page = client.get(reverse("datasets:release", args=[study.project.slug, release.slug, 1])).content.decode()
    assert "as imported, in labels.csv" in page


def test_a_freeze_under_way_is_no_answer_to_one_with_another_choice():
    study = make.rated_study()
    begun = request_freeze(study)
    assert request_freeze(study) == begun
    with pytest.raises(FreezeUnderWay, match="another choice on file names"):
        request_freeze(study, names_files=True)
    make.done(begun)
    assert not any("Nothing has changed" in doubt for doubt in doubts(study, names_files=True))


def test_a_freeze_of_what_has_not_changed_says_so_until_something_has():
    study = make.rated_study()
    study.project.sources.update(licence="CC BY 4.0", citation="Somebody 2026")
    assert doubts(study) == []
    first = make.release(study)
    [doubt] = doubts(study)
    assert doubt.startswith(f"Nothing has changed since version 1, frozen {first.frozen_at:%Y-%m-%d %H:%M} UTC.")
    for change in (
        lambda: make.rate(make.participation(make.more_wanted(study)), 5),
        lambda: set_aside(study.participations.order_by("pk")[0]),
        lambda: erase_participation(study.participations.order_by("pk")[1]),
        lambda: study.project.sources.update(licence="CC0"),
    ):
        change()
        assert doubts(study) == []
        make.release(study)
        assert len(doubts(study)) == 1
    Release.objects.update(format=1)
    assert doubts(study) == []


# What counts


def test_a_release_holds_every_pair_and_every_rating():
    study = make.rated_study(n_pairs=5, n_people=3)
    release = make.release(study)
    assert list(release.labels.values_list("number", "n")) == [(1, 3), (2, 3), (3, 3), (4, 3), (5, 3)]
    assert frozen_scores(release) == sorted(Rating.objects.values_list("score", flat=True))


def test_a_pair_that_nobody_rated_is_no_label():
    study = make.study(n_pairs=3)
    make.rate(make.participation(study), 7)
    assert make.release(study).labels.count() == 1


def test_who_withdrew_is_left_out():
    study = make.rated_study(n_pairs=1, n_people=2)
    gone = make.participation(study)
    Participation.objects.filter(pk=study.participations.first().pk).update(withdrawn_at=timezone.now())
    release = make.release(study)
    stays = Rating.objects.get(assignment__participation__withdrawn_at=None)
    assert frozen_scores(release) == [stays.score]
    assert release.origins["n_withdrawn"] == 1
    assert gone.pk  # somebody without ratings changes nothing


@pytest.mark.parametrize(("decisions", "n_ratings"), [([False], 4), ([False, True], 8), ([True, False], 4)])
def test_the_latest_decision_says_whether_somebody_counts(decisions, n_ratings):
    study = make.rated_study(n_pairs=4, n_people=2)
    for is_used in decisions:
        set_aside(study.participations.first(), is_used=is_used)
    release = make.release(study)
    assert len(frozen_scores(release)) == release.origins["n_ratings"] == n_ratings


def test_a_decision_about_pay_leaves_the_ratings_in():
    study = make.rated_study(n_pairs=4, n_people=1)
    person = study.participations.get()
    Decision.objects.create(participation=person, kind=Decision.Kind.PAY, verdict=False, reason="paid elsewhere")
    assert len(frozen_scores(make.release(study))) == 4


@pytest.mark.parametrize("purpose", [each for each in Assignment.Purpose if each != Assignment.Purpose.MAIN])
def test_only_main_answers_are_released(purpose):
    study = make.rated_study(n_pairs=2, n_people=1)
    Assignment.objects.filter(position=1).update(purpose=purpose)
    assert len(frozen_scores(make.release(study))) == 1


def test_the_newest_answer_counts_and_tells_how_many_there_were():
    study = make.rated_study(n_pairs=1, n_people=1)
    make.rating(Assignment.objects.get(), 10, revises=True)
    rating = FrozenRating.objects.get(label__release=make.release(study))
    assert (rating.score, rating.n_revisions) == (10, 2)


def test_a_late_answer_is_released_and_marked():
    study = make.study(n_pairs=1)
    person = make.participation(study)
    make.leases(person)
    Assignment.objects.update(returned_at=timezone.now())
    make.rating(Assignment.objects.get(), 3)
    rating = FrozenRating.objects.get(label__release=make.release(study))
    assert (rating.is_late, rating.seconds) == (True, None)


# As of the cut-off


def test_what_people_say_after_the_request_is_not_in_the_release():
    study = make.rated_study(n_pairs=3, n_people=2, goal=5)
    before = sorted(Rating.objects.values_list("score", flat=True))
    job = request_freeze(study)
    say_more(study)
    release = Release.objects.get(pk=make.done(job).result["release"])
    assert frozen_scores(release) == before
    assert set(FrozenRating.objects.values_list("n_revisions", flat=True)) == {1}


def say_more(study: Study) -> None:
    """Another person rates, and the first one thinks again."""
    said = list(Revision.objects.values_list("pk", flat=True))
    make.rate(make.participation(study), 10, 10, 10)
    make.rating(Assignment.objects.order_by("pk")[0], 10, revises=True)
    # SQLite's clock is cut to the millisecond, in which the request may have come too.
    Revision.objects.exclude(pk__in=said).update(created_at=in_seconds(1))


def test_nothing_that_happens_later_changes_a_release():
    study = make.rated_study(n_pairs=3, n_people=2, goal=5)
    release = make.release(study)
    before, archive = contents(release), make.archive(release).read_bytes()
    say_more(study)
    study.participations.update(withdrawn_at=timezone.now())
    write_texts(study, {"question": "Another question altogether?"})
    study.project.pairs.update(group="moved", method="renamed", scope="renamed", parameters={"renamed": 1})
    study.project.sources.update(name="renamed")
    assert contents(release) == before
    make.archive(release).unlink()
    assert make.archive(release).read_bytes() == archive


def test_the_wording_that_people_read_goes_into_the_release_word_by_word():
    study = make.rated_study()
    release = make.release(study)
    shown = StudyText.objects.filter(study=study).exclude(shown_at=None)
    told = {(text["kind"], text["version"]): text["body"] for text in release.origins["texts"]}
    assert told == {(text.kind, text.version): text.body for text in shown}
    assert "question" in {kind for kind, _ in told}


# The release itself


def test_version_numbers_rise():
    study = make.rated_study()
    assert [make.release(study).version for _ in range(3)] == [1, 2, 3]


def test_the_two_modes_of_a_campaign_count_their_versions_apart():
    beside = make.rated_study(mode="HA2")
    alone = make.study(beside.project, campaign=beside.campaign, mode="HA1", n_pairs=0)
    make.rate(make.participation(alone), 7)
    slug = beside.campaign.slug
    assert str(make.release(beside)) == f"{slug}-ha2 v1"
    assert str(make.release(alone)) == f"{slug}-ha1 v1"


def test_a_person_has_another_name_in_each_release():
    study = make.rated_study(n_people=3)
    first, second = (
        set(FrozenRating.objects.filter(label__release=make.release(study)).values_list("annotator", flat=True))
        for _ in range(2)
    )
    assert len(first) == len(second) == 3
    assert not first & second
    ours = set(study.participations.values_list("annotator__pseudonym", flat=True))
    assert not ours & (first | second)


def test_simulated_ratings_are_named_in_the_title():
    study = make.rated_study(simulated=True)
    release = make.release(study)
    assert release.simulated
    assert release.title == f"{study.name} (simulated ratings)"


def test_an_ha1_release_says_nothing_of_its_originals():
    release = make.release(make.rated_study(mode="HA1"))
    assert set(release.labels.values_list("original_sha256", flat=True)) == {""}
    content = b"".join(chunk for chunks in CONTENT.values() for chunk in chunks(release)).decode()
    originals = [label.original for label in release.labels.select_related("original")]
    assert all(originals)  # kept beside the release, to compare the pictures with
    assert not [hash_ for each in originals for hash_ in (each.sha256, each.display_sha256) if hash_ in content]


def test_corrected_scores_are_those_of_the_measure():
    study = make.rated_study(n_pairs=6, n_people=4)
    release = make.release(study)
    rows = FrozenRating.objects.filter(label__release=release).values_list("label__number", "annotator", "score")
    numbers, people, scores = zip(*rows, strict=True)
    items, annotators = (np.unique(each, return_inverse=True)[1] for each in (numbers, people))
    expected = corrected_scores(items, annotators, scores)
    assert list(release.labels.values_list("corrected", flat=True)) == pytest.approx(expected.score.tolist(), abs=1e-3)
    assert list(release.labels.values_list("corrected_se", flat=True)) == pytest.approx(expected.se.tolist(), abs=1e-3)


def test_where_nothing_can_be_corrected_the_columns_are_empty():
    release = make.release(make.rated_study(n_people=1))
    assert set(release.labels.values_list("std", "corrected", "corrected_se")) == {(None, None, None)}


# Attempts that died


@pytest.fixture
def half_frozen() -> tuple[Job, Release]:
    """A freeze whose worker died after it had written a draft with one label."""
    study = make.rated_study()
    job = request_freeze(study)
    assert claim(job.pk)
    draft = draft_of(study, {"job": job.pk})
    Job.objects.filter(pk=job.pk).update(leased_until=in_seconds(-1))
    return job, draft


def draft_of(study: Study, origins: dict[str, Any]) -> Release:
    slug = f"{study.campaign.slug}-ha2"
    draft = begin_release(
        study.project, slug=slug, title="half", mode="HA2", simulated=False, origins=origins, counting_rule=""
    )
    pair = study.project.pairs.first()
    label = Label.objects.create(
        release=draft, number=1, pair=1, anonymized=pair.anonymized, group="g", n=1, mean=5, median=5
    )
    FrozenRating.objects.create(label=label, annotator="R-1", score=5)
    return draft


def test_the_next_attempt_starts_a_new_draft_and_discards_the_old(half_frozen):
    job, draft = half_frozen
    jobs.reap()
    release = Release.objects.get(pk=make.done(job).result["release"])
    assert (release.version, release.labels.count()) == (1, 4)
    assert list(Release.objects.all()) == [release] != [draft]


def test_the_draft_of_a_freeze_that_was_given_up_goes_with_the_next_freeze(half_frozen):
    job, draft = half_frozen
    Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED)
    assert make.release(Study.objects.get()).version == 1
    assert not Release.objects.filter(pk=draft.pk).exists()


def test_a_draft_that_another_job_is_writing_is_left_alone(half_frozen):
    job, draft = half_frozen
    other = make.study(draft.project, n_pairs=1)
    make.rate_all(make.participation(other))
    make.release(other)
    assert Release.objects.filter(pk=draft.pk, frozen_at=None).exists()
    assert job.state == Job.State.QUEUED


def test_a_draft_is_on_no_page(half_frozen, client):
    _, draft = half_frozen
    client.force_login(make.member(draft.project))
    page = reverse("datasets:release", args=[draft.project.slug, draft.slug, draft.version])
    assert client.get(page).status_code == 404
    assert page not in client.get(reverse("annotation:project", args=[draft.project.slug])).content.decode()


def test_a_decision_that_comes_while_a_freeze_runs_stays_out_of_it() -> None:
    study = make.rated_study(n_people=3)
    job = request_freeze(study)
    set_aside(study.participations.order_by("pk")[0])
    release = Release.objects.get(pk=make.done(job).result["release"])
    assert (release.origins["n_annotators"], release.origins["n_set_aside"]) == (3, 0)
    assert (release.agreement["sets"]["as_used"]["excluded"], release.set_aside.count()) == ([], 0)


def test_whoever_is_set_aside_without_a_rating_that_counts_is_not_counted_among_those_left_out() -> None:
    study = make.rated_study(n_people=2)
    set_aside(make.participation(study))
    release = make.release(study)
    assert release.origins["n_set_aside"] == len(release.agreement["sets"]["as_used"]["excluded"]) == 0


def test_a_second_click_while_a_freeze_is_under_way_makes_no_second_release():
    study = make.rated_study()
    first, second = request_freeze(study), request_freeze(study)
    assert first == second
    jobs.run(first.pk)
    assert Release.objects.count() == 1
    assert request_freeze(study) != first


def test_a_release_carries_the_licences_of_its_sources():
    study = make.rated_study()
    study.project.sources.update(licence="CC BY 4.0", citation="Somebody 2026")
    [source] = make.release(study).origins["sources"]
    assert (source["licence"], source["citation"]) == ("CC BY 4.0", "Somebody 2026")


def test_a_campaign_with_the_longest_name_can_be_frozen():
    project = make.project()
    campaign = project.campaigns.create(slug="c" * 60, name="C")
    study = make.study(project, campaign=campaign, n_pairs=1)
    make.rate_all(make.participation(study))
    job = request_freeze(study)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, Release.objects.get().slug) == (Job.State.DONE, "c" * 60 + "-ha2")
