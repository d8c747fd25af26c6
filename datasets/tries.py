"""How often one may try: passwords, codes, joins. Counted in the database, so for all processes together.

A try is counted before it is made, in one transaction with the question whether it may be, and given back where it was
right: of fifty at the same moment no more pass than may. For whom it is counted is kept as a keyed hash alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from datasets.audit import record
from datasets.jobs import repeats
from datasets.models.audit import What
from datasets.models.tries import Tally
from datasets.refusals import Refusal

FORGET_EVERY = 600  # seconds
BATCH = 500  # rows in a transaction


@dataclass(frozen=True)
class Limit:
    """So many in so many seconds, from the first of them on."""

    most: int
    seconds: float

    def wait(self, n: int, left: float) -> float:
        """Seconds until another try, after `n` that count for `left` seconds yet; 0 where it may be made now."""
        return left if n >= self.most else 0


@dataclass(frozen=True)
class Slowing:
    """A few at once; after each further one twice as long a wait as before, up to the longest. It never locks."""

    at_once: int
    longest: float  # seconds
    seconds: float  # without a try, after which all is forgotten

    def wait(self, n: int, left: float) -> float:
        if n < self.at_once:
            return 0
        pause = min(2.0 ** min(n - self.at_once, 30), self.longest)
        return max(0.0, pause - (self.seconds - left))


Rule = Limit | Slowing


@dataclass(frozen=True)
class Count:
    """Tries of one kind by one account, address or the like."""

    what: str
    whose: object
    rule: Rule
    first_of: "Count | None" = None  # of the tries that this one counts, only the first counts here

    @property
    def key(self) -> str:
        return salted_hmac("datasets.tries", f"{self.what}:{self.whose}", algorithm="sha256").hexdigest()


class TooMany(Refusal):
    """It may be tried again after `seconds`; `code` is what there were too many of."""

    status = 429

    def __init__(self, code: str, seconds: float) -> None:
        super().__init__(f"Too many tries. Try again in {ceil(seconds)} seconds.")
        self.code = code
        self.seconds = max(1, ceil(seconds))

    @property
    def minutes(self) -> int:
        return ceil(self.seconds / 60)


def look(counts: list[Count]) -> None:
    """Raise TooMany where a try would be refused; it is not counted, and nothing is written."""
    now = timezone.now()
    _allowed(counts, _current(_rows(counts), now), now)


def take(counts: list[Count]) -> list[Count]:
    """Count a try everywhere, or raise TooMany and count it nowhere. Returns where it was counted, for `give_back`."""
    if not counts:
        return []
    now = timezone.now()
    with transaction.atomic():
        held = _held(counts, now)
        counted = _allowed(counts, held, now)
        for count in counted:
            row = held[count.key]
            if not row.n or isinstance(count.rule, Slowing):
                row.ends_at = now + timedelta(seconds=count.rule.seconds)
            row.n += 1
        Tally.objects.bulk_update([held[count.key] for count in counted], ["n", "ends_at"])
    return counted


def give_back(counted: Iterable[Count]) -> None:
    """The try was right, or came to nothing."""
    with transaction.atomic():
        rows = _rows(counted).select_for_update(no_key=True).order_by("key")
        list(rows.values_list("key"))  # locked in the order in which everybody locks several
        rows.filter(n__gt=0).update(n=F("n") - 1)


def forget_all() -> int:
    """Begin to count anew, for everybody; how many counts there were."""
    record(What.UNLOCKED, by=None)
    return sum(iter(lambda: _forget(Tally.objects.all()), 0))


@repeats(every=FORGET_EVERY)
def forget_what_counts_no_more() -> None:
    while _forget(Tally.objects.filter(ends_at__lt=timezone.now())):
        pass


def _forget(rows: QuerySet[Tally]) -> int:
    """A batch of them, but for those that a try is being counted in; how many."""
    with transaction.atomic():
        batch = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:BATCH])
        Tally.objects.filter(pk__in=batch).delete()
    return len(batch)


def _rows(counts: Iterable[Count]) -> QuerySet[Tally]:
    return Tally.objects.filter(key__in=[count.key for count in counts])


def _held(counts: list[Count], now: datetime) -> dict[str, Tally]:
    """Their rows, made where there were none, and locked in one order so that nobody waits in a circle."""
    keys = sorted(count.key for count in counts)
    while True:
        Tally.objects.bulk_create([Tally(key=key, ends_at=now) for key in keys], ignore_conflicts=True)
        held = _current(_rows(counts).select_for_update(no_key=True).order_by("key"), now)
        if len(held) == len(keys):  # else one was just deleted, since it counted no more
            return held


def _current(rows: Iterable[Tally], now: datetime) -> dict[str, Tally]:
    """By their keys; what counts no more is nothing."""
    found = {row.key: row for row in rows}
    for row in found.values():
        if row.ends_at <= now:
            row.n = 0
    return found


def _allowed(counts: list[Count], rows: dict[str, Tally], now: datetime) -> list[Count]:
    """Those that the try counts for. Raises TooMany where one of them has had enough."""
    n = {key: row.n for key, row in rows.items()}
    counted = [count for count in counts if not (count.first_of and n.get(count.first_of.key))]
    waits = [
        (count.rule.wait(n[count.key], (rows[count.key].ends_at - now).total_seconds()), count.what)
        for count in counted
        if n.get(count.key)
    ]
    seconds, what = max(waits, default=(0, ""))
    if seconds > 0:
        raise TooMany(what, seconds)
    return counted
