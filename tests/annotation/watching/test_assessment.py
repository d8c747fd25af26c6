"""Cards and flags from real answers, in the background, and what a person makes of them."""

import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.answering.turn import take_turn
from annotation.models.people import Participation
from annotation.models.quality import Card, Decision, Flag
from annotation.models.ratings import Assignment, Rating, Revision
from annotation.models.studies import Item, Study
from annotation.privacy import erase_participation
from annotation.studies.life import change_state
from annotation.watching import answers, assessment, background
from annotation.watching.assessment import assess
from annotation.watching.background import last_check, request_check
from annotation.watching.decisions import CannotDecide, decide, is_so, settle_flags
from annotation.watching.flags import flags_of, proposes_no_pay
from annotation.watching.roles import PairRole, give_role
from datasets import jobs
from scoring.measures.agreement import krippendorff_alpha
from tests import make
from tests.annotation.said import said, say
from tests.races import meanwhile

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

N_PAIRS = 40


def panel(n_people: int = 4, **fields: object) -> Study:
    """Everybody rates 40 pairs alike, with a little noise of their own."""
    study = make.study(n_pairs=N_PAIRS, goal=9, **fields)
    lots = random.Random(1)
    quality_of = [lots.randint(2, 9) for _ in range(N_PAIRS)]
    said(study, [[min(10, max(1, q + lots.choice((-1, 0, 0, 1)))) for q in quality_of] for _ in range(n_people)])
    return study


def items(study: Study) -> list[Item]:
    return list(study.items.order_by("pk"))


def check(study: Study) -> None:
    make.done(request_check(study, assessment.KIND))


def reasons(person: Participation) -> set[str]:
    return set(person.flags.to_decide().values_list("reason", flat=True))


def straight(study: Study) -> Participation:
    return say(make.participation(study), dict.fromkeys(items(study), 5))


# What a card says --------------------------------------------------------------------------------------------------


def test_a_card_holds_what_was_said_and_how_quickly() -> None:
    study = make.study(n_pairs=6, goal=9)
    others = said(study, [[2, 4, 6, 8, 3, 5]] * 3)
    mine = say(make.participation(study), dict(zip(items(study), [3, 5, 7, 9, 3, 5], strict=True)), seconds=0.5)
    found = assess(study)
    card = found.people[mine.pk]
    assert (card["n"], card["longest_run"], card["time"]) == (6, 1, {"n": 6, "median": 0.5, "fast_share": 1.0})
    assert card["others"]["rho"] > 0.9
    assert card["bias"]["bias"] > found.people[others[0].pk]["bias"]["bias"]
    assert (found.study["n_people"], found.study["n_ratings"], found.study["median_seconds"]) == (4, 24, 2.5)


def test_alpha_with_and_without_a_person_is_what_the_release_measure_gives() -> None:
    study = panel()
    odd = straight(study)
    found = assess(study)

    def counted(without: Participation | None) -> np.ndarray:
        rows = Rating.objects.filter(assignment__item__study=study).exclude(
            assignment__participation=without.pk if without else None
        )
        counts = np.zeros((N_PAIRS, 10), dtype=int)
        place = {item.pk: k for k, item in enumerate(items(study))}
        for item, score in rows.values_list("assignment__item", "score"):
            counts[place[item], score - 1] += 1
        return counts

    scale = range(1, 11)
    assert found.people[odd.pk]["alpha"] == pytest.approx(krippendorff_alpha(counted(None), scale).value)
    assert found.people[odd.pk]["alpha_without"] == pytest.approx(krippendorff_alpha(counted(odd), scale).value)


def test_checks_instructions_and_practice_are_counted_apart() -> None:
    study = make.study(n_pairs=6)
    plain, asked, practice = items(study)[:3]
    Item.objects.filter(pk=plain.pk).update(role="check", goal=0, expected_low=1, expected_high=3)
    Item.objects.filter(pk=asked.pk).update(role="check", goal=0, instructed_score=7)
    Item.objects.filter(pk=practice.pk).update(role="practice", goal=0, expected_low=9, expected_high=10)
    mine = say(make.participation(study), {practice: 1}, purpose="practice")
    say(mine, {plain: 4, asked: 7}, purpose="check")
    card = assess(study).people[mine.pk]
    assert card["practice"] == {"n": 1, "n_failed": 1, "n_skipped": 0}
    assert card["checks"] == {"n": 1, "n_failed": 1, "n_skipped": 0}
    assert card["instructions"] == {"n": 1, "n_failed": 0, "n_skipped": 0}


def test_whoever_skips_every_check_is_seen_and_flagged_for_nothing() -> None:
    study = make.study(n_pairs=20, is_open=False, session_size=20, n_practice=1, n_checks=3)
    practice, plain, *asked = items(study)[:4]
    give_role(study, practice, PairRole("practice", 9, 10))
    give_role(study, plain, PairRole("check", 1, 3))
    for item in asked:
        give_role(study, item, PairRole("check", instructed_score=4))
    change_state(study, "open")
    person, only_skips = make.participation(study), make.participation(study)
    before = timezone.now() - timedelta(seconds=1)

    def skips(person: Participation, lease: Assignment) -> None:
        take_turn(person, [make.answer(lease, score=None, skips="cannot_tell", note="too dark")])

    while leases := make.leases(person):
        if leases[0].purpose == "main":
            take_turn(person, [make.answer(leases[0])])
        else:
            skips(person, leases[0])
    for _ in range(20):
        for lease in make.leases(only_skips)[:1]:
            skips(only_skips, lease)
    found = assess(study)
    for each in (person, only_skips):
        card = found.people[each.pk]
        assert card["practice"] == {"n": 0, "n_failed": 0, "n_skipped": 1}
        assert card["checks"] == {"n": 0, "n_failed": 0, "n_skipped": 1}
        assert card["instructions"] == {"n": 0, "n_failed": 0, "n_skipped": 2}
        assert flags_of(card, found.study) == {}
        assert not proposes_no_pay(card)
    assert (found.study["n_people"], assess(study, cutoff=before).people) == (1, {})
    check(study)
    researcher = Client()
    researcher.force_login(make.member(study.project))
    people = researcher.get(reverse("annotation:quality", args=[study.public_id])).content.decode()
    assert people.count("3 skipped") == 2
    page = reverse("annotation:annotator", args=[study.public_id, only_skips.public_id])
    shown = researcher.get(page).content.decode()
    assert "<strong>3 skipped</strong>" in shown
    assert shown.count('<span class="badge">skipped</span> I cannot say: too dark') == 4


def test_repeats_are_compared_with_the_first_answer_and_do_not_count() -> None:
    study = make.study(n_pairs=4)
    mine = say(make.participation(study), dict(zip(items(study), [2, 4, 6, 8], strict=True)))
    say(mine, {items(study)[0]: 5, items(study)[1]: 4}, purpose="repeat")
    card = assess(study).people[mine.pk]
    assert card["n"] == 4
    assert card["repeats"] == {"n": 2, "mean_difference": 1.5, "within_1": 0.5}


def test_the_newest_revision_by_the_cutoff_is_what_somebody_said() -> None:
    study = make.study(n_pairs=1)
    [mine] = said(study, [[2]])
    rating = Rating.objects.get()
    later = timezone.now() + timedelta(hours=1)
    Revision.objects.create(
        rating=rating, number=2, key="00000000-0000-4000-8000-000000000001", score=9, created_at=later
    )
    before, after = assess(study), assess(study, cutoff=later)
    assert before.people[mine.pk]["commonest_share"] == 1
    assert answers.answers_until(study, timezone.now()).score.tolist() == [2]
    assert answers.answers_until(study, later).score.tolist() == [9]
    assert after.study["n_ratings"] == 1


def test_who_has_withdrawn_is_in_nobodys_figures() -> None:
    study = panel()
    gone = straight(study)
    Participation.objects.filter(pk=gone.pk).update(withdrawn_at=timezone.now())
    found = assess(study)
    assert gone.pk not in found.people
    assert found.study["n_people"] == 4


def test_a_study_without_answers_has_figures_that_say_so() -> None:
    found = assess(make.study())
    assert found.people == {}
    assert (found.study["n_ratings"], found.study["alpha"], found.study["median_seconds"]) == (0, None, None)


def test_the_number_of_queries_does_not_grow_with_people_or_ratings() -> None:
    counts = []
    for n_people in (3, 12):
        study = panel(n_people)
        with CaptureQueriesContext(connection) as captured:
            assess(study)
        counts.append(len(captured))
    assert counts[0] == counts[1] == 3  # answers, checks, skips


# Flags -------------------------------------------------------------------------------------------------------------


def test_whoever_always_gives_the_same_score_is_flagged_and_the_others_are_not() -> None:
    study = panel()
    odd = straight(study)
    check(study)
    assert reasons(odd) == {"straight_lining"}
    assert set(Flag.objects.values_list("participation", flat=True)) == {odd.pk}
    assert odd.flags.get().evidence["longest_run"] == N_PAIRS


def test_whoever_turns_the_scale_around_is_flagged() -> None:
    study = panel()
    first = study.participations.order_by("pk")[0]
    scores = dict(first.assignments.values_list("item", "rating__score"))
    odd = say(make.participation(study), {item: 11 - scores[item.pk] for item in items(study)})
    check(study)
    assert "disagrees" in reasons(odd)


def test_whoever_hurries_or_looks_elsewhere_is_flagged() -> None:
    study = panel()
    first = study.participations.order_by("pk")[0]
    scores = dict(first.assignments.values_list("item", "rating__score"))
    same = {item: scores[item.pk] for item in items(study)}
    fast = say(make.participation(study), same, seconds=0.3)
    away = say(make.participation(study), same, hidden=30.0)
    slow = say(make.participation(study), same, seconds=300.0)
    check(study)
    assert (reasons(fast), reasons(away), reasons(slow)) == ({"fast"}, {"hidden"}, set())


def test_a_flag_that_is_no_longer_true_waits_for_nobody() -> None:
    study = panel()
    odd = straight(study)
    check(study)
    changed = Rating.objects.filter(assignment__participation=odd)
    for k, pk in enumerate(changed.values_list("pk", flat=True)):
        Revision.objects.filter(rating=pk).update(score=k % 10 + 1)
    check(study)
    assert "straight_lining" not in reasons(odd)
    assert odd.flags.get(reason="straight_lining").evidence["longest_run"] == N_PAIRS


def test_a_second_look_writes_the_same_cards_and_no_second_flag() -> None:
    study = panel()
    straight(study)
    check(study)
    before = dict(Card.objects.values_list("participation", "figures"))
    check(study)
    assert dict(Card.objects.values_list("participation", "figures")) == before
    assert Flag.objects.count() == 1
    assert last_check(study, assessment.KIND)["n_ratings"] == 5 * N_PAIRS  # type: ignore[index]


def test_workers_check_unasked() -> None:
    assert background.request_due_checks in jobs.repeated
    assert assessment.KIND in background.kinds


def test_what_is_known_of_a_person_goes_with_them() -> None:
    study = panel()
    odd = straight(study)
    check(study)
    decide(odd, "use", verdict=False, reason="the same score throughout")
    erase_participation(odd)
    assert not Flag.objects.exists()
    assert not Decision.objects.exists()
    assert Card.objects.count() == 4


def test_who_is_erased_while_a_worker_looks_is_left_out() -> None:
    study = panel()
    odd = straight(study)
    with meanwhile('"n_total" = %s', partial(erase_participation, odd)):
        check(study)
    assert Card.objects.count() == 4


# Decisions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def odd() -> Participation:
    study = panel()
    person = straight(study)
    check(study)
    return person


def test_a_decision_says_who_when_why_and_what_it_does_to_alpha(odd: Participation) -> None:
    boss = make.user()
    made = decide(odd, "use", verdict=False, reason="the same score throughout", by=boss)
    assert (made.decided_by, made.reason) == (boss, "the same score throughout")
    assert made.effect["alpha_without"] > made.effect["alpha"]


def test_used_and_paid_are_apart_and_both_can_be_taken_back(odd: Participation) -> None:
    decide(odd, "use", verdict=False, reason="the same score throughout")
    assert (is_so(odd, "use"), is_so(odd, "pay")) == (False, True)
    decide(odd, "pay", verdict=False, reason="did not read")
    decide(odd, "use", verdict=True, reason="it was a colleague's test of the keyboard")
    assert (is_so(odd, "use"), is_so(odd, "pay")) == (True, False)
    assert odd.decisions.count() == 3


def test_deciding_the_same_again_is_refused(odd: Participation) -> None:
    decide(odd, "use", verdict=False, reason="once")
    with pytest.raises(CannotDecide, match="already"):
        decide(odd, "use", verdict=False, reason="twice")
    assert odd.decisions.count() == 1


def test_of_who_has_withdrawn_nothing_is_decided(odd: Participation) -> None:
    Participation.objects.filter(pk=odd.pk).update(withdrawn_at=timezone.now())
    with pytest.raises(CannotDecide, match="withdrawn"):
        decide(odd, "use", verdict=False, reason="late")
    assert not odd.decisions.exists()


@pytest.mark.parametrize(
    "settles",
    [
        lambda odd: decide(odd, "use", verdict=False, reason="seen"),
        lambda odd: decide(odd, "pay", verdict=False, reason="seen"),
        lambda odd: settle_flags(odd, reason="seen"),
    ],
    ids=["use", "pay", "nothing else"],
)
def test_a_decision_settles_the_flags_and_they_stay_settled(
    odd: Participation, settles: Callable[[Participation], object]
) -> None:
    settles(odd)
    assert reasons(odd) == set()
    check(odd.study)
    assert reasons(odd) == set()
    assert "seen" in odd.flags.get().settlement


def test_cards_are_of_everybody_whatever_was_decided(odd: Participation) -> None:
    before = Card.objects.get(participation=odd).figures
    decide(odd, "use", verdict=False, reason="the same score throughout")
    check(odd.study)
    assert Card.objects.get(participation=odd).figures == before


def test_answers_that_were_given_out_and_not_given_are_in_no_card() -> None:
    study = make.study(n_pairs=4)
    mine = make.participation(study)
    make.rate(mine, 5)
    assert Assignment.objects.filter(participation=mine).count() > 1
    assert assess(study).people[mine.pk]["n"] == 1
