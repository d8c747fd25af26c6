"""The life of a study: set up, filled with pairs, opened, paused, closed."""

import random
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.text import slugify

from annotation.models.people import Invitation
from annotation.models.studies import RING, Campaign, Item, Study, StudyText
from annotation.wording import current_texts, standard_wording
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode

State = Study.State
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
    """A draft study over these pairs, in the standard wording where none is given."""
    if campaign.studies.filter(mode=mode).exists():
        raise NotPossible(f"{campaign} already has an {mode} study; choose another campaign.")
    study = Study.objects.create(campaign=campaign, mode=mode, name=name, **settings)
    write_texts(study, standard_wording(mode) | dict(wording or {}))
    add_items(study, pairs.filter(project=project))
    return study


@transaction.atomic
def write_texts(study: Study, wording: Mapping[str, str]) -> None:
    """Store what differs from the current texts: a draft's text is replaced, one that was shown gets a new version."""
    study = _locked(study)
    current = current_texts(study)
    for kind, body in wording.items():
        text = current.get(kind)
        if text is None:
            text = StudyText(study=study, language=study.language, kind=kind)
        elif text.body == body:
            continue
        elif text.shown_at:
            text = StudyText(study=study, language=study.language, kind=kind, version=text.version + 1)
        text.body = body
        text.save()
    if study.has_begun:
        _mark_shown(study)


def _locked(study: Study) -> Study:
    """The study as it is now. Its texts must not change between being opened and being marked as shown."""
    return Study.objects.select_for_update(of=("self",)).get(pk=study.pk)


def add_items(study: Study, pairs: QuerySet[Pair]) -> int:
    """Put pairs into a study, each at a random place on the ring; pairs that are in it already stay as they are."""
    if study.mode == Mode.HA2 and pairs.filter(original=None).exists():
        raise PairsDoNotFit("HA2 shows the original beside the anonymized picture, but some of these pairs have none.")
    before = study.items.count()
    places = random.Random(study.seed + before)
    batch: list[Item] = []
    for pair in pairs.order_by("pk").only("pk", "group").iterator(chunk_size=2000):
        batch.append(Item(study=study, pair=pair, group=pair.group, goal=study.goal, shuffle=places.randrange(RING)))
        if len(batch) == 2000:
            Item.objects.bulk_create(batch, ignore_conflicts=True)
            batch.clear()
    Item.objects.bulk_create(batch, ignore_conflicts=True)
    return study.items.count() - before


def further_pairs(study: Study) -> QuerySet[Pair]:
    """The project's pairs that would fit into a study but are not in it: of the sources, methods and scopes it holds.

    What the researcher left out at first stays out. A study that is empty yet takes any kind.
    """
    others = other_pairs(study)
    if study.mode == Mode.HA2:
        others = others.exclude(original=None)
    kinds = study.items.order_by().values("pair__source", "pair__method", "pair__scope").distinct()
    held = Q()
    for kind in kinds:
        held |= Q(source=kind["pair__source"], method=kind["pair__method"], scope=kind["pair__scope"])
    return others.filter(held)


def other_pairs(study: Study) -> QuerySet[Pair]:
    """All of the project's pairs that are not in the study."""
    return Pair.objects.filter(project=study.project).exclude(items__study=study)


@transaction.atomic
def delete_draft(study: Study) -> None:
    """Take a study back that was never open. Its campaign stays, free for another study of this mode."""
    locked = _locked(study)
    if locked.has_begun:
        raise NotPossible("This study has been open; close it instead. Only a draft can be deleted.")
    locked.delete()


@transaction.atomic
def change_state(study: Study, state: str) -> None:
    """Open, pause or close a study. People who hold pairs may still answer them."""
    _locked(study)
    if state not in STEPS:
        raise NotPossible("Choose whether to open, pause or close the study.")
    if state == State.OPEN and not study.items.exists():
        raise NotPossible("This study has no pairs; import pairs and add them first.")
    stamps: dict[str, Any] = {}
    if state == State.OPEN:
        stamps["opened_at"] = study.opened_at or Now()
    elif state == State.CLOSED:
        stamps["closed_at"] = Now()
    ready = Study.objects.filter(pk=study.pk, state__in=STEPS[State(state)])
    if not ready.update(state=state, **stamps):  # somebody else may have changed it a moment ago
        study.refresh_from_db(fields=["state"])
        raise NotPossible(f"This study is {study.get_state_display()}; it cannot become {State(state).label}.")
    study.refresh_from_db()
    if state == State.OPEN:
        _mark_shown(study)


def _mark_shown(study: Study) -> None:
    """Whoever comes in now reads the current texts: from here on they never change."""
    current = [text.pk for text in current_texts(study).values()]
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
