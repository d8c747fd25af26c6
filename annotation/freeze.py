"""A study becomes a release: what people had said by a moment in time, copied for good."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.text import slugify

from annotation.models.people import NameInRelease, Participation
from annotation.models.ratings import Cue, Revision
from annotation.models.studies import Item, Study, StudyText
from annotation.sql import fetch_all
from annotation.studies.displays import shown_pictures
from annotation.studies.preregistration import ExclusionRule, deviations, preregistration_of
from annotation.watching.assessment import assess
from annotation.watching.decisions import set_aside
from datasets.audit import record
from datasets.batches import in_batches
from datasets.content import content_hash
from datasets.jobs import Attempt, JobFailed, handles, queue_job
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Source
from datasets.models.projects import Project
from datasets.models.releases import OtherAnswer, Release
from datasets.pair_changes import hold_projects
from datasets.refusals import Refusal
from datasets.releases import (
    FORMAT,
    Names,
    ReleasedCue,
    ReleasedPair,
    ReleasedRating,
    SetAside,
    begin_release,
    discard_draft,
    finish_release,
    release_agreement,
    write_labels,
    write_other_answers,
    write_set_aside,
)
from scoring.measures.consensus import corrected_scores

LABELS_AT_ONCE = 100  # in one transaction
RATINGS_AT_ONCE = 2000  # that are set aside, in one transaction
COUNTING_RULE = (
    "The newest answer to each main assignment, given before the study was frozen, late ones included (marked), of "
    "people who have not withdrawn and whom no decision sets aside."
)


class NothingToFreeze(Refusal):
    """The study has no rating that would be released."""


class FreezeUnderWay(Refusal):
    """Another freeze of the study, with another choice, has not ended."""


@transaction.atomic
def request_freeze(study: Study, *, names_files: bool = False, by: AbstractBaseUser | None = None) -> Job:
    """Freeze what is there now; `names_files` puts the files' names as imported into labels.csv.

    While such a freeze of this study is under way that one is the answer: a second click makes no second release.
    Raises FreezeUnderWay where it is one with the other choice, and NothingToFreeze before any job is made.
    """
    Study.objects.select_for_update().get(pk=study.pk)  # of two clicks, the second finds the first one's job
    begun = Job.objects.unfinished().filter(kind="freeze_study", project=study.project, arguments__study=study.pk)
    if job := begun.first():
        if job.arguments.get("names_files", False) != names_files:
            raise FreezeUnderWay(
                "This study is being frozen at the moment, with another choice on file names. Wait for that freeze or "
                "cancel it, then try again."
            )
        return job
    if not is_freezable(study):
        raise NothingToFreeze("This study has no ratings yet; there is nothing to freeze.")
    return queue_job(
        "freeze_study", study.project, by=by, study=study.pk, cutoff=timezone.now().isoformat(), names_files=names_files
    )


def is_freezable(study: Study) -> bool:
    """Whether there is a rating that a release would hold."""
    return _used_revisions(study, timezone.now()).exists()


def doubts(study: Study, *, names_files: bool = False) -> list[str]:
    """What somebody should know before they freeze: that it would be the last version over again, and which sources
    lack what a published data set has to say of them."""
    if not is_freezable(study):
        return []  # nothing will be frozen
    sources, found = _sources(study), []
    last = Release.objects.in_force().filter(project=study.project, origins__study_id=study.public_id.hex).first()
    is_alike = last and (last.format, last.origins["sources"], last.names_files) == (FORMAT, sources, names_files)
    if last and is_alike and not _has_news(study, last):
        found.append(
            f"Nothing has changed since version {last.version}, frozen {last.frozen_at:%Y-%m-%d %H:%M} UTC. "
            "A new version would hold the same ratings."
        )
    for source in sources:
        if missing := [what for what in ("licence", "citation") if not source[what]]:
            found.append(f"The source “{source['name']}” has no {' and no '.join(missing)}.")
    return found


def _has_news(study: Study, last: Release) -> bool:
    now, cutoff = timezone.now(), datetime.fromisoformat(last.origins["cutoff"])
    used = _used_revisions(study, now)
    return (
        set_aside(study, by=now) != set_aside(study, by=cutoff)
        or used.filter(created_at__gt=cutoff).exists()
        or used.count() != last.origins["n_ratings"]
    )


def _used_revisions(study: Study, cutoff: datetime) -> QuerySet[Revision]:
    unused = set_aside(study, by=cutoff)
    return released_revisions(study, cutoff).exclude(rating__assignment__participation__in=unused)


def _sources(study: Study) -> list[dict[str, Any]]:
    sources = Source.objects.filter(pairs__items__study=study).distinct().order_by("name")
    return [dict(source) for source in sources.values("name", "licence", "citation")]


def released_revisions(study: Study, cutoff: datetime) -> QuerySet[Revision]:
    """The answers that count at a moment, as they stood then; not to pairs whose picture was removed."""
    return Revision.objects.newest_by(cutoff).counting().of_study(study).filter(**STILL_THERE)


@dataclass(frozen=True)
class _Answer:
    """One answer that counts."""

    revision: int
    item: int
    participation: int
    person: int
    score: int
    seconds: float | None  # that the first answer took
    position: int
    is_late: bool
    n_revisions: int


STILL_THERE = {"rating__assignment__item__pair__removed_at": None}


class SomebodyErased(Exception):
    """What was read of the study holds answers of a person who has been erased since, or a picture that was removed."""


@handles("freeze_study")
def freeze_study(attempt: Attempt) -> dict[str, Any]:
    """Write the release in short transactions; visible only when it is whole. A new attempt starts a new draft.

    Where somebody is erased meanwhile it is written anew: whoever is erased before the release stands is in none of it,
    and whoever is erased afterwards leaves a notice beside it.
    """
    study = Study.objects.select_related("campaign__project").get(pk=attempt.arguments["study"])
    while True:
        try:
            return _freeze(attempt, study)
        except SomebodyErased:
            with attempt.writing(n_done=0):
                _discard_drafts(attempt, study)


def _freeze(attempt: Attempt, study: Study) -> dict[str, Any]:
    cutoff = datetime.fromisoformat(attempt.arguments["cutoff"])
    # First of all: whoever is erased from here on is missed when the release is sealed.
    people = {pk for (pk,) in fetch_all(PEOPLE, study=study.pk)}
    out_by_rule = _out_by_rule(study, cutoff)
    answers, unused = _answers(study, cutoff), set(set_aside(study, by=cutoff))
    used = [each for each in answers if each.participation not in unused]
    if not used:
        raise JobFailed("No rating is left to release: everybody has withdrawn or been set aside.")
    release = _draft(attempt, study, cutoff, answers, used)
    names = Names()
    n_labels = _write(attempt, release, study, used, names)
    _write_set_aside(attempt, release, study, answers, used, names)
    _write_other_answers(attempt, release, study, cutoff, {each.participation for each in answers}, names)
    agreement = release_agreement(release, by_rule=_names(names, answers, out_by_rule))
    content = content_hash(release)
    with attempt.writing(n_done=n_labels):
        hold_projects(Project.objects.filter(pk=release.project_id))  # as whoever removes a picture does
        _hold(people, study)
        if release.n_removed():
            raise SomebodyErased
        NameInRelease.objects.bulk_create(
            NameInRelease(release=release, annotator_id=annotator, name=name)
            for annotator, name in names.people.items()
        )
        finish_release(release, agreement=agreement, content_hash=content)
        after = {"study": str(study.public_id), "labels": n_labels, "content hash": content}
        record(What.FROZEN, by=attempt.job.created_by, on=release, project=study.project, after=after)
    return {"release": release.pk, "slug": release.slug, "version": release.version, "n_labels": n_labels}


PEOPLE = """
SELECT id FROM annotation_participation WHERE study_id = %(study)s AND withdrawn_at IS NULL ORDER BY id"""

HOLD_PEOPLE = """
SELECT id FROM annotation_participation WHERE study_id = %(study)s AND withdrawn_at IS NULL ORDER BY id
{lock_from_erasure}"""


def _hold(people: set[int], study: Study) -> None:
    """Let nobody of these be erased until the transaction ends. Raises SomebodyErased where one is already.

    Whoever erases a person locks them first and looks for releases afterwards: they are either waited for here, and
    missed, or wait, and find the release. People who answer do not wait.
    """
    if not people <= {pk for (pk,) in fetch_all(HOLD_PEOPLE, study=study.pk)}:
        raise SomebodyErased


def _write_set_aside(
    attempt: Attempt, release: Release, study: Study, answers: list[_Answer], used: list[_Answer], names: Names
) -> None:
    is_used = {each.participation for each in used}
    rest = iter([each for each in answers if each.participation not in is_used])
    while batch := list(islice(rest, RATINGS_AT_ONCE)):
        items = _items(each.item for each in batch)
        cues = _cues(study, items, {each.participation for each in batch})
        with attempt.writing():
            write_set_aside(
                release,
                [
                    SetAside(
                        pair=items[each.item].pair.number,
                        group=names.group(items[each.item].pair.group),
                        annotator=names.person(each.person),
                        score=each.score,
                        cues=cues.get(each.revision, ()),
                    )
                    for each in batch
                ],
            )


def _write_other_answers(
    attempt: Attempt, release: Release, study: Study, cutoff: datetime, people: set[int], names: Names
) -> None:
    """Of these participations: whoever gave no rating that is released, used or set aside, is not in the release."""
    asked = "rating__assignment__"
    facts = {
        "pair": f"{asked}item__pair__number",
        "purpose": f"{asked}purpose",
        "occurrence": f"{asked}occurrence",
        "position": f"{asked}position",
        "is_late": "rating__is_late",
        "n_revisions": "number",
    }
    who = {"person": f"{asked}participation__annotator", "participation": f"{asked}participation"}
    others = Revision.objects.newest_by(cutoff).not_withdrawn().of_study(study).filter(**STILL_THERE)
    others = others.exclude(pk__in=released_revisions(study, cutoff).values("pk"))
    columns = {name: F(column) for name, column in (facts | who).items()}
    rows: Any = others.values("pk", "score", "rating__seconds", **columns)
    for batch in in_batches(rows, at_once=RATINGS_AT_ONCE):
        with attempt.writing():
            write_other_answers(
                release,
                [
                    OtherAnswer(
                        release=release,
                        annotator=names.person(row["person"]),
                        score=row["score"],
                        seconds=None if row["rating__seconds"] is None else round(row["rating__seconds"], 1),
                        **{name: row[name] for name in facts},
                    )
                    for row in batch
                    if row["participation"] in people
                ],
            )


def _out_by_rule(study: Study, cutoff: datetime) -> set[int] | None:
    """Whom the rule that was fixed before the first rating sets aside; None where none was."""
    fixed = preregistration_of(study).fixed
    if fixed is None:
        return None
    rule, cards = ExclusionRule.of(fixed["rule"]), assess(study, cutoff=cutoff).people
    return {participation for participation, card in cards.items() if rule.sets_aside(card)}


def _names(names: Names, answers: list[_Answer], people: set[int] | None) -> set[str] | None:
    return None if people is None else {names.person(each.person) for each in answers if each.participation in people}


def _answers(study: Study, cutoff: datetime) -> list[_Answer]:
    rows = released_revisions(study, cutoff).order_by(
        "rating__assignment__item__pair__number", "rating__assignment__participation"
    )
    values = rows.values_list(
        "pk",
        "rating__assignment__item",
        "rating__assignment__participation",
        "rating__assignment__participation__annotator",
        "score",
        "rating__seconds",
        "rating__assignment__position",
        "rating__is_late",
        "number",
    )
    return [_Answer(*row) for row in values.iterator(chunk_size=10_000)]


def _draft(attempt: Attempt, study: Study, cutoff: datetime, answers: list[_Answer], used: list[_Answer]) -> Release:
    name = f"{study.name} (simulated ratings)" if study.simulated else study.name
    with attempt.writing(n_total=len({each.item for each in used})):
        _discard_drafts(attempt, study)
        return begin_release(
            study.project,
            slug=slugify(f"{study.campaign.slug}-{study.mode}"),
            title=name,
            mode=study.mode,
            simulated=study.simulated,
            origins=_origins(attempt, study, cutoff, answers, used),
            counting_rule=COUNTING_RULE,
        )


def _discard_drafts(attempt: Attempt, study: Study) -> None:
    """What this job left so far, and jobs that failed or were cancelled on the way."""
    drafts = Release.objects.filter(project=study.project, frozen_at=None)
    others = Job.objects.unfinished().filter(project=study.project).exclude(pk=attempt.job.pk)
    at_work = set(others.values_list("pk", flat=True))
    for draft in drafts:
        if "job" in draft.origins and draft.origins["job"] not in at_work:
            discard_draft(draft)


def _origins(
    attempt: Attempt, study: Study, cutoff: datetime, answers: list[_Answer], used: list[_Answer]
) -> dict[str, Any]:
    people, people_used = ({each.person for each in some} for some in (answers, used))
    texts = StudyText.objects.filter(study=study).exclude(shown_at=None)
    return {
        "job": attempt.job.pk,
        "study": study.name,
        "study_id": study.public_id.hex,
        "language": study.language,
        "campaign": study.campaign.name,
        "goal": study.goal,
        "asks_cues": study.asks_cues,
        "names_files": attempt.arguments.get("names_files", False),
        "cutoff": cutoff.isoformat(),
        "n_annotators": len(people_used),
        "n_ratings": len(used),
        "n_set_aside": len(people - people_used),
        "plan": _preregistration(study, cutoff),
        "n_withdrawn": Participation.objects.filter(study=study).exclude(withdrawn_at=None).count(),
        "sources": _sources(study),
        "texts": list(texts.values("kind", "language", "version", "sha256", "body")),
    }


def _preregistration(study: Study, cutoff: datetime) -> dict[str, Any] | None:
    """What was fixed, and everything in which the study departed from it."""
    kept = preregistration_of(study)
    if kept.fixed is None or kept.fixed_at is None:
        return None
    changes = [
        {
            "at": each.changed_at.isoformat(),
            "what": each.kind,
            "before": each.before,
            "after": each.after,
            "why": each.reason,
        }
        for each in deviations(study).filter(changed_at__lte=cutoff)
    ]
    return {"fixed": kept.fixed, "sha256": kept.sha256, "fixed_at": kept.fixed_at.isoformat(), "deviations": changes}


def _write(attempt: Attempt, release: Release, study: Study, answers: list[_Answer], names: Names) -> int:
    n_done = 0
    pairs = _released_pairs(study, answers, names)
    while batch := list(islice(pairs, LABELS_AT_ONCE)):
        with attempt.writing(n_done=n_done + len(batch)):
            write_labels(release, batch, names=names, first_number=n_done + 1)
        n_done += len(batch)
    return n_done


def _released_pairs(study: Study, answers: list[_Answer], names: Names) -> Iterator[ReleasedPair]:
    codes, items = np.unique([each.item for each in answers], return_inverse=True)
    _, people = np.unique([each.person for each in answers], return_inverse=True)
    consensus = corrected_scores(items, people, np.array([each.score for each in answers], dtype=float))
    place = {int(item): i for i, item in enumerate(codes)}
    by_item = ((item, list(its)) for item, its in groupby(answers, key=attrgetter("item")))
    while batch := list(islice(by_item, LABELS_AT_ONCE)):
        rows = _items(item for item, _ in batch)
        cues = _cues(study, rows)
        shown = shown_pictures(study, _images(rows))
        for item, its in batch:
            i, pair = place[item], rows[item].pair
            yield ReleasedPair(
                pair=pair,
                original=shown[pair.original_id] if pair.original_id else None,
                anonymized=shown[pair.anonymized_id],
                ratings=[_released(names, answer, cues.get(answer.revision, ())) for answer in its],
                corrected=float(consensus.score[i]) if consensus.se is not None else None,
                corrected_se=float(consensus.se[i]) if consensus.se is not None else None,
                is_core=rows[item].is_core if study.has_core else None,
            )


def _items(ids: Iterable[int]) -> dict[int, Item]:
    return Item.objects.select_related("pair__original", "pair__anonymized", "pair__source").in_bulk(list(ids))


def _images(items: Mapping[int, Item]) -> Iterator[Image | None]:
    return (image for item in items.values() for image in (item.pair.original, item.pair.anonymized))


def _cues(
    study: Study, items: Mapping[int, Item], people: Collection[int] | None = None
) -> dict[int, tuple[ReleasedCue, ...]]:
    """What was marked on these items, by revision; of these participations only, where they are named."""
    if not study.asks_cues:
        return {}
    shown = shown_pictures(study, _images(items))
    drawn = Cue.objects.filter(revision__rating__assignment__item__in=items)
    if people is not None:
        drawn = drawn.filter(revision__rating__assignment__participation__in=people)
    found: dict[int, tuple[ReleasedCue, ...]] = {}
    columns = ("revision", "revision__rating__assignment__item", "kind", "x", "y", "width", "height")
    rows = drawn.order_by("pk").values_list(*columns).iterator(chunk_size=10_000)
    for revision, item, kind, x, y, width, height in rows:
        picture = shown[items[item].pair.anonymized_id]
        cue = ReleasedCue(kind, x, y, width, height, picture.width, picture.height)
        found[revision] = (*found.get(revision, ()), cue)
    return found


def _released(names: Names, answer: _Answer, cues: tuple[ReleasedCue, ...]) -> ReleasedRating:
    return ReleasedRating(
        annotator=names.person(answer.person),
        score=answer.score,
        seconds=answer.seconds,
        position=answer.position,
        is_late=answer.is_late,
        n_revisions=answer.n_revisions,
        cues=cues,
    )
