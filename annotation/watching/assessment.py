"""How people rated: one card of figures each, and flags for a person to look at, computed in the background.

A card's figures are of everybody who has not withdrawn, whatever was decided about them: what is decided of one person
does not change another's card. `assess` only reads; the job stores what it finds.

Figures of a card, None where undefined (scoring/measures/conduct.py says what each is):
n                              ratings that count
bias, bias_reason              against the others, with inconsistency and intervals
others                         leave-one-out correlation
checks, instructions, practice n and n_failed; n_skipped, which were not answered and are in neither
repeats                        consistency with oneself
time, hidden                   n and shares of answers, practice left out; the median of seconds
longest_run, entropy           of the ratings that count, in order
commonest_share                of the score given most often
course                         the last third against the first
alpha, alpha_without           of the study, with this person and without
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np
from django.db.models.functions import Now
from django.utils import timezone

from annotation.models.people import Participation
from annotation.models.quality import Card, Flag
from annotation.models.ratings import Assignment, Report
from annotation.models.studies import Item, Study
from annotation.watching.answers import NO_ROWS, PURPOSES, Answers, answers_of, answers_until
from annotation.watching.background import checks_studies
from annotation.watching.flags import MIN_PEOPLE, MIN_RATINGS, flags_of
from datasets.jobs import Attempt
from scoring.measures import conduct

KIND = "assess_quality"
PEOPLE_AT_ONCE = 50  # cards per transaction, for which these people wait

Purpose = Assignment.Purpose


@dataclass(frozen=True)
class Assessment:
    study: dict[str, Any]
    people: dict[int, dict[str, Any]]  # by participation


def assess(study: Study, *, cutoff: datetime | None = None) -> Assessment:
    """The figures of a study and of everybody who has answered in it, by what was said until the cutoff (now).

    Whoever has answered nothing and skipped a check has a card too.
    """
    cutoff = cutoff or timezone.now()
    answers = answers_until(study, cutoff)
    people = {person: _own_figures(its) for person, its in answers.by_person()}
    together = _compare_with_others(answers.of(Purpose.MAIN), people)
    _count_checks(answers, study, people)
    _compare_repeats(answers, people)
    figures = together | _study_figures(answers, people)
    _count_skips(study, cutoff, people)
    for card in people.values():
        card["alpha"] = figures["alpha"]
    return Assessment(figures, people)


def _own_figures(answers: Answers) -> dict[str, Any]:
    """What can be said of a person without the others; what needs them is filled in later."""
    main, timed = answers.of(Purpose.MAIN), answers.where(answers.purpose != PURPOSES.index(Purpose.PRACTICE))
    seconds = timed.seconds[~np.isnan(timed.seconds)]
    hidden = timed.hidden[~np.isnan(timed.hidden)]
    n_of_score = np.unique(main.score, return_counts=True)[1]
    return {
        "n": len(main.score),
        "longest_run": conduct.longest_run(main.score),
        "entropy": conduct.entropy(main.score) if len(main.score) else None,
        "commonest_share": float(n_of_score.max() / n_of_score.sum()) if len(main.score) else None,
        "time": {"n": len(seconds), "median": _median(seconds), "fast_share": None},
        "hidden": {"n": len(hidden), "share": _share(hidden >= conduct.HIDDEN_SECONDS)},
        "bias": None,
        "bias_reason": "no_pairable_values",
        "others": asdict(conduct.leave_one_out(np.empty(0), np.empty(0))),
        "course": asdict(conduct.course(np.empty(0), np.empty(0))),
        "alpha_without": None,
        "repeats": asdict(conduct.self_consistency([], [])),
        **{name: {"n": 0, "n_failed": 0, "n_skipped": 0} for name in ("checks", "instructions", "practice")},
    }


def _compare_with_others(main: Answers, people: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Fills in each person's figures against the others; returns those of all together."""
    if not len(main.score):
        return {"n_ratings": 0, "alpha": None, "residual": None}
    persons, person = np.unique(main.participation, return_inverse=True)
    _, item = np.unique(main.item, return_inverse=True)
    found, reason = conduct.biases(item, person, main.score)
    alpha, without = conduct.alphas_without(item, person, main.score)
    others = conduct.means_of_others(item, main.score)
    ends = np.append(np.unique(person, return_index=True)[1], len(person))
    for k, pk in enumerate(persons):
        own = slice(ends[k], ends[k + 1])
        people[int(pk)] |= {
            "bias": asdict(found[k]) if found else None,
            "bias_reason": reason,
            "others": asdict(conduct.leave_one_out(main.score[own], others[own])),
            "course": asdict(conduct.course(main.score[own] - others[own], main.seconds[own])),
            "alpha_without": None if np.isnan(without[k]) else float(without[k]),
        }
    return {"n_ratings": len(main.score), "alpha": alpha, "residual": conduct.pooled_residual(item, main.score)}


def _count_checks(answers: Answers, study: Study, people: dict[int, dict[str, Any]]) -> None:
    serving = study.items.exclude(role=Item.Role.MAIN).in_bulk()
    for purpose in (Purpose.CHECK, Purpose.PRACTICE):
        asked = answers.of(purpose)
        for pk, item, score in zip(asked.participation, asked.item, asked.score, strict=True):
            if (expects := serving.get(int(item))) and (passed := expects.passes(score)) is not None:
                tally = people[int(pk)][_kind(purpose, expects)]
                tally["n"] += 1
                tally["n_failed"] += not passed


def _count_skips(study: Study, cutoff: datetime, people: dict[int, dict[str, Any]]) -> None:
    """Checks and practice pairs that somebody chose not to rate."""
    skipped = Report.objects.with_known_answer().not_withdrawn().of_study(study)
    nothing = answers_of(NO_ROWS)
    for report in skipped.filter(assignment__skipped_at__lte=cutoff).select_related("assignment__item"):
        given = report.assignment
        card = people.setdefault(given.participation_id, _own_figures(nothing))
        card[_kind(given.purpose, given.item)]["n_skipped"] += 1


def _kind(purpose: str, item: Item) -> str:
    if purpose == Purpose.PRACTICE:
        return "practice"
    return "checks" if item.instructed_score is None else "instructions"


def _compare_repeats(answers: Answers, people: dict[int, dict[str, Any]]) -> None:
    again = answers.of(Purpose.REPEAT)
    first = answers.where((answers.purpose == PURPOSES.index(Purpose.MAIN)) & np.isin(answers.item, again.item))
    scores = dict(zip(zip(first.participation, first.item, strict=True), first.score, strict=True))
    for pk, its in again.by_person():
        twice = zip(its.item, its.score, strict=True)
        pairs = [(scores[pk, item], score) for item, score in twice if (pk, item) in scores]
        if pairs:
            people[pk]["repeats"] = asdict(conduct.self_consistency(*zip(*pairs, strict=True)))


def _study_figures(answers: Answers, people: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    timed = answers.where((answers.purpose != PURPOSES.index(Purpose.PRACTICE)) & ~np.isnan(answers.seconds))
    median = _median(timed.seconds)
    for pk, own in timed.by_person():
        people[pk]["time"]["fast_share"] = _share(own.seconds < conduct.FAST * median) if median else 0.0
    cards = list(people.values())
    enough = [card for card in cards if card["n"] >= MIN_RATINGS]
    return {
        "n_people": len(people),
        "median_seconds": median,
        "usual_fast_share": _usual(card["time"]["fast_share"] for card in enough),
        "usual_hidden_share": _usual(card["hidden"]["share"] for card in enough),
        "usual_commonest_share": _usual(card["commonest_share"] for card in enough),
        "usual_rho": _usual(card["others"]["rho"] for card in enough),
        "checks": {name: sum(card["checks"][name] for card in cards) for name in ("n", "n_failed")},
    }


def _usual(values: Iterator[float | None]) -> float | None:
    """The median over people who have the figure; None of so few that nothing is usual."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if len(known) >= MIN_PEOPLE else None


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None


def _share(is_so: np.ndarray) -> float | None:
    return float(is_so.mean()) if len(is_so) else None


# In the background --------------------------------------------------------------------------------------------------


@checks_studies(KIND)
def assess_quality(attempt: Attempt, study: Study) -> dict[str, Any]:
    found = assess(study)
    people = iter(found.people.items())
    n_done = 0
    while batch := dict(islice(people, PEOPLE_AT_ONCE)):
        n_done += len(batch)
        with attempt.writing(n_done=n_done, n_total=len(found.people)):
            _store(batch, found.study)
    return found.study


def _store(cards: Mapping[int, dict[str, Any]], study: Mapping[str, Any]) -> None:
    """Write the cards and flags of those who are still there: whoever is being erased is waited for, and left out."""
    people = Participation.objects.not_withdrawn().select_for_update(no_key=True).filter(pk__in=cards)
    there = list(people.order_by("pk").values_list("pk", flat=True))
    Card.objects.bulk_create(
        [Card(participation_id=pk, figures=cards[pk], assessed_at=Now()) for pk in there],
        update_conflicts=True,
        unique_fields=["participation"],
        update_fields=["figures", "assessed_at"],
    )
    known = {(flag.participation_id, flag.reason): flag for flag in Flag.objects.filter(participation__in=there)}
    raised = {(pk, reason): evidence for pk in there for reason, evidence in flags_of(cards[pk], study).items()}
    for key, flag in known.items():
        _update(flag, raised.get(key))
    new = [
        Flag(participation_id=key[0], reason=key[1], evidence=evidence)
        for key, evidence in raised.items()
        if key not in known
    ]
    Flag.objects.bulk_create(new)


def _update(flag: Flag, evidence: dict[str, Any] | None) -> None:
    """What somebody has settled keeps the evidence that they saw."""
    flag.is_current = evidence is not None
    if evidence is not None and flag.settled_at is None:
        flag.evidence = evidence
    flag.save(update_fields=["is_current", "evidence"])
