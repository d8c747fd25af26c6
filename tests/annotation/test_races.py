"""What happens when several people, tabs and retries do the same thing at the same moment."""

from contextlib import suppress
from functools import partial
from itertools import count
from threading import Event, Thread
from time import sleep
from uuid import uuid4

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse

from annotation.answering.refusals import AlreadyRated
from annotation.answering.turn import take_turn
from annotation.freeze import request_freeze
from annotation.giving.join import CannotJoin, join_as_member, join_by_invitation
from annotation.giving.leases import next_pairs, return_expired_leases
from annotation.giving.person import ParticipationErased
from annotation.models.people import Annotator, Invitation, Participation
from annotation.models.ratings import Assignment, Rating, Report, Revision
from annotation.models.studies import Item, Study
from annotation.privacy import erase_participation
from annotation.studies.life import change_state
from annotation.studies.wording import current_texts
from annotation.watching.decisions import CannotDecide, decide
from annotation.watching.roles import CannotServe, PairRole, give_role, give_roles
from datasets import jobs
from datasets.models.releases import FrozenRating, Release
from tests import make
from tests.annotation.places import assert_places_add_up
from tests.annotation.said import say
from tests.races import Moment, at_once, meanwhile

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
REPEATS = 8  # the rarer meetings do not happen at the first try


def score_or_refusal(lease: Assignment, score: int) -> int | str:
    try:
        return make.rating(lease, score).score
    except AlreadyRated as refused:
        return refused.code


def rate_all(participation: Participation) -> bool:
    """Answer the first pair until there is none; whether a goal was ever seen passed."""
    passed, turn = False, take_turn(participation, [])
    while turn["leases"]:
        turn = take_turn(participation, [make.answer(turn["leases"][0]["assignment"])])
        passed |= participation.study.items.filter(n_held__gt=F("goal")).exists()
    return passed


# One answer -------------------------------------------------------------------------------------------------------


def test_twenty_copies_of_an_answer_are_one_row_and_twenty_equal_acknowledgements() -> None:
    participation = make.participation(study := make.study())
    answer = make.answer(make.leases(participation)[0])
    turns = at_once(*[lambda: take_turn(participation, [answer])] * 20)
    [acknowledgement] = turns[0]["acknowledgements"]
    assert acknowledgement.status == "stored"
    assert [turn["acknowledgements"] for turn in turns] == [[acknowledgement]] * 20
    assert (Rating.objects.count(), Revision.objects.count()) == (1, 1)
    assert_places_add_up(study)


def test_twenty_copies_of_an_answer_over_http_are_acknowledged_alike() -> None:
    participation = make.participation(study := make.study())
    body = {"answers": [make.answer(make.leases(participation)[0])]}
    url = reverse("annotation:answer", args=[participation.public_id])
    browsers = [make.browser(participation) for _ in range(20)]
    replies = at_once(
        *[lambda browser=browser: browser.post(url, body, content_type="application/json") for browser in browsers]
    )
    assert [reply.status_code for reply in replies] == [200] * 20
    assert len({reply.content for reply in replies}) == 1
    assert (Rating.objects.count(), Revision.objects.count()) == (1, 1)
    participation.refresh_from_db()
    assert participation.n_answered == 1
    assert_places_add_up(study)


def test_of_many_different_answers_to_one_pair_the_first_is_kept() -> None:
    participation = make.participation(study := make.study())
    lease = make.leases(participation)[0]
    said = at_once(*[lambda score=score: score_or_refusal(lease, score) for score in range(1, 11)])
    assert said.count("already_rated") == 9
    assert Rating.objects.get().score in said
    assert_places_add_up(study)


def test_revisions_at_once_are_numbered_one_after_the_other() -> None:
    participation = make.participation(make.study())
    lease = make.leases(participation)[0]
    make.rating(lease, 1)
    at_once(*[lambda: make.rating(lease, 5, revises=True)] * 8)
    assert list(Revision.objects.values_list("number", flat=True)) == list(range(1, 10))


# Many people, few places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_group", [1, 2])
def test_sixteen_people_fill_every_goal_and_pass_none(per_group: int) -> None:
    study = make.study(n_pairs=6, per_group=per_group, goal=3, session_size=2)
    people = [make.participation(study) for _ in range(16)]
    passed = at_once(*[lambda person=person: rate_all(person) for person in people])
    assert not any(passed)
    assert set(study.items.values_list("n_held", "n_rated")) == {(3, 3)}
    assert_places_add_up(study)


def test_of_sixty_four_people_at_one_item_five_get_it() -> None:
    study = make.study(n_pairs=1, goal=5)
    people = [make.participation(study) for _ in range(64)]
    passed = at_once(*[lambda person=person: rate_all(person) for person in people])
    assert not any(passed)
    assert study.items.values_list("n_held", "n_rated").get() == (5, 5)
    assert Rating.objects.count() == Assignment.objects.count() == 5
    assert_places_add_up(study)


def test_of_sixty_four_who_come_in_at_once_those_without_a_place_leave_no_trace() -> None:
    study = make.study(n_pairs=6, goal=5, session_size=3)  # places for ten
    invitation, text = make.invitation(study), current_texts(study)["consent"]

    def come_in() -> int | str:
        try:
            return join_by_invitation(invitation, agreed_to=text).n_planned
        except CannotJoin as cannot:
            return cannot.code

    came = at_once(*[come_in] * 64)
    sizes = [each for each in came if each != "held"]
    assert sum(map(int, sizes)) == Assignment.objects.count() == 30
    assert Participation.objects.count() == Annotator.objects.count() == len(sizes)
    assert set(study.items.values_list("n_held", flat=True)) == {5}
    assert_places_add_up(study)


def test_sessions_are_reserved_answered_erased_and_given_back_at_the_same_time() -> None:
    study = make.study(n_pairs=30, goal=4, session_size=12)
    invitation, text = make.invitation(study), current_texts(study)["consent"]

    def come_in() -> Participation:
        return join_by_invitation(invitation, agreed_to=text)

    for _ in range(REPEATS // 2):
        erased, late, busy = (come_in() for _ in range(3))
        make.expire(*late.assignments.all())
        at_once(
            lambda busy=busy: rate_all(busy),
            lambda late=late: rate_all(late),
            lambda erased=erased: erase_participation(erased),
            lambda: return_expired_leases(study.pk),
            lambda: return_expired_leases(study.pk),
            come_in,
        )
        assert_places_add_up(study)
        for person in study.participations.all():
            erase_participation(person)
    assert set(study.items.values_list("n_held", "n_rated")) == {(0, 0)}


def test_places_add_up_where_every_lease_runs_out_at_once() -> None:
    study = make.study(n_pairs=5, goal=3, lease_seconds=0)
    people = [make.participation(study) for _ in range(8)]
    at_once(*[lambda person=person: rate_all(person) for person in people])
    assert all(item.n_rated >= item.goal for item in study.items.all())
    return_expired_leases(study.pk)
    assert_places_add_up(study)


def test_two_tabs_get_the_same_pairs() -> None:
    participation = make.participation(study := make.study(n_pairs=8))
    tabs = at_once(*[lambda: make.leases(participation)] * 4)
    assert tabs == [tabs[0]] * 4
    assert [each.position for each in tabs[0]] == [1, 2, 3]
    assert_places_add_up(study)


# Leases that run out at this very moment --------------------------------------------------------------------------


def expiring_lease(study: Study) -> Assignment:
    participation = make.participation(study)
    lease = make.leases(participation)[0]
    make.expire(lease)
    return lease


def test_a_lease_may_run_out_while_it_is_answered() -> None:
    study = make.study(n_pairs=2, goal=REPEATS * 2, window=1)
    for _ in range(REPEATS):
        lease = expiring_lease(study)
        at_once(lambda: return_expired_leases(study.pk), lambda lease=lease: score_or_refusal(lease, 5))
        assert_places_add_up(study)
    assert Rating.objects.count() == REPEATS


def test_a_lease_may_run_out_while_its_holder_comes_back() -> None:
    study = make.study(n_pairs=2, goal=REPEATS * 2, window=1)
    for _ in range(REPEATS):
        holder = expiring_lease(study).participation
        at_once(lambda: return_expired_leases(study.pk), lambda holder=holder: next_pairs(holder))
        assert_places_add_up(study)


def test_a_late_answer_may_arrive_while_its_holder_comes_back() -> None:
    study = make.study(n_pairs=2, goal=REPEATS * 2, window=1)
    for _ in range(REPEATS):
        lease = expiring_lease(study)
        return_expired_leases(study.pk)
        at_once(
            lambda lease=lease: score_or_refusal(lease, 5), *[lambda lease=lease: next_pairs(lease.participation)] * 3
        )
        assert_places_add_up(study)


def test_several_may_return_the_same_expired_leases() -> None:
    study = make.study(n_pairs=6, session_size=3)
    make.expire(*make.leases(make.participation(study)))
    assert sum(at_once(*[lambda: return_expired_leases(study.pk)] * 4)) == 3
    assert_places_add_up(study)


def test_a_session_may_end_while_what_it_still_holds_is_returned() -> None:
    study = make.study(n_pairs=6, goal=REPEATS * 2, session_size=4)
    for _ in range(REPEATS):
        participation = make.participation(study)
        lease = make.leases(participation)[0]
        Participation.objects.filter(pk=participation.pk).update(n_planned=1)  # more is held than will be needed
        make.expire(lease)
        at_once(
            lambda participation=participation, lease=lease: take_turn(participation, [make.answer(lease)]),
            lambda: return_expired_leases(study.pk),
            lambda participation=participation: next_pairs(participation),
        )
        assert next_pairs(participation).is_finished
        assert not participation.assignments.held().exists()
        assert_places_add_up(study)


# Erased at this very moment ---------------------------------------------------------------------------------------


def status_of_answer(browser: Client, lease: Assignment) -> int:
    url = reverse("annotation:answer", args=[lease.participation.public_id])
    return browser.post(url, {"answers": [make.answer(lease)]}, content_type="application/json").status_code


def test_a_participation_may_be_erased_while_it_is_answered() -> None:
    study = make.study(n_pairs=4, goal=REPEATS * 2)
    for _ in range(REPEATS):
        participation = make.participation(study)
        lease, browser = make.leases(participation)[0], make.browser(participation)
        status, _ = at_once(
            lambda browser=browser, lease=lease: status_of_answer(browser, lease),
            lambda participation=participation: erase_participation(participation),
        )
        assert status in (200, 404)
        assert not Rating.objects.exists()
        assert_places_add_up(study)


# Coming in --------------------------------------------------------------------------------------------------------


def test_two_clicks_on_a_personal_invitation_are_one_participation() -> None:
    invitation = make.invitation(make.study(), Invitation.Kind.PERSONAL)
    text = current_texts(invitation.study)["consent"]
    page = uuid4()
    begun = at_once(*[lambda: join_by_invitation(invitation, agreed_to=text, public_id=page)] * 2)
    assert begun[0] == begun[1]
    assert Participation.objects.count() == 1


def test_of_two_people_at_once_with_a_personal_link_one_comes_in() -> None:
    invitation = make.invitation(make.study(), Invitation.Kind.PERSONAL)
    text = current_texts(invitation.study)["consent"]

    def come_in() -> str:
        try:
            return str(join_by_invitation(invitation, agreed_to=text).study.mode)
        except CannotJoin as cannot:
            return cannot.code

    assert sorted(at_once(come_in, come_in)) == ["HA2", "used"]
    assert Participation.objects.count() == 1


def as_member(study: Study, user_id: int) -> Participation:
    return join_as_member(study, user_id, agreed_to=current_texts(study)["consent"])


def joined(study: Study, user_id: int) -> str:
    try:
        return as_member(study, user_id).study.mode
    except CannotJoin as cannot:
        return cannot.code


def test_a_member_who_joins_both_studies_of_a_campaign_at_once_is_in_one() -> None:
    for _ in range(REPEATS):
        project = make.project()
        beside = make.study(project, n_pairs=1, mode="HA2")
        alone = make.study(project, n_pairs=0, mode="HA1", campaign=beside.campaign)
        member = make.member(project)
        ends = at_once(lambda: joined(beside, member.pk), lambda: joined(alone, member.pk))  # noqa: B023
        assert sorted(ends) in (["HA1", "other_study"], ["HA2", "other_study"])


def test_a_member_who_joins_twice_at_once_has_one_participation() -> None:
    study = make.study()
    member = make.member(study.project)
    begun = at_once(*[lambda: as_member(study, member.pk)] * 4)
    assert len(set(begun)) == 1


@pytest.mark.parametrize("goal", [16, 5])
def test_members_who_come_at_once_get_every_place_and_no_more(goal: int) -> None:
    study = make.study(n_pairs=1, goal=goal)
    members = [make.member(study.project) for _ in range(16)]
    ends = at_once(*[lambda member=member: joined(study, member.pk) for member in members])
    assert sorted(ends) == ["HA2"] * goal + ["held"] * (16 - goal)
    assert study.participations.count() == goal
    assert_places_add_up(study)


def test_sessions_that_begin_at_once_are_as_long_as_planned() -> None:
    study = make.study(n_pairs=6, goal=16, session_size=6)
    members = [make.member(study.project) for _ in range(16)]
    at_once(*[lambda member=member: joined(study, member.pk) for member in members])
    assert list(study.participations.values_list("n_planned", flat=True)) == [6] * 16
    assert set(study.items.values_list("n_held", flat=True)) == {16}
    assert_places_add_up(study)


@pytest.mark.parametrize("begins", ["both at once", "before"])
def test_who_rates_in_two_studies_at_once_never_gets_a_picture_alone_beside_its_original(begins: str) -> None:
    for _ in range(REPEATS):
        project = make.project()
        beside = make.study(project, n_pairs=1, mode="HA2")
        alone = make.study(project, n_pairs=0, mode="HA1")
        member = make.member(project)
        if begins == "both at once":
            at_once(lambda: joined(beside, member.pk), lambda: joined(alone, member.pk))  # noqa: B023
        else:
            annotator = Annotator.objects.create(project=project, user=member)
            pages = [make.participation(study, annotator=annotator) for study in (beside, alone)]
            at_once(*[lambda page=page: next_pairs(page) for page in pages])
        assert Assignment.objects.filter(participation__annotator__user=member).count() == 1


def test_a_member_may_be_erased_in_one_study_while_beginning_in_another() -> None:
    for _ in range(REPEATS):
        first = make.study(n_pairs=2)
        second = make.study(first.project, n_pairs=0)
        member = make.member(first.project)
        leaving = as_member(first, member.pk)
        _, end = at_once(lambda: erase_participation(leaving), lambda: joined(second, member.pk))  # noqa: B023
        assert end == "HA2"
        assert list(Participation.objects.filter(annotator__user=member).values_list("study", flat=True)) == [second.pk]
        assert_places_add_up(first)
        assert_places_add_up(second)


# Not rating -------------------------------------------------------------------------------------------------------


def skipped(assignment: Assignment) -> dict[str, object]:
    return make.answer(assignment, score=None, skips="distressing")


def test_of_a_skip_and_an_answer_at_once_no_place_is_lost_or_given_twice() -> None:
    for _ in range(REPEATS):
        study = make.study(goal=2)
        participation = make.participation(study)
        lease = make.leases(participation)[0]
        acts = [skipped(lease), make.answer(lease)] * 3
        at_once(*[partial(take_turn, participation, [act]) for act in acts])
        lease.refresh_from_db()
        assert lease.skipped_at or lease.answered_at
        assert Rating.objects.filter(assignment=lease).count() == int(lease.answered_at is not None)
        assert Report.objects.filter(assignment=lease).count() == int(lease.skipped_at is not None)
        assert_places_add_up(study)


def test_places_add_up_while_people_skip_rate_and_are_erased() -> None:
    study = make.study(n_pairs=6, goal=3, session_size=3)
    people = [make.participation(study) for _ in range(6)]

    def skip_and_rate(person: Participation) -> None:
        with suppress(ParticipationErased):
            turn = take_turn(person, [])
            while turn["leases"]:
                first = turn["leases"][0]
                fields = {"score": None, "skips": "cannot_tell"} if first["position"] % 2 else {}
                turn = take_turn(person, [make.answer(first["assignment"], **fields)])

    acts = [partial(skip_and_rate, person) for person in people]
    at_once(*acts, partial(erase_participation, people[0]), lambda: return_expired_leases(study.pk))
    assert_places_add_up(study)


# Freezing ---------------------------------------------------------------------------------------------------------


def one_who_is_always_off(study: Study) -> Participation:
    """Somebody who alone gives the score 10."""
    make.more_wanted(study)
    return say(make.participation(study), dict.fromkeys(study.items.order_by("pk"), 10))


def assert_in_no_release_without_notice(study: Study, release: Release) -> None:
    theirs = FrozenRating.objects.filter(label__release=release, score=10).count()
    assert theirs in (0, study.items.count())
    assert release.notices.count() == (theirs > 0)
    assert FrozenRating.objects.filter(label__release=release).count() == release.origins["n_ratings"]
    assert list(Release.objects.all()) == [release]  # nothing that was thrown away is left


@pytest.mark.parametrize("part", range(5))
def test_whoever_is_erased_between_any_two_steps_of_a_freeze_is_not_in_the_release(part: int) -> None:
    for n in count(part, 5):
        study = make.rated_study(n_pairs=3, n_people=2, scores=range(1, 10))
        with Moment(n, partial(erase_participation, one_who_is_always_off(study))) as moment:
            release = make.release(study)
        if not moment.has_come:  # the freeze has fewer steps
            break
        assert_in_no_release_without_notice(study, release)
        discard(release)
    assert n >= 10


def test_whoever_asks_to_be_erased_while_the_release_is_sealed_waits_and_leaves_a_notice() -> None:
    study = make.rated_study(n_pairs=3, n_people=2, scores=range(1, 10))
    erasing = Thread(target=at_once, args=[partial(erase_participation, one_who_is_always_off(study))])

    def ask_and_wait() -> None:
        erasing.start()
        erasing.join(timeout=0.3)
        assert erasing.is_alive()

    with meanwhile('UPDATE "datasets_release" SET "agreement"', ask_and_wait):
        release = make.release(study)
    erasing.join()
    assert_in_no_release_without_notice(study, release)
    assert release.notices.count() == 1


def test_an_erasure_and_a_freeze_at_once_end_in_a_release_without_the_person_or_with_a_notice() -> None:
    for _ in range(REPEATS):
        study = make.rated_study(n_pairs=3, n_people=2, scores=range(1, 10))
        person, job = one_who_is_always_off(study), request_freeze(study)
        at_once(partial(jobs.run, job.pk), partial(erase_participation, person))
        job.refresh_from_db()
        release = Release.objects.get(pk=job.result["release"])
        assert_in_no_release_without_notice(study, release)
        discard(release)


def discard(release: Release) -> None:
    """So that the next one stands alone."""
    release.notices.all().delete()
    FrozenRating.objects.filter(label__release=release).delete()
    release.labels.all().delete()
    release.delete()


# Watching over a study --------------------------------------------------------------------------------------------


def test_of_decisions_at_once_one_is_made_and_the_others_are_told() -> None:
    participation = make.rated_study(n_people=1).participations.get()

    def decided() -> str:
        try:
            return str(decide(participation, "use", verdict=False, reason="x").verdict)
        except CannotDecide:
            return "told"

    assert sorted(at_once(*[decided] * 6)) == ["False", *["told"] * 5]


def test_a_pair_gets_a_role_or_is_given_out_and_never_both() -> None:
    for _ in range(REPEATS):
        study = make.study(n_pairs=1, goal=3)
        item, people = study.items.get(), [make.participation(study) for _ in range(3)]

        def got_its_role(study: Study = study, item: Item = item) -> bool:
            try:
                give_role(study, item, PairRole("check", 1, 2))
            except CannotServe:
                return False
            return True

        got_one, *_ = at_once(got_its_role, *[partial(next_pairs, person) for person in people])
        given = Assignment.objects.filter(item=item, purpose="main").exists()
        assert got_one != given
        assert_places_add_up(study)


ROLES = {
    "main": PairRole("main"),
    "check": PairRole("check", instructed_score=4),
    "practice": PairRole("practice", 1, 2),
}


@pytest.mark.parametrize(
    ("serves_as", "becomes", "session"),
    [
        ("main", "check", {"n_warm_up": 2, "goal": 9}),
        ("main", "check", {"n_warm_up": 2, "goal": 1}),  # a warm-up on a pair that wants no rating
        ("check", "main", {"n_checks": 2}),
        ("check", "practice", {"n_checks": 2}),
        ("practice", "check", {"n_practice": 2}),
    ],
)
@pytest.mark.parametrize("first", ["draw", pytest.param("role", marks=pytest.mark.long)])
def test_a_pair_that_is_drawn_without_a_place_gets_no_role_meanwhile(
    serves_as: str, becomes: str, session: dict[str, int], first: str
) -> None:
    """The draw and the role each stand still, in turn, where the other would slip in between."""
    study = make.study(n_pairs=9, is_open=False, **{"session_size": 5, "goal": 9} | session)
    targets = list(study.items.order_by("pk")[:5])
    give_roles(study, {item.pk: ROLES[serves_as] for item in targets})
    if session.get("goal") == 1:
        study.items.filter(pk__in=[item.pk for item in targets]).update(goal=0)
    change_state(study, Study.State.OPEN)
    drawn, looked = Event(), Event()

    def before_it_is_given() -> None:
        drawn.set()
        looked.wait(0.3 if first == "draw" else 0)

    def draw(person: Participation) -> None:
        with meanwhile("INSERT INTO annotation_assignment", before_it_is_given):
            next_pairs(person)

    def once_looked() -> None:
        looked.set()
        drawn.wait(0.3 if first == "role" else 0)
        sleep(0.1)

    def give_all_roles() -> None:
        if first == "draw":
            drawn.wait(5)
        with suppress(CannotServe), meanwhile('SELECT DISTINCT "annotation_assignment"', once_looked, after=True):
            give_roles(study, {item.pk: ROLES[becomes] for item in targets})

    people = [make.participation(study) for _ in range(2)]
    at_once(give_all_roles, *[partial(draw, person) for person in people])
    assert drawn.is_set()
    assert looked.is_set()
    fitting = {"main": {"main", "warm_up"}, "check": {"check"}, "practice": {"practice"}}
    given = Assignment.objects.filter(item__study=study).values_list("purpose", "item__role")
    assert given
    assert [(purpose, role) for purpose, role in given if purpose not in fitting[role]] == []
    assert_places_add_up(study)
