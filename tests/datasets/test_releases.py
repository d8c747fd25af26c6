import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from datasets.models.releases import FrozenRating, Release
from datasets.releases import Names, begin_release, discard_draft, finish_release
from tests import make
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def draft(**fields: object) -> Release:
    defaults = {"slug": "s", "title": "t", "mode": "HA2", "simulated": False, "origins": {}, "counting_rule": ""}
    return begin_release(**{"project": make.project()} | defaults | fields)


def test_a_draft_is_no_release_until_it_has_its_hash():
    release = draft()
    assert not Release.objects.frozen().exists()
    finish_release(release, agreement={}, content_hash="0" * 64)
    assert Release.objects.frozen().get() == release


def test_a_release_is_frozen_once():
    release = draft()
    finish_release(release, agreement={}, content_hash="0" * 64)
    finish_release(release, agreement={"alpha": 1}, content_hash="f" * 64)
    assert (release.content_hash, release.agreement) == ("0" * 64, {})


def test_a_frozen_release_is_never_discarded():
    release = make.release(make.rated_study())
    with pytest.raises(ValueError, match="is frozen"):
        discard_draft(release)
    assert release.labels.count() == 4


def test_a_release_without_a_hash_cannot_be_frozen():
    with pytest.raises(IntegrityError, match="frozen_release_has_a_hash"), transaction.atomic():
        finish_release(draft(), agreement={}, content_hash="")


def test_what_a_release_shows_cannot_be_deleted():
    release = make.release(make.rated_study())
    for each in (release, release.project, release.labels.first().anonymized, release.labels.first()):
        with pytest.raises(ProtectedError):
            each.delete()
    assert FrozenRating.objects.count() == 12


@pytest.mark.django_db(transaction=True)
def test_freezes_that_begin_at_the_same_moment_take_different_versions():
    project = make.project()
    begin = transaction.atomic(lambda: draft(project=project).version)
    assert sorted(at_once(*[begin] * 6)) == [1, 2, 3, 4, 5, 6]


def test_a_name_is_the_same_within_a_release_and_another_in_the_next():
    first, second = Names(), Names()
    assert first.person(1) == first.person(1)
    assert first.group("g") == first.group("g")
    assert (
        len({name for names in (first, second) for name in (names.person(1), names.person(2), names.group("1"))}) == 6
    )
    assert first.people == {1: first.person(1), 2: first.person(2)}
