import json
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from annotation.answering.refusals import AlreadyRated, AnswerRefused, InvalidScore, KeyAlreadyUsed
from annotation.answering.turn import take_turn
from annotation.answering.wire import MAX_ANSWERS, parsed
from annotation.giving.leases import next_pairs, return_expired_leases
from annotation.giving.person import ParticipationErased
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Rating, Revision
from annotation.models.studies import Study
from annotation.privacy import erase_participation
from annotation.studies.life import change_state
from annotation.watching.assessment import assess
from datasets.models.releases import FrozenRating
from tests import make
from tests.annotation.places import assert_places_add_up

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def participation() -> Participation:
    return make.participation(make.study())


@pytest.fixture
def lease(participation: Participation) -> Assignment:
    return Assignment.objects.get(pk=make.leases(participation)[0].pk)


def send(participation: Participation, *answers: Any, client: Client | None = None, **more: Any) -> Any:
    url = reverse("annotation:answer", args=[participation.public_id])
    browser = client or make.browser(participation)
    return browser.post(url, {"answers": answers} | more, content_type="application/json")


# One answer, stored once ------------------------------------------------------------------------------------------


def test_an_answer_is_stored_with_its_first_revision(lease: Assignment) -> None:
    key = uuid4()
    rating = make.rating(lease, 7, key=key)
    assert (rating.score, rating.is_late) == (7, False)
    assert list(rating.revisions.values_list("number", "key", "score")) == [(1, key, 7)]


def test_an_answer_takes_its_place_from_held_to_rated(lease: Assignment) -> None:
    make.rating(lease)
    lease.item.refresh_from_db()
    assert (lease.item.n_held, lease.item.n_rated) == (1, 1)
    assert_places_add_up(lease.item.study)


def test_the_same_answer_sent_again_gets_the_same_acknowledgement_and_one_row(lease: Assignment) -> None:
    answer = make.answer(lease)
    first, second = send(lease.participation, answer), send(lease.participation, answer)
    assert first.json()["acknowledgements"] == second.json()["acknowledgements"]
    assert (first.status_code, second.status_code, Rating.objects.count(), Revision.objects.count()) == (200, 200, 1, 1)


def test_an_answer_twice_in_one_request_is_stored_once(lease: Assignment) -> None:
    answer = make.answer(lease)
    reply = send(lease.participation, answer, answer)
    assert [each["status"] for each in reply.json()["acknowledgements"]] == ["stored", "stored"]
    assert Rating.objects.count() == 1


def test_a_second_answer_is_refused_and_the_first_kept(lease: Assignment) -> None:
    make.rating(lease, 7)
    with pytest.raises(AlreadyRated):
        make.rating(lease, 2)
    assert (Rating.objects.get().score, Revision.objects.count()) == (7, 1)


def test_a_key_serves_for_one_answer_only(participation: Participation) -> None:
    first, second, *_ = make.leases(participation)
    key = uuid4()
    make.rating(first, key=key)
    with pytest.raises(KeyAlreadyUsed):
        make.rating(second, key=key)
    assert not Rating.objects.filter(assignment=second).exists()
    second.refresh_from_db()
    assert second.answered_at is None  # it can still be answered with another key
    assert_places_add_up(participation.study)


def test_the_pages_seconds_are_never_more_than_the_time_since_the_pair_was_given(lease: Assignment) -> None:
    assert make.rating(lease, seconds=3600.0).seconds < 600


def test_an_answer_without_script_has_no_seconds(lease: Assignment) -> None:
    assert make.rating(lease).seconds is None


# Revising ---------------------------------------------------------------------------------------------------------


def test_a_revision_replaces_the_score_and_keeps_the_first_answer(lease: Assignment) -> None:
    make.rating(lease, 7)
    make.rating(lease, 4, revises=True)
    assert Rating.objects.get().score == 4
    assert list(Revision.objects.values_list("number", "score")) == [(1, 7), (2, 4)]


def test_the_time_of_an_answer_is_that_of_its_first_submission(lease: Assignment) -> None:
    Assignment.objects.update(served_at=timezone.now() - timedelta(minutes=2))
    make.rating(lease, 7, seconds=9.5)
    make.rating(lease, 4, seconds=0.4, revises=True)
    assert Rating.objects.get().seconds == 9.5
    assert list(Revision.objects.values_list("seconds", flat=True)) == [9.5, 0.4]
    study = lease.item.study
    assert assess(study).people[lease.participation_id]["time"]["median"] == 9.5
    assert FrozenRating.objects.get(label__release=make.release(study)).seconds == 9.5


def test_ratings_revised_before_get_the_time_of_their_first_answer_back(lease: Assignment) -> None:
    make.rating(lease, 7)
    make.rating(lease, 4, seconds=0.4, revises=True)
    other = make.rating(make.leases(lease.participation)[0], 2, seconds=0.0)
    Revision.objects.filter(rating__assignment=lease, number=1).update(seconds=9.5)
    Rating.objects.filter(assignment=lease).update(seconds=0.4)
    migration = import_module("annotation.migrations.0011_seconds_of_the_first_answer")
    migration.take_those_of_the_first_answer(apps, None)
    assert Rating.objects.get(assignment=lease).seconds == 9.5
    assert Rating.objects.get(pk=other.pk).seconds == 0


def test_the_same_revision_sent_again_is_stored_once(lease: Assignment) -> None:
    make.rating(lease, 7)
    revision = make.answer(lease, 4, revises=True)
    replies = [send(lease.participation, revision).json()["acknowledgements"] for _ in range(2)]
    assert replies[0] == replies[1]
    assert Revision.objects.count() == 2


def test_a_late_repeat_of_the_first_answer_does_not_undo_a_revision(lease: Assignment) -> None:
    first = make.answer(lease, 7)
    send(lease.participation, first, make.answer(lease, 4, revises=True))
    [again] = send(lease.participation, first).json()["acknowledgements"]
    assert (again["status"], again["score"], Rating.objects.get().score) == ("stored", 4, 4)


@pytest.mark.parametrize("end", ["the study is closed", "the session is finished"])
def test_an_answer_stands_once_the_end_is_reached(lease: Assignment, end: str) -> None:
    make.rating(lease, 7)
    if end == "the study is closed":
        change_state(lease.item.study, Study.State.CLOSED)
    else:
        Participation.objects.update(finished_at=timezone.now())
    reply = send(lease.participation, make.answer(lease, 2, revises=True))
    assert (reply.status_code, reply.json()["acknowledgements"][0]["code"]) == (409, "revisions_ended")
    assert (Rating.objects.get().score, Revision.objects.count()) == (7, 1)


def test_a_revision_that_is_sent_again_after_the_end_is_acknowledged(lease: Assignment) -> None:
    make.rating(lease, 7)
    revision = make.answer(lease, 4, revises=True)
    send(lease.participation, revision)
    change_state(lease.item.study, Study.State.CLOSED)
    assert send(lease.participation, revision).json()["acknowledgements"][0]["status"] == "stored"


def test_a_paused_study_takes_revisions(lease: Assignment) -> None:
    make.rating(lease, 7)
    change_state(lease.item.study, Study.State.PAUSED)
    assert make.rating(lease, 4, revises=True).score == 4


def test_what_was_not_rated_cannot_be_revised(lease: Assignment) -> None:
    reply = send(lease.participation, make.answer(lease, revises=True))
    assert (reply.status_code, reply.json()["acknowledgements"][0]["code"]) == (409, "not_rated")
    assert not Rating.objects.exists()


def test_a_revision_with_the_key_of_another_answer_is_refused(participation: Participation) -> None:
    first, second, *_ = make.leases(participation)
    key = uuid4()
    make.rating(first, 7, key=key)
    make.rating(second, 7)
    with pytest.raises(KeyAlreadyUsed):
        make.rating(second, 1, key=key, revises=True)
    assert set(Rating.objects.values_list("score", flat=True)) == {7}


# What is not an answer --------------------------------------------------------------------------------------------


@pytest.mark.rarely
@pytest.mark.parametrize("score", [0, 11, 99, -1, 10**30, "x", "7", "", None, True, False, 7.5, 7.0, [7], {"score": 7}])
def test_only_whole_numbers_from_1_to_10_are_scores(lease: Assignment, score: Any) -> None:
    reply = send(lease.participation, make.answer(lease, score))
    assert (reply.status_code, reply.json()["acknowledgements"][0]["code"]) == (400, "invalid_score")
    assert not Rating.objects.exists()


@pytest.mark.parametrize("score", [1, 10])
def test_both_ends_of_the_scale_are_scores(lease: Assignment, score: int) -> None:
    assert send(lease.participation, make.answer(lease, score)).status_code == 200
    assert Rating.objects.get().score == score


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 10**5])
def test_the_verb_itself_refuses_what_is_no_score(lease: Assignment, score: Any) -> None:
    with pytest.raises(InvalidScore):
        make.rating(lease, score)


@pytest.mark.parametrize("seconds", [-1, -0.001, "2", "x", True, [], 10**6, 10**400, float("inf"), float("nan")])
def test_seconds_are_a_number_from_0_to_a_day(lease: Assignment, seconds: Any) -> None:
    with pytest.raises(AnswerRefused, match="seconds"):
        parsed(make.answer(lease, seconds=seconds))


def test_seconds_too_great_for_a_float_are_refused_like_others(lease: Assignment) -> None:
    reply = send(lease.participation, make.answer(lease, seconds=10**400))
    assert (reply.status_code, reply.json()["acknowledgements"][0]["code"]) == (400, "invalid_answer")


@pytest.mark.rarely
@pytest.mark.parametrize("field", ["key", "assignment"])
@pytest.mark.parametrize("value", [None, "", "1", "g" * 32, "\x00", "\ud800", 7, [], {}])
def test_ids_that_are_no_uuids_are_refused(lease: Assignment, field: str, value: Any) -> None:
    reply = send(lease.participation, make.answer(lease, **{field: value}) if field == "key" else named(value))
    assert (reply.status_code, reply.json()["acknowledgements"][0]["code"]) == (400, "invalid_answer")
    assert not Rating.objects.exists()


def named(assignment: Any) -> dict[str, Any]:
    return {"key": str(uuid4()), "assignment": assignment, "score": 7}


def test_a_refused_answer_is_named_by_the_key_it_came_with(lease: Assignment) -> None:
    [acknowledgement] = send(lease.participation, make.answer(lease, 7, key="mine")).json()["acknowledgements"]
    assert acknowledgement["key"] == "mine"


@pytest.mark.parametrize("not_an_answer", [None, 7, "x", [], [1]])
def test_an_answer_is_an_object(participation: Participation, not_an_answer: Any) -> None:
    reply = send(participation, not_an_answer)
    assert (reply.status_code, reply.json()["acknowledgements"][0]["code"]) == (400, "invalid_answer")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
answer_like = st.fixed_dictionaries(
    {},
    optional={
        "key": json_values | st.uuids().map(str),
        "assignment": json_values | st.uuids().map(str),
        "score": json_values | st.integers(-1, 12),
        "seconds": json_values | st.integers() | st.floats(),
        "revises": json_values,
    },
)


@pytest.mark.rarely
@given(data=json_values | answer_like)
def test_whatever_comes_is_an_answer_on_the_scale_or_refused(data: Any) -> None:
    try:
        answer = parsed(data)
    except AnswerRefused:
        return
    assert 1 <= answer.score <= 10
    assert answer.seconds is None or 0 <= answer.seconds <= 24 * 3600


# Whose pair it is -------------------------------------------------------------------------------------------------


def test_nobody_answers_for_somebody_else(lease: Assignment) -> None:
    other = make.participation(lease.item.study)
    reply = send(other, make.answer(lease))
    assert (reply.status_code, reply.json()["acknowledgements"][0]["code"]) == (404, "unknown_assignment")
    lease.refresh_from_db()
    assert lease.answered_at is None
    assert not Revision.objects.exists()


def test_nobody_marks_somebody_elses_pair_as_painted(lease: Assignment) -> None:
    send(make.participation(lease.item.study), painted=str(lease.public_id))
    lease.refresh_from_db()
    assert lease.painted_at is None


def test_a_made_up_assignment_is_unknown(participation: Participation) -> None:
    reply = send(participation, make.answer(str(uuid4())))
    assert (reply.status_code, reply.json()["acknowledgements"][0]["code"]) == (404, "unknown_assignment")


def test_somebody_elses_key_does_not_return_their_rating(lease: Assignment) -> None:
    theirs = make.answer(lease, 9)
    send(lease.participation, theirs)
    other = make.participation(lease.item.study)
    mine = make.leases(other)[0]
    [acknowledgement] = send(other, make.answer(mine, 2, key=theirs["key"])).json()["acknowledgements"]
    assert (acknowledgement["code"], acknowledgement["score"]) == ("key_already_used", None)


def test_a_stranger_finds_no_such_participation(lease: Assignment) -> None:
    assert send(lease.participation, make.answer(lease), client=Client()).status_code == 404
    assert not Rating.objects.exists()


def test_another_site_cannot_answer_with_the_cookie(lease: Assignment) -> None:
    browser = make.browser(lease.participation, enforce_csrf_checks=True)
    assert send(lease.participation, make.answer(lease), client=browser).status_code == 403
    assert not Rating.objects.exists()


def sent_by_the_page(lease: Assignment, body: Any) -> HttpResponse:
    browser = make.browser(lease.participation, enforce_csrf_checks=True)
    browser.get(reverse("annotation:rate", args=[lease.participation.public_id]))
    return browser.post(
        reverse("annotation:answer", args=[lease.participation.public_id]),
        body,
        content_type="application/json",
        headers={"X-CSRFToken": browser.cookies["csrftoken"].value},
    )


def test_the_page_answers_with_its_csrf_token(lease: Assignment) -> None:
    assert sent_by_the_page(lease, {"answers": [make.answer(lease)]}).status_code == 200


def test_json_nested_too_deeply_is_refused_behind_the_csrf_check_too(lease: Assignment) -> None:
    reply = sent_by_the_page(lease, '{"answers": ' + "[" * 100_000 + "]" * 100_000 + "}")
    assert (reply.status_code, reply.json()["detail"]) == (400, "The JSON is nested too deeply.")


@pytest.mark.rarely
@pytest.mark.parametrize("field", ["key", "assignment", "painted"])
def test_json_nested_just_as_deeply_as_can_be_read_does_no_harm_either(lease: Assignment, field: str) -> None:
    """Where it is looked at the stack may be deeper than where it was read."""
    url, browser = reverse("annotation:answer", args=[lease.participation.public_id]), make.browser(lease.participation)
    answer = make.answer(lease, 11)
    for depth in range(600, 1000):
        nested = {field: "NESTED"}
        body = {"answers": [answer | nested]} | nested
        text = json.dumps(body).replace('"NESTED"', "[" * depth + "]" * depth)
        assert browser.post(url, text, content_type="application/json").status_code == 400


# Late, paused, closed, withdrawn, finished ------------------------------------------------------------------------


def test_a_late_answer_is_kept_and_marked(lease: Assignment) -> None:
    make.expire(lease)
    return_expired_leases(lease.item.study)
    send(lease.participation, make.answer(lease, 3))
    rating = Rating.objects.get()
    assert (rating.score, rating.is_late) == (3, True)
    assert_places_add_up(lease.item.study)


def test_a_late_answer_to_an_item_that_others_filled_passes_its_goal_by_that_answer_only() -> None:
    study = make.study(n_pairs=1, goal=1)
    late, quick = make.participation(study), make.participation(study)
    [lease] = make.leases(late)
    make.expire(lease)
    send(quick, make.answer(make.leases(quick)[0]))
    send(late, make.answer(lease))
    item = study.items.get()
    assert (item.n_rated, item.n_held) == (2, 2)
    assert_places_add_up(study)


def test_an_answer_after_the_time_but_before_anybody_took_the_pair_is_not_late(lease: Assignment) -> None:
    make.expire(lease)
    assert make.rating(lease).is_late is False


@pytest.mark.parametrize("state", [Study.State.PAUSED, Study.State.CLOSED])
def test_a_study_that_stops_takes_answers_to_what_people_hold_and_gives_nothing_new(state: str) -> None:
    study = make.study(n_pairs=6)
    participation = make.participation(study)
    held = make.leases(participation)
    change_state(study, state)
    reply = send(participation, make.answer(held[0]))
    assert reply.status_code == 200
    assert [lease["assignment"] for lease in reply.json()["leases"]] == [str(each.public_id) for each in held[1:]]
    assert send(participation, *map(make.answer, held[1:])).json()["finished"] is True
    assert participation.assignments.exclude(served_at=None).count() == len(held)


def test_nothing_is_stored_after_withdrawal(lease: Assignment) -> None:
    Participation.objects.update(withdrawn_at=timezone.now())
    assert send(lease.participation, make.answer(lease)).status_code == 410
    assert not Rating.objects.exists()


def test_an_answer_after_the_session_ended_is_kept_and_marked_late() -> None:
    participation = make.participation(make.study(n_pairs=4, session_size=2))
    first, second = make.leases(participation)
    Participation.objects.update(n_planned=1)
    send(participation, make.answer(first))  # the other pair goes back
    send(participation, make.answer(second))
    assert list(Rating.objects.order_by("pk").values_list("is_late", flat=True)) == [False, True]
    assert_places_add_up(participation.study)


def test_an_answer_of_somebody_who_was_erased_is_not_stored(lease: Assignment) -> None:
    erase_participation(lease.participation)
    with pytest.raises(ParticipationErased):
        make.rating(lease)
    assert not Rating.objects.exists()
    assert_places_add_up(lease.item.study)


def test_whoever_is_erased_between_the_look_and_the_lock_finds_no_such_participation(lease: Assignment) -> None:
    def erased_first(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if "p.seed" in sql:
            erase_participation(lease.participation)
        return execute(sql, *rest)

    said = "There is no such participation, or it is not yours."
    with connection.execute_wrapper(erased_first):
        reply = send(lease.participation, make.answer(lease))
        page = make.browser(lease.participation).get(reverse("annotation:rest", args=[lease.participation.public_id]))
    assert (reply.status_code, reply.json()) == (404, {"detail": said})
    assert page.status_code == 404


def test_who_was_erased_is_given_nothing(participation: Participation) -> None:
    gone = Participation.objects.get(pk=participation.pk)
    erase_participation(participation)
    with pytest.raises(ParticipationErased):
        next_pairs(gone)


def test_a_repeat_that_comes_after_the_last_pair_is_acknowledged() -> None:
    participation = make.participation(make.study(n_pairs=1))
    answer = make.answer(make.leases(participation)[0])
    assert send(participation, answer).json()["finished"] is True
    again = send(participation, answer)
    assert (again.status_code, again.json()["acknowledgements"][0]["status"]) == (200, "stored")


# Lists, and what is no list ---------------------------------------------------------------------------------------


def test_a_bad_answer_spoils_no_other(participation: Participation) -> None:
    first, second, third = make.leases(participation)
    reply = send(participation, make.answer(first), make.answer(second, 99), make.answer(third))
    assert reply.status_code == 400
    assert [each["status"] for each in reply.json()["acknowledgements"]] == ["stored", "refused", "stored"]
    assert Rating.objects.count() == 2


def n_locks(act: Callable[[], object]) -> int:
    """How often the person's row is taken."""
    with CaptureQueriesContext(connection) as captured:
        act()
    return sum("p.seed" in query["sql"] for query in captured)


def test_each_answer_takes_the_person_once_and_the_last_one_tells_what_is_next(participation: Participation) -> None:
    first, second, third = make.leases(participation)
    three = [make.answer(first), make.answer(second), make.answer(third, 4)]
    assert n_locks(lambda: take_turn(participation, three)) == 3
    revised = [make.answer(first, 2, revises=True), make.answer(third, 3, revises=True)]
    assert n_locks(lambda: take_turn(participation, revised)) == 2
    assert list(Rating.objects.order_by("pk").values_list("score", flat=True)) == [2, 7, 3]


def test_an_answer_that_cannot_be_read_takes_nothing(participation: Participation) -> None:
    first, *_ = make.leases(participation)
    assert n_locks(lambda: take_turn(participation, [7, make.answer(first, 99), make.answer(first)])) == 1
    assert n_locks(lambda: take_turn(participation, [None])) == 1  # to say what is next


def test_the_status_is_that_of_the_first_refused_answer(lease: Assignment) -> None:
    make.rating(lease)
    reply = send(lease.participation, make.answer(lease), make.answer(str(uuid4())), make.answer(lease, 0))
    assert reply.status_code == 409
    codes = [each["code"] for each in reply.json()["acknowledgements"]]
    assert codes == ["already_rated", "unknown_assignment", "invalid_score"]


def test_an_empty_list_asks_for_the_next_pairs_only(participation: Participation) -> None:
    reply = send(participation)
    assert (reply.status_code, reply.json()["acknowledgements"], len(reply.json()["leases"])) == (200, [], 3)


def test_too_many_answers_are_refused_together(lease: Assignment) -> None:
    assert send(lease.participation, *[make.answer(lease)] * (MAX_ANSWERS + 1)).status_code == 400
    assert not Rating.objects.exists()


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "7", "null", "{}", '{"answers": 7}', '{"answers": {}}', "[" * 5000, '{"answers": [NaN]}']
)
def test_a_body_that_holds_no_list_of_answers_is_refused(participation: Participation, body: str) -> None:
    url = reverse("annotation:answer", args=[participation.public_id])
    assert make.browser(participation).post(url, body, content_type="application/json").status_code == 400


def test_a_body_of_megabytes_is_not_read(lease: Assignment) -> None:
    reply = send(lease.participation, make.answer(lease), padding="x" * 2_000_000)
    assert reply.status_code == 400
    assert not Rating.objects.exists()


def test_the_protocol_speaks_json_only(participation: Participation) -> None:
    url = reverse("annotation:answer", args=[participation.public_id])
    assert make.browser(participation).post(url, {"answers": "[]"}).status_code == 415
    assert make.browser(participation).get(url).status_code == 405


@pytest.mark.parametrize("painted", [7, "x", [], {}, "\x00", "0" * 32])
def test_a_strange_painted_hint_spoils_no_answer(lease: Assignment, painted: Any) -> None:
    assert send(lease.participation, make.answer(lease), painted=painted).status_code == 200


def test_the_first_time_a_pair_was_on_the_screen_is_kept(lease: Assignment) -> None:
    send(lease.participation, painted=str(lease.public_id))
    lease.refresh_from_db()
    first = lease.painted_at
    send(lease.participation, painted=str(lease.public_id))
    lease.refresh_from_db()
    assert first is not None
    assert lease.painted_at == first


# What people may know ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_no_answer_of_the_site_hints_at_how_a_picture_was_made_or_should_be_rated(mode: str) -> None:
    study = make.study(mode=mode)
    study.items.update(expected_low=1, expected_high=2)
    participation = make.participation(study)
    said = json.dumps(send(participation).json())
    pair = study.items.first().pair  # type: ignore[union-attr]
    secrets = ["purpose", "method", "scope", "blur", "global", "expected", "secret-name", "group", "main", "sha"]
    secrets += [pair.anonymized.sha256, pair.anonymized.display_sha256, pair.anonymized.display.name, pair.group]
    assert [secret for secret in secrets if secret in said] == []


def test_a_pair_says_just_what_the_page_needs() -> None:
    [lease, *_] = send(make.participation(make.study(mode="HA2"))).json()["leases"]
    assert set(lease) == {"assignment", "position", "mode", "instruction", "pictures"}
    assert [picture["side"] for picture in lease["pictures"]] == ["original", "anonymized"]
    assert {name for picture in lease["pictures"] for name in picture} == {"side", "url", "width", "height"}


def test_ha1_shows_the_anonymized_picture_alone() -> None:
    leases = send(make.participation(make.study(mode="HA1"))).json()["leases"]
    assert [[picture["side"] for picture in lease["pictures"]] for lease in leases] == [["anonymized"]] * 3


def test_replies_are_kept_by_nobody(participation: Participation) -> None:
    assert send(participation)["Cache-Control"] == "private, no-store"


# Without JavaScript -----------------------------------------------------------------------------------------------


def post_form(lease: Assignment, *, browser: Client | None = None, **fields: str) -> Any:
    url = reverse("annotation:rate", args=[lease.participation.public_id])
    form = {"key": str(uuid4()), "assignment": str(lease.public_id)} | fields
    return (browser or make.browser(lease.participation)).post(url, form)


@pytest.mark.parametrize("score", ["1", "10"])
def test_the_form_works_without_a_script(lease: Assignment, score: str) -> None:
    reply = post_form(lease, score=score)
    assert (reply.status_code, reply.url) == (302, reverse("annotation:rate", args=[lease.participation.public_id]))
    assert Rating.objects.get(assignment=lease).score == int(score)


FIRST_IS_KEPT = "This pair has been rated already; the first answer is kept."


def test_a_form_sent_twice_is_one_rating_and_no_complaint(lease: Assignment) -> None:
    key, browser = str(uuid4()), make.browser(lease.participation)
    replies = [post_form(lease, score="7", key=key, browser=browser) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [302, 302]
    assert FIRST_IS_KEPT not in browser.get(replies[0].url).content.decode()
    assert Rating.objects.get().score == 7


def test_who_goes_back_and_answers_anew_is_told_that_the_first_answer_counts(lease: Assignment) -> None:
    browser = make.browser(lease.participation)
    post_form(lease, score="7", browser=browser)
    reply = post_form(lease, score="2", browser=browser)
    page = browser.get(reply.url)
    assert FIRST_IS_KEPT in page.content.decode()
    assert FIRST_IS_KEPT not in browser.get(reply.url).content.decode()
    assert (page.status_code, Rating.objects.get().score) == (200, 7)


@pytest.mark.rarely
@pytest.mark.parametrize("score", ["", "0", "11", "-1", "7.5", "x", "\u0667", "\u00b2", "9" * 5000])
def test_a_form_without_a_score_says_so_and_keeps_the_pair(lease: Assignment, score: str) -> None:
    reply = post_form(lease, score=score)
    assert reply.status_code == 400
    assert "Choose a score from 1 to 10." in reply.content.decode()
    assert reply.context["lease"]["assignment"] == str(lease.public_id)
    assert not Rating.objects.exists()


def test_a_form_for_somebody_elses_pair_stores_nothing(lease: Assignment) -> None:
    other = make.participation(lease.item.study)
    url = reverse("annotation:rate", args=[other.public_id])
    assert make.browser(other).post(url, make.answer(lease)).status_code == 400
    assert not Rating.objects.exists()


# Whatever is sent ---------------------------------------------------------------------------------------------------

ODD: list[Any] = [None, True, -1, 11, 10**30, 7.5, "", "\x00", "\ud800", "x" * 999, [], {}]


@pytest.mark.rarely
@pytest.mark.parametrize("field", ["key", "assignment", "score", "seconds", "hidden_seconds", "revises"])
def test_odd_values_are_refused_in_words_or_make_no_difference(field: str) -> None:
    participation = make.participation(make.study(n_pairs=30))
    for odd in ODD:
        before = Rating.objects.count()
        lease = make.leases(participation)[0]
        reply = send(participation, make.answer(lease) | {field: odd})
        [acknowledgement] = reply.json()["acknowledgements"]
        if reply.status_code == 200:
            assert (acknowledgement["status"], Rating.objects.count()) == ("stored", before + 1)
        else:
            assert reply.status_code == (409 if field == "revises" else 400)
            assert acknowledgement["detail"]
            assert Rating.objects.count() == before


def test_an_odd_word_about_what_is_on_the_screen_is_passed_over() -> None:
    participation = make.participation(make.study())
    url = reverse("annotation:answer", args=[participation.public_id])
    for odd in ODD:
        body = json.dumps({"answers": [], "painted": odd})
        assert make.browser(participation).post(url, body, content_type="application/json").status_code == 200


@pytest.mark.parametrize(
    "body",
    ["", "[]", "null", "1", "{", '{"answers": 1}', '{"answers": [], "x": NaN}', "[" * 100_000, b"\xff\xfe", "\x00"],
)
def test_bodies_that_are_no_answers_are_refused(body: str | bytes) -> None:
    participation = make.participation(make.study())
    url = reverse("annotation:answer", args=[participation.public_id])
    assert make.browser(participation).post(url, body, content_type="application/json").status_code == 400
