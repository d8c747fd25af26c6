"""People who join, look, answer, revise, leave and come back in any order, on studies with any mix of settings.

After each step the whole state is read and held against what was acknowledged and against the rules (stored.py). The
examples are the same at every run; `make test-long` looks at 200 others, STATE_MACHINE_EXAMPLES=2000 at more.
"""

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, Phase, note
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from annotation.answering.refusals import AnswerRefused
from annotation.answering.turn import take_turn
from annotation.giving.join import CannotJoin, begin_another_session, join_as_member, join_by_invitation, n_further
from annotation.giving.leases import next_pairs, return_expired_leases
from annotation.giving.order import Purpose, purpose_at
from annotation.giving.session_plan import SessionPlan
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Report
from annotation.models.studies import RING, Campaign, Item, Study
from annotation.privacy import erase_participation
from annotation.studies.invitations import standing_invitation
from annotation.studies.life import STEPS, change_state
from annotation.studies.pairs import add_items
from annotation.studies.setup import create_study
from annotation.studies.wording import current_texts
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from tests import make
from tests.annotation.places import assert_places_add_up
from tests.annotation.stored import NEW_ORIGINAL, Given, Step, Stored, allowed, awaited, stored

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
THE_SAME, OTHERS = 8, int(os.environ.get("STATE_MACHINE_EXAMPLES", "200"))
N_GROUPS, PER_GROUP = 5, 3  # of the pairs that count; there are two more originals for checks and practice


# The machine ------------------------------------------------------------------------------------------------------

settings_of_a_study = st.fixed_dictionaries(
    {
        "goal": st.sampled_from([1, 1, 1, 2, 3]),  # few places: people meet
        "session_size": st.integers(1, 9),
        "person_limit": st.none() | st.integers(4, 14),
        "window": st.integers(1, 4),
        "spacing": st.integers(0, 3),
        "side": st.sampled_from(Study.SideRule.values),
        "n_practice": st.integers(0, 2),
        "n_warm_up": st.integers(0, 2),
        "n_checks": st.integers(0, 2),
        "repeat_percent": st.sampled_from([0, 20, 50, 50]),
        "repeat_distance": st.sampled_from([1, 1, 2, 4]),
        "stops_adaptively": st.booleans(),
        "core_percent": st.sampled_from([0, 20, 100]),
    }
)
# A second session is planned when the first has ended: what became of a pair decides whether it is repeated.
MANY_REPEATS = {"session_size": 4, "person_limit": 14, "repeat_percent": 50, "repeat_distance": 1}
MANY_REPEATS |= {"n_practice": 0, "n_warm_up": 0, "n_checks": 0}
shape = st.tuples(st.integers(1, N_GROUPS), st.integers(1, PER_GROUP))
which = st.integers(0, 11)
GROUPS, VERSIONS = [f"g{k}" for k in range(N_GROUPS)], [f"v{k}" for k in range(PER_GROUP)]
scores = st.integers(1, 10)
NO_SCORES = st.sampled_from([0, 11, -3, None, "7", 7.5, True])


@dataclass
class Turn:
    """What somebody was told."""

    status: int
    acknowledgements: list[dict[str, Any]] = field(default_factory=list)
    leases: list[str] = field(default_factory=list)
    is_finished: bool = False


class Studio(RuleBasedStateMachine):
    # Made once; each example begins with them and leaves nothing behind.
    project: Project
    studies: list[Study]  # with every pair that a study may have
    members: list[User]
    logged_in: list[Client]  # the members' browsers
    lots: Random  # what seeds are drawn from, so that an example can be run again

    def __init__(self) -> None:
        super().__init__()
        self._example = transaction.atomic()
        self._example.__enter__()
        self.said: dict[int, list[tuple[UUID, int]]] = {}  # what was acknowledged of an assignment, in order
        self.planned: dict[int, int] = {}  # how long a person's session was to be while pairs were drawn for it
        self.browsers: dict[int, Client] = {}
        self.before = self.now = stored()

    def teardown(self) -> None:
        for study in self.now.studies.values():
            assert_places_add_up(study)
        transaction.set_rollback(True)
        self._example.__exit__(None, None, None)

    # Setting up

    @initialize(
        settings=st.tuples(*[settings_of_a_study] * 3),
        shapes=st.tuples(*[shape] * 3),
        repeats=st.booleans(),
        luck=st.integers(0, 2**20),
        people=st.lists(st.tuples(st.integers(0, 2), st.none() | st.sampled_from([0, 1])), max_size=4),
    )
    def begin(self, settings: Any, shapes: Any, repeats: bool, luck: int, people: Any) -> None:
        """One campaign with both modes, and a second one with HA1, over the same pairs."""
        self.lots.seed(luck)
        for study, chosen, shape in zip(self.studies, settings, shapes, strict=True):
            self.reshape(study, chosen, *shape)
        if repeats:
            Study.objects.filter(pk=self.studies[0].pk).update(**MANY_REPEATS)
        self.look()
        # A member in HA2 and, in another campaign, in HA1 over the same originals; somebody who came by a link; others.
        for which, member in [(0, 0), (2, 0), (0, None), *people]:
            self.join(which, member, by_page=False)

    def reshape(self, study: Study, settings: dict[str, Any], n_groups: int, per_group: int) -> None:
        """These settings, so many originals in so many versions, and the pairs at other places of the ring."""
        Study.objects.filter(pk=study.pk).update(**settings)
        kept = Q(group__in=GROUPS[:n_groups], pair__method__in=VERSIONS[:per_group]) | ~Q(role=Item.Role.MAIN)
        study.items.exclude(kept).delete()
        items = list(study.items.order_by("pk"))
        for item in items:
            item.shuffle = self.lots.randrange(RING)
            item.goal = settings["goal"] if item.role == Item.Role.MAIN else 0
        Item.objects.bulk_update(items, ["shuffle", "goal"])

    # Steps: coming in

    @rule(which=which, member=st.none() | st.sampled_from([0, 1]), by_page=st.booleans())
    def join(self, which: int, member: int | None, by_page: bool) -> None:
        study = self.study(which)
        known = set(self.now.people)
        code = self.come_in(study, member, by_page)
        Participation.objects.filter(instructed_at=None).update(instructed_at=timezone.now())
        self.look()
        new = set(self.now.people) - known
        if code is not None:
            assert not new
            assert code in self.reasons_to_refuse(study, member), code
            assert self.now.n_annotators - self.before.n_annotators <= int(member is not None)
            return
        for pk in new:
            self.assert_can_finish(pk)

    def come_in(self, study: Study, member: int | None, by_page: bool) -> str | None:
        """By the page or by the verb; why not, or None for whoever takes part now."""
        if by_page:
            client = Client() if member is None else self.logged_in[member]
            if member is None:
                page = reverse("annotation:join", args=[standing_invitation(study).token])
            else:
                page = reverse("annotation:take-part", args=[study.public_id])
            reply = client.post(page, {"agree": "on", "consent": current_texts(study)["consent"].edition})
            return None if reply.status_code == 302 else reply.context["refused"]
        text = current_texts(study)["consent"]
        try:
            if member is None:
                join_by_invitation(standing_invitation(study), agreed_to=text)
            else:
                join_as_member(study, self.members[member].pk, agreed_to=text)
        except CannotJoin as cannot:
            return cannot.code
        return None

    def reasons_to_refuse(self, study: Study, member: int | None) -> set[str]:
        mine = Participation.objects.filter(campaign=study.campaign_id, annotator__user=self.members[member or 0])
        if member is not None and (begun := mine.first()):
            return {"other_study"} if begun.study_id != study.pk else set()
        if not study.is_open:
            return {"closed"}
        wanting = study.items.wanting_ratings().exists()
        assert wanting or not self.now.left_behind(study.pk)  # nobody is turned away from that
        if member is None:
            return set() if wanting else self.reason_without_places(study)
        # Somebody who takes part elsewhere and for whom all that is left is spoilt.
        return {"seen"} if wanting else self.reason_without_places(study)

    def reason_without_places(self, study: Study) -> set[str]:
        """Whether what is not answered is held, and may come free, or nothing is left to answer."""
        rows = [each for each in self.now.given.values() if self.now.people[each.person].study_id == study.pk]
        waits = any(
            each.is_held and each.purpose == "main" and self.now.items[each.item].state == "open" for each in rows
        )
        return {"held"} if waits else {"full"}

    def assert_can_finish(self, pk: int) -> None:
        """Whoever begins a session holds all of it, which is as much as there was."""
        row = self.now.people[pk]
        held = [each for each in self.now.of(pk) if each.is_held]
        assert held
        assert len(held) == row.n_planned - row.n_answered
        assert row.n_planned == self.planned[pk] or not allowed(self.now, pk)

    @precondition(lambda self: any(each.finished_at for each in self.now.people.values()))
    @rule(which=which)
    def begin_another(self, which: int) -> None:
        ended = sorted(pk for pk, row in self.now.people.items() if row.finished_at)
        self.go_on(ended[which % len(ended)])

    def go_on(self, pk: int) -> None:
        person = Participation.objects.select_related("study").get(pk=pk)
        further = n_further(person)
        self.planned[person.pk] = person.n_answered + further if further else person.n_planned
        with suppress(CannotJoin):
            begin_another_session(person)
        self.look()
        row = self.now.people[person.pk]
        if further and row.finished_at is None:
            self.assert_can_finish(person.pk)
        elif further:
            assert not allowed(self.now, person.pk)

    # Steps: seeing and answering

    @precondition(lambda self: self.now.people)
    @rule(which=which, lease=which, how=st.sampled_from(["page", "end", "request", "turn", "verb"]))
    def serve(self, which: int, lease: int, how: str) -> None:
        person = self.person(which)
        if how in ("page", "end"):
            name = "rate" if how == "page" else "end"
            assert self.browser(person).get(reverse(f"annotation:{name}", args=[person.public_id])).status_code < 400
        elif how == "request":
            assert self.send(person, []).status == 200
        elif how == "turn":
            take_turn(person, [])
        else:
            next_pairs(person)
        self.look()
        self.assert_nobody_waits_in_vain(person.pk)
        if (mine := self.now.of(person.pk)) and how == "request":
            self.paint(person, mine[lease % len(mine)])

    def paint(self, person: Participation, chosen: Given) -> None:
        self.send(person, [], painted=str(chosen.public_id))
        self.look()
        painted = self.now.given[chosen.pk].painted_at
        assert (painted is not None) == (chosen.served_at is not None)  # before: the turn may serve it anew
        assert chosen.painted_at in (None, painted)

    @precondition(lambda self: self.now.people)
    @rule(which=which, lease=which, score=scores, by_page=st.booleans(), returned=st.booleans())
    def answer(self, which: int, lease: int, score: int, by_page: bool, returned: bool) -> None:
        """An answer to any pair that was ever sent to this person: held, returned meanwhile, or answered."""
        person = self.person(which)
        sent = [each for each in self.now.of(person.pk) if each.served_at]
        if returned:  # to whomever it was sent
            sent = [each for each in self.now.given.values() if each.served_at and each.returned_at] or sent
        if not sent:
            return
        chosen = sent[lease % len(sent)]
        person = Participation.objects.get(pk=chosen.person)
        key = uuid4()
        if by_page:
            form = {"key": key, "assignment": chosen.public_id, "score": score}
            status = self.browser(person).post(reverse("annotation:rate", args=[person.public_id]), form).status_code
            # What is said to practice stands on a page of its own, where there is no script.
            assert status in ({200, 302} if chosen.purpose == Purpose.PRACTICE else {302})
        else:
            turn = self.send(person, [self.as_sent(chosen, score, key)])
            assert turn.status == (409 if chosen.answered_at else 200)
        if not chosen.answered_at:
            self.said[chosen.pk] = [(key, score)]
        self.look()
        self.assert_nobody_waits_in_vain(person.pk)

    @precondition(lambda self: self.now.people)
    @rule(which=which, n=st.integers(2, 9), score=scores)
    def rate_on(self, which: int, n: int, score: int) -> None:
        """Pair after pair, as the page does: painted, then answered, the next ones in the reply."""
        person = self.person(which)
        turn = self.send(person, [])
        for _ in range(n):
            if not turn.leases:
                break
            [given] = Assignment.objects.filter(public_id=turn.leases[0])
            key = uuid4()
            turn = self.send(person, [self.as_sent(given, score, key)], painted=str(given.public_id))
            assert turn.status == 200
            self.said[given.pk] = [(key, score)]
        self.look()
        self.assert_nobody_waits_in_vain(person.pk)

    @precondition(lambda self: self.now.people)
    @rule(which=which, bad=NO_SCORES, score=scores, late=st.booleans())
    def answer_several(self, which: int, bad: Any, score: int, late: bool) -> None:
        """All that is on the screen in one request, or all that ever was, with an answer among them that is none."""
        person = self.person(which)
        held = [each for each in self.now.of(person.pk) if each.served_at and not each.answered_at]
        held = [each for each in held if late or each.is_held]
        keys = [uuid4() for _ in held]
        answers = [self.as_sent(each, score, key) for each, key in zip(held, keys, strict=True)]
        answers.insert(len(answers) // 2, make.answer(str(uuid4()), bad))
        turn = self.send(person, answers)
        assert [each["status"] for each in turn.acknowledgements].count("stored") == len(held)
        assert turn.status == 400
        self.said |= {each.pk: [(key, score)] for each, key in zip(held, keys, strict=True)}
        self.look()
        self.assert_nobody_waits_in_vain(person.pk)

    @precondition(lambda self: self.said)
    @rule(which=which, revision=which)
    def say_it_again(self, which: int, revision: int) -> None:
        """The same key once more: the same acknowledgement, and nothing new."""
        chosen = self.now.given[sorted(self.said)[which % len(self.said)]]
        said = self.said[chosen.pk]
        number = revision % len(said)
        key, score = said[number]
        person = Participation.objects.get(pk=chosen.person)
        [acknowledged] = self.send(person, [self.as_sent(chosen, score, key, revises=number > 0)]).acknowledgements
        assert acknowledged["status"] == "stored"
        assert (acknowledged["key"], acknowledged["score"]) == (str(key), said[-1][1])
        self.look()

    @precondition(lambda self: self.now.people)
    @rule(which=which, lease=which, score=scores)
    def revise(self, which: int, lease: int, score: int) -> None:
        person = self.person(which)
        if not (mine := self.now.of(person.pk)):
            return
        answered = [each for each in self.now.given.values() if each.answered_at]
        self.change_mind(answered[lease % len(answered)] if answered and lease > 2 else mine[lease % len(mine)], score)

    def change_mind(self, chosen: Given, score: int) -> None:
        key, person = uuid4(), Participation.objects.get(pk=chosen.person)
        study = self.now.studies[person.study_id]
        turn = self.send(person, [self.as_sent(chosen, score, key, revises=True)])
        [acknowledged] = turn.acknowledgements
        if not chosen.answered_at:
            assert (turn.status, acknowledged["code"]) == (409, "not_rated")
        elif person.finished_at or study.state == Study.State.CLOSED:
            assert (turn.status, acknowledged["code"]) == (409, "revisions_ended")
        else:
            assert (turn.status, acknowledged["score"]) == (200, score)
            self.said[chosen.pk].append((key, score))
        self.look()

    @precondition(lambda self: any(each.served_at for each in self.now.given.values()))
    @rule(lease=which, kind=st.sampled_from(Report.Kind.values))
    def skip(self, lease: int, kind: str) -> None:
        """Of pairs that were ever sent, answered ones only where there is no other."""
        sent = [each for each in self.now.given.values() if each.served_at and not each.answered_at]
        sent = sent or [each for each in self.now.given.values() if each.served_at]
        self.skip_this(sent[lease % len(sent)], kind)

    @rule(which=which, skips=st.lists(st.booleans(), min_size=4, max_size=9), score=scores)
    def skip_some_and_rate_on(self, which: int, skips: list[bool], score: int) -> None:
        """From the beginning into a second session, where repeats of what was skipped would have come."""
        self.two_begin(which)
        if not self.now.people:
            return
        person = Participation.objects.get(pk=max(self.now.people))
        for is_skipped in skips:
            leases = self.send(person, []).leases
            self.look()
            if not leases:
                break
            [given] = [each for each in self.now.given.values() if str(each.public_id) == leases[0]]
            if is_skipped:
                self.skip_this(given, Report.Kind.OTHER)
            else:
                self.answer_this(given, score)
            if self.now.people[person.pk].finished_at:
                self.go_on(person.pk)

    def answer_this(self, given: Given, score: int) -> None:
        key = uuid4()
        self.send(Participation.objects.get(pk=given.person), [self.as_sent(given, score, key)])
        self.said[given.pk] = [(key, score)]
        self.look()

    def skip_this(self, chosen: Given, kind: str) -> None:
        """It goes at once and for good, with whatever repeat of it was planned."""
        person = Participation.objects.get(pk=chosen.person)
        turn = self.send(person, [self.as_sent(chosen, None, uuid4(), skips=kind)])
        self.look()
        if chosen.answered_at:
            assert (turn.status, turn.acknowledgements[0]["code"]) == (409, "already_rated")
        else:
            assert (turn.status, turn.acknowledgements[0]["status"]) == (200, "stored")
            assert self.now.given[chosen.pk].skipped_at
            assert str(chosen.public_id) not in turn.leases
        self.assert_nobody_waits_in_vain(person.pk)

    # Steps: what must leave no trace

    @precondition(lambda self: self.said)
    @rule(which=which, lease=which, score=scores, bad=NO_SCORES, revises=st.booleans())
    def send_what_is_refused(self, which: int, lease: int, score: int, bad: Any, revises: bool) -> None:
        self.answer_for_somebody_else(which, lease, score, revises)
        self.answer_off_the_scale(which, bad, revises)
        self.use_a_key_twice(which, lease, score, revises)
        self.knock_at_a_strangers_door(which, lease)

    def answer_for_somebody_else(self, which: int, lease: int, score: int, revises: bool) -> None:
        person = self.person(which)
        others = [each for each in self.now.given.values() if each.person != person.pk]
        others = [each for each in others if each.answered_at is None or revises] or others
        chosen = others[lease % len(others)] if others else None
        named = str(chosen.public_id) if chosen else str(uuid4())
        turn = self.send(person, [make.answer(named, score, revises=revises)])
        assert (turn.status, turn.acknowledgements[0]["code"]) == (404, "unknown_assignment")
        self.look()

    def answer_off_the_scale(self, which: int, score: Any, revises: bool) -> None:
        chosen = list(self.now.given.values())[which % len(self.now.given)]
        person = Participation.objects.get(pk=chosen.person)
        turn = self.send(person, [make.answer(str(chosen.public_id), score, revises=revises)])
        assert (turn.status, turn.acknowledgements[0]["code"]) == (400, "invalid_score")
        self.look()

    def use_a_key_twice(self, which: int, lease: int, score: int, revises: bool) -> None:
        """A verb that is refused leaves everything as it was, leases included."""
        chosen = list(self.now.given.values())[lease % len(self.now.given)]
        keys = [key for pk, said in self.said.items() if pk != chosen.pk for key, _ in said]
        if not keys or (chosen.answered_at and not revises) or (revises and not chosen.answered_at):
            return
        assignment = Assignment.objects.get(pk=chosen.pk)
        with pytest.raises(AnswerRefused, match="key has already been used"):
            make.rating(assignment, score, key=keys[which % len(keys)], revises=revises)
        self.look()
        assert self.now.given == self.before.given

    def knock_at_a_strangers_door(self, which: int, by_cookie_of: int) -> None:
        person, other = self.person(which), self.person(by_cookie_of)
        client = Client() if person == other else make.browser(other)  # by the cookie alone
        url = reverse("annotation:answer", args=[person.public_id])
        for each in self.now.of(person.pk)[:1]:
            reply = client.post(url, {"answers": [make.answer(str(each.public_id))]}, content_type="application/json")
            assert reply.status_code == 404
        self.look()
        assert self.now.given == self.before.given

    # Steps: time, and what researchers do

    @precondition(lambda self: self.now.people)
    @rule(which=which, everybody=st.booleans(), n_looks=st.integers(0, 2))
    def let_time_run_out(self, which: int, everybody: bool, n_looks: int) -> None:
        """The first look at what was left behind returns what was never painted, the second one the rest."""
        person = self.person(which)
        late = (
            Participation.objects.filter(study=person.study_id)
            if everybody
            else Participation.objects.filter(pk=person.pk)
        )
        late.update(leased_until=timezone.now() - timedelta(minutes=1))
        self.look()
        for _ in range(n_looks):
            self.return_expired(person.study_id)

    @precondition(lambda self: self.now.people)
    @rule(which=which, lease=which, score=scores, somebody_looks=st.booleans(), comes_back=st.booleans())
    def answer_late(self, which: int, lease: int, score: int, somebody_looks: bool, comes_back: bool) -> None:
        """What happens to whoever goes for lunch with a pair on the screen."""
        self.serve(which, lease, "request")
        self.let_time_run_out(which, everybody=False, n_looks=2)
        if somebody_looks:
            self.serve(lease, 0, "turn")
        if comes_back:  # gets others for those that are lost, then answers both
            self.serve(which, 0, "turn")
            self.answer_several(which, 11, score, late=True)
        else:
            self.answer(which, lease, score, by_page=False, returned=True)

    @rule(which=which, score=scores, comes=st.sampled_from(["to rate on", "to rate on", "new", "as a member"]))
    def outlast(self, which: int, score: int, comes: str) -> None:
        """All the others go away for good, with all that is still wanted; who comes then gets what they leave."""
        if comes == "to rate on":
            self.two_begin(which)
        study = self.study(which)
        if not (people := [pk for pk, row in self.now.people.items() if row.study_id == study.pk]):
            return
        study.items.rated().update(goal=F("n_held"))
        others = Participation.objects.filter(pk__in=people).exclude(pk=max(people))
        others.update(leased_until=timezone.now() - timedelta(minutes=1))
        self.look()
        if comes == "to rate on":
            self.want_one_more(max(people))
            self.rate_on(sorted(self.now.people).index(max(people)), 20, score)
        else:
            self.join(which, 1 if comes == "as a member" else None, by_page=False)

    def want_one_more(self, pk: int) -> None:
        """Another pair for one that its person skips."""
        self.send(Participation.objects.get(pk=pk), [])
        self.look()
        for shown in [each for each in self.now.of(pk) if each.is_held and each.served_at][:1]:
            self.skip_this(shown, Report.Kind.OTHER)

    def two_begin(self, which: int) -> None:
        """In a study that wants two more of every pair."""
        study = self.study(which)
        if study.state in STEPS[Study.State.OPEN]:
            change_state(study, Study.State.OPEN)
        study.items.rated().update(goal=F("n_held") + 2)
        self.look()
        self.join(which, None, by_page=False)
        self.join(which, None, by_page=False)

    @precondition(lambda self: self.now.people)
    @rule(which=which, score=scores)
    def end_with_one_too_many(self, which: int, score: int) -> None:
        """A pair that is withdrawn is made up for, and put back: its person holds more than is left of the session."""
        person = self.person(which)
        n_left = person.n_planned - person.n_answered
        if n_left > person.study.window:
            self.rate_on(which, n_left - person.study.window, score)
        for each in [each for each in self.now.of(person.pk) if each.is_held][-1:]:
            Item.objects.filter(pk=each.item).update(state=Item.State.WITHDRAWN)
            self.look()
            self.serve(which, 0, "turn")
            Item.objects.filter(pk=each.item).update(state=Item.State.OPEN)
            self.look()
            self.rate_on(which, 20, score)

    @rule(which=which, n=which, member=st.none() | st.sampled_from([0, 1]), score=scores)
    def find_one_original_left(self, which: int, n: int, member: int | None, score: int) -> None:
        """Who comes into a study that has nearly all its answers is given no second version of what is left."""
        study = self.study(which)
        study.items.rated().exclude(group=GROUPS[n % 3]).update(goal=F("n_held"))
        study.items.filter(group=GROUPS[n % 3], goal__gt=0).update(goal=F("n_held") + 1)
        self.look()
        self.join(which, member, by_page=False)
        people = [pk for pk, row in self.now.people.items() if row.study_id == study.pk]
        if people:
            self.rate_on(sorted(self.now.people).index(people[n % len(people)]), 9, score)

    @precondition(lambda self: self.said)
    @rule(which=which, score=scores, opens_again=st.booleans())
    def close_on_second_thoughts(self, which: int, score: int, opens_again: bool) -> None:
        """An answer stands once the study is closed, and can be changed when it is open again."""
        chosen = self.now.given[sorted(self.said)[which % len(self.said)]]
        study = Study.objects.get(pk=self.now.people[chosen.person].study_id)
        if study.state in STEPS[Study.State.CLOSED]:
            change_state(study, Study.State.CLOSED)
        self.look()
        self.change_mind(chosen, score)
        if opens_again:
            change_state(study, Study.State.OPEN)
            self.look()
            self.change_mind(chosen, score)

    def return_expired(self, study: int) -> None:
        n_held = sum(each.is_held for each in self.now.given.values())
        n_returned = return_expired_leases(study)
        self.look()
        assert n_held - sum(each.is_held for each in self.now.given.values()) == n_returned
        if n_returned == 0:
            assert not self.now.left_behind(study)
        returned = [each for each in self.now.given.values() if each.returned_at and self.before.given[each.pk].is_held]
        if any(not each.painted_at for each in returned):  # what was on a screen waits a little longer
            assert not any(each.painted_at for each in returned)

    @rule(
        which=which,
        what=st.sampled_from(["pause", "open", "open", "close", "goal", "enough", "more", "withdraw", "restore"]),
        n=which,
    )
    def manage(self, which: int, what: str, n: int) -> None:
        study = self.study(which)
        states = {"pause": Study.State.PAUSED, "open": Study.State.OPEN, "close": Study.State.CLOSED}
        item = sorted(self.now.items)[(which * 12 + n) % len(self.now.items)]
        if what in states and study.state in STEPS[states[what]]:
            change_state(study, states[what])
        elif what == "goal":
            Study.objects.filter(pk=study.pk).update(goal=1 + n % 4)
            study.items.rated().update(goal=1 + n % 4)
        elif what == "enough":  # of all originals but one
            study.items.rated().exclude(group=GROUPS[n % 3]).update(goal=F("n_held"))
        elif what == "more":
            add_items(study, Pair.objects.filter(group__in=GROUPS[: 1 + n % N_GROUPS]))
        elif what == "withdraw":
            Item.objects.filter(pk=item).update(state=Item.State.WITHDRAWN)
        elif what == "restore":
            Item.objects.filter(study=study).update(state=Item.State.OPEN)
        self.look()

    @precondition(lambda self: len(self.now.people) > 2)
    @rule(which=which, is_sure=st.integers(0, 2))
    def erase(self, which: int, is_sure: int) -> None:
        if is_sure < 2:  # rarely, so that people stay to do something
            return
        person = self.person(which)
        mine = [each.pk for each in self.now.of(person.pk)]
        browser = self.browser(person)
        erase_participation(person)
        self.said = {pk: said for pk, said in self.said.items() if pk not in mine}
        assert browser.get(reverse("annotation:rate", args=[person.public_id])).status_code == 404
        self.look()
        assert not any(each in self.now.given for each in mine)

    # What must hold

    def all_rules_hold(self) -> None:
        self.all_that_was_acknowledged_is_there_once()
        self.places_add_up()
        self.only_late_answers_pass_a_goal()
        self.answers_are_counted()
        self.nobody_holds_more_than_they_need()
        self.nothing_comes_twice()
        self.versions_come_again_only_where_originals_are_few()
        self.each_draw_takes_what_the_first_rule_allows_with_the_fewest_holders()
        self.checks_and_practice_are_shown_where_there_are_some()
        self.repeats_are_of_what_was_rated()
        self.what_was_skipped_is_gone()
        self.purposes_fit_the_items()
        self.nobody_judges_a_picture_alone_whose_original_they_know()
        self.what_stands_still_gives_nothing_new()

    def all_that_was_acknowledged_is_there_once(self) -> None:
        kept = {pk: [(key, score) for _, key, score in rows] for pk, rows in self.now.revisions.items()}
        assert kept == self.said
        for rows in self.now.revisions.values():
            assert [number for number, *_ in rows] == list(range(1, len(rows) + 1))
        for each in self.now.given.values():
            assert each.score == (self.said[each.pk][-1][1] if each.pk in self.said else None)
            assert (each.answered_at is not None) == (each.pk in self.said)
            assert each.is_late == ((each.returned_at is not None) if each.answered_at else None)

    def places_add_up(self) -> None:
        counting = [each for each in self.now.given.values() if each.purpose == "main"]
        rated = Counter(each.item for each in counting if each.answered_at)
        held = Counter(each.item for each in counting if each.is_held)
        for pk, item in self.now.items.items():
            assert (item.n_rated, item.n_held) == (rated[pk], rated[pk] + held[pk]), f"item {pk}"

    def only_late_answers_pass_a_goal(self) -> None:
        """A lowered goal leaves what is held; from there on nothing but late answers is added."""
        n_late, n_before = self.n_late(self.now), self.n_late(self.before)
        for item in self.now.items.values():
            late = n_late[item.pk] - n_before[item.pk]
            had = self.before.items[item.pk].n_held if item.pk in self.before.items else 0
            assert item.n_held <= max(item.goal, had + late), f"item {item.pk} passes its goal"

    @staticmethod
    def n_late(state: Stored) -> Counter[int]:
        """Late answers that count, by item."""
        return Counter(each.item for each in state.given.values() if each.is_late and each.purpose == "main")

    def answers_are_counted(self) -> None:
        for pk, person in self.now.people.items():
            assert person.n_answered == sum(each.answered_at is not None for each in self.now.of(pk))
            assert len([each.position for each in self.now.of(pk)]) == len({each.position for each in self.now.of(pk)})

    def nobody_holds_more_than_they_need(self) -> None:
        step = Step(self.before, self.now)
        gained = {each.person for each in step.new_ones() + step.taken_again()}
        for pk, person in self.now.people.items():
            held = [each for each in self.now.of(pk) if each.is_held]
            if person.finished_at:
                assert not held
            elif pk in gained:  # a pair that is put back may make one too many
                can_be_shown = [each for each in held if self.now.items[each.item].state == Item.State.OPEN]
                assert len(can_be_shown) <= person.n_planned - person.n_answered

    def nothing_comes_twice(self) -> None:
        for pk, person in self.now.people.items():
            mine = self.now.of(pk)
            assert len({(each.item, each.occurrence) for each in mine}) == len(mine)
            distance = self.now.studies[person.study_id].repeat_distance
            for again in mine:
                if again.occurrence == 0:
                    assert again.purpose != "repeat"
                    continue
                [first] = [each for each in mine if each.item == again.item and each.occurrence == 0]
                assert (again.purpose, first.purpose) == ("repeat", "main")
                assert again.position - first.position >= distance

    def versions_come_again_only_where_originals_are_few(self) -> None:
        for new in Step(self.before, self.now).new_ones():
            if new.purpose not in ("main", "warm_up"):
                continue
            earlier = [each for each in self.now.of(new.person) if each.position < new.position]
            if self.now.group(new) in {self.now.group(each) for each in earlier}:
                study = self.now.people[new.person].study_id
                planned = self.planned[new.person]
                assert self.now.n_originals(study) < planned, f"{new.reason}: position {new.position}"

    def each_draw_takes_what_the_first_rule_allows_with_the_fewest_holders(self) -> None:
        step = Step(self.before, self.now)
        for new in step.new_ones():
            item, said = self.now.items[new.item], f"position {new.position}: {new.reason}"
            rank = step.rank(new.person, item, new.position)
            if new.purpose in ("check", "practice"):
                assert rank == NEW_ORIGINAL or not step.of_new_originals(new.person, item.role), said
            elif new.purpose == "warm_up" and new.draw_n_held is None:  # of those that want no rating
                assert rank == NEW_ORIGINAL or not step.sated(new.person, new.position), said
            elif new.purpose in ("main", "warm_up"):
                wanting = [(step.rank(new.person, each, new.position), each) for each in step.wanting(new.person)]
                assert not [each for before, each in wanting if before < rank], said
                if new.reason == "new original":
                    held = [self.before.items[each.pk].n_held for before, each in wanting if before == rank]
                    assert new.draw_n_held is not None
                    assert min(held, default=new.draw_n_held) >= new.draw_n_held, said

    def checks_and_practice_are_shown_where_there_are_some(self) -> None:
        step = Step(self.before, self.now)
        for new in step.new_ones():
            person = self.now.people[new.person]
            study = self.now.studies[person.study_id]
            plan = SessionPlan(
                self.planned[person.pk], *[getattr(study, each.name) for each in fields(SessionPlan)[1:]]
            )
            role = purpose_at(plan, person.seed, new.position)
            if role in ("check", "practice") and new.purpose != role:
                assert not step.of_new_originals(person.pk, role), f"position {new.position}: {new.purpose}"

    def repeats_are_of_what_was_rated(self) -> None:
        """Or will be: a repeat is not planned, nor taken up again, of a pair that was given back."""
        step = Step(self.before, self.now)
        for again in step.new_ones() + step.taken_again():
            if again.occurrence:
                [first] = [
                    each for each in self.now.of(again.person) if (each.item, each.occurrence) == (again.item, 0)
                ]
                was = self.before.given.get(first.pk)
                assert not (was and was.is_given_up and first.is_given_up and was.returned_at == first.returned_at)

    def what_was_skipped_is_gone(self) -> None:
        for each in self.now.given.values():
            was = self.before.given.get(each.pk)
            if each.skipped_at:
                assert each.returned_at
                others = [other for other in self.now.of(each.person) if other.item == each.item]
                assert all(other.skipped_at or other.answered_at for other in others)
            if was and was.skipped_at:
                assert (each.skipped_at, each.returned_at, each.served_at) == (
                    was.skipped_at, was.returned_at, was.served_at
                )  # fmt: skip

    def purposes_fit_the_items(self) -> None:
        for new in Step(self.before, self.now).new_ones():
            item = self.now.items[new.item]
            role = new.purpose if new.purpose in ("check", "practice") else "main"
            assert item.role == role
            assert item.state == Item.State.OPEN or new.purpose == "repeat"

    def nobody_judges_a_picture_alone_whose_original_they_know(self) -> None:
        for pk in self.now.people:
            if self.now.mode(pk) == "HA2":
                continue
            for alone in self.now.of(pk):
                for beside in self.now.elsewhere(pk, "HA2"):
                    if self.now.group(beside) == self.now.group(alone) and beside.served_at:
                        # The original came afterwards, when there was nothing left to judge.
                        assert alone.served_at is None or alone.served_at < beside.served_at
                        assert not alone.is_held

    def what_stands_still_gives_nothing_new(self) -> None:
        for each in self.now.given.values():
            study = self.now.people[each.person].study_id
            before = self.before.given.get(each.pk)
            was_open = study not in self.before.studies or self.before.studies[study].is_open
            if not was_open and not self.now.studies[study].is_open:
                assert before is not None
                assert before.served_at == each.served_at

    def assert_nobody_waits_in_vain(self, person: int) -> None:
        """Who was shown nothing has done all of their session, or there was nothing that they may see."""
        row = self.now.people[person]
        study = self.now.studies[row.study_id]
        if row.n_answered >= row.n_planned:
            assert row.finished_at
            return
        held = [each for each in self.now.of(person) if each.is_held and self.is_shown(each)]
        if not study.is_open or self.before.people[person].finished_at:
            return
        if held:
            if len(held) < min(study.window, row.n_planned - row.n_answered):
                assert not allowed(self.now, person)
            return
        note(f"person {person} holds nothing")
        assert not allowed(self.now, person)
        # Not even what others hold whose time has run out.
        assert row.finished_at or not self.now.left_behind(study.pk) - {person}
        if row.finished_at:
            assert not awaited(self.now, person)

    def is_shown(self, given: Given) -> bool:
        """Whether a pair that is held can be seen."""
        study = self.now.studies[self.now.people[given.person].study_id]
        return self.now.items[given.item].state == Item.State.OPEN and (study.is_open or given.served_at is not None)

    # Helpers

    def look(self) -> None:
        """Read everything anew and hold it against the rules and against what was there before."""
        self.before, self.now = self.now, stored()
        for pk, row in self.now.people.items():
            if pk not in self.before.people:
                of_study = [each for each in self.now.items.values() if each.study_id == row.study_id]
                n_open = sum(each.state == Item.State.OPEN for each in of_study)
                self.planned[pk] = min(self.now.studies[row.study_id].session_size, n_open)
            elif self.before.people[pk].finished_at is None:
                self.planned[pk] = self.before.people[pk].n_planned
        self.all_rules_hold()

    def study(self, which: int) -> Study:
        return Study.objects.get(pk=self.studies[which % len(self.studies)].pk)

    def person(self, which: int) -> Participation:
        people = sorted(self.now.people)
        return Participation.objects.select_related("study").get(pk=people[which % len(people)])

    def browser(self, person: Participation) -> Client:
        """By log-in for a member, by the cookie for whoever came by a link."""
        if person.pk not in self.browsers:
            user = person.annotator.user_id
            known = [member.pk for member in self.members]
            self.browsers[person.pk] = self.logged_in[known.index(user)] if user else make.browser(person)
        return self.browsers[person.pk]

    @staticmethod
    def as_sent(given: Given | Assignment, score: Any, key: UUID, **fields: Any) -> dict[str, Any]:
        return make.answer(str(given.public_id), score, key=str(key), **fields)

    def send(self, person: Participation, answers: list[Any], **more: Any) -> Turn:
        url = reverse("annotation:answer", args=[person.public_id])
        reply = self.browser(person).post(url, {"answers": answers} | more, content_type="application/json")
        body = reply.json()
        leases = [each["assignment"] for each in body["leases"]]
        return Turn(reply.status_code, body["acknowledgements"], leases, body["finished"])


def made(campaign: Campaign, mode: str) -> Study:
    """An open study with every pair that one may have, some of which its rules favour."""
    pairs = Pair.objects.filter(group__in=GROUPS)
    study = create_study(campaign.project, campaign=campaign, mode=mode, name=mode, pairs=pairs, stops_adaptively=True)
    roles = [(Item.Role.CHECK, 7), (Item.Role.CHECK, None), (Item.Role.PRACTICE, None)]
    for pair, (role, instructed) in zip(Pair.objects.exclude(group__in=GROUPS).order_by("pk"), roles, strict=True):
        Item.objects.create(
            study=study, pair=pair, group=pair.group, goal=0, shuffle=0, role=role, instructed_score=instructed,
            expected_low=2, expected_high=4,
        )  # fmt: skip
    change_state(study, Study.State.OPEN)
    study.items.rated().update(is_core=True)
    study.items.rated().filter(pair__method="v0").update(priority=0.5, is_core=False)
    standing_invitation(study)
    return study


@pytest.mark.parametrize("n_examples", [THE_SAME, pytest.param(OTHERS, marks=pytest.mark.long)])
def test_each_rating_is_kept_once_and_each_pair_goes_to_the_right_person_in_any_order(
    monkeypatch: pytest.MonkeyPatch, n_examples: int
) -> None:
    lots = Random(0)
    monkeypatch.setattr("annotation.models.studies.secrets", SimpleNamespace(randbits=lots.getrandbits))
    project = make.project()
    picture = make.image(project)
    for group in GROUPS:
        for version in VERSIONS:
            make.pair(project, group=group, original=picture, method=version)
    for group, version in (("c0", "v0"), ("c1", "v0"), ("c0", "v1")):
        make.pair(project, group=group, original=picture, method=version)
    first, second = [Campaign.objects.create(project=project, slug=slug, name=slug) for slug in "ab"]
    Studio.project, Studio.lots = project, lots
    Studio.studies = [made(first, "HA2"), made(first, "HA1"), made(second, "HA1")]
    Studio.members = [make.member(project), make.member(project)]
    Studio.logged_in = [Client(), Client()]
    for client, member in zip(Studio.logged_in, Studio.members, strict=True):
        client.force_login(member)
    run_state_machine_as_test(
        Studio,
        settings=profile(
            max_examples=n_examples,
            stateful_step_count=40,
            derandomize=n_examples == THE_SAME,
            print_blob=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # A failing example is made smaller only where there is time: each try takes a session of several people.
            phases=[Phase.generate, *([Phase.shrink] if n_examples != THE_SAME else [])],
        ),
    )
