"""A study is opened, paused and closed."""

import pytest

from annotation.models.studies import Study
from annotation.studies.history import NotPossible
from annotation.studies.life import change_state
from datasets.models.projects import Role
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
State = Study.State


def test_a_study_without_pairs_cannot_open() -> None:
    study = make.study(n_pairs=0, is_open=False)
    with pytest.raises(NotPossible, match="no pairs"):
        change_state(study, State.OPEN)
    study.refresh_from_db()
    assert study.state == State.DRAFT


@pytest.mark.parametrize(
    "way",
    [
        [State.OPEN],
        [State.OPEN, State.PAUSED, State.OPEN],
        [State.OPEN, State.CLOSED, State.OPEN],
        [State.OPEN, State.PAUSED, State.CLOSED],
    ],
)
def test_a_study_is_opened_paused_and_closed(way: list[str]) -> None:
    study = make.study(is_open=False)
    for state in way:
        change_state(study, state)
    assert Study.objects.get().state == way[-1]


@pytest.mark.parametrize(
    ("way", "wanted"),
    [
        ([], State.PAUSED),
        ([], State.CLOSED),
        ([State.OPEN], State.OPEN),
        ([State.OPEN, State.CLOSED], State.PAUSED),
        ([State.OPEN], State.DRAFT),
        ([], "nonsense"),
        ([], ""),
    ],
)
def test_other_steps_are_refused_in_words(way: list[str], wanted: str) -> None:
    study = make.study(is_open=False)
    for state in way:
        change_state(study, state)
    before = study.state
    with pytest.raises(NotPossible):
        change_state(study, wanted)
    assert Study.objects.get().state == before


def test_the_first_opening_is_remembered() -> None:
    study = make.study()
    first = study.opened_at
    change_state(study, State.CLOSED)
    change_state(study, State.OPEN)
    assert (Study.objects.get().opened_at, study.closed_at is not None) == (first, True)


def test_a_page_left_open_cannot_pause_what_somebody_else_closed() -> None:
    study = make.study()
    stale = Study.objects.get()
    change_state(study, State.CLOSED)
    with pytest.raises(NotPossible, match="Closed"):
        change_state(stale, State.PAUSED)


@pytest.mark.parametrize("role", Role.values)
def test_members_are_offered_the_open_studies_of_their_projects(role: str) -> None:
    study = make.study()
    make.study(study.project, n_pairs=0, is_open=False)
    make.study()
    assert list(Study.objects.open_to(make.member(study.project, role))) == [study]
