"""The audit log keeps what was done: nobody changes an entry, and none goes before its time."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from datasets.audit import record, record_hourly
from datasets.models.audit import Actor, AuditEntry, What
from datasets.models.projects import Role
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def entry(**fields: object) -> AuditEntry:
    return AuditEntry.objects.create(**{"what": What.LOG_IN, "role": Actor.COMMAND} | fields)


def long_ago(days: int) -> object:
    return timezone.now() - timedelta(days=days)


# Kept ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 29, 1000])
def test_no_entry_is_ever_changed(days: int) -> None:
    entry(at=long_ago(days))
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        AuditEntry.objects.update(what=What.LOG_OUT)
    assert AuditEntry.objects.get().what == What.LOG_IN


@pytest.mark.parametrize("days", [0, 29])
def test_no_entry_goes_within_thirty_days(days: int) -> None:
    entry(at=long_ago(days))
    with pytest.raises(IntegrityError, match="kept for 30 days"), transaction.atomic():
        AuditEntry.objects.all().delete()
    assert AuditEntry.objects.count() == 1


def test_an_entry_may_go_after_thirty_days() -> None:
    entry(at=long_ago(31))
    AuditEntry.objects.all().delete()
    assert not AuditEntry.objects.exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite empties a table by DELETE alone")
def test_the_log_is_not_emptied_by_truncating() -> None:
    entry()
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE datasets_auditentry")
    assert AuditEntry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", ["first", "second"])
def test_between_two_tests_the_log_is_emptied_and_kept_again(time: str) -> None:
    assert not AuditEntry.objects.exists()
    entry()
    with pytest.raises(IntegrityError):
        AuditEntry.objects.all().delete()


# Who ----------------------------------------------------------------------------------------------------------------


def test_an_entry_says_who_and_from_which_role() -> None:
    project = make.project()
    made = {
        Actor.ADMIN: make.member(project, Role.ADMIN),
        Actor.RESEARCHER: make.member(project),
        Actor.SUPERUSER: make.user(is_superuser=True),
        Actor.STAFF: make.user(is_staff=True),
        Actor.USER: make.member(make.project()),
    }
    for user in made.values():
        record(What.FROZEN, by=user, project=project)
    kept = {each.role: (each.user_number, each.user_name) for each in AuditEntry.objects.all()}
    assert kept == {role: (user.pk, user.username) for role, user in made.items()}


def test_of_annotators_an_entry_never_says_which() -> None:
    project = make.project()
    record(What.LOG_IN, by=make.member(project, Role.ANNOTATOR))
    record(What.ERASED, by=Actor.ANNOTATOR, project=project)
    kept = AuditEntry.objects.values_list("role", "user_number", "user_name")
    assert list(kept) == [(Actor.ANNOTATOR, None, "")] * 2


def test_an_entry_outlasts_user_project_and_object() -> None:
    study = make.study(n_pairs=1)
    project, user = study.project, make.member(study.project)
    study_id, numbers = str(study.public_id), (user.pk, project.pk)
    record(What.STUDY_CLOSED, by=user, on=study, project=project, before={"state": "open"}, after={"state": "closed"})
    name = project.name
    study.delete()
    user.delete()
    project.pairs.all().delete()
    project.delete()
    kept = AuditEntry.objects.get(what=What.STUDY_CLOSED)
    assert (kept.user_number, kept.project_number, kept.project_name) == (*numbers, name)
    assert (kept.kind, kept.object_id, kept.before) == ("study", study_id, {"state": "open"})


def test_a_change_that_is_taken_back_leaves_no_entry() -> None:
    with transaction.atomic():
        record(What.FROZEN, by=None)
        transaction.set_rollback(True)
    assert not AuditEntry.objects.exists()


def test_of_what_happens_again_and_again_the_first_of_an_hour_is_kept() -> None:
    project = make.project()
    people = [make.member(project), make.member(project)]
    for user in people * 2:
        record_hourly(What.ORIGINALS_SEEN, by=user, project=project)
    assert AuditEntry.objects.count() == 2
