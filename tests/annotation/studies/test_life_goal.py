"""The goal of a study changes while people rate."""

from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models.studies import MAX_GOAL, Item, Study, StudyChange
from annotation.studies.history import NotPossible
from annotation.studies.life import change_goal
from annotation.studies.pairs import add_items, further_pairs
from tests import make
from tests.annotation.said import said
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
Kind = StudyChange.Kind


def goals(study: Study) -> list[int]:
    return list(study.items.order_by("pk").values_list("goal", flat=True))


def hold(study: Study, *n_held: int) -> None:
    for item, n in zip(study.items.order_by("pk"), n_held, strict=True):
        Item.objects.filter(pk=item.pk).update(n_held=n)


def test_a_higher_goal_wakes_up_pairs_that_were_complete() -> None:
    study = make.study(n_pairs=3, goal=2)
    said(study, [[5, 5, 5], [6, 6, 6]])
    assert not study.items.wanting_ratings().exists()
    change_goal(study, 3)
    assert (study.goal, goals(study), study.items.wanting_ratings().count()) == (3, [3, 3, 3], 3)


def test_a_lower_goal_stops_draws_and_never_falls_below_what_is_held() -> None:
    study = make.study(n_pairs=3, goal=5)
    hold(study, 0, 2, 4)
    change_goal(study, 3)
    assert goals(study) == [3, 3, 4]
    assert [item.n_held for item in study.items.wanting_ratings().order_by("pk")] == [0, 2]


def test_checks_and_withdrawn_pairs_keep_their_goals() -> None:
    study = make.study(n_pairs=3, goal=2)
    check, withdrawn, _ = study.items.order_by("pk")
    Item.objects.filter(pk=check.pk).update(role=Item.Role.CHECK, goal=0)
    Item.objects.filter(pk=withdrawn.pk).update(state=Item.State.WITHDRAWN)
    change_goal(study, 4)
    assert goals(study) == [0, 2, 4]


def test_where_a_study_stops_adaptively_only_the_core_has_the_goal() -> None:
    study = make.study(n_pairs=4, goal=2, stops_adaptively=True, core_percent=50)
    change_goal(study, 9)
    assert sorted(goals(study)) == [2, 2, 9, 9]
    assert set(study.items.filter(is_core=True).values_list("goal", flat=True)) == {9}


@pytest.mark.parametrize(("goal", "says"), [(0, "from 1"), (MAX_GOAL + 1, "to 1000"), (-2, "from 1"), (2, "already")])
def test_a_goal_that_makes_no_sense_changes_nothing(goal: int, says: str) -> None:
    study = make.study(n_pairs=2, goal=2)
    with pytest.raises(NotPossible, match=says):
        change_goal(study, goal)
    assert (goals(study), study.changes.filter(kind=Kind.GOAL).count()) == ([2, 2], 0)


def test_the_goal_changes_in_as_many_queries_for_little_and_much() -> None:
    costs = []
    for n_pairs in (2, 20):
        study = make.study(n_pairs=n_pairs)
        with CaptureQueriesContext(connection) as captured:
            change_goal(study, 7)
        costs.append(len(captured))
    assert costs[0] == costs[1]


@pytest.mark.django_db(transaction=True)
def test_no_draw_passes_a_goal_that_is_lowered_and_raised_at_the_same_moment() -> None:
    study = make.study(n_pairs=6, goal=6)

    def draw_and_return() -> None:
        """Take places as a draw does, one at a time; give some back in the order of their ids, as a return does."""
        for item in list(study.items.order_by("shuffle")) * 3:
            if Item.objects.wanting_ratings().filter(pk=item.pk).update(n_held=F("n_held") + 1) and item.pk % 2:
                Item.objects.filter(pk=item.pk).update(n_held=F("n_held") - 1)

    def change() -> None:
        for goal in (2, 5, 3, 4):
            change_goal(Study.objects.get(pk=study.pk), goal)

    at_once(change, draw_and_return, draw_and_return, draw_and_return)
    assert not study.items.filter(n_held__gt=F("goal")).exists()
    assert list(study.changes.filter(kind=Kind.GOAL).values_list("after", flat=True)) == [2, 5, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_of_goals_set_at_once_the_last_is_everybodys_and_the_history_has_no_gap() -> None:
    study = make.study(n_pairs=5, goal=2)
    at_once(*[lambda goal=goal: change_goal(Study.objects.get(pk=study.pk), goal) for goal in (3, 4, 5, 6)])
    study.refresh_from_db()
    assert set(goals(study)) == {study.goal}
    changes = list(study.changes.filter(kind=Kind.GOAL).values_list("before", "after"))
    assert (changes[0][0], changes[-1][1]) == (2, study.goal)
    assert all(one[1] == next_one[0] for one, next_one in pairwise(changes))


@pytest.mark.django_db(transaction=True)
def test_pairs_that_are_added_while_the_goal_changes_have_the_new_goal() -> None:
    for _ in range(4):
        study = make.study(n_pairs=3, goal=2)
        make.pairs(study.project, 30)
        at_once(
            lambda study=study: add_items(study, further_pairs(study)),
            lambda study=study: change_goal(Study.objects.get(pk=study.pk), 6),
        )
        assert set(goals(study)) == {6}


# By page and by command --------------------------------------------------------------------------------------------


@pytest.fixture
def study() -> Study:
    return make.study(n_pairs=2, goal=2)


@pytest.fixture
def researcher(study: Study) -> Client:
    client = Client()
    client.force_login(make.member(study.project, name="rosa"))
    return client


def set_goal(researcher: Client, study: Study, **fields: object) -> str:
    address = reverse("annotation:goal", args=[study.public_id])
    return researcher.post(address, fields, follow=True).content.decode()


def test_the_goal_is_changed_on_the_studys_page_with_a_reason(researcher: Client, study: Study) -> None:
    page = set_goal(researcher, study, goal=6, reason="The intervals are too <wide>.")
    assert goals(study) == [6, 6]
    assert "Each pair wants 6 ratings now." in page
    assert "The intervals are too &lt;wide&gt;." in page
    assert page.count("rosa") > 1  # who did it, besides who is logged in


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"goal": 6}, "and why"),
        ({"goal": 0, "reason": "x"}, "from 1 to 1000"),
        ({"reason": "x"}, "from 1 to 1000"),
        ({"goal": 2, "reason": "x"}, "already"),
    ],
)
def test_a_bad_change_of_goal_is_refused_in_words(
    researcher: Client, study: Study, fields: dict[str, object], says: str
) -> None:
    assert says in set_goal(researcher, study, **fields)
    assert goals(study) == [2, 2]


def test_the_goal_is_changed_by_command(study: Study) -> None:
    name = f"{study.project.slug}/{study.campaign.slug}/{study.mode}"
    call_command("study", name, "--goal", "4", "--reason", "More money.")
    assert study.changes.get(kind=Kind.GOAL).reason == "More money."
    with pytest.raises(CommandError, match="from 1 to"):
        call_command("study", name, "--goal", "0", "--reason", "None at all.")
    with pytest.raises(CommandError, match="Say why with --reason"):
        call_command("study", name, "--goal", "6")
    assert study.changes.filter(kind=Kind.GOAL).count() == 1


@pytest.mark.parametrize("role", ["annotator", None])
def test_nobody_else_changes_a_goal(study: Study, role: str | None) -> None:
    other = Client()
    other.force_login(make.member(study.project if role else make.project(), role or "admin"))
    reply = other.post(reverse("annotation:goal", args=[study.public_id]), {"goal": 9, "reason": "x"})
    assert (reply.status_code, goals(study)) == (404, [2, 2])
