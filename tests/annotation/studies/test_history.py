"""Every change of a study is recorded: what, by whom, when and why."""

from contextlib import suppress
from itertools import pairwise

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models.studies import Item, Study, StudyChange
from annotation.studies.history import NotPossible
from annotation.studies.life import change_goal, change_state
from annotation.studies.pairs import add_items, further_pairs
from datasets.models.pictures import Pair
from tests import make
from tests.races import at_once, meanwhile

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
State = Study.State
Kind = StudyChange.Kind


def goals(study: Study) -> list[int]:
    return list(study.items.order_by("pk").values_list("goal", flat=True))


def hold(study: Study, *n_held: int) -> None:
    for item, n in zip(study.items.order_by("pk"), n_held, strict=True):
        Item.objects.filter(pk=item.pk).update(n_held=n)


def test_each_change_says_who_made_it_when_and_why() -> None:
    study = make.study(n_pairs=2, goal=2)
    researcher = make.member(study.project)
    change_state(study, State.PAUSED, by=researcher, reason="Holiday.")
    change_goal(study, 4, by=researcher, reason="Wide intervals.")
    rows = [(each.kind, each.before, each.after, each.reason, each.changed_by) for each in study.changes.all()]
    assert rows == [
        ("state", "draft", "open", "", None),
        ("state", "open", "paused", "Holiday.", researcher),
        ("goal", 2, 4, "Wide intervals.", researcher),
    ]
    assert all(each.changed_at for each in study.changes.all())


def test_a_change_that_is_refused_leaves_no_record() -> None:
    study = make.study(n_pairs=2)
    n_before = study.changes.count()
    with pytest.raises(NotPossible):
        change_state(study, State.OPEN)
    assert study.changes.count() == n_before


def test_pairs_added_to_a_running_study_are_recorded_and_those_of_a_draft_are_not() -> None:
    draft = make.study(n_pairs=3, is_open=False)
    make.pairs(draft.project, 1)
    assert (add_items(draft, further_pairs(draft)), draft.changes.count()) == (1, 0)
    study = make.study(n_pairs=3)
    make.pairs(study.project, 5)
    everything = Pair.objects.filter(project=study.project)
    assert [add_items(study, everything, at_once=2) for _ in range(2)] == [5, 0]
    [change] = study.changes.filter(kind=Kind.PAIRS)
    assert (change.before, change.after) == (3, 8)


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_pause_and_close_the_history_tells_the_order() -> None:
    for _ in range(4):
        study = make.study(n_pairs=1)

        def become(state: str, study: Study = study) -> None:
            with suppress(NotPossible):
                change_state(Study.objects.get(pk=study.pk), state)

        at_once(lambda: become(State.PAUSED), lambda: become(State.CLOSED))
        study.refresh_from_db()
        states = list(study.changes.values_list("before", "after"))
        assert states[-1][1] == study.state == State.CLOSED
        assert all(one[1] == next_one[0] for one, next_one in pairwise(states))


def test_a_change_that_fails_halfway_leaves_neither_record_nor_change() -> None:
    study = make.study(n_pairs=2, goal=2)

    def fail() -> None:
        raise RuntimeError

    with meanwhile('INSERT INTO "annotation_studychange"', fail), pytest.raises(RuntimeError):
        change_goal(study, 5)
    study.refresh_from_db()
    assert (study.goal, goals(study)) == (2, [2, 2])


# By page -----------------------------------------------------------------------------------------------------------


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


def test_states_and_pairs_changed_by_page_carry_the_persons_name(researcher: Client, study: Study) -> None:
    make.pairs(study.project, 2)
    researcher.post(reverse("annotation:more-pairs", args=[study.public_id]))
    researcher.post(reverse("annotation:state", args=[study.public_id]), {"state": "paused"})
    changes = study.changes.exclude(after="open").values_list("kind", "changed_by__username")
    assert list(changes) == [("pairs", "rosa"), ("state", "rosa")]


def test_the_history_costs_the_same_however_long_it_is(researcher: Client, study: Study) -> None:
    address, costs = reverse("annotation:study", args=[study.public_id]), []
    for n_changes in (1, 5):
        for _ in range(n_changes):
            set_goal(researcher, study, goal=study.goal + 1, reason="x")
            study.refresh_from_db()
        with CaptureQueriesContext(connection) as captured:
            researcher.get(address)
        costs.append(len(captured))
    assert costs[0] == costs[1]
