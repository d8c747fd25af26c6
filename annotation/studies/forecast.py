"""What a study will take, and what its figures will be worth, before anybody is asked: plain arithmetic.

Assumed is that every person rates one session, that everybody who begins finishes, and that the ratings of a pair lie
around its mean like a normal sample. Where originals are many, a person sees each of them once.
"""

from dataclasses import dataclass, replace
from math import ceil

from annotation.giving.session_plan import CannotPlan, SessionPlan
from scoring.measures.means import expected_width, reliability_of_mean

# Nobody has published single ratings of anonymity. Faces rated from 1 to 7 by 20 people (Face Research Lab London Set),
# stretched to 1-10, have a pooled deviation of 2.02 and an ICC(1) of 0.32; better to measure both in a pilot.
ASSUMED_SD = 2.0
ASSUMED_RELIABILITY = 0.3
MINUTES_AROUND = 3.0  # consent and instructions, an assumption


@dataclass(frozen=True)
class Pay:
    amount: float
    per: str  # "hour" or "session"


@dataclass(frozen=True)
class Forecast:
    n_ratings: int  # that count
    n_people: int
    n_counted: int  # pairs of a full session that count
    minutes: float  # of a full session, with what comes around it
    hours: float  # of all people together
    cost: float  # in the currency of the pay
    # Of the 95 % interval of a pair's mean, on average, from Student's t with goal - 1 degrees of freedom; in score
    # points. None where a pair has one rating.
    width: float | None
    reliability: float  # of a pair's mean


def forecast(
    *,
    n_pairs: int,
    n_originals: int,
    goal: int,
    session: SessionPlan,
    seconds: float,
    pay: Pay,
    sd: float = ASSUMED_SD,
    reliability: float = ASSUMED_RELIABILITY,
    minutes_around: float = MINUTES_AROUND,
) -> Forecast:
    """For a study of this size. `seconds` is for one answer, `sd` and `reliability` are those of one rating.

    Raises CannotPlan for numbers that fit no study.
    """
    _check(n_pairs, n_originals, goal, seconds, pay, sd, reliability, minutes_around)
    session.check()
    n_ratings = n_pairs * goal
    # A session ends where there are no more pairs; those for practice and checks are not among the pairs that count.
    session = replace(session, size=min(session.size, n_pairs + session.n_practice + session.n_checks))
    n_counted = min(session.n_counted, n_pairs)
    n_beside = session.size - n_counted
    n_people = max(ceil(n_ratings / n_counted), _fewest_people(n_pairs, n_originals, goal, session))
    n_answers = n_ratings + n_people * n_beside
    hours = (n_answers * seconds / 60 + n_people * minutes_around) / 60
    return Forecast(
        n_ratings=n_ratings,
        n_people=n_people,
        n_counted=n_counted,
        minutes=session.size * seconds / 60 + minutes_around,
        hours=hours,
        cost=pay.amount * (hours if pay.per == "hour" else n_people),
        width=expected_width(sd, goal) if goal > 1 else None,
        reliability=reliability_of_mean(reliability, goal),
    )


def _fewest_people(n_pairs: int, n_originals: int, goal: int, session: SessionPlan) -> int:
    """Nobody rates a pair twice, nor, where the originals suffice for a session, two versions of an original."""
    return goal if n_originals < session.size else goal * ceil(n_pairs / n_originals)


def _check(
    n_pairs: int, n_originals: int, goal: int, seconds: float, pay: Pay, sd: float, reliability: float, around: float
) -> None:
    wrong = {
        "There must be at least one pair.": n_pairs < 1,
        "There must be at least one original, and no more than there are pairs.": not 1 <= n_originals <= n_pairs,
        "Each pair needs at least one rating.": goal < 1,
        "An answer must take some time.": not seconds > 0,
        "The time around a session cannot be negative.": not around >= 0,
        "The pay cannot be negative.": not pay.amount >= 0,
        "Pay is per hour or per session.": pay.per not in {"hour", "session"},
        "The deviation of ratings must be above 0.": not sd > 0,
        "The reliability of one rating must be above 0 and at most 1.": not 0 < reliability <= 1,
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise CannotPlan(message)
