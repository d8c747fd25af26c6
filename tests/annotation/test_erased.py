"""Erased is gone: from the database's files, from what names people in releases, and from a backup that comes back."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from annotation.access import resume_token
from annotation.answering.cues import Box
from annotation.models.people import Annotator, NameInRelease, Participation
from annotation.models.ratings import Cue, Remark
from annotation.privacy import erase_participation
from annotation.studies.deleting import delete_study
from datasets import ledger
from datasets.files import media_path
from datasets.jobs import queue_job, run
from datasets.models.releases import FrozenRating, Release
from datasets.traces import empty_log, empty_what_was_busy
from tests import make
from tests.scoring import trained
from tests.searched import found

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("media_of_its_own"),
]
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="the files of a PostgreSQL server are its own")


@pytest.fixture
def mark() -> str:
    """What somebody wrote, unlike anything else that was ever written here."""
    return f"Her name is on the door, {uuid4().hex}."


@pytest.fixture
def person(mark: str) -> Participation:
    made = make.participation(make.study(n_pairs=2))
    make.rating(make.leases(made)[0], 5, note=mark)
    assert Remark.objects.get().note == mark
    return made


def files_of_the_site() -> Iterator[Path]:
    database = Path(connection.settings_dict["NAME"])
    yield from database.parent.glob(f"{database.name}*")
    yield from (path for path in media_path("..").rglob("*") if path.is_file())


def told_by(mark: str) -> list[Path]:
    return [path for path in files_of_the_site() if mark.encode() in path.read_bytes()]


@on_sqlite
def test_what_somebody_wrote_is_in_no_file_of_the_site_once_they_are_erased(person: Participation, mark: str) -> None:
    assert told_by(mark)
    code = make.code(person)
    browser = Client()
    browser.post(reverse("annotation:withdrawal"), {"code": code})
    browser.post(reverse("annotation:withdrawal"), {"code": code, "confirm": "on"})
    assert not Participation.objects.exists()
    assert told_by(mark) == []


@on_sqlite
def test_whoever_erases_waits_for_no_reader_and_the_log_is_emptied_after_them(person: Participation, mark: str) -> None:
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM annotation_participation").fetchone() == (1,)
        erase_participation(person)
        assert not Participation.objects.exists()
        assert empty_log() is False
        assert told_by(mark)
        reader.execute("COMMIT")
    empty_what_was_busy()
    assert told_by(mark) == []


def test_nothing_that_a_person_gave_stands_anywhere_once_they_are_erased(
    mark: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In tables of either database, in SQLite's files, in media, exports, run folders and the log."""
    caplog.set_level(logging.DEBUG)
    study = make.study(n_pairs=12, goal=3, session_size=12, asks_cues=True)
    person = make.participation(study)
    given = make.leases(person)[0]
    drawn = Box("face", 3, 4, 25, 17)
    make.rating(given, 5, note=mark, cues=(drawn,))
    make.rate_all(person)
    for _ in range(2):
        make.rate_all(make.participation(study))
    release = make.release(study)
    make.archive(release)
    trained.run(release)
    token, code, name = resume_token(person), make.code(person), release.names.get(annotator=person.annotator).name
    marks = {"note": mark, "pseudonym": person.annotator.pseudonym}
    ids = {"id": person.public_id.hex, "id as PostgreSQL writes it": str(person.public_id)}
    assert all(found(each.encode()) for each in marks.values())
    assert any(found(each.encode()) for each in ids.values())
    erase_participation(person)
    anywhere = marks | ids | {"code": code, "return address": token}
    assert {what: found(each.encode()) for what, each in anywhere.items() if found(each.encode())} == {}
    assert [each for each in anywhere.values() if each in caplog.text] == []
    assert not Cue.objects.filter(revision__rating__assignment__participation=person.pk).exists()
    assert not release.names.filter(name=name).exists()


# Releases ----------------------------------------------------------------------------------------------------------


def test_names_in_a_release_are_kept_beside_it_and_one_goes_with_its_person() -> None:
    study = make.rated_study(n_pairs=3, n_people=3)
    release = make.release(study)
    released = set(FrozenRating.objects.values_list("annotator", flat=True))
    assert {each.name for each in release.names.all()} == released
    assert len(released) == 3
    gone, stays = Annotator.objects.order_by("pk")[:2]
    theirs = release.names.get(annotator=gone).name
    erase_participation(gone.participations.get())
    assert not release.names.filter(name=theirs).exists()
    assert release.names.filter(annotator=stays).exists()
    assert set(FrozenRating.objects.values_list("annotator", flat=True)) == released  # its bytes stay


def test_a_person_who_stays_in_another_study_keeps_the_names_in_its_releases_alone() -> None:
    first = make.rated_study(n_pairs=2, n_people=1)
    member = make.participation(first, by=make.member(first.project))
    second = make.study(first.project, n_pairs=0, goal=5)
    make.more_wanted(first)
    make.rate_all(member)
    again = make.participation(second, annotator=member.annotator)
    make.rate_all(again)
    named = {study: make.release(study) for study in (first, second)}
    erase_participation(member)
    left = NameInRelease.objects.filter(annotator=again.annotator)
    assert [each.release for each in left] == [named[second]]


def test_the_next_version_has_other_names_and_no_key_is_left_to_make_them_by() -> None:
    study = make.rated_study(n_pairs=3, n_people=2)
    first, second = make.release(study), make.release(study)
    names = [{each.name for each in release.names.all()} for release in (first, second)]
    groups = [set(release.labels.values_list("public_group", flat=True)) for release in (first, second)]
    assert not names[0] & names[1]
    assert not groups[0] & groups[1]
    assert [field.name for field in Release._meta.get_fields() if "key" in field.name] == []


def test_whoever_asks_is_told_what_they_are_called_in_releases() -> None:
    study = make.rated_study(n_pairs=3, n_people=1)
    [person] = Annotator.objects.all()
    name = f"{study.project.slug}/{study.campaign.slug}/HA2"
    said = StringIO()
    call_command("names_in_releases", name, person.pseudonym, stdout=said)
    assert said.getvalue() == f"{person.pseudonym} is in no release of {name}.\n"
    release = make.release(study)
    call_command("names_in_releases", name, person.pseudonym, stdout=(said := StringIO()))
    assert said.getvalue() == f"{release.slug}/1  {release.names.get().name}\n"


# The ledger --------------------------------------------------------------------------------------------------------


def test_who_was_erased_stands_in_the_ledger_and_nobody_can_read_who(person: Participation) -> None:
    file = ledger.ledger_file()
    assert not file.is_relative_to(media_path("."))
    erase_participation(person)
    assert file.stat().st_mode & 0o077 == 0
    said = file.read_text()
    assert len(said) == 65
    assert person.public_id.hex not in said


def test_who_goes_with_a_study_or_a_project_that_is_deleted_stands_in_the_ledger() -> None:
    began, rated = make.participation(make.study(n_pairs=1)), make.participation(make.study(n_pairs=1))
    stays = make.participation(make.study(n_pairs=1))
    make.rate_all(rated)
    delete_study(began.study)
    assert run(queue_job("delete_project", rated.study.project).pk)
    is_erased = ledger.IsErased(ledger.ledger_file())
    assert [is_erased(each.public_id) for each in (began, rated, stays)] == [True, True, False]


def test_an_account_that_was_deleted_does_not_come_back_with_an_old_backup() -> None:
    gone, stays = make.user("anna"), make.user()
    number = gone.pk
    gone.delete()
    User.objects.create(pk=number, username="anna", date_joined=gone.date_joined)
    assert "anna" not in ledger.ledger_file().read_text()
    assert ledger.replay(ledger.ledger_file()) == 1
    assert not User.objects.filter(pk=number).exists()
    assert User.objects.filter(pk=stays.pk).exists()
    again = make.user("anna")  # another, who takes the name
    assert ledger.replay(ledger.ledger_file()) == 0
    assert User.objects.filter(pk=again.pk).exists()


def test_whoever_comes_back_with_an_old_backup_is_erased_again_and_nobody_else(
    person: Participation, tmp_path: Path
) -> None:
    other = make.participation(person.study)
    ledger.enter(person.public_id)
    file = tmp_path / "ledger"
    file.write_text(ledger.ledger_file().read_text() + "0123abcd")  # and half a line, of a power cut
    assert ledger.replay(file) == 1
    assert list(Participation.objects.all()) == [other]
    assert ledger.replay(file) == 0
