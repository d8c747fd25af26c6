"""Erasing a person: everything of theirs is gone, and everything else adds up as before."""

import pytest
from django.db.models import ProtectedError
from django.test import Client
from django.urls import reverse

from annotation import freeze
from annotation.models.people import Annotator, Participation
from annotation.models.ratings import Assignment, Rating, Revision
from annotation.privacy import erase_participation
from datasets import jobs
from datasets.models.releases import Release
from tests import make
from tests.annotation.places import assert_places_add_up

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def some_ratings(participation: Participation) -> None:
    """Two answers, one of them revised and one late, and leases left over."""
    first, *_ = make.leases(participation)
    make.rating(first, 4)
    make.rating(first, 6, revises=True)
    make.expire(*participation.assignments.held())
    second = participation.assignments.unanswered()[0]
    make.rating(second, 9)
    make.leases(participation)


def test_an_erased_person_leaves_nothing_and_the_places_add_up() -> None:
    study = make.study(n_pairs=6, goal=4)
    mine, other = make.participation(study), make.participation(study)
    some_ratings(mine)
    some_ratings(other)
    erase_participation(mine)
    assert_places_add_up(study)
    assert not Annotator.objects.filter(pk=mine.annotator_id).exists()
    for model in (Assignment, Rating, Revision):
        lookup = {Assignment: "participation", Rating: "assignment__participation"}
        path = lookup.get(model, "rating__assignment__participation")
        assert set(model.objects.values_list(path, flat=True)) == {other.pk}


def test_a_release_keeps_its_bytes_and_gets_a_notice() -> None:
    study = make.study(n_pairs=2)
    mine = make.participation(study)
    make.rate_all(mine)
    jobs.run(freeze.request_freeze(study).pk)
    before = Release.objects.get()
    erase_participation(mine)
    after = Release.objects.get()
    assert (after.content_hash, after.labels.count()) == (before.content_hash, 2)
    assert [notice.kind for notice in after.notices.all()] == ["withdrawn"]


def test_a_user_who_has_rated_cannot_be_deleted_before_their_ratings_are_erased() -> None:
    study = make.study()
    member = make.member(study.project)
    participation = make.participation(study, by=member)
    make.rate_all(participation)
    with pytest.raises(ProtectedError):
        member.delete()
    erase_participation(participation)
    member.delete()
    assert_places_add_up(study)


def test_an_admin_erases_people_and_staff_without_the_permission_cannot() -> None:
    study = make.study()
    participation = make.participation(study)
    form = {"action": "erase", "_selected_action": [str(participation.pk)]}
    address = reverse("admin:annotation_participation_changelist")
    client = Client()
    client.force_login(make.user("viewer", is_staff=True))
    assert client.post(address, form).status_code == 403
    client.force_login(make.user("root", is_staff=True, is_superuser=True))
    form |= {"typed": study.short_name}
    assert "1 participations erased" in client.post(address, form, follow=True).content.decode()
    assert not Participation.objects.exists()


def test_erasing_asks_with_counts_and_wants_the_name_typed() -> None:
    study = make.rated_study(n_pairs=3, n_people=2)
    make.release(study)
    form = {"action": "erase", "_selected_action": list(Participation.objects.values_list("pk", flat=True))}
    address = reverse("admin:annotation_participation_changelist")
    client = Client()
    client.force_login(make.user("root", is_staff=True, is_superuser=True))
    page = client.post(address, form).content.decode()
    assert "2 participations with 6 answers" in page
    assert "1 release of this study stays as it is" in page
    assert client.post(address, form | {"typed": "another"}).status_code == 400
    assert Participation.objects.count() == 2


def test_people_of_two_studies_are_not_erased_at_once() -> None:
    first, second = make.participation(make.study()), make.participation(make.study())
    form = {"action": "erase", "_selected_action": [first.pk, second.pk], "typed": first.study.short_name}
    client = Client()
    client.force_login(make.user("root", is_staff=True, is_superuser=True))
    reply = client.post(reverse("admin:annotation_participation_changelist"), form, follow=True)
    assert "Choose people of one study" in reply.content.decode()
    assert Participation.objects.count() == 2
