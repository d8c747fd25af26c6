"""Which pairs are checks and for practice: said before anybody sees them, and served so."""

from importlib import import_module

import pytest
from django.apps import apps

from annotation.models.ratings import Assignment
from annotation.models.studies import Item, Study
from annotation.studies.life import change_state
from annotation.watching.roles import (
    AT_LEAST,
    AT_MOST,
    NEAR,
    CannotServe,
    PairRole,
    expected_range,
    give_role,
    put_back_item,
    withdraw_item,
)
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def first(study: Study) -> Item:
    return study.items.order_by("pk")[0]


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ((2, 1, NEAR), (1, 3)),
        ((10, 2, NEAR), (8, 10)),
        ((2, 1, AT_MOST), (1, 3)),
        ((9, 1, AT_LEAST), (8, 10)),
        ((5, 0, NEAR), (5, 5)),
    ],
)
def test_a_score_with_tolerance_and_direction_is_a_range(said: tuple[int, int, str], passes: tuple[int, int]) -> None:
    assert expected_range(*said) == passes


@pytest.mark.parametrize("said", [(0, 1, NEAR), (11, 1, NEAR), (5, -1, NEAR)])
def test_a_score_off_the_scale_expects_nothing(said: tuple[int, int, str]) -> None:
    with pytest.raises(CannotServe):
        expected_range(*said)


@pytest.mark.parametrize(
    "role",
    [
        PairRole("main", 1, 3),
        PairRole("main", instructed_score=3),
        PairRole("practice"),
        PairRole("practice", instructed_score=3),
        PairRole("check"),
        PairRole("check", 1, 3, 2),
        PairRole("check", 1, 10),
    ],
)
def test_what_does_not_fit_together_is_refused_and_nothing_is_stored(role: PairRole) -> None:
    study = make.study()
    with pytest.raises(CannotServe):
        give_role(study, first(study), role)
    assert set(study.items.values_list("role", flat=True)) == {"main"}


def test_a_pair_with_a_role_is_served_in_its_place_and_gives_feedback_only_in_practice() -> None:
    study = make.study(n_pairs=12, is_open=False, session_size=8, n_practice=1, n_checks=1)
    practice, check = study.items.order_by("pk")[:2]
    give_role(study, practice, PairRole("practice", 9, 10))
    give_role(study, check, PairRole("check", instructed_score=4))
    change_state(study, Study.State.OPEN)
    person = make.participation(study)
    make.rate_all(person)
    shown = dict(Assignment.objects.filter(participation=person).exclude(purpose="main").values_list("item", "purpose"))
    assert shown == {practice.pk: "practice", check.pk: "check"}


def test_a_check_wants_no_ratings_and_a_pair_of_the_study_wants_them_again() -> None:
    study = make.study(goal=3)
    item = first(study)
    give_role(study, item, PairRole("check", 1, 2))
    item.refresh_from_db()
    assert (item.goal, item.role) == (0, "check")
    give_role(study, item, PairRole("main"))
    item.refresh_from_db()
    assert (item.goal, item.role, item.expected_low) == (3, "main", None)


def test_a_pair_that_somebody_has_been_given_keeps_its_role() -> None:
    study = make.study()
    given = make.leases(make.participation(study))[0].item
    with pytest.raises(CannotServe, match="given to somebody"):
        give_role(study, given, PairRole("check", 1, 2))
    given.refresh_from_db()
    assert given.role == "main"


def test_roles_given_after_the_opening_are_in_the_history() -> None:
    study, boss = make.study(), make.user()
    give_role(study, first(study), PairRole("check", 1, 2), by=boss)
    give_role(study, first(study), PairRole("check", 1, 2), by=boss)  # the same again
    [change] = study.changes.filter(kind="roles")
    assert change.changed_by == boss
    assert change.after == {
        str(first(study).pair.number): {
            "role": "check",
            "expected_low": 1,
            "expected_high": 2,
            "instructed_score": None,
        }
    }


def test_roles_that_were_called_marks_stay_in_the_history() -> None:
    study = make.study()
    give_role(study, first(study), PairRole("check", 1, 2))
    study.changes.filter(kind="roles").update(kind="marks")
    import_module("annotation.migrations.0017_changes_of_roles").call_them_roles(apps, None)
    assert [change.get_kind_display() for change in study.changes.filter(kind="roles")] == ["roles changed"]


def test_a_withdrawn_pair_is_given_to_nobody_until_it_is_put_back() -> None:
    study = make.study(n_pairs=2)
    gone = first(study)
    withdraw_item(study, gone, reason="somebody was distressed")
    assert {each.item_id for each in make.leases(make.participation(study))} == {
        study.items.exclude(pk=gone.pk).get().pk
    }
    put_back_item(study, gone, reason="a mistake")
    assert make.leases(make.participation(study))[0].item_id == gone.pk  # it has the fewest holders
    assert [each.reason for each in study.changes.filter(kind="withdraw")] == ["somebody was distressed", "a mistake"]


def test_a_withdrawn_pair_does_not_come_again_as_a_repeat() -> None:
    study = make.study(n_pairs=12, session_size=12, repeat_percent=20, repeat_distance=1, goal=5)
    person = make.participation(study)
    make.rate(person, 5)
    seen = Assignment.objects.get(participation=person, answered_at__isnull=False).item
    withdraw_item(study, seen, reason="somebody was distressed")
    make.rate_all(person)
    repeats = Assignment.objects.filter(participation=person, purpose="repeat")
    # One may have been drawn before; it is not shown any more.
    assert repeats.exclude(answered_at=None).exists()
    assert not repeats.exclude(answered_at=None).filter(item=seen).exists()
