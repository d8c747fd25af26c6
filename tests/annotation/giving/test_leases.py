from collections.abc import Callable
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.answering.turn import take_turn
from annotation.giving.join import CannotJoin, join_as_member, join_by_invitation
from annotation.giving.leases import next_pairs, return_expired_leases
from annotation.giving.order import draw_start
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import RING, Campaign, Item, Study
from annotation.studies.life import change_state
from annotation.studies.wording import current_texts
from datasets.models.projects import Project
from tests import make
from tests.annotation.places import assert_places_add_up

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def answer(lease: Assignment, score: int = 7) -> None:
    make.rating(lease, score)


def as_member(study: Study, user_id: int) -> Participation:
    return join_as_member(study, user_id, agreed_to=current_texts(study)["consent"])


def rate_to_the_end(participation: Participation) -> list[Assignment]:
    """Answer the first pair again and again; what was given, in order."""
    while leases := make.leases(participation):
        answer(leases[0])
    return list(participation.assignments.select_related("item").order_by("position"))


def alter(study: Study, **settings: object) -> Study:
    """The same study with other settings, read anew."""
    Study.objects.filter(pk=study.pk).update(**settings)
    return Study.objects.get(pk=study.pk)


# Who gets what ----------------------------------------------------------------------------------------------------


def test_nobody_sees_a_pair_twice() -> None:
    study = make.study(n_pairs=12, per_group=2, goal=3)
    given = rate_to_the_end(make.participation(study))
    assert sorted(each.item_id for each in given) == sorted(study.items.values_list("pk", flat=True))


def test_positions_follow_each_other() -> None:
    given = rate_to_the_end(make.participation(make.study(n_pairs=7)))
    assert [each.position for each in given] == list(range(1, 8))


def test_pairs_with_the_fewest_holders_go_first() -> None:
    study = make.study(n_pairs=8, goal=3, session_size=3)
    first = {each.item_id for each in make.leases(make.participation(study))}
    second = {each.item_id for each in make.leases(make.participation(study))}
    assert not first & second


def test_people_begin_at_different_places() -> None:
    study = make.study(n_pairs=10, goal=1)
    change_state(study, Study.State.PAUSED)
    starts = {draw_start(make.participation(study).seed, 1) for _ in range(5)}
    assert len(starts) == 5


def test_a_draw_can_be_replayed_from_seed_and_position() -> None:
    study = make.study(n_pairs=9)
    participation = make.participation(study, seed=42)
    left = list(study.items.order_by("shuffle"))
    for given in rate_to_the_end(participation):
        assert given.draw_start == draw_start(42, given.position)
        assert given.draw_n_held == 0
        replayed = next((item for item in left if item.shuffle >= given.draw_start), left[0])
        assert given.item == replayed
        left.remove(replayed)


def test_a_draw_starts_on_the_ring() -> None:
    assert all(0 <= draw_start(seed, position) < RING for seed in (0, 2**62 - 1) for position in (1, 10**6))


# Versions of one original -----------------------------------------------------------------------------------------


def test_new_originals_come_first() -> None:
    study = make.study(n_pairs=12, per_group=2)
    given = rate_to_the_end(make.participation(study))
    assert len({each.item.group for each in given[:6]}) == 6
    assert {each.reason for each in given[:6]} == {"new original"}


def test_versions_of_one_original_are_kept_apart_where_that_can_be() -> None:
    study = make.study(n_pairs=16, per_group=2)
    given = rate_to_the_end(make.participation(study))
    spaced = [each for each in given if each.reason == "spaced"]
    assert spaced
    for each in spaced:
        near = [other.item.group for other in given if 0 < each.position - other.position <= study.spacing]
        assert each.item.group not in near


def test_the_order_is_relaxed_rather_than_the_study_left_unfinished() -> None:
    given = rate_to_the_end(make.participation(make.study(n_pairs=3, per_group=3)))
    assert [each.reason for each in given] == ["new original", "any version", "any version"]


def test_versions_that_cannot_be_spaced_do_not_follow_each_other() -> None:
    given = rate_to_the_end(make.participation(make.study(n_pairs=8, per_group=4)))
    reasons = [each.reason for each in given]
    assert "spaced" not in reasons
    assert reasons.count("not in a row") >= 4
    for before, after in pairwise(given):
        assert after.reason == "any version" or before.item.group != after.item.group


def test_versions_of_one_original_never_come_again_where_there_are_enough_originals() -> None:
    study = make.study(n_pairs=12, per_group=3, session_size=4)
    people = [make.participation(study) for _ in range(7)]
    for person in people:
        groups = [each.item.group for each in rate_to_the_end(person)]
        assert len(groups) == len(set(groups))
    assert set(study.items.values_list("n_rated", flat=True)) == {2}


@pytest.fixture
def both_modes() -> tuple[Study, Study]:
    """Two campaigns over the same four pairs of two originals: one shows originals, one must not."""
    project = make.project()
    beside = make.study(project, n_pairs=4, per_group=2, mode="HA2", session_size=1)
    alone = make.study(project, n_pairs=0, mode="HA1")
    return beside, alone


def test_who_saw_an_original_never_gets_its_pictures_alone(both_modes: tuple[Study, Study]) -> None:
    beside, alone = both_modes
    member = make.member(beside.project)
    seen = rate_to_the_end(as_member(beside, member.pk))
    given = rate_to_the_end(as_member(alone, member.pk))
    assert len(seen) == 1
    assert len(given) == 2
    assert seen[0].item.group not in {each.item.group for each in given}


def test_a_pair_that_ran_out_does_not_come_back_alone_once_its_original_was_seen(
    both_modes: tuple[Study, Study],
) -> None:
    beside, alone = both_modes
    member = make.member(beside.project)
    mine = as_member(alone, member.pk)
    make.expire(*make.leases(mine))
    return_expired_leases(alone.pk)
    [shown] = rate_to_the_end(as_member(beside, member.pk))
    assert shown.item.group not in {each.item.group for each in make.leases(mine)}


def test_no_original_is_shown_while_its_picture_alone_waits_for_an_answer(both_modes: tuple[Study, Study]) -> None:
    beside, alone = both_modes
    member = make.member(beside.project)
    alone = alter(alone, session_size=1)
    held = make.leases(as_member(alone, member.pk))
    shown = make.leases(as_member(beside, member.pk))
    assert shown
    assert not {each.item.group for each in held} & {each.item.group for each in shown}


def test_what_others_saw_keeps_nothing_from_anybody(both_modes: tuple[Study, Study]) -> None:
    beside, alone = both_modes
    rate_to_the_end(as_member(beside, make.member(beside.project).pk))
    assert len(rate_to_the_end(as_member(alone, make.member(beside.project).pk))) == 4


# How many at a time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 3, 5])
def test_a_windowful_is_in_front_of_a_person(window: int) -> None:
    assert len(make.leases(make.participation(make.study(n_pairs=8, window=window)))) == window


def test_nobody_is_shown_more_than_is_left_of_the_session() -> None:
    participation = make.participation(make.study(n_pairs=8, session_size=4))
    sizes = []
    while leases := make.leases(participation):
        sizes.append(len(leases))
        answer(leases[0])
    assert sizes == [3, 3, 2, 1]


def test_a_session_ends_after_the_pairs_planned() -> None:
    participation = make.participation(make.study(n_pairs=8, session_size=4))
    assert len(rate_to_the_end(participation)) == 4
    assert next_pairs(participation).is_finished
    participation.refresh_from_db()
    assert participation.finished_at is not None


def test_two_tabs_show_the_same_pairs() -> None:
    participation = make.participation(make.study(n_pairs=8))
    assert make.leases(participation) == make.leases(participation)


def test_no_draw_passes_a_goal() -> None:
    study = make.study(n_pairs=3, goal=2)
    for _ in range(4):
        rate_to_the_end(make.participation(study))
    assert set(study.items.values_list("n_held", "n_rated")) == {(2, 2)}
    assert_places_add_up(study)


def test_withdrawn_pictures_are_given_to_nobody() -> None:
    study = make.study(n_pairs=4)
    gone = study.items.first()
    Item.objects.filter(pk=gone.pk).update(state=Item.State.WITHDRAWN)  # type: ignore[union-attr]
    assert gone not in {each.item for each in rate_to_the_end(make.participation(study))}


# Leases that run out ----------------------------------------------------------------------------------------------


@pytest.fixture
def crowded() -> tuple[Study, Participation]:
    """One pair with one place, held by somebody."""
    study = make.study(n_pairs=1, goal=1)
    holder = make.participation(study)
    make.leases(holder)
    return study, holder


def test_nobody_waits_for_ever_for_a_pair_that_its_holder_left(crowded: tuple[Study, Participation]) -> None:
    study, holder = crowded
    make.expire(*holder.assignments.all())
    assert [each.item for each in make.leases(make.participation(study))] == list(study.items.all())
    assert_places_add_up(study)


def test_a_pair_that_is_held_is_given_to_nobody_else(crowded: tuple[Study, Participation]) -> None:
    study, _ = crowded
    session = next_pairs(make.participation(study))
    assert (session.leases, session.is_finished) == ([], False)


def test_the_holder_who_comes_back_in_time_finds_the_pair_with_a_fresh_lease(
    crowded: tuple[Study, Participation],
) -> None:
    study, holder = crowded
    [held] = holder.assignments.all()
    make.expire(held)
    assert make.leases(holder) == [held]
    assert return_expired_leases(study.pk) == 0


def test_the_holder_takes_an_expired_pair_again_while_nobody_else_has_it(
    crowded: tuple[Study, Participation],
) -> None:
    study, holder = crowded
    [held] = holder.assignments.all()
    make.expire(held)
    return_expired_leases(study.pk)
    [again] = make.leases(holder)
    assert again.pk == held.pk
    answer(again)
    assert not Assignment.objects.get().rating.is_late
    assert_places_add_up(study)


def test_a_pair_that_went_to_somebody_else_does_not_come_back(crowded: tuple[Study, Participation]) -> None:
    study, holder = crowded
    make.expire(*holder.assignments.all())
    make.leases(make.participation(study))
    assert make.leases(holder) == []
    assert_places_add_up(study)


def test_pairs_taken_again_do_not_overfill_the_session() -> None:
    study = make.study(n_pairs=6, session_size=3)
    participation = make.participation(study)
    for _ in range(2):  # three leases run out and are wanted by nobody; then three more
        make.expire(*make.leases(participation))
        return_expired_leases(study.pk)
        study.items.filter(assignments__isnull=False).update(n_held=study.goal)
    study.items.update(n_held=0)
    assert len(make.leases(participation)) == participation.assignments.held().count() == 3


def test_leases_of_a_closed_study_run_out_too(crowded: tuple[Study, Participation]) -> None:
    study, holder = crowded
    change_state(study, Study.State.CLOSED)
    make.expire(*holder.assignments.all())
    assert return_expired_leases(study.pk) == 1
    assert_places_add_up(study)


def test_what_a_person_holds_beyond_their_session_goes_back() -> None:
    study = make.study(n_pairs=4, session_size=2)
    participation = make.participation(study)
    late, held = make.leases(participation)
    make.expire(late)
    return_expired_leases(study.pk)
    Item.objects.filter(pk=late.item_id).update(state=Item.State.WITHDRAWN)
    assert len(make.leases(participation)) == 2  # another pair instead
    answer(held)
    answer(late)  # comes in after all, and is the second of two
    assert next_pairs(participation).is_finished
    assert not participation.assignments.held().exists()
    assert_places_add_up(study)


# When nothing is left ---------------------------------------------------------------------------------------------


def has_finished(participation: Participation) -> bool:
    participation.refresh_from_db()
    return participation.finished_at is not None


def test_who_comes_to_the_last_pairs_finishes_before_the_session_is_full() -> None:
    study = make.study(n_pairs=4, goal=1)
    first, second = make.participation(study), make.participation(study, n_planned=1)
    [held] = make.leases(second)
    rate_to_the_end(first)
    assert not has_finished(first)  # the one that the other person holds may come back
    answer(held)
    assert [next_pairs(each).is_finished for each in (first, second)] == [True, True]
    assert has_finished(first)
    assert has_finished(second)


def test_who_finds_everything_rated_meanwhile_finishes() -> None:
    study = make.study(n_pairs=1, goal=1)
    late = make.participation(study)
    rate_to_the_end(make.participation(study))
    assert next_pairs(late).is_finished


def test_nobody_finishes_while_a_pair_may_come_back_to_them(crowded: tuple[Study, Participation]) -> None:
    study, holder = crowded
    make.expire(*holder.assignments.all())
    other = make.participation(study)
    [taken] = make.leases(other)
    assert not next_pairs(holder).is_finished  # it was theirs once, and is held by another now
    answer(taken)
    assert next_pairs(holder).is_finished


@pytest.mark.parametrize("state", [Study.State.PAUSED, Study.State.CLOSED])
def test_nobody_finishes_because_a_study_stops(state: str) -> None:
    study = make.study(n_pairs=1, goal=1)
    waiting = make.participation(study)
    rate_to_the_end(make.participation(study))
    change_state(study, state)
    assert not next_pairs(waiting).is_finished
    assert not has_finished(waiting)


def test_pictures_spoilt_for_a_person_are_not_waited_for(both_modes: tuple[Study, Study]) -> None:
    beside, alone = both_modes
    member = make.member(beside.project)
    rate_to_the_end(as_member(beside, member.pk))
    mine = as_member(alone, member.pk)
    rate_to_the_end(mine)
    assert has_finished(mine)


def test_what_is_kept_back_only_until_another_answer_is_waited_for() -> None:
    project = make.project()
    beside = make.study(project, n_pairs=1, mode="HA2")
    alone = make.study(project, n_pairs=0, mode="HA1")
    member = make.member(project)
    [held] = make.leases(as_member(alone, member.pk))
    with pytest.raises(CannotJoin, match="seen"):
        as_member(beside, member.pk)
    answer(held)
    assert len(make.leases(as_member(beside, member.pk))) == 1


def test_the_end_says_thank_you_or_who_holds_what_is_left(crowded: tuple[Study, Participation]) -> None:
    study, holder = crowded
    other = make.participation(study)
    end = reverse("annotation:end", args=[other.public_id])
    assert "Others hold the pictures that are left" in make.browser(other).get(end).content.decode()
    change_state(study, Study.State.PAUSED)
    assert "not open at the moment" in make.browser(other).get(end).content.decode()
    change_state(study, Study.State.OPEN)
    rate_to_the_end(holder)
    page = make.browser(other).get(end).content.decode()
    assert current_texts(study)["end"].body in page
    assert "Others hold" not in page


# Joining a full study ---------------------------------------------------------------------------------------------


def test_a_study_that_wants_no_more_turns_people_away(crowded: tuple[Study, Participation]) -> None:
    study, _ = crowded
    with pytest.raises(CannotJoin) as refused:
        join_by_invitation(make.invitation(study), agreed_to=current_texts(study)["consent"])
    assert refused.value.code == "held"


def test_a_study_whose_holders_left_is_not_full(crowded: tuple[Study, Participation]) -> None:
    study, holder = crowded
    make.expire(*holder.assignments.all())
    joined = join_by_invitation(make.invitation(study), agreed_to=current_texts(study)["consent"])
    assert len(make.leases(joined)) == 1


# Work per request -------------------------------------------------------------------------------------------------


def queries_of(act: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)


def even_study(n_pairs: int, **fields: int) -> Study:
    """A study in which no draw goes round the ring, which takes one query more."""
    study = make.study(n_pairs=n_pairs, **fields)
    study.items.update(shuffle=RING - 1)
    return study


def n_queries_of_a_turn(n_pairs: int, n_before: int) -> int:
    """Of one answer and a draw, for a pair that was withdrawn, after `n_before` others."""
    participation = make.participation(even_study(n_pairs, session_size=n_before + 3))
    for _ in range(n_before):
        answer(make.leases(participation)[0])
    first, *_, withdrawn = make.leases(participation)
    Item.objects.filter(pk=withdrawn.item_id).update(state=Item.State.WITHDRAWN)
    n_queries = queries_of(lambda: take_turn(participation, [make.answer(first)]))
    assert participation.assignments.count() == n_before + 4
    return n_queries


def test_a_turn_costs_the_same_however_large_the_study_and_long_the_history() -> None:
    assert n_queries_of_a_turn(n_pairs=5, n_before=1) == n_queries_of_a_turn(n_pairs=40, n_before=30)


def n_queries_of_a_return(n_left: int) -> int:
    """Of coming back after leaving `n_left` times, each time for so long that others filled what was held."""
    study = even_study(20, session_size=3)
    participation = make.participation(study)
    for _ in range(n_left):
        make.expire(*make.leases(participation))
        return_expired_leases(study.pk)
        study.items.filter(assignments__isnull=False).update(n_held=study.goal)
    return queries_of(lambda: next_pairs(participation))


def test_coming_back_costs_the_same_however_often_one_left() -> None:
    assert n_queries_of_a_return(1) == n_queries_of_a_return(5)


def test_studies_of_other_projects_are_no_concern() -> None:
    project = Project.objects.create(slug="other", name="Other")
    make.study(project, campaign=Campaign.objects.create(project=project, slug="c", name="C"))
    study = make.study(n_pairs=2)
    assert {each.item.study_id for each in rate_to_the_end(make.participation(study))} == {study.pk}
