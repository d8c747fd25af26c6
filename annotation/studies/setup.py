"""A study is set up: its campaign, the draft, and the pairs it begins with."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.text import slugify

from annotation.models.studies import Campaign, Study
from annotation.studies.history import NotPossible
from annotation.studies.pairs import PAIRS_AT_ONCE, add_items, check_fit, further_pairs, kinds_held, pairs_of_kinds
from annotation.studies.wording import STANDARD_LANGUAGE, standard_wording, write_texts
from datasets.jobs import Attempt, JobCancelled, JobFailed, handles, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode

FILL = "fill_study"  # the kind of job, see filling.py


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


def fillings(study: Study) -> Any:
    """The jobs that put pairs into the study, the latest first."""
    return Job.objects.filter(kind=FILL, project=study.campaign.project_id, arguments__study=study.pk)


AT_ONCE = PAIRS_AT_ONCE  # pairs, in one transaction of a fraction of a second
Kinds = Sequence[Sequence[str]]


def set_up_study(
    project: Project,
    *,
    campaign: Campaign | str,
    mode: str,
    name: str,
    kinds: Kinds = (),
    by: AbstractBaseUser | None = None,
    **settings: Any,
) -> tuple[Study, Job | None]:
    """A draft over the project's pairs of these kinds, in this campaign or a new one of this name.

    With the job that fills it, where there are too many to wait for: until that has ended nobody can open it. Else all
    is there at once, or nothing was made.
    """
    pairs = pairs_of_kinds(project, kinds)
    check_fit(mode, pairs)
    with transaction.atomic():
        chosen = begin_campaign(project, campaign) if isinstance(campaign, str) else campaign
        study = begin_study(chosen, mode=mode, name=name, **settings)
        if pairs.count() > AT_ONCE:
            return study, _request(study, kinds, by=by)
        add_items(study, pairs)
    return study, None


def add_further_pairs(study: Study, *, by: AbstractBaseUser | None = None) -> int | Job:
    """How many were added, or the job that adds them. While one is under way that one is the answer."""
    with transaction.atomic():
        Study.objects.select_for_update(of=("self",), no_key=True).get(pk=study.pk)  # of two clicks, the second waits
        if job := fillings(study).unfinished().first():
            return job
        if further_pairs(study).count() > AT_ONCE:
            return _request(study, kinds_held(study), by=by)
        return add_items(study, further_pairs(study), by=by)


def _request(study: Study, kinds: Kinds, *, by: AbstractBaseUser | None) -> Job:
    """For the pairs that are there now; what is imported later can be added later."""
    last = Pair.objects.filter(project=study.project).latest("pk").pk
    return queue_job(FILL, study.project, by=by, study=study.pk, kinds=[[*kind] for kind in kinds], last=last)


@handles(FILL)
def fill_study(attempt: Attempt) -> dict[str, Any]:
    study = Study.objects.select_related("campaign__project").filter(pk=attempt.arguments["study"]).first()
    if study is None:
        raise JobFailed(DELETED)
    try:
        _fill(attempt, study)
    except Study.DoesNotExist as error:
        raise JobFailed(DELETED) from error
    except JobCancelled as cancelled:
        raise JobCancelled("The pairs that were put into the study until then are kept.") from cancelled
    return {"study": str(study.public_id), "n_pairs": study.items.rated().count()}


DELETED = "The study was deleted before it was filled."


def _fill(attempt: Attempt, study: Study) -> None:
    wanted = pairs_of_kinds(study.project, attempt.arguments["kinds"])
    wanted = wanted.filter(pk__lte=attempt.arguments["last"])
    if study.mode == Mode.HA2:
        wanted = wanted.exclude(original=None)
    missing = wanted.exclude(items__study=study)
    n_total = wanted.count()
    n_held = n_total - missing.count()
    attempt.progress(n_held, n_total)
    add_items(study, missing, by=attempt.job.created_by, writing=lambda n_seen: attempt.writing(n_done=n_held + n_seen))
