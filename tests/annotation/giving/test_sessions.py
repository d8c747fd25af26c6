"""What a session holds, from the reservation to another one after it."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.answering.turn import take_turn
from annotation.giving.join import CannotJoin, begin_another_session, join_as_member, join_by_invitation, n_further
from annotation.giving.leases import return_expired_leases
from annotation.giving.order import draw_start
from annotation.models.people import Annotator, Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Item, Study
from annotation.studies.life import change_state
from annotation.studies.pairs import add_items
from annotation.studies.wording import current_texts
from datasets.models.pictures import Pair
from tests import make
from tests.annotation.places import assert_places_add_up

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

Purpose = Assignment.Purpose


def joined(study: Study) -> Participation:
    return join_by_invitation(make.invitation(study), agreed_to=current_texts(study)["consent"])


def reserved(**fields: object) -> Study:
    return make.study(**{"goal": 3, "session_size": 10, "n_pairs": 30} | fields)


def purposes(of: Participation) -> list[str]:
    return list(of.assignments.order_by("position").values_list("purpose", flat=True))


def serve_as(role: str, item: Item, **fields: object) -> Item:
    """The item as a check or practice pair, as the set-up page leaves it."""
    Item.objects.filter(pk=item.pk).update(role=role, goal=0, **fields)
    return Item.objects.get(pk=item.pk)


# Reserved ---------------------------------------------------------------------------------------------------------


def test_whoever_begins_has_the_whole_session_set_aside() -> None:
    person = joined(study := reserved())
    assert person.assignments.held().count() == person.n_planned == 10
    assert_places_add_up(study)
    assert len(make.leases(person)) == 3
    assert person.assignments.exclude(served_at=None).count() == 3


def test_whoever_holds_a_part_of_their_session_has_the_rest_set_aside_at_the_next_turn() -> None:
    """As people do who began in a study of version 0.1 that drew as they went."""
    study = reserved()
    person = make.participation(study, n_planned=3)
    make.leases(person)
    Participation.objects.update(n_planned=10)
    make.rate(person, 5)
    assert len(make.leases(person)) == 3
    assert person.assignments.held().count() == 9
    assert_places_add_up(study)


def test_a_reserved_draw_can_be_replayed_from_the_seed() -> None:
    person = joined(study := reserved())
    left = list(study.items.order_by("shuffle"))
    for given in person.assignments.order_by("position"):
        assert given.draw_start == draw_start(person.seed, given.position)
        replayed = next((item for item in left if item.shuffle >= given.draw_start), left[0])
        assert (given.item, given.draw_n_held, given.reason) == (replayed, 0, "new original")
        left.remove(replayed)


def test_a_full_study_turns_people_away_and_keeps_nothing_of_them() -> None:
    study = reserved(n_pairs=4, goal=1)
    first = joined(study)
    assert first.n_planned == 4
    before = (Annotator.objects.count(), Participation.objects.count())
    with pytest.raises(CannotJoin, match="held"):
        joined(study)
    assert (Annotator.objects.count(), Participation.objects.count()) == before


def test_a_session_gets_shorter_where_the_study_has_no_more() -> None:
    study = reserved(n_pairs=12, goal=1)
    assert [joined(study).n_planned, joined(study).n_planned] == [10, 2]
    assert_places_add_up(study)


def test_the_person_is_told_the_number_they_will_rate() -> None:
    study = reserved(n_pairs=12, goal=1)
    joined(study)
    second = joined(study)
    turn, n = take_turn(second, []), 0
    assert turn["progress"] == {"done": 0, "total": 2}
    while not turn["finished"]:
        turn, n = take_turn(second, [make.answer(turn["leases"][0]["assignment"])]), n + 1
    assert n == 2


def test_what_was_never_on_a_screen_goes_to_others_first() -> None:
    study = reserved(n_pairs=10, goal=1)
    holder = joined(study)
    shown = take_turn(holder, [])["leases"][0]["assignment"]
    take_turn(holder, [], painted=shown)
    make.expire(*holder.assignments.all())
    second = joined(study)
    assert second.n_planned == 9
    assert holder.assignments.held().get().public_id == UUID(shown)
    assert return_expired_leases(study.pk) == 1  # only now, when nothing else is left
    assert_places_add_up(study)


def test_who_comes_back_late_takes_up_what_nobody_else_has_taken() -> None:
    study = reserved(n_pairs=20, goal=1)
    holder = joined(study)
    mine = set(holder.assignments.values_list("item", flat=True))
    make.expire(*holder.assignments.all())
    assert return_expired_leases(study.pk) == 10
    make.rate_all(holder)
    assert set(holder.assignments.exclude(answered_at=None).values_list("item", flat=True)) == mine


def test_a_paused_study_shows_only_what_was_shown_before() -> None:
    person = joined(study := reserved())
    shown = {each.pk for each in make.leases(person)}
    change_state(study, Study.State.PAUSED)
    for _ in shown:
        make.rate(person, 5)
    turn = take_turn(person, [])
    assert (turn["leases"], person.assignments.held().count()) == ([], 7)
    change_state(study, Study.State.OPEN)
    assert len(take_turn(person, [])["leases"]) == 3


def test_pictures_that_were_set_aside_have_no_address_before_they_are_shown() -> None:
    person = joined(reserved())
    later = person.assignments.get(position=9)
    url = reverse("annotation:picture", args=[person.public_id, later.anonymized_key])
    assert make.browser(person).get(url).status_code == 404


def test_a_picture_that_is_withdrawn_is_shown_to_nobody_whoever_holds_it() -> None:
    person = joined(reserved(n_pairs=10, goal=1, session_size=6))
    shown, later = make.leases(person)[0], person.assignments.get(position=5)
    Item.objects.filter(pk__in=[shown.item_id, later.item_id]).update(state=Item.State.WITHDRAWN)
    address = reverse("annotation:picture", args=[person.public_id, shown.anonymized_key])
    assert make.browser(person).get(address).status_code == 404
    make.rate_all(person)
    rated = set(person.assignments.exclude(answered_at=None).values_list("item", flat=True))
    assert len(rated) == 6  # others take their places
    assert not rated & {shown.item_id, later.item_id}
    person.refresh_from_db()
    assert person.finished_at is not None


def test_nobody_begins_a_session_without_a_pair_that_counts() -> None:
    study = reserved(n_pairs=6, goal=1, n_warm_up=2, session_size=4)
    while study.items.wanting_ratings().exists():
        assert joined(study).assignments.filter(purpose=Purpose.MAIN).exists()
    with pytest.raises(CannotJoin, match="held"):
        joined(study)


def test_room_is_made_until_there_is_a_place_not_only_pairs_that_take_none() -> None:
    study = reserved(n_pairs=6, goal=1, n_warm_up=2, session_size=4)
    people = []
    while study.items.wanting_ratings().exists():
        people.append(joined(study))
    for person in people:
        on_screen = person.assignments.filter(purpose=Purpose.MAIN)
        on_screen.update(served_at=timezone.now(), painted_at=timezone.now())
        make.expire(*person.assignments.all())
    assert joined(study).assignments.filter(purpose=Purpose.MAIN).exists()
    assert_places_add_up(study)


def test_who_has_seen_all_that_is_left_is_told_so_rather_than_given_a_warm_up() -> None:
    project = make.project()
    beside = make.study(project, n_pairs=6)
    alone = reserved(of=project, n_pairs=0, mode="HA1", goal=2, n_warm_up=2, session_size=5)
    member = make.member(project).pk
    make.rate(join_as_member(beside, member, agreed_to=current_texts(beside)["consent"]), 5, 5, 5)
    seen = Assignment.objects.filter(participation__study=beside).exclude(served_at=None)
    groups = seen.values_list("item__group", flat=True)
    alone.items.exclude(group__in=list(groups)).update(n_held=2, n_rated=2)
    with pytest.raises(CannotJoin, match="seen"):
        join_as_member(alone, member, agreed_to=current_texts(alone)["consent"])
    assert not alone.participations.exists()


# Purposes ---------------------------------------------------------------------------------------------------------


def test_warm_up_comes_first_and_does_not_count() -> None:
    study = reserved(n_warm_up=3)
    person = joined(study)
    assert purposes(person) == [Purpose.WARM_UP] * 3 + [Purpose.MAIN] * 7
    make.rate_all(person)
    assert sum(study.items.values_list("n_rated", flat=True)) == 7
    assert_places_add_up(study)


def test_nobody_warms_up_on_the_last_pairs_of_a_study() -> None:
    study = reserved(n_pairs=10, goal=1, session_size=10, n_warm_up=5)
    people = 0
    while study.items.wanting_ratings().exists():
        make.rate_all(joined(study))
        people += 1
        assert people < 5
    with pytest.raises(CannotJoin, match="full"):
        joined(study)


def test_nobody_warms_up_on_the_few_originals_that_were_added_to_a_study() -> None:
    study = reserved(n_pairs=30, goal=1, session_size=10, n_warm_up=5)
    study.items.update(n_held=1, n_rated=1)
    for _ in range(7):  # versions of two originals: more pairs than a session has
        for group in ("new", "newer"):
            make.pair(study.project, group=group)
    add_items(study, Pair.objects.filter(group__startswith="new"))
    people = 0
    while study.items.wanting_ratings().exists():
        make.rate_all(joined(study))
        people += 1
        assert people < 10


def test_repeats_show_a_counting_pair_again_at_least_twenty_positions_later() -> None:
    study = reserved(n_pairs=80, session_size=60, repeat_percent=10, n_warm_up=5)
    person = joined(study)
    make.rate_all(person)
    repeats = person.assignments.filter(purpose=Purpose.REPEAT)
    assert repeats.count() == 6  # of the 55 after the warm-up
    for each in repeats:
        first = person.assignments.get(item=each.item_id, occurrence=0)
        assert (first.purpose, each.occurrence) == (Purpose.MAIN, 1)
        assert each.position - first.position >= study.repeat_distance
    assert sum(study.items.values_list("n_rated", flat=True)) == 49
    assert_places_add_up(study)


def test_checks_are_drawn_from_the_check_pairs_and_each_comes_once() -> None:
    study = reserved(n_checks=2)
    checks = [serve_as("check", item, expected_low=1, expected_high=2) for item in study.items.order_by("pk")[:2]]
    person = joined(study)
    given = person.assignments.filter(purpose=Purpose.CHECK)
    assert {each.item for each in given} == set(checks)
    make.rate_all(person)
    assert not study.items.filter(role="check").exclude(n_held=0, n_rated=0).exists()


def test_where_a_check_cannot_be_had_a_pair_that_counts_takes_its_place() -> None:
    assert purposes(joined(reserved(n_checks=3))) == [Purpose.MAIN] * 10


def test_check_pairs_are_drawn_for_nothing_else() -> None:
    study = reserved(n_pairs=6, goal=1)
    serve_as("check", study.items.all()[0], expected_low=1, expected_high=2)
    assert joined(study).n_planned == 5


def test_a_pair_may_ask_for_one_score_in_so_many_words() -> None:
    study = reserved(n_pairs=6, session_size=2, n_checks=1)
    serve_as("check", study.items.all()[0], instructed_score=3)
    person = joined(study)
    leases = take_turn(person, [])["leases"]
    assert sorted(lease["instruction"] for lease in leases) == ["", "For this one, please choose 3."]
    browser = make.browser(person)
    browser.post(reverse("annotation:instructions", args=[person.public_id]), make.understood(study))
    page = browser.get(reverse("annotation:rate", args=[person.public_id])).content.decode()
    question = current_texts(study)["question"].body
    asked = leases[0]["instruction"] or question
    assert f">{asked}</legend>" in page


def test_practice_says_afterwards_how_such_pairs_are_rated_and_nothing_else_does() -> None:
    study = reserved(n_pairs=12, n_practice=1, n_warm_up=1, n_checks=1)
    first, second = study.items.all()[:2]
    serve_as("practice", first, expected_low=8, expected_high=10)
    serve_as("check", second, expected_low=1, expected_high=2)
    person = joined(study)
    assert purposes(person)[:2] == [Purpose.PRACTICE, Purpose.WARM_UP]
    turn, feedback = take_turn(person, []), []
    while not turn["finished"]:
        assert not {"purpose", "expected_low", "expected_high", "method"} & set(turn["leases"][0])
        turn = take_turn(person, [make.answer(turn["leases"][0]["assignment"], 4)])
        feedback += [each.feedback for each in turn["acknowledgements"]]
    assert feedback[0] == "This was for practice. It is usually rated from 8 to 10; you chose 4."
    assert not any(feedback[1:])


def test_without_a_script_what_is_said_to_practice_stands_beside_its_pictures() -> None:
    study = reserved(n_pairs=12, n_practice=1)
    serve_as("practice", study.items.all()[0], expected_low=8, expected_high=10)
    person = joined(study)
    Participation.objects.update(instructed_at=timezone.now())
    browser, address = make.browser(person), reverse("annotation:rate", args=[person.public_id])
    lease = make.leases(person)[0]
    form = {"assignment": lease.public_id, "key": uuid4(), "score": 4}
    for _ in range(2):  # a page that is loaded again says the same
        reply = browser.post(address, form)
        page = reply.content.decode()
        assert (reply.status_code, reply.context["progress"]["done"]) == (200, 0)
        assert "It is usually rated from 8 to 10; you chose 4." in page
        assert str(lease.anonymized_key) in page
        assert f'href="{address}"' in page
    assert str(lease.anonymized_key) not in browser.get(address).content.decode()


def test_the_original_stands_left_and_right_equally_often_where_the_study_says_so() -> None:
    sides = joined(reserved(side="balanced")).assignments.order_by("position").values_list("original_side", flat=True)
    assert sorted(sides) == ["left"] * 5 + ["right"] * 5
    assert set(joined(reserved(side="right")).assignments.values_list("original_side", flat=True)) == {"right"}


# Another session --------------------------------------------------------------------------------------------------


def test_whoever_has_finished_may_rate_more_up_to_the_limit_per_person() -> None:
    study = reserved(session_size=4, person_limit=6)
    person = joined(study)
    assert n_further(person) == 0  # not before the end
    make.rate_all(person)
    browser, end = make.browser(person), reverse("annotation:end", args=[person.public_id])
    assert "rate up to 2 more" in browser.get(end).content.decode()
    browser.post(reverse("annotation:another-session", args=[person.public_id]))
    make.rate_all(person)
    person.refresh_from_db()
    assert (person.n_answered, person.n_planned, n_further(person)) == (6, 6, 0)
    assert person.finished_at is not None
    assert "more" not in browser.get(end).content.decode().split("Thank you")[1].split("The address")[0]
    assert_places_add_up(study)


def test_another_session_may_happen_to_have_a_repeat_alone() -> None:
    study = reserved(session_size=1, person_limit=2, repeat_percent=50, repeat_distance=1)
    person = joined(study)
    make.rate_all(person)
    begin_another_session(person)
    assert [each.purpose for each in person.assignments.held()] == ["repeat"]


def test_another_session_needs_places() -> None:
    study = reserved(n_pairs=4, session_size=2, goal=1, person_limit=4)
    person = joined(study)
    make.rate_all(person)
    joined(study)
    person.refresh_from_db()
    with pytest.raises(CannotJoin, match="held"):
        begin_another_session(person)
    person.refresh_from_db()
    assert person.finished_at is not None


def test_who_asks_for_another_session_is_told_whether_others_hold_what_is_left_or_nothing_is() -> None:
    study = reserved(n_pairs=4, session_size=2, goal=1, person_limit=4)
    person = joined(study)
    make.rate_all(person)
    other = joined(study)
    browser, another = make.browser(person), reverse("annotation:another-session", args=[person.public_id])
    told = browser.post(another, follow=True).content.decode()
    assert "Others hold the pictures that are left" in told
    assert "try again after 10 minutes" in told
    make.rate_all(other)
    told = browser.post(another, follow=True).content.decode()
    assert "There is nothing left to rate" in told
    assert "Others hold" not in told


def test_a_break_extends_the_time_for_which_the_pairs_wait() -> None:
    person = joined(reserved())
    make.rate(person, 5)
    make.expire(*person.assignments.all())
    assert make.browser(person).get(reverse("annotation:rest", args=[person.public_id])).status_code == 200
    assert return_expired_leases(person.study_id) == 0
    person.refresh_from_db()
    assert person.leased_until is not None
    assert person.leased_until > timezone.now() + timedelta(minutes=20)


def test_a_session_lasts_as_long_as_its_person_is_there() -> None:
    person = joined(study := reserved(n_pairs=10, goal=1))
    make.expire(*person.assignments.all())
    make.rate(person, 5, 5)  # back before anybody needed the places
    with pytest.raises(CannotJoin, match="held"):
        joined(study)
    person.refresh_from_db()
    assert person.leased_until is not None
    assert person.leased_until > timezone.now() + timedelta(minutes=20)
