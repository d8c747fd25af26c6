"""When somebody is asked to look: enough answers first, thresholds of the study, and never for being slow."""

from typing import Any

import pytest

from annotation.watching.flags import flags_of, in_words, proposes_no_pay

STUDY = {
    "residual": 1.5,
    "usual_fast_share": 0.02,
    "usual_hidden_share": 0.0,
    "usual_commonest_share": 0.3,
    "usual_rho": 0.7,
    "checks": {"n": 40, "n_failed": 4},
}


def card(**fields: Any) -> dict[str, Any]:
    """Of somebody about whom there is nothing to say."""
    return {
        "n": 60,
        "longest_run": 4,
        "entropy": 2.8,
        "commonest_share": 0.2,
        "checks": {"n": 4, "n_failed": 0},
        "instructions": {"n": 2, "n_failed": 0},
        "practice": {"n": 3, "n_failed": 3},
        "repeats": {"n": 6, "mean_difference": 0.8, "within_1": 0.9},
        "time": {"n": 60, "median": 6.0, "fast_share": 0.05},
        "hidden": {"n": 60, "share": 0.1},
        "course": {"n": 60, "drift": 0.4, "drift_se": 0.4, "seconds_first": 8.0, "seconds_last": 3.0},
        "others": {"n": 60, "rho": 0.6, "low": 0.4, "high": 0.75, "reason": None},
    } | fields


def test_ordinary_people_are_not_flagged() -> None:
    assert flags_of(card(), STUDY) == {}


@pytest.mark.parametrize(
    ("reason", "fields", "sentence"),
    [
        (
            "failed_instructions",
            {"instructions": {"n": 2, "n_failed": 2}},
            "2 of 2 times another score was chosen than the question asked for in words.",
        ),
        (
            "failed_checks",
            {"checks": {"n": 4, "n_failed": 3}},
            "3 of 4 checks were rated outside the expected range; the others fail less than two thirds as often.",
        ),
        (
            "inconsistent",
            {"repeats": {"n": 6, "mean_difference": 3.1, "within_1": 0.2}},
            (
                "6 pairs were rated twice, 3.1 points apart on average; different people would be about 2.5 "
                "apart at one and a half times the study's deviation."
            ),
        ),
        (
            "fast",
            {"time": {"n": 60, "median": 0.8, "fast_share": 0.9}},
            "90 % of 60 answers took less than a third of the study's median time; flagged above 20 %.",
        ),
        (
            "hidden",
            {"hidden": {"n": 60, "share": 0.8}},
            "With 80 % of 60 answers the page was in the background for a second or more; flagged above 50 %.",
        ),
        (
            "straight_lining",
            {"longest_run": 60, "entropy": 0.0, "commonest_share": 1.0},
            (
                "The same score 60 times in a row among 60 ratings; flagged from 8, which usual raters here "
                "reach by chance once in a hundred sessions."
            ),
        ),
        (
            "drift",
            {"course": {"n": 60, "drift": -2.5, "drift_se": 0.4}},
            (
                "The last third is rated -2.5 points against the first, compared with the others' mean; flagged "
                "beyond 1.2."
            ),
        ),
        (
            "disagrees",
            {"others": {"n": 60, "rho": 0.05, "low": -0.2, "high": 0.3, "reason": None}},
            (
                "Correlation with the mean of the others on 60 pairs 0.05, at most 0.30 with 95 % confidence; "
                "flagged below 0.35, half of what is usual here."
            ),
        ),
    ],
)
def test_each_reason_comes_with_evidence_in_words(reason: str, fields: dict[str, Any], sentence: str) -> None:
    found = flags_of(card(**fields), STUDY)
    assert {each: in_words(each, evidence) for each, evidence in found.items()} == {reason: sentence}


@pytest.mark.parametrize(
    "fields",
    [
        {"instructions": {"n": 1, "n_failed": 1}},
        {"checks": {"n": 1, "n_failed": 1}},
        {"repeats": {"n": 4, "mean_difference": 9.0, "within_1": 0.0}},
        {"time": {"n": 19, "median": 0.1, "fast_share": 1.0}},
        {"hidden": {"n": 19, "share": 1.0}},
        {"n": 19, "longest_run": 19, "entropy": 0.0},
        {"n": 19, "repeats": {"n": 6, "mean_difference": 9.0, "within_1": 0.0}},
        {"n": 19, "time": {"n": 40, "median": 0.1, "fast_share": 1.0}},
        {"n": 19, "hidden": {"n": 40, "share": 1.0}},
        {"course": {"n": 29, "drift": 9.0, "drift_se": 0.1}},
        {"others": {"n": 19, "rho": -0.9, "low": -1.0, "high": -0.7, "reason": None}},
    ],
)
def test_below_the_minimum_number_nothing_is_flagged(fields: dict[str, Any]) -> None:
    assert flags_of(card(**fields), STUDY) == {}


@pytest.mark.parametrize(
    ("fields", "study"),
    [
        ({"checks": {"n": 4, "n_failed": 3}}, {"checks": {"n": 40, "n_failed": 30}}),
        ({"repeats": {"n": 6, "mean_difference": 3.1, "within_1": 0.2}}, {"residual": 2.5}),
        ({"time": {"n": 60, "median": 2.0, "fast_share": 0.4}}, {"usual_fast_share": 0.3}),
        ({"hidden": {"n": 60, "share": 0.8}}, {"usual_hidden_share": 0.4}),
        ({"longest_run": 12}, {"usual_commonest_share": 0.9}),
        ({"course": {"n": 60, "drift": 1.5, "drift_se": 0.2}}, {"residual": 2.5}),
        ({"others": {"n": 60, "rho": 0.2, "low": -0.1, "high": 0.3, "reason": None}}, {"usual_rho": 0.4}),
    ],
)
def test_what_is_usual_in_a_study_is_not_flagged_there(fields: dict[str, Any], study: dict[str, Any]) -> None:
    assert flags_of(card(**fields), STUDY) != {}
    assert flags_of(card(**fields), STUDY | study) == {}


def test_slow_answers_are_never_flagged() -> None:
    slow = card(time={"n": 60, "median": 600.0, "fast_share": 0.0})
    assert flags_of(slow, STUDY) == {}


def test_a_study_with_too_few_people_to_have_a_usual_way_flags_nobody_for_it() -> None:
    unusual = card(longest_run=60, others={"n": 60, "rho": -0.5, "low": -0.7, "high": -0.2, "reason": None})
    assert flags_of(unusual, STUDY | {"usual_commonest_share": None, "usual_rho": None}) == {}


def test_only_two_instructions_not_followed_are_a_ground_not_to_pay() -> None:
    worst = card(n=60, checks={"n": 4, "n_failed": 4}, longest_run=60, time={"n": 60, "median": 0.1, "fast_share": 1.0})
    assert not proposes_no_pay(worst)
    assert not proposes_no_pay(card(instructions={"n": 2, "n_failed": 1}))
    assert proposes_no_pay(card(instructions={"n": 2, "n_failed": 2}))
