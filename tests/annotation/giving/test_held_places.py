"""Places that nobody takes: how many one network may have, and for how long they wait for somebody who never comes."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.answering.turn import take_turn
from annotation.giving.leases import expired
from annotation.models.people import Invitation, Participation
from annotation.models.ratings import Assignment
from annotation.studies.wording import current_texts
from datasets.models.tries import Tally
from tests import make
from tests.annotation.places import assert_places_add_up

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def join(link: Invitation, address: str = "", *, by: Client | None = None, **form: Any) -> Any:
    browser = by or Client()
    where = {"REMOTE_ADDR": address} if address else {}
    form = {"agree": "on", "consent": current_texts(link.study)["consent"].edition} | form
    return browser.post(reverse("annotation:join", args=[link.token]), form, **where)


def look_at(link: Invitation) -> Any:
    return Client().get(reverse("annotation:join", args=[link.token]))


def page(name: str, of: Participation) -> str:
    return reverse(f"annotation:{name}", args=[of.public_id])


def pass_minutes(n: int) -> None:
    past = timedelta(minutes=n)
    Assignment.objects.exclude(served_at=None).update(served_at=F("served_at") - past)
    Participation.objects.update(consented_at=F("consented_at") - past, leased_until=F("leased_until") - past)


def minutes_held(person: Participation) -> int:
    """For which their pairs wait from now on."""
    person.refresh_from_db()
    assert person.leased_until is not None
    return round((person.leased_until - timezone.now()).total_seconds() / 60)


def rating_page(person: Participation) -> Any:
    """What they see after the instructions."""
    browser = make.browser(person)
    return browser.post(page("instructions", person), make.understood(person.study), follow=True)


# How many from one network --------------------------------------------------------------------------------------------


def test_of_twenty_one_joins_from_one_address_the_last_is_told_what_to_do() -> None:
    link = make.invitation(make.study(n_pairs=4, goal=30))
    assert [join(link).status_code for _ in range(20)] == [302] * 20
    refused = join(link)
    assert (refused.status_code, refused.context["refused"]) == (429, "joins")
    assert 3000 < int(refused.headers["Retry-After"]) <= 3600  # of the hour that the first of them began
    told = re.sub(r"\s+", " ", refused.content.decode())
    assert re.search(r"Try again after \d+ minutes, or ask the person who sent you the link for one of your own", told)
    assert look_at(link).context["refused"] == "joins"  # before anybody has read the consent
    assert Participation.objects.count() == 20
    assert join(link, "192.0.2.1").status_code == 302
    Tally.objects.update(ends_at=timezone.now())
    assert join(link).status_code == 302


def test_a_class_of_fifteen_behind_one_address_gets_in_and_back() -> None:
    link = make.invitation(make.study(n_pairs=2, goal=15))
    browsers = [Client() for _ in range(15)]
    assert [join(link, by=browser).status_code for browser in browsers] == [302] * 15
    back = [browser.get(reverse("annotation:join", args=[link.token])).content.decode() for browser in browsers]
    for person, shown in zip(Participation.objects.order_by("pk"), back, strict=True):
        assert page("rate", person) in shown


def test_whoever_has_a_link_of_their_own_gets_in_wherever_many_have(settings: Any) -> None:
    settings.JOINS_PER_ADDRESS = (1, 3600.0)
    study = make.study(n_pairs=2, goal=5)
    link = make.invitation(study)
    assert [join(link).status_code for _ in range(2)] == [302, 429]
    assert join(make.invitation(study, Invitation.Kind.PERSONAL)).status_code == 302


def test_who_does_not_get_in_and_who_clicks_twice_is_not_counted(settings: Any) -> None:
    settings.JOINS_PER_ADDRESS = (2, 3600.0)
    link = make.invitation(make.study(n_pairs=2, goal=1))
    begins = look_at(link).context["begins"]
    assert [join(link, begins=begins).status_code for _ in range(3)] == [302] * 3
    assert [join(link).status_code for _ in range(3)] == [409] * 3
    assert Tally.objects.get().n == 1


# For how long they wait -----------------------------------------------------------------------------------------------


def test_a_study_that_many_joined_and_nobody_rates_in_is_free_again_after_ten_minutes() -> None:
    study = make.study(n_pairs=4, goal=21)
    link = make.invitation(study)
    for n in range(21):
        assert join(link, f"192.0.2.{n}").status_code == 302
    refused = look_at(link)
    assert (refused.context["refused"], refused.context["wait"]) == ("held", 10)
    pass_minutes(10)
    assert join(link, "192.0.2.99").status_code == 302
    newest = Participation.objects.latest("pk")
    assert newest.assignments.held().count() == 4
    assert_places_add_up(study)


def test_places_wait_as_the_study_says_once_a_pair_was_on_the_screen() -> None:
    join(make.invitation(make.study(n_pairs=4)))
    person = Participation.objects.get()
    assert minutes_held(person) == 10
    pass_minutes(2)
    sent = rating_page(person).context["lease"]
    assert minutes_held(person) == 8
    take_turn(person, [], painted=sent["assignment"])
    assert minutes_held(person) == 30
    pass_minutes(20)
    assert make.browser(person).get(page("rest", person)).status_code == 200
    assert minutes_held(person) == 30


def test_who_asks_again_and_again_and_sees_nothing_holds_places_for_no_longer() -> None:
    join(make.invitation(make.study(n_pairs=4)))
    person = Participation.objects.get()
    pass_minutes(9)
    rating_page(person)
    assert minutes_held(person) == 5  # for the pair to appear
    pass_minutes(4)
    for name in ("rate", "rest", "rate"):
        make.browser(person).get(page(name, person))
    assert minutes_held(person) == 1
    pass_minutes(2)
    make.browser(person).get(page("rest", person))
    assert expired(person.study_id).get() == person


@pytest.mark.parametrize(("of_site", "of_study", "minutes"), [(120, 1800, 2), (3600, 300, 5)])
def test_places_wait_for_the_first_pair_no_longer_than_site_and_study_say(
    settings: Any, of_site: int, of_study: int, minutes: int
) -> None:
    settings.FIRST_PAIR_SECONDS = of_site
    join(make.invitation(make.study(lease_seconds=of_study)))
    assert minutes_held(Participation.objects.get()) == minutes


@pytest.mark.parametrize("said", [{"score": 5}, {"skips": "cannot_tell"}])
def test_an_answer_without_a_script_says_so_too(said: dict[str, Any]) -> None:
    join(make.invitation(make.study(n_pairs=4)))
    person = Participation.objects.get()
    sent = rating_page(person).context["lease"]
    take_turn(person, [{"key": str(uuid4()), "assignment": str(sent["assignment"])} | said])
    assert minutes_held(person) == 30


def test_who_reads_the_instructions_for_eleven_minutes_draws_again() -> None:
    study = make.study(n_pairs=6, goal=1, session_size=4)
    link = make.invitation(study)
    join(link)
    slow = Participation.objects.get()
    pass_minutes(11)
    join(link, "192.0.2.1")
    reply = rating_page(slow)
    assert reply.status_code == 200
    assert minutes_held(slow) == 5
    make.rate_all(slow)
    assert_places_add_up(study)


def test_who_comes_back_when_others_have_all_places_is_told_so_without_an_error() -> None:
    study = make.study(n_pairs=4, goal=1)
    link = make.invitation(study)
    join(link)
    slow = Participation.objects.get()
    pass_minutes(11)
    join(link, "192.0.2.1")
    reply = rating_page(slow)
    assert (reply.status_code, reply.context["is_finished"]) == (200, False)
    assert_places_add_up(study)


# What researchers are told --------------------------------------------------------------------------------------------


def test_the_page_of_a_study_says_that_nobody_can_begin_and_why() -> None:
    study = make.study(n_pairs=4, goal=2)
    researcher = Client()
    researcher.force_login(make.member(study.project))
    url = reverse("annotation:study", args=[study.public_id])
    link = make.invitation(study)
    join(link)
    assert researcher.get(url).context["held"] is None
    join(link)
    make.rate(Participation.objects.latest("pk"), 5)
    told = re.sub(r"\s+", " ", researcher.get(url).content.decode())
    assert "Nobody can begin at the moment: 7 places are held for 2 people who may still answer, 1 of whom has" in told
    pass_minutes(10)
    assert researcher.get(url).context["held"] is None
