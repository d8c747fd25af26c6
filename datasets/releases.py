"""The only writer of releases.

A release is written as a draft, label by label, and becomes visible in the instant it gets its hash. From then on
nothing changes it: exports are made from its rows and give the same bytes each time.
"""

import hashlib
import hmac
import secrets
import statistics
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from django.db.models import Max
from django.db.models.functions import Now

from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.models.releases import FrozenCue, FrozenRating, Label, OtherAnswer, Release, SetAsideRating
from datasets.release_texts import facts_of, readme_of, told_hash
from datasets.splits import part_of
from scoring.measures.agreement import agreement_summary

AGREEMENT_SEED = 20240721
FORMAT = 2  # of the files of whatever is frozen now; docs/data-formats.md has what changed


@dataclass(frozen=True)
class ReleasedCue:
    """A box and the size of its picture, in pixels of the display file."""

    kind: str
    x: int
    y: int
    width: int
    height: int
    image_width: int
    image_height: int


@dataclass(frozen=True)
class ReleasedRating:
    annotator: str
    score: int
    seconds: float | None
    position: int | None
    is_late: bool
    n_revisions: int
    cues: tuple[ReleasedCue, ...] = ()


@dataclass(frozen=True)
class SetAside:
    """A rating that is not used; `pair` as in `SetAsideRating`."""

    pair: int
    group: str
    annotator: str
    score: int
    cues: tuple[ReleasedCue, ...] = ()


@dataclass(frozen=True)
class ReleasedPair:
    pair: Pair
    original: Image | None  # as the people saw the pair's
    anonymized: Image
    ratings: list[ReleasedRating]
    corrected: float | None
    corrected_se: float | None
    is_core: bool | None  # as in `Label`


def begin_release(
    project: Project,
    *,
    slug: str,
    title: str,
    mode: str,
    simulated: bool,
    origins: dict[str, Any],
    counting_rule: str,
) -> Release:
    """A draft under the next version number. Call it in a transaction."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two freezes at once would take the same number
    last = project.releases.filter(slug=slug).aggregate(last=Max("version", default=0))["last"]
    return Release.objects.create(
        project=project,
        slug=slug,
        version=last + 1,
        title=title,
        mode=mode,
        simulated=simulated,
        origins=origins,
        counting_rule=counting_rule,
        format=FORMAT,
    )


class Names:
    """What people and groups are called in one release, and nowhere else.

    They are made under a key that is drawn with this object and kept nowhere: once the freeze is over nobody can make
    them again, or tell by them who is who in two releases.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self.people: dict[int, str] = {}  # those that were asked for, by the id of the annotator

    def person(self, annotator: int) -> str:
        return self.people.setdefault(annotator, f"R-{self._drawn(f'annotator:{annotator}')}")

    def group(self, group: str) -> str:
        """What was imported may be the hash of an original that does not leave, or the name of a person."""
        return f"G-{self._drawn(f'group:{group}')}"

    def _drawn(self, what: str) -> str:
        return hmac.new(self._key, what.encode(), hashlib.sha256).hexdigest()[:12]


def write_labels(release: Release, pairs: Iterable[ReleasedPair], *, names: Names, first_number: int) -> None:
    """Add labels, their ratings and the cues beside them to a draft. Call it in a transaction."""
    released = list(pairs)
    labels = Label.objects.bulk_create(
        [_label(release, each, names, number) for number, each in enumerate(released, start=first_number)]
    )
    FrozenRating.objects.bulk_create(
        [
            FrozenRating(
                label=label,
                annotator=rating.annotator,
                score=rating.score,
                # Tenths of a second are plenty for research and tell less of a person.
                seconds=None if rating.seconds is None else round(rating.seconds, 1),
                position=rating.position,
                is_late=rating.is_late,
                n_revisions=rating.n_revisions,
            )
            for label, each in zip(labels, released, strict=True)
            for rating in each.ratings
        ]
    )
    FrozenCue.objects.bulk_create(
        FrozenCue(release=release, pair=label.pair, annotator=rating.annotator, **asdict(cue))
        for label, each in zip(labels, released, strict=True)
        for rating in each.ratings
        for cue in rating.cues
    )


def _label(release: Release, released: ReleasedPair, names: Names, number: int) -> Label:
    pair, scores = released.pair, [rating.score for rating in released.ratings]
    shown = released.original if release.mode == "HA2" else None
    return Label(
        release=release,
        number=number,
        pair=pair.number,
        original=released.original,
        anonymized=released.anonymized,
        original_sha256=shown.display_sha256 if shown else "",
        anonymized_sha256=released.anonymized.display_sha256,
        original_file=pair.original_path if release.names_files and shown else "",
        anonymized_file=pair.anonymized_path if release.names_files else "",
        group=pair.group,
        public_group=names.group(pair.group),
        part=part_of(pair.group),
        source=pair.source.name,
        method=pair.method,
        scope=pair.scope,
        parameters=pair.parameters,
        n=len(scores),
        mean=statistics.fmean(scores),
        median=statistics.median(scores),
        std=statistics.stdev(scores) if len(scores) > 1 else None,
        corrected=released.corrected,
        corrected_se=released.corrected_se,
        is_core=released.is_core,
    )


def write_set_aside(release: Release, ratings: Iterable[SetAside]) -> None:
    """Add to a draft what a decision keeps out of its labels. Call it in a transaction."""
    kept_out = list(ratings)
    SetAsideRating.objects.bulk_create(
        SetAsideRating(release=release, pair=each.pair, group=each.group, annotator=each.annotator, score=each.score)
        for each in kept_out
    )
    FrozenCue.objects.bulk_create(
        FrozenCue(release=release, pair=each.pair, annotator=each.annotator, is_set_aside=True, **asdict(cue))
        for each in kept_out
        for cue in each.cues
    )


def write_other_answers(release: Release, answers: Iterable[OtherAnswer]) -> None:
    """Add to a draft what no label rests on. Call it in a transaction."""
    OtherAnswer.objects.bulk_create(answers)


def release_agreement(release: Release, *, by_rule: Collection[str] | None = None) -> dict[str, Any]:
    """Agreement among the ratings that the labels rest on, resampled by group (agreement.md).

    Under `sets` the same of all ratings, of those that the study's planned rule leaves (without the annotators
    `by_rule`; None: no rule was planned), as used, and as used of the core alone where there is one; each with who is
    left out and the SHA-256 of its ratings: of the lines `pair,annotator,score`, by pair and annotator.
    """
    ratings = _ratings(release)
    unused = set(release.set_aside.values_list("annotator", flat=True))
    left_out: dict[str, Collection[str]] = {"all": (), "as_used": unused}
    if by_rule is not None:
        left_out["by_rule"] = by_rule
    sets = {name: _agreement_without(ratings, people) for name, people in left_out.items()}
    if release.has_core():
        sets["core"] = _agreement_without(_of_core(ratings, release), unused)
    figures = {name: value for name, value in sets["as_used"].items() if name not in SET_FACTS}
    return figures | {"sets": sets}


SET_FACTS = ("n_annotators", "excluded", "sha256")


@dataclass(frozen=True, eq=False)
class _Ratings:
    """Parallel arrays, by pair and annotator; `annotator` are places in `names`."""

    pair: np.ndarray
    annotator: np.ndarray
    score: np.ndarray
    names: list[str]
    group_of: dict[int, str]  # by pair


def _ratings(release: Release) -> _Ratings:
    used = FrozenRating.objects.filter(label__release=release, occurrence=0).order_by()
    rows = [
        *used.values_list("label__pair", "annotator", "score").iterator(chunk_size=10_000),
        *release.set_aside.order_by().values_list("pair", "annotator", "score").iterator(chunk_size=10_000),
    ]
    rows.sort()
    names, annotator = np.unique([row[1] for row in rows], return_inverse=True)
    group_of = dict(release.labels.values_list("pair", "public_group"))
    group_of |= dict(release.set_aside.values_list("pair", "group"))
    pair, score = np.array([row[0] for row in rows]), np.array([row[2] for row in rows])
    return _Ratings(pair, annotator, score, names.tolist(), group_of)


def _of_core(ratings: _Ratings, release: Release) -> _Ratings:
    numbers = list(release.labels.filter(is_core=True).values_list("pair", flat=True))
    kept = np.isin(ratings.pair, numbers)
    return replace(ratings, pair=ratings.pair[kept], annotator=ratings.annotator[kept], score=ratings.score[kept])


def _agreement_without(ratings: _Ratings, people: Collection[str]) -> dict[str, Any]:
    kept = ~np.isin(np.array(ratings.names)[ratings.annotator], list(people))
    pair, annotator, score = ratings.pair[kept], ratings.annotator[kept], ratings.score[kept]
    points = np.unique(score) if len(score) else np.arange(1, 3)
    pairs, row = np.unique(pair, return_inverse=True)
    counts = np.zeros((len(pairs), len(points)), dtype=np.int64)
    np.add.at(counts, (row, np.searchsorted(points, score)), 1)
    groups = np.array([ratings.group_of[int(number)] for number in pairs])
    digest = hashlib.sha256()
    for number, person, value in zip(pair, annotator, score, strict=True):
        digest.update(f"{number},{ratings.names[person]},{value:g}\n".encode())
    return agreement_summary(counts, points, groups if len(groups) else None, seed=AGREEMENT_SEED) | {
        "n_annotators": len(np.unique(annotator)),
        "excluded": sorted(people),
        "sha256": digest.hexdigest(),
    }


def finish_release(release: Release, *, agreement: dict[str, Any], content_hash: str) -> None:
    """The draft becomes the release. Call it in a transaction."""
    Release.objects.filter(pk=release.pk, frozen_at=None).update(
        agreement=agreement, content_hash=content_hash, frozen_at=Now()
    )
    release.refresh_from_db()
    Release.objects.filter(pk=release.pk).update(facts=facts_of(release), readme=readme_of(release))
    release.refresh_from_db()  # JSON as the database gives it back, which is what an export will read
    Release.objects.filter(pk=release.pk).update(told_hash=told_hash(release))
    release.refresh_from_db()


def discard_draft(release: Release) -> None:
    """Take away what an attempt left that did not come to its end. A frozen release is never touched."""
    if release.frozen_at:
        raise ValueError(f"{release} is frozen and cannot be discarded.")
    FrozenRating.objects.filter(label__release=release).delete()
    Label.objects.filter(release=release).delete()
    release.set_aside.all().delete()
    release.other_answers.all().delete()
    release.cues.all().delete()
    release.notices.all().delete()
    release.delete()
