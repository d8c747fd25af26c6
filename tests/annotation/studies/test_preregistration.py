"""What is decided before the first rating stays known, and what is changed later stays visible."""

import json
from hashlib import sha256

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models.studies import Study, StudyChange
from annotation.studies.life import change_goal, change_state
from annotation.studies.preregistration import ExclusionRule, change_preregistration, deviations, preregistration_of
from tests import make
from tests.annotation.watching.test_flags import card
from tests.races import meanwhile

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft() -> Study:
    return make.study(is_open=False, goal=3)


def opened(study: Study) -> Study:
    change_state(study, Study.State.OPEN)
    return study


def test_opening_fixes_goal_rule_and_headline_under_a_hash(draft: Study) -> None:
    change_preregistration(draft, headline="ordinal", rule=ExclusionRule(failed_checks=2))
    plan = preregistration_of(opened(draft))
    assert plan.fixed is not None
    said = {name: plan.fixed[name] for name in ("headline", "rule", "goal", "n_pairs")}
    assert said == {"headline": "ordinal", "rule": {"failed_checks": 2}, "goal": 3, "n_pairs": 4}
    text = json.dumps(plan.fixed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert plan.sha256 == sha256(text.encode()).hexdigest()


def test_a_study_opened_again_keeps_its_first_preregistration(draft: Study) -> None:
    fixed = preregistration_of(opened(draft))
    change_state(draft, Study.State.PAUSED)
    change_preregistration(draft, headline="nominal", rule=ExclusionRule(), reason="we thought again")
    change_state(draft, Study.State.OPEN)
    again = preregistration_of(draft)
    assert (again.fixed, again.sha256, again.fixed_at) == (fixed.fixed, fixed.sha256, fixed.fixed_at)
    assert again.headline == "nominal"


def test_a_drafts_preregistration_changes_without_a_trace(draft: Study) -> None:
    change_preregistration(draft, headline="ordinal", rule=ExclusionRule(failed_checks=2))
    change_preregistration(draft, headline="interval", rule=ExclusionRule(failed_checks=3))
    assert not draft.changes.exists()
    assert preregistration_of(draft).rule == {"failed_checks": 3}


def test_changes_of_rule_and_goal_after_the_opening_are_dated_deviations(draft: Study) -> None:
    boss = make.user()
    stricter = ExclusionRule(failed_checks=2)
    change_preregistration(opened(draft), headline="interval", rule=stricter, by=boss, reason="many failed")
    change_goal(draft, 5, by=boss, reason="more money")
    change_state(draft, Study.State.PAUSED)
    found = [(each.kind, each.before, each.after, each.reason, each.changed_by) for each in deviations(draft)]
    assert found == [
        (
            StudyChange.Kind.PREREGISTRATION,
            {"headline": "interval", "rule": {}},
            {"headline": "interval", "rule": {"failed_checks": 2}},
            "many failed",
            boss,
        ),
        (StudyChange.Kind.GOAL, 3, 5, "more money", boss),
    ]


def test_saying_the_same_again_is_no_deviation(draft: Study) -> None:
    change_preregistration(opened(draft), headline="interval", rule=ExclusionRule(), reason="nothing new")
    assert not deviations(draft).exists()


def test_what_a_draft_changed_before_it_was_preregistered_is_no_deviation(draft: Study) -> None:
    change_goal(draft, 7)
    assert preregistration_of(opened(draft)).fixed["goal"] == 7  # type: ignore[index]
    assert not deviations(draft).exists()


def test_what_is_sent_while_the_study_opens_needs_a_reason(draft: Study, client: Client) -> None:
    client.force_login(make.member(draft.project))
    address = reverse("annotation:preregistration", args=[draft.public_id])
    sent = {"headline": "nominal", "failed_checks": 1}
    with meanwhile('FROM "annotation_preregistration"', lambda: Study.objects.update(opened_at=timezone.now())):
        reply = client.post(address, sent, follow=True)
    assert "say why you depart from it" in reply.content.decode()
    assert (preregistration_of(draft).headline, draft.changes.count()) == ("interval", 0)


def test_who_sends_the_same_again_is_not_told_of_a_deviation(draft: Study, client: Client) -> None:
    client.force_login(make.member(opened(draft).project))
    sent = {"headline": "interval", "reason": "none"}
    reply = client.post(reverse("annotation:preregistration", args=[draft.public_id]), sent, follow=True)
    assert "nothing has changed" in reply.content.decode()


def test_a_goal_is_departed_from_by_command_only_with_a_reason(draft: Study) -> None:
    name = f"{draft.project.slug}/{draft.campaign.slug}/{draft.mode}"
    call_command("study", name, "--goal", "4")
    opened(draft)
    with pytest.raises(CommandError, match="--reason"):
        call_command("study", name, "--goal", "5")
    draft.refresh_from_db()
    assert draft.goal == 4


@pytest.mark.parametrize(
    ("rule", "figures"),
    [
        (ExclusionRule(fewer_ratings_than=61), {}),
        (ExclusionRule(failed_checks=1), {"checks": {"n": 4, "n_failed": 1}}),
        (ExclusionRule(failed_instructions=1), {"instructions": {"n": 2, "n_failed": 1}}),
        (ExclusionRule(repeat_difference_above=0.5), {}),
        (ExclusionRule(fast_percent_above=4), {}),
        (ExclusionRule(correlation_below=0.65), {}),
    ],
)
def test_each_part_of_a_rule_sets_aside_whoever_meets_it(rule: ExclusionRule, figures: dict[str, object]) -> None:
    assert rule.sets_aside(card(**figures)) == list(rule.used())
    assert len(rule.in_words()) == 1


def test_an_empty_rule_sets_nobody_aside() -> None:
    assert ExclusionRule().sets_aside(card(checks={"n": 4, "n_failed": 4})) == []


def test_what_a_card_does_not_know_sets_nobody_aside() -> None:
    unknown = card(
        repeats={"n": 0, "mean_difference": None, "within_1": None},
        time={"n": 0, "median": None, "fast_share": None},
        others={"n": 0, "rho": None, "low": None, "high": None, "reason": "too_few_rows"},
    )
    rule = ExclusionRule(repeat_difference_above=0, fast_percent_above=0, correlation_below=1)
    assert rule.sets_aside(unknown) == []
