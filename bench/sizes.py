"""What bench.import_size prepares and measures, on a site that is there."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from math import isqrt
from pathlib import Path
from uuid import uuid4

import numpy as np
from django.conf import settings
from django.utils import timezone
from PIL import Image as PillowImage

from annotation.models.people import Annotator, Participation
from annotation.models.ratings import Assignment, Rating, Revision
from annotation.models.studies import Campaign, Study
from annotation.studies import pairs as study_pairs
from annotation.studies.wording import standard_wording, write_texts
from annotation.watching import assessment
from bench.study import ROWS_AT_ONCE
from datasets import ingest, jobs
from datasets.jobs import claim, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from datasets.models.releases import Mode

RATED = 100  # pairs per person


def project() -> Project:
    return Project.objects.get_or_create(slug="sizes", defaults={"name": "Sizes"})[0]


def prepare_pairs(n_pairs: int) -> None:
    """As many rows of pairs, and a draft study without any; files they name there are none."""
    n_images = isqrt(max(n_pairs - 1, 0)) + 1
    made, source = project(), Source.objects.get_or_create(project=project(), name="sizes")[0]
    sides = [
        Image.objects.bulk_create(
            [
                Image(project=made, sha256=f"{side}{n_pairs}-{number}", display_sha256="", width=1, height=1, n_bytes=1)
                for number in range(n_images)
            ],
            batch_size=ROWS_AT_ONCE,
        )
        for side in "oa"
    ]
    for first in range(0, n_pairs, ROWS_AT_ONCE):
        Pair.objects.bulk_create(
            Pair(
                project=made,
                original=(original := sides[0][number // n_images]),
                anonymized=sides[1][number % n_images],
                group=original.sha256,
                source=source,
                anonymized_path=f"{number}.png",
            )
            for number in range(first, min(first + ROWS_AT_ONCE, n_pairs))
        )


def add_items(n_pairs: int) -> None:
    """By the verb of the study's page, all pairs of the project."""
    campaign, _ = Campaign.objects.get_or_create(project=project(), slug="sizes", defaults={"name": "Sizes"})
    study, is_new = Study.objects.get_or_create(campaign=campaign, mode=Mode.HA2, defaults={"name": "Sizes"})
    if is_new:
        write_texts(study, standard_wording(Mode.HA2))
    pairs = Pair.objects.filter(project=project())
    n_added = study_pairs.add_items(study, pairs if n_pairs else pairs.none())
    if n_added != n_pairs:
        raise SystemExit(f"{n_added} pairs were added, not {n_pairs}")


def prepare_manifest(n_rows: int) -> None:
    """Every original beside every anonymized picture: few small files, and no two rows of the same two pictures."""
    folder = Path(settings.VAR_DIR) / f"rows{n_rows}"
    folder.mkdir()
    n_files, random = isqrt(max(n_rows - 1, 0)) + 1, np.random.default_rng(n_rows)
    for name in [f"{side}{number}.png" for side in "oa" for number in range(n_files)]:
        picture = PillowImage.fromarray(random.integers(0, 256, (16, 24, 3), dtype=np.uint8))
        file = io.BytesIO()
        picture.save(file, "PNG")
        (folder / name).write_bytes(file.getvalue())
    with (folder / "manifest.csv").open("w", encoding="utf-8") as manifest:
        manifest.write("original,anonymized,source,method,scope,parameters\n")
        for number in range(n_rows):
            original, anonymized = divmod(number, n_files)
            manifest.write(f'o{original}.png,a{anonymized}.png,sizes,blur,face,"{{""radius"": {number}}}"\n')


def queued(n_rows: int) -> Job:
    if not n_rows:
        prepare_manifest(1)
    folder = Path(settings.VAR_DIR) / f"rows{n_rows or 1}"
    return queue_job("import_pairs", project(), root=str(folder), manifest=str(folder / "manifest.csv"))


def check(n_rows: int) -> None:
    """The first half of an import: every row is read and looked at, and nothing is kept."""
    attempt = claim(queued(n_rows).pk)
    assert attempt is not None
    ingest.check(attempt, ingest.opened_root(attempt.arguments))


def import_pairs(n_rows: int) -> None:
    job = queued(n_rows)
    jobs.run(job.pk)
    job.refresh_from_db()
    if job.state != Job.State.DONE or job.result["n_new"] != (n_rows or 1):
        raise SystemExit(f"{job.state} {job.result}: {job.error} {job.traceback}")


def lines(n_rows: int) -> None:
    """What the check of as many rows keeps in memory, without their pictures."""
    known = ingest.KnownPairs(project())
    for first in range(0, n_rows, ingest.PAIRS_AT_ONCE):
        assert known.problems([_seen(number) for number in range(first, first + ingest.PAIRS_AT_ONCE)]) == []


def _seen(number: int) -> ingest.SeenRow:
    facts = {"group": "g", "source": "sizes", "method": "blur", "scope": "face", "parameters": {"radius": number}}
    return ingest.SeenRow(number, f"{number:064x}", f"{-number & 0xFFFF:064x}", facts)


def prepare_ratings(n_ratings: int) -> None:
    """People who each rated RATED pairs of a study in which every pair has 20 ratings, as rows."""
    n_people = n_ratings // RATED
    prepare_pairs(max(n_ratings // 20, RATED))
    add_items(max(n_ratings // 20, RATED))
    study, now, random = Study.objects.get(), timezone.now(), np.random.default_rng(n_ratings)
    items = np.array(study.items.order_by("pk").values_list("pk", flat=True))
    text = study.texts.get(kind="consent")
    for _ in range(n_people):
        person = Participation.objects.create(
            study=study,
            campaign=study.campaign,
            annotator=Annotator.objects.create(project=study.project),
            consent_text=text,
            consented_at=now,
            n_planned=RATED,
            n_answered=RATED,
        )
        given = Assignment.objects.bulk_create(
            Assignment(
                item_id=item,
                participation=person,
                position=place,
                reason="any version",
                reserved_at=now,
                answered_at=now,
            )
            for place, item in enumerate(random.choice(items, RATED, replace=False), start=1)
        )
        timed = {"seconds": 4.0, "created_at": now}
        ratings = Rating.objects.bulk_create(
            Rating(assignment=each, score=int(score), hidden_seconds=0.0, **timed)
            for each, score in zip(given, random.integers(1, 11, RATED), strict=True)
        )
        Revision.objects.bulk_create(
            Revision(rating=each, number=1, key=uuid4(), score=each.score, **timed) for each in ratings
        )


def assess(n_ratings: int) -> None:
    """Everybody's card, as a worker computes it; storing them is a row for each person beside it."""
    study = Study.objects.first() or Study(pk=0)
    found = assessment.assess(study, cutoff=None if n_ratings else datetime(2000, 1, 1, tzinfo=UTC))
    if found.study["n_ratings"] != n_ratings:
        raise SystemExit(f"{found.study['n_ratings']} ratings were looked at, not {n_ratings}")


STEPS: dict[tuple[str, str], Callable[[int], None]] = {
    ("prepare", "add_items"): prepare_pairs,
    ("measure", "add_items"): add_items,
    ("prepare", "lines"): lambda n_rows: None,
    ("measure", "lines"): lines,
    ("prepare", "check"): prepare_manifest,
    ("measure", "check"): check,
    ("prepare", "import_pairs"): prepare_manifest,
    ("measure", "import_pairs"): import_pairs,
    ("prepare", "assess"): prepare_ratings,
    ("measure", "assess"): assess,
}
