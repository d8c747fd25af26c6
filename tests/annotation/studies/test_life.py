import pytest
from django.db import connection

from annotation.models.studies import RING, Campaign, Study, StudyText, TextAlreadyShown
from annotation.studies.history import NotPossible
from annotation.studies.life import change_state
from annotation.studies.pairs import PairsDoNotFit, add_items
from annotation.studies.setup import create_study
from annotation.studies.wording import current_texts, standard_wording, write_texts
from datasets.models.pictures import Pair
from datasets.models.projects import Role
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
State = Study.State


# Wording ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_a_new_study_has_the_standard_wording(mode: str) -> None:
    texts = current_texts(make.study(mode=mode, is_open=False))
    assert {kind: text.body for kind, text in texts.items()} == standard_wording(mode)


def test_only_ha2_speaks_of_an_original() -> None:
    assert "original" not in " ".join(standard_wording("HA1").values()).lower()
    assert "original" in standard_wording("HA2")["reference_note"].lower()


def test_a_drafts_wording_is_replaced() -> None:
    study = make.study(is_open=False)
    write_texts(study, {"question": "How hidden is it?"})
    [text] = study.texts.filter(kind="question")
    assert (text.version, text.body) == (1, "How hidden is it?")


def test_a_new_wording_of_an_open_study_is_a_new_version() -> None:
    study = make.study()
    before = current_texts(study)["question"]
    write_texts(study, {"question": "How hidden is it?"})
    assert list(study.texts.filter(kind="question").values_list("version", "body")) == [
        (1, before.body),
        (2, "How hidden is it?"),
    ]
    assert current_texts(study)["question"].version == 2


def test_the_same_wording_again_is_no_new_version() -> None:
    study = make.study()
    write_texts(study, {kind: text.body for kind, text in current_texts(study).items()})
    assert set(study.texts.values_list("version", flat=True)) == {1}


def test_each_new_version_of_an_open_study_counts_as_shown() -> None:
    study = make.study()
    for wording in ("Second.", "Third."):
        write_texts(study, {"question": wording})
    assert list(study.texts.filter(kind="question").values_list("version", flat=True)) == [1, 2, 3]
    assert not study.texts.filter(shown_at=None).exists()


def test_a_text_that_was_shown_cannot_be_changed() -> None:
    text = current_texts(make.study())["consent"]
    text.body = "You agree to everything."
    with pytest.raises(TextAlreadyShown, match="version 2"):
        text.save()
    assert StudyText.objects.get(pk=text.pk).body != "You agree to everything."


def test_a_text_carries_its_hash() -> None:
    text = current_texts(make.study(is_open=False))["question"]
    text.body = "abc"
    text.save()
    assert text.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# Pairs ------------------------------------------------------------------------------------------------------------


def test_ha2_refuses_pairs_without_original() -> None:
    project = make.project()
    make.pair(project, original=None)
    with pytest.raises(PairsDoNotFit):
        make.study(project, mode="HA2")
    assert not Study.objects.exists()


def test_ha1_takes_pairs_without_original() -> None:
    project = make.project()
    make.pair(project, original=None)
    assert make.study(project, mode="HA1", n_pairs=2).items.count() == 3


def test_pairs_added_twice_are_in_the_study_once() -> None:
    study = make.study(n_pairs=3)
    make.pairs(study.project, 2)
    everything = Pair.objects.filter(project=study.project)
    assert [add_items(study, everything), add_items(study, everything), study.items.count()] == [2, 0, 5]


def test_a_study_holds_pairs_of_its_project_only() -> None:
    make.pairs(make.project(), 2)
    project = make.project()
    make.pairs(project, 1)
    campaign = Campaign.objects.create(project=project, slug="c", name="C")
    study = create_study(project, campaign=campaign, mode="HA2", name="S", pairs=Pair.objects.all())
    assert study.items.count() == 1


def test_items_lie_on_the_ring_in_an_order_that_the_seed_decides() -> None:
    places = []
    for _ in range(2):
        study = make.study(n_pairs=5, seed=7)
        places.append(list(study.items.order_by("pk").values_list("shuffle", flat=True)))
    assert places[0] == places[1]
    assert len(set(places[0])) == 5
    assert all(0 <= place < RING for place in places[0])


def test_a_campaign_has_one_study_per_mode() -> None:
    study = make.study()
    with pytest.raises(NotPossible, match="another campaign"):
        make.study(study.project, campaign=study.campaign, mode=study.mode)


# Open, paused, closed ---------------------------------------------------------------------------------------------


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


def test_what_is_written_while_a_study_opens_is_read_and_so_never_changes() -> None:
    study = make.study(is_open=False)
    stale = Study.objects.get(pk=study.pk)  # a page that was loaded before the study opened
    change_state(study, Study.State.OPEN)
    write_texts(stale, {"question": "Who is this?"})
    newest = study.texts.filter(kind="question").latest("version")
    assert (newest.version, newest.body) == (2, "Who is this?")
    assert newest.shown_at


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL counts the rows that it reads")
def test_a_batch_of_pairs_reads_no_more_of_a_study_the_more_it_holds() -> None:
    study = make.study(n_pairs=1, is_open=False)
    made = make.many_pairs(study.project, 6000)
    add_items(study, Pair.objects.filter(pk__lt=made[5000].pk))
    before = _rows_read("annotation_item")
    assert add_items(study, Pair.objects.filter(pk__gte=made[5000].pk), at_once=100) == 1000
    n_counted = 2 * 5001  # before the first batch
    assert _rows_read("annotation_item") - before < n_counted + 1000


def _rows_read(table: str) -> int:
    """In this transaction, by whatever plan."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables "
            "WHERE relname = %s",
            [table],
        )
        [n] = cursor.fetchone()
    return int(n)
