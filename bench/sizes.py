"""What bench.import_size prepares and measures, on a site that is there."""

import io
from collections.abc import Callable
from math import isqrt
from pathlib import Path

import numpy as np
from django.conf import settings
from PIL import Image as PillowImage

from annotation import studies
from annotation.models.studies import Campaign, Study
from annotation.wording import standard_wording
from bench.study import BATCH
from datasets import ingest, jobs
from datasets.jobs import claim, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from datasets.models.releases import Mode


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
            batch_size=BATCH,
        )
        for side in "oa"
    ]
    for first in range(0, n_pairs, BATCH):
        Pair.objects.bulk_create(
            Pair(
                project=made,
                original=(original := sides[0][number // n_images]),
                anonymized=sides[1][number % n_images],
                group=original.sha256,
                source=source,
                anonymized_path=f"{number}.png",
            )
            for number in range(first, min(first + BATCH, n_pairs))
        )


def add_items(n_pairs: int) -> None:
    """By the verb of the study's page, all pairs of the project."""
    campaign, _ = Campaign.objects.get_or_create(project=project(), slug="sizes", defaults={"name": "Sizes"})
    study, is_new = Study.objects.get_or_create(campaign=campaign, mode=Mode.HA2, defaults={"name": "Sizes"})
    if is_new:
        studies.write_texts(study, standard_wording(Mode.HA2))
    pairs = Pair.objects.filter(project=project())
    n_added = studies.add_items(study, pairs if n_pairs else pairs.none())
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
    ingest._check(attempt, ingest._root(attempt.arguments))


def import_pairs(n_rows: int) -> None:
    job = queued(n_rows)
    jobs.run(job.pk)
    job.refresh_from_db()
    if job.state != Job.State.DONE or job.result["n_new"] != (n_rows or 1):
        raise SystemExit(f"{job.state} {job.result}: {job.error} {job.traceback}")


def lines(n_rows: int) -> None:
    """What the check of as many rows keeps in memory, without their pictures."""
    told = ingest._Told(project())
    for number in range(n_rows):
        facts = {"group": "g", "source": "sizes", "method": "blur", "scope": "face", "parameters": {"radius": number}}
        said = ingest._Said(number, f"{number:064x}", f"{-number & 0xFFFF:064x}", facts)
        assert told._contradiction(said, {}) is None


STEPS: dict[tuple[str, str], Callable[[int], None]] = {
    ("prepare", "add_items"): prepare_pairs,
    ("measure", "add_items"): add_items,
    ("prepare", "lines"): lambda n_rows: None,
    ("measure", "lines"): lines,
    ("prepare", "check"): prepare_manifest,
    ("measure", "check"): check,
    ("prepare", "import_pairs"): prepare_manifest,
    ("measure", "import_pairs"): import_pairs,
}
