"""The life of a study: set up, filled with pairs, opened, paused, closed.

What is changed while people rate is recorded as a `StudyChange` in the transaction that changes it.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Greatest, Now
from django.utils.text import slugify

from annotation.history import locked_study, record_change
from annotation.languages import in_english
from annotation.models.people import Invitation
from annotation.models.studies import RING, Campaign, Item, Study, StudyChange, StudyText
from annotation.plans import fix_plan
from annotation.wording import STANDARD_LANGUAGE, current_texts, standard_wording, supplied_texts
from datasets.jobs import cancel_job
from datasets.models.jobs import Job
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode

State = Study.State
MAX_GOAL = 1000
BATCH = 2000  # rows at a time
FILL = "fill_study"  # the kind of job, see filling.py
# What a study may become, and from where.
STEPS = {
    State.OPEN: {State.DRAFT, State.PAUSED, State.CLOSED},
    State.PAUSED: {State.OPEN},
    State.CLOSED: {State.OPEN, State.PAUSED},
}


class NotPossible(Exception):
    """What was asked does not fit the study's state; the message says what to do."""


class PairsDoNotFit(Exception):
    """The pairs cannot be rated in this study's mode."""


def campaign_named(project: Project, name: str) -> Campaign | None:
    """The campaign of this name, or of one that reads the same in addresses."""
    same = Q(name=name) | Q(slug=_campaign_slug(name)) if _campaign_slug(name) else Q(name=name)
    return project.campaigns.filter(same).first()


def begin_campaign(project: Project, name: str) -> Campaign:
    """A new campaign, numbered in addresses where its name has no letter that they can show."""
    slug, number = _campaign_slug(name), project.campaigns.count() + 1
    if not slug:
        while project.campaigns.filter(slug=f"campaign-{number}").exists():
            number += 1
    return Campaign.objects.create(project=project, slug=slug or f"campaign-{number}", name=name)


def _campaign_slug(name: str) -> str:
    return slugify(name)[: Campaign._meta.get_field("slug").max_length]


@transaction.atomic
def create_study(
    project: Project,
    *,
    campaign: Campaign,
    mode: str,
    name: str,
    pairs: QuerySet[Pair],
    wording: Mapping[str, str] | None = None,
    **settings: int | str | bool,
) -> Study:
    """A draft study over these pairs, in the standard wording where none is given and its language is English.

    Nobody sees it half filled.
    """
    pairs = pairs.filter(project=project)
    check_fit(mode, pairs)
    study = begin_study(campaign, mode=mode, name=name, wording=wording, **settings)
    add_items(study, pairs)
    return study


@transaction.atomic
def begin_study(
    campaign: Campaign, *, mode: str, name: str, wording: Mapping[str, str] | None = None, **settings: Any
) -> Study:
    """A draft that has no pairs yet."""
    if campaign.studies.filter(mode=mode).exists():
        raise NotPossible(f"{campaign} already has an {mode} study; choose another campaign.")
    study = Study.objects.create(campaign=campaign, mode=mode, name=name, **settings)
    standard = standard_wording(mode, asks_cues=study.asks_cues) if study.language == STANDARD_LANGUAGE else {}
    if words := standard | dict(wording or {}):
        write_texts(study, words)
    return study


def check_fit(mode: str, pairs: QuerySet[Pair]) -> None:
    if mode == Mode.HA2 and pairs.filter(original=None).exists():
        raise PairsDoNotFit("HA2 shows the original beside the anonymized picture, but some of these pairs have none.")


def pairs_of_kinds(project: Project, kinds: Iterable[Sequence[str]]) -> QuerySet[Pair]:
    """The project's pairs of these kinds (source, scope, method), or all of them where none is named."""
    return Pair.objects.filter(_of_kinds(kinds), project=project)


def _of_kinds(kinds: Iterable[Sequence[str]]) -> Q:
    chosen = Q()
    for source, scope, method in kinds:
        chosen |= Q(source__name=source, scope=scope, method=method)
    return chosen


def fillings(study: Study) -> Any:
    """The jobs that put pairs into the study, the latest first."""
    return Job.objects.filter(kind=FILL, project=study.campaign.project_id, arguments__study=study.pk)


@transaction.atomic
def write_texts(study: Study, wording: Mapping[str, str], *, language: str | None = None) -> None:
    """Store what differs from the current texts: a draft's text is replaced, one that was shown gets a new version.

    Of the study's own language or of a further one, which begins with all of its texts at once: nobody reads a study in
    two languages.
    """
    study = locked_study(study)
    language = language or study.language
    current = current_texts(study, language=language)
    if missing := [kind for kind in standard_wording(study.mode) if kind not in current and kind not in wording]:
        name = in_english().get(language, language)
        raise NotPossible(f"The texts of a language come all together. Missing in {name}: {', '.join(missing)}.")
    for kind, body in wording.items():
        text = current.get(kind)
        if text is None:
            text = StudyText(study=study, language=language, kind=kind)
        elif text.body == body:
            continue
        elif text.shown_at:
            text = StudyText(study=study, language=language, kind=kind, version=text.version + 1)
        text.body = body
        text.save()
    if study.has_begun:
        _mark_shown(study)


def add_items(
    study: Study,
    pairs: QuerySet[Pair],
    *,
    by: AbstractBaseUser | None = None,
    writing: Callable[[int], AbstractContextManager[None]] = lambda n_seen: transaction.atomic(),
) -> int:
    """Put pairs into a study, each at a random place on the ring; pairs that are in it already stay as they are.

    Batch by batch, so that nobody who rates has to wait, each in a transaction that `writing` begins; the record of the
    change grows with them.
    """
    check_fit(study.mode, pairs)
    if study.mode == Mode.HA2:
        pairs = pairs.exclude(original=None)  # those that an import brings from now on
    places = random.Random(study.seed + study.items.count())
    before, n_seen, n_added, change = study.items.rated().count(), 0, 0, None
    for batch in _batches_of_pairs(pairs):
        n_seen += len(batch)
        with writing(n_seen):
            locked = locked_study(study)
            n_added += _added(locked, batch, places)
            if locked.has_begun and n_added:
                change = change or record_change(study, StudyChange.Kind.PAIRS, before=before, after=before, by=by)
                change.after = before + n_added
                change.save(update_fields=["after"])
    return n_added


def _batches_of_pairs(pairs: QuerySet[Pair]) -> Iterator[list[Pair]]:
    """Each asked for anew: on SQLite nobody can begin to write while a read of theirs is open."""
    last = 0
    while batch := list(pairs.filter(pk__gt=last).order_by("pk").only("pk", "group")[:BATCH]):
        yield batch
        last = batch[-1].pk


def _added(study: Study, batch: list[Pair], places: random.Random) -> int:
    """How many of these pairs are new to the study, which is locked: nobody else adds them meanwhile."""
    # The range is for a PostgreSQL that has no statistics yet: by the list alone it would read the study once a batch.
    nearby = study.items.filter(pair__gte=batch[0], pair__lte=batch[-1])
    held = set(nearby.filter(pair__in=batch).values_list("pair_id", flat=True))
    # The core was chosen before the first rating; what comes later never joins it.
    is_core = not (study.has_begun and has_core(study))
    made = [
        Item(
            study=study,
            pair=pair,
            group=pair.group,
            goal=study.goal,
            shuffle=places.randrange(RING),
            is_core=is_core,
        )
        for pair in batch
        if pair.pk not in held
    ]
    Item.objects.bulk_create(made)
    return len(made)


def further_pairs(study: Study) -> QuerySet[Pair]:
    """The project's pairs that would fit into a study but are not in it: of the sources, methods and scopes it holds.

    What the researcher left out at first stays out. A study that is empty yet takes any kind.
    """
    others = other_pairs(study)
    if study.mode == Mode.HA2:
        others = others.exclude(original=None)
    return others.filter(_of_kinds(kinds_held(study)))


def kinds_held(study: Study) -> list[tuple[str, str, str]]:
    """Source, scope and method of the pairs that are in the study."""
    named = ("pair__source__name", "pair__scope", "pair__method")
    return list(study.items.order_by().values_list(*named).distinct())


def other_pairs(study: Study) -> QuerySet[Pair]:
    """All of the project's pairs that are not in the study."""
    return Pair.objects.filter(project=study.project).exclude(items__study=study)


def delete_draft(study: Study) -> None:
    """Take a study back that was never open. Its campaign stays, free for another study of this mode."""
    with transaction.atomic():
        for job in fillings(_locked_draft(study)).unfinished():
            cancel_job(job)
    while _take_out(study):
        pass
    with transaction.atomic():
        _locked_draft(study).delete()


def _take_out(study: Study) -> int:
    """A batch of a draft's pairs, as they were put in: how many went."""
    with transaction.atomic():
        last = _locked_draft(study).items.order_by("-pk").values_list("pk", flat=True)[:BATCH]
        return Item.objects.filter(pk__in=list(last)).delete()[0]


def _locked_draft(study: Study) -> Study:
    locked = locked_study(study)
    if locked.has_begun:
        raise NotPossible("This study has been open; close it instead. Only a draft can be deleted.")
    return locked


@transaction.atomic
def change_state(study: Study, state: str, *, by: AbstractBaseUser | None = None, reason: str = "") -> None:
    """Open, pause or close a study. People who hold pairs may still answer them."""
    locked = locked_study(study)
    if state not in STEPS:
        raise NotPossible("Choose whether to open, pause or close the study.")
    if locked.state not in STEPS[State(state)]:  # somebody else may have changed it a moment ago
        study.refresh_from_db(fields=["state"])
        raise NotPossible(f"This study is {locked.get_state_display()}; it cannot become {State(state).label}.")
    if state == State.OPEN and not locked.has_begun and fillings(locked).unfinished().exists():
        raise NotPossible("This study is still being filled with its pairs; open it once they are all there.")
    if state == State.OPEN and not current_texts(locked):
        raise NotPossible("This study has no wording yet; write it first.")
    if state == State.OPEN and not locked.items.rated().exists():
        raise NotPossible("This study has no pairs; import pairs and add them first.")
    stamps: dict[str, Any] = {}
    if state == State.OPEN:
        stamps["opened_at"] = locked.opened_at or Now()
    elif state == State.CLOSED:
        stamps["closed_at"] = Now()
    Study.objects.filter(pk=study.pk).update(state=state, **stamps)
    record_change(study, StudyChange.Kind.STATE, before=locked.state, after=state, by=by, reason=reason)
    study.refresh_from_db()
    if state == State.OPEN:
        _mark_shown(study)
        if not locked.has_begun:
            _begin(study)


def _begin(study: Study) -> None:
    """What is decided before the first rating, and never again."""
    fix_plan(study)
    if has_core(study):
        _choose_core(study)


@transaction.atomic
def change_goal(study: Study, goal: int, *, by: AbstractBaseUser | None = None, reason: str = "") -> None:
    """Want so many ratings of each pair from now on.

    More: pairs that were complete are given out again. Fewer: no further draws; whoever holds a pair may answer it, so
    that a pair's goal never falls below what it holds. Where a study stops adaptively, only the core has this goal.
    """
    if not 1 <= goal <= MAX_GOAL:
        raise NotPossible(f"Each pair can want from 1 to {MAX_GOAL} ratings.")
    locked = locked_study(study)
    if locked.goal == goal:
        raise NotPossible(f"Each pair wants {goal} ratings already.")
    Study.objects.filter(pk=study.pk).update(goal=goal)
    items = locked.items.rated().filter(state=Item.State.OPEN)
    items = items.filter(is_core=True) if locked.stops_adaptively else items
    # People draw and return pairs meanwhile. Each row is decided by what it holds when it is reached.
    in_order(items).update(goal=Greatest(F("n_held"), Value(goal)))
    record_change(locked, StudyChange.Kind.GOAL, before=locked.goal, after=goal, by=by, reason=reason)
    study.refresh_from_db(fields=["goal"])


COMPLETION = ("completion_code", "completion_url")


def completion_of(study: Study) -> dict[str, str]:
    """What the last page gives to whoever has finished."""
    return {name: getattr(study, name) for name in COMPLETION}


@transaction.atomic
def change_completion(
    study: Study, *, completion_code: str, completion_url: str, by: AbstractBaseUser | None = None, reason: str = ""
) -> None:
    """Give another code or address on the last page, also to whoever has finished and comes back to it."""
    locked = locked_study(study)
    before, after = completion_of(locked), {"completion_code": completion_code, "completion_url": completion_url}
    if before == after:
        raise NotPossible("The last page shows this already; nothing has changed.")
    Study.objects.filter(pk=study.pk).update(**after)
    changed = [name for name in COMPLETION if before[name] != after[name]]
    said_before, said_now = ({name: said[name] for name in changed} for said in (before, after))
    record_change(locked, StudyChange.Kind.COMPLETION, before=said_before, after=said_now, by=by, reason=reason)
    study.refresh_from_db(fields=COMPLETION)


def in_order(items: QuerySet[Item]) -> QuerySet[Item]:
    """The same items, for an update of many: locked by their ids first.

    Whoever gives back several pairs locks them in the same order, so neither waits for the other in a circle.
    """
    return Item.objects.filter(pk__in=items.order_by("pk").select_for_update(no_key=True).values("pk"))


def has_core(study: Study) -> bool:
    return study.stops_adaptively or study.is_ordered_by_model


def _choose_core(study: Study) -> None:
    """A share of the originals, by lot: with all their versions they keep to the study's goal and order."""
    groups = study.items.rated().order_by().values_list("group", flat=True).distinct()
    lots = np.fromiter((_lot(study, group) for group in groups.iterator(chunk_size=BATCH)), dtype=np.uint64)
    n_core = round(len(lots) * study.core_percent / 100)
    last = np.sort(lots)[n_core - 1] if n_core else None
    outside = (group for group in list(groups) if last is None or _lot(study, group) > last)
    for batch in _batches(outside):
        study.items.filter(group__in=batch).update(is_core=False)


def _lot(study: Study, group: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{study.seed}:core:{group}".encode()).digest()[:8])


def _batches(groups: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(groups, BATCH)):
        yield batch


def _mark_shown(study: Study) -> None:
    """Whoever comes in now reads the current texts: from here on they never change."""
    current = [text.pk for texts in supplied_texts(study).values() for text in texts.values()]
    StudyText.objects.filter(pk__in=current, shown_at=None).update(shown_at=Now())


def invite(study: Study, *, kind: str = Invitation.Kind.MANY, note: str = "") -> Invitation:
    return Invitation.objects.create(study=study, kind=kind, note=note)


def standing_invitation(study: Study) -> Invitation:
    """A link for many people that is still good, made if there is none."""
    valid = study.invitations.filter(kind=Invitation.Kind.MANY, revoked_at=None)
    return valid.first() or invite(study)


def revoke_invitation(invitation: Invitation) -> None:
    """Nobody new comes in by this link, and a personal one opens nothing more; whoever has begun goes on."""
    Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(revoked_at=Now())


def studies_for(user: AbstractBaseUser) -> QuerySet[Study]:
    """Open studies a member may rate in."""
    return Study.objects.open_to(user).select_related("campaign__project")
