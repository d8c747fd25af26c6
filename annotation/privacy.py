"""A person's data leaves: erased here, kept in frozen releases under a name that nobody can join to them any more."""

import re

from django.db import transaction
from django.db.models import F

from annotation.models.people import CODE_LENGTH, NameInRelease, Participation, hash_of_code, new_withdrawal_code
from annotation.models.ratings import Assignment
from annotation.models.studies import Item, Study
from datasets import ledger
from datasets.audit import By, record
from datasets.models.audit import What
from datasets.models.releases import ReleaseNotice
from datasets.traces import wipe_soon


def code_to_show(participation: Participation) -> str | None:
    """A withdrawal code for whoever has none, in groups of four as people copy it. Only its hash is kept, so that this
    is the one time it can be shown; None where there is one already."""
    code = new_withdrawal_code()
    without = Participation.objects.filter(pk=participation.pk, code_hash=None)
    if not without.update(code_hash=hash_of_code(code)):  # shown before, or by another tab a moment ago
        return None
    return "-".join(code[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def void_code(participation: Participation) -> None:
    """The next look at the person's own page makes another."""
    Participation.objects.filter(pk=participation.pk).update(code_hash=None)


def participation_with_code(code: str) -> Participation | None:
    """Whose withdrawal code this is, however it was typed: small letters, with dashes, with spaces or without."""
    typed = re.sub(r"[^0-9A-Za-z]", "", code).upper()
    return Participation.objects.select_related("study").filter(code_hash=hash_of_code(typed)).first()


@transaction.atomic
def erase_participation(participation: Participation, *, by: By = None) -> None:
    """Delete a participation with all it holds; its places go back to others, and releases of its study say so.

    The annotator goes too when this was their last participation in the project.
    """
    # In step with the person, who may be answering, or beginning in another study, at this very moment.
    held = Participation.objects.select_for_update(of=("self", "annotator")).select_related("study", "annotator")
    mine = held.get(pk=participation.pk)
    ledger.enter(mine.public_id)
    record(What.ERASED, by=by, on=mine.study, project=mine.study.project)  # never who
    had_ratings = mine.assignments.exclude(answered_at=None).exists()
    _give_places_back(mine)
    study, annotator = mine.study, mine.annotator
    mine.delete()
    NameInRelease.objects.filter(annotator=annotator, release__in=study.releases()).delete()
    if not annotator.participations.exists():
        annotator.delete()
    if had_ratings:
        _note_in_releases(study)
    wipe_soon()


@ledger.replays
def _erase_again(is_erased: ledger.IsErased) -> int:
    """Whoever came back with a backup from before their erasure."""
    known = Participation.objects.values_list("pk", "public_id").iterator()
    back = [pk for pk, public_id in known if is_erased(public_id)]
    for participation in Participation.objects.filter(pk__in=back):
        erase_participation(participation)
    return len(back)


def _give_places_back(participation: Participation) -> None:
    counting = participation.assignments.filter(purpose=Assignment.Purpose.MAIN).order_by("item_id")
    rated = list(counting.exclude(answered_at=None).values_list("item_id", flat=True))
    held = list(counting.held().values_list("item_id", flat=True))
    is_rated = set(rated)
    for item in sorted(rated + held):  # in the order in which everybody locks several
        Item.objects.filter(pk=item).update(n_held=F("n_held") - 1, n_rated=F("n_rated") - int(item in is_rated))


def _note_in_releases(study: Study) -> None:
    """In those that stand. A freeze that is under way misses the person and begins anew (freeze.py)."""
    for release in study.releases():
        ReleaseNotice.objects.create(
            release=release,
            kind=ReleaseNotice.Kind.WITHDRAWN,
            text="A person who rated in this study was erased after the release was frozen.",
        )
