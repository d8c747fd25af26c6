"""A study's texts: replaced in a draft, a new version once somebody has read them."""

import pytest

from annotation.models.studies import Study, StudyText, TextAlreadyShown
from annotation.studies.life import change_state
from annotation.studies.wording import current_texts, standard_wording, write_texts
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


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


def test_what_is_written_while_a_study_opens_is_read_and_so_never_changes() -> None:
    study = make.study(is_open=False)
    stale = Study.objects.get(pk=study.pk)  # a page that was loaded before the study opened
    change_state(study, Study.State.OPEN)
    write_texts(stale, {"question": "Who is this?"})
    newest = study.texts.filter(kind="question").latest("version")
    assert (newest.version, newest.body) == (2, "Who is this?")
    assert newest.shown_at
