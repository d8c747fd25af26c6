"""Which pairs are in a study, which would fit, and how they are put in."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, QuerySet

from annotation.models.studies import RING, Item, Study, StudyChange
from annotation.studies.history import locked_study, record_change
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode
from datasets.refusals import Refusal

PAIRS_AT_ONCE = 2000  # in one transaction of a fraction of a second, so that nobody who rates has to wait
Kinds = Iterable[Sequence[str]]  # each a source, a scope and a method


class PairsDoNotFit(Refusal):
    """The pairs cannot be rated in this study's mode."""


def check_fit(mode: str, pairs: QuerySet[Pair]) -> None:
    if mode == Mode.HA2 and pairs.filter(original=None).exists():
        raise PairsDoNotFit("HA2 shows the original beside the anonymized picture, but some of these pairs have none.")


def fitting(mode: str, pairs: QuerySet[Pair]) -> QuerySet[Pair]:
    """Those of the pairs that can be rated in this mode."""
    return pairs.exclude(original=None) if mode == Mode.HA2 else pairs


def pairs_of_kinds(project: Project, kinds: Kinds) -> QuerySet[Pair]:
    """The project's pairs of these kinds, or all of them where none is named."""
    return Pair.objects.filter(_of_kinds(kinds), project=project)


def _of_kinds(kinds: Kinds) -> Q:
    chosen = Q()
    for source, scope, method in kinds:
        chosen |= Q(source__name=source, scope=scope, method=method)
    return chosen


def add_items(
    study: Study,
    pairs: QuerySet[Pair],
    *,
    by: AbstractBaseUser | None = None,
    writing: Callable[[int], AbstractContextManager[None]] = lambda n_seen: transaction.atomic(),
    at_once: int = PAIRS_AT_ONCE,
) -> int:
    """Put pairs into a study, each at a random place on the ring; pairs that are in it already stay as they are.

    Batch by batch, each in a transaction that `writing` begins; the record of the change grows with them.
    """
    check_fit(study.mode, pairs)
    pairs = fitting(study.mode, pairs)  # not all that an import brings from now on
    places = random.Random(study.seed + study.items.count())
    before, n_seen, n_added, change = study.items.rated().count(), 0, 0, None
    for batch in _batches(pairs, at_once):
        n_seen += len(batch)
        with writing(n_seen):
            locked = locked_study(study)
            n_added += _added(locked, batch, places)
            if locked.has_begun and n_added:
                change = change or record_change(study, StudyChange.Kind.PAIRS, before=before, after=before, by=by)
                change.after = before + n_added
                change.save(update_fields=["after"])
    return n_added


def _batches(pairs: QuerySet[Pair], at_once: int) -> Iterator[list[Pair]]:
    """Each asked for anew: on SQLite nobody can begin to write while a read of theirs is open."""
    last = 0
    while batch := list(pairs.filter(pk__gt=last).order_by("pk").only("pk")[:at_once]):
        yield batch
        last = batch[-1].pk


def _in_order(batch: list[Pair]) -> QuerySet[Pair]:
    # The range is for a PostgreSQL without statistics, as below.
    nearby = Pair.objects.filter(pk__gte=batch[0].pk, pk__lte=batch[-1].pk)
    return nearby.filter(pk__in=[pair.pk for pair in batch]).order_by("pk")


def _added(study: Study, batch: list[Pair], places: random.Random) -> int:
    """How many of these pairs are new to the study, which is locked: nobody else adds them meanwhile."""
    # The range is for a PostgreSQL that has no statistics yet: by the list alone it would read the study once a batch.
    nearby = study.items.filter(pair__gte=batch[0], pair__lte=batch[-1])
    held = set(nearby.filter(pair__in=batch).values_list("pair_id", flat=True))
    # Locked, and read again: whoever merges groups meanwhile waits, or was waited for.
    groups = dict(_in_order(batch).select_for_update(no_key=True).values_list("pk", "group"))
    # The core was chosen before the first rating; what comes later never joins it.
    is_core = not (study.has_begun and study.has_core)
    made = [
        Item(
            study=study,
            pair=pair,
            group=groups[pair.pk],
            goal=study.goal,
            shuffle=places.randrange(RING),
            is_core=is_core,
        )
        for pair in batch
        if pair.pk not in held and pair.pk in groups
    ]
    Item.objects.bulk_create(made)
    return len(made)


def further_pairs(study: Study) -> QuerySet[Pair]:
    """The project's pairs that would fit into a study but are not in it: of the sources, methods and scopes it holds.

    What the researcher left out at first stays out. A study that is empty yet takes any kind.
    """
    return fitting(study.mode, other_pairs(study)).filter(_of_kinds(kinds_held(study)))


def kinds_held(study: Study) -> list[tuple[str, str, str]]:
    """Source, scope and method of the pairs that are in the study."""
    named = ("pair__source__name", "pair__scope", "pair__method")
    return list(study.items.order_by().values_list(*named).distinct())


def other_pairs(study: Study) -> QuerySet[Pair]:
    """All of the project's pairs that are not in the study."""
    return Pair.objects.filter(project=study.project).exclude(items__study=study)
