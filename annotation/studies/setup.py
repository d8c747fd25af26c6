"""A study is set up: its campaign, the draft, its wording, and the pairs it begins with."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.text import slugify

from annotation.models.studies import Campaign, Study
from annotation.studies.filling import fill_later
from annotation.studies.history import NotPossible
from annotation.studies.pairs import PAIRS_AT_ONCE, Kinds, add_items, check_fit, pairs_of_kinds
from annotation.studies.wording import STANDARD_LANGUAGE, standard_wording, write_texts
from datasets.audit import record
from datasets.closing import hold_open
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.models.pictures import Pair
from datasets.models.projects import Project


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
    **settings: Any,
) -> Study:
    """A draft over these pairs, all put in while one waits: nobody sees it half filled."""
    pairs = pairs.filter(project=project)
    check_fit(mode, pairs)
    study = begin_study(campaign, mode=mode, name=name, wording=wording, **settings)
    add_items(study, pairs)
    return study


@transaction.atomic
def begin_study(
    campaign: Campaign,
    *,
    mode: str,
    name: str,
    wording: Mapping[str, str] | None = None,
    by: AbstractBaseUser | None = None,
    **settings: Any,
) -> Study:
    """A draft that has no pairs yet, in the standard wording where none is given and its language is English."""
    hold_open(campaign.project)
    if campaign.studies.filter(mode=mode).exists():
        raise NotPossible(f"{campaign} already has an {mode} study; choose another campaign.")
    study = Study.objects.create(campaign=campaign, mode=mode, name=name, **settings)
    record(What.STUDY_MADE, by=by, on=study, project=campaign.project, after={"mode": mode})
    standard = standard_wording(mode, asks_cues=study.asks_cues) if study.language == STANDARD_LANGUAGE else {}
    if words := standard | dict(wording or {}):
        write_texts(study, words, by=by)
    return study


def set_up_study(
    project: Project,
    *,
    campaign: Campaign | str,
    mode: str,
    name: str,
    kinds: Kinds = (),
    by: AbstractBaseUser | None = None,
    at_once: int = PAIRS_AT_ONCE,
    **settings: Any,
) -> tuple[Study, Job | None]:
    """A draft over the project's pairs of these kinds, in this campaign or a new one of this name.

    With the job that fills it, where there are more than are put in at once: until that has ended nobody can open it.
    Else all is there, or nothing was made.
    """
    pairs = pairs_of_kinds(project, kinds)
    check_fit(mode, pairs)
    with transaction.atomic():
        chosen = begin_campaign(project, campaign) if isinstance(campaign, str) else campaign
        study = begin_study(chosen, mode=mode, name=name, by=by, **settings)
        if pairs.count() > at_once:
            return study, fill_later(study, kinds, by=by, at_once=at_once)
        add_items(study, pairs)
    return study, None
