"""When to ask a person to look at how somebody rated. A flag decides nothing.

Every flag needs a minimum number of answers first. Its threshold scales with the study, so that a hard study flags
nobody for being hard; and nothing here asks whether somebody was slow. `card` and `study` are the figures that
assessment.py computes; evidence is the numbers that were compared, `limit` among them.
"""

from collections.abc import Callable, Mapping
from math import ceil, log, pi, sqrt
from typing import Any

from annotation.models.quality import Flag

Figures = Mapping[str, Any]
Evidence = dict[str, Any]

MIN_RATINGS = 20  # of one's own, before anything is said of them
MIN_REPEATS = 5
MIN_FAILURES = 2
MIN_FOR_DRIFT = 30
MIN_PEOPLE = 3  # with enough ratings, for a study to have a usual way of rating
TIMES_RESIDUAL = 1.5
# Two answers of different people to one pair differ so much on average, in deviations of the pooled residual.
MEAN_DIFFERENCE = 2 / sqrt(pi)
TIMES_USUAL = 3  # the share that is usual in the study
LEAST_FAST, LEAST_HIDDEN = 0.2, 0.5  # shares
CHANCE_OF_RUN = 0.01
DRIFT_RESIDUALS, DRIFT_ERRORS = 0.75, 3


def flags_of(card: Figures, study: Figures) -> dict[str, Evidence]:
    """The reasons to look at a person, with evidence."""
    found = {reason: rule(card, study) for reason, rule in RULES.items()}
    return {str(reason): evidence for reason, evidence in found.items() if evidence is not None}


def proposes_no_pay(card: Figures) -> bool:
    """Only who was told in so many words what to choose, and twice did not, may be proposed not to be paid."""
    return card["instructions"]["n_failed"] >= MIN_FAILURES


def _failed_instructions(card: Figures, study: Figures) -> Evidence | None:
    instructions = card["instructions"]
    return dict(instructions) if instructions["n_failed"] >= MIN_FAILURES else None


def _failed_checks(card: Figures, study: Figures) -> Evidence | None:
    """More often than the others, too: a check that most people fail says something of the check."""
    checks, others = card["checks"], study["checks"]
    n_others = others["n"] - checks["n"]
    usual = (others["n_failed"] - checks["n_failed"]) / n_others if n_others else 0
    limit = TIMES_RESIDUAL * usual
    if checks["n_failed"] < MIN_FAILURES or checks["n_failed"] / checks["n"] <= limit:
        return None
    return {**checks, "limit": limit}


def _inconsistent(card: Figures, study: Figures) -> Evidence | None:
    repeats, residual = card["repeats"], study["residual"]
    if card["n"] < MIN_RATINGS or repeats["n"] < MIN_REPEATS or residual is None:
        return None
    limit = TIMES_RESIDUAL * MEAN_DIFFERENCE * residual
    return {**repeats, "limit": limit} if repeats["mean_difference"] > limit else None


def _fast(card: Figures, study: Figures) -> Evidence | None:
    return _share(card, "time", "fast_share", usual=study["usual_fast_share"], least=LEAST_FAST)


def _hidden(card: Figures, study: Figures) -> Evidence | None:
    return _share(card, "hidden", "share", usual=study["usual_hidden_share"], least=LEAST_HIDDEN)


def _share(card: Figures, of: str, name: str, *, usual: float | None, least: float) -> Evidence | None:
    figures = card[of]
    if min(card["n"], figures["n"]) < MIN_RATINGS:
        return None
    limit = max(least, TIMES_USUAL * (usual or 0))
    return {**figures, "limit": limit} if figures[name] > limit else None


def _straight_lining(card: Figures, study: Figures) -> Evidence | None:
    """A run that somebody who gives their commonest score as often as is usual here shows once in a hundred times."""
    n, usual = card["n"], study["usual_commonest_share"]
    if n < MIN_RATINGS or usual is None or usual >= 1:
        return None
    limit = ceil(log(CHANCE_OF_RUN / n) / log(usual))
    evidence = {name: card[name] for name in ("n", "longest_run", "entropy")}
    return {**evidence, "limit": limit} if card["longest_run"] >= limit else None


def _drift(card: Figures, study: Figures) -> Evidence | None:
    course, residual = card["course"], study["residual"]
    if course["n"] < MIN_FOR_DRIFT or residual is None or course["drift"] is None:
        return None
    limit = max(DRIFT_RESIDUALS * residual, DRIFT_ERRORS * course["drift_se"])
    return {**course, "limit": limit} if abs(course["drift"]) > limit else None


def _disagrees(card: Figures, study: Figures) -> Evidence | None:
    """Even the upper end of the interval is less than half of what is usual."""
    correlation, usual = card["others"], study["usual_rho"]
    if correlation["n"] < MIN_RATINGS or correlation["high"] is None or usual is None or usual <= 0:
        return None
    limit = usual / 2
    return {**correlation, "limit": limit} if correlation["high"] < limit else None


Reason = Flag.Reason
RULES: dict[Flag.Reason, Callable[[Figures, Figures], Evidence | None]] = {
    Reason.FAILED_INSTRUCTIONS: _failed_instructions,
    Reason.FAILED_CHECKS: _failed_checks,
    Reason.INCONSISTENT: _inconsistent,
    Reason.FAST: _fast,
    Reason.HIDDEN: _hidden,
    Reason.STRAIGHT_LINING: _straight_lining,
    Reason.DRIFT: _drift,
    Reason.DISAGREES: _disagrees,
}


def in_words(reason: str, evidence: Figures) -> str:
    """The evidence as a sentence for whoever decides."""
    return SENTENCES[Reason(reason)].format(**{**evidence, **_percentages(evidence)})


def _percentages(evidence: Figures) -> dict[str, str]:
    named = {name: evidence[name] for name in ("fast_share", "share", "limit", "within_1") if name in evidence}
    return {f"{name}_percent": f"{100 * value:.0f}" for name, value in named.items() if value is not None}


SENTENCES = {
    Reason.FAILED_INSTRUCTIONS: "{n_failed} of {n} times another score was chosen than the question asked for in "
    "words.",
    Reason.FAILED_CHECKS: "{n_failed} of {n} checks were rated outside the expected range; the others fail less than "
    "two thirds as often.",
    Reason.INCONSISTENT: "{n} pairs were rated twice, {mean_difference:.1f} points apart on average; different people "
    "would be about {limit:.1f} apart at one and a half times the study's deviation.",
    Reason.FAST: "{fast_share_percent} % of {n} answers took less than a third of the study's median time; flagged "
    "above {limit_percent} %.",
    Reason.HIDDEN: "With {share_percent} % of {n} answers the page was in the background for a second or more; flagged "
    "above {limit_percent} %.",
    Reason.STRAIGHT_LINING: "The same score {longest_run} times in a row among {n} ratings; flagged from {limit}, "
    "which usual raters here reach by chance once in a hundred sessions.",
    Reason.DRIFT: "The last third is rated {drift:+.1f} points against the first, compared with the others' mean; "
    "flagged beyond {limit:.1f}.",
    Reason.DISAGREES: "Correlation with the mean of the others on {n} pairs {rho:.2f}, at most {high:.2f} with 95 % "
    "confidence; flagged below {limit:.2f}, half of what is usual here.",
}
