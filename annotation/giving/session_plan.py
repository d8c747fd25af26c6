"""What one session holds: how many pairs of each purpose, from what the study asks and the session has room for."""

from dataclasses import dataclass

from datasets.refusals import Refusal

LEAST_COUNTED = 0.5  # of a session; less would be spent on everything but the study


class CannotPlan(Refusal):
    """These numbers fit no study; the message says which to change."""


@dataclass(frozen=True)
class SessionPlan:
    """What one person sees in a session of `size` pairs. Only main pairs count towards a goal."""

    size: int
    n_practice: int = 0
    n_warm_up: int = 0
    n_checks: int = 0
    repeat_percent: int = 0
    repeat_distance: int = 20  # positions from a pair to its repeat, at least

    @property
    def n_repeats(self) -> int:
        return self.size * self.repeat_percent // 100

    @property
    def n_main(self) -> int:
        return self.size - self.n_beside

    @property
    def n_beside(self) -> int:
        """Pairs that are shown and do not count."""
        return self.n_practice + self.n_warm_up + self.n_checks + self.n_repeats

    # What a session holds in the end. One of few pairs has no room for all that was wanted: what counts comes first.

    @property
    def n_opening(self) -> int:
        """Practice and warm-up: half of the session at most."""
        return min(self.n_practice + self.n_warm_up, self.size // 2)

    @property
    def n_checks_shown(self) -> int:
        """With the repeats, half of what follows the opening at most."""
        return min(self.n_checks, (self.size - self.n_opening) // 2)

    @property
    def n_repeats_sought(self) -> int:
        return min(self.n_repeats, (self.size - self.n_opening) // 2 - self.n_checks_shown)

    @property
    def n_counted(self) -> int:
        """Pairs that count."""
        n_rest = self.size - self.n_opening
        n_repeats = min(self.n_repeats_sought, max(0, n_rest - self.repeat_distance))  # none before its distance
        return n_rest - self.n_checks_shown - n_repeats

    def check(self) -> None:
        """Raises CannotPlan where too little of a session would count."""
        if self.n_main < self.size * LEAST_COUNTED or self.n_main < 1:
            raise CannotPlan(
                f"Of {self.size} pairs in a session, practice ({self.n_practice}), warm-up ({self.n_warm_up}), checks "
                f"({self.n_checks}) and repeats ({self.n_repeats}) leave {max(self.n_main, 0)} that count; at least "
                "half must. Make the session longer, or these fewer."
            )
