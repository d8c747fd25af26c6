"""An open HA2 study of a named size, and what its tables must hold before and after a measurement."""

from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO

import numpy as np
from django.db import connection
from django.db.models import F, Sum
from PIL import Image as PillowImage

from annotation import studies
from annotation.models.people import Invitation
from annotation.models.ratings import Rating
from annotation.models.studies import Campaign, Study
from datasets.images import image_row, store_files
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from datasets.models.releases import Mode
from datasets.pictures import inspect

N_FILES = 50  # distinct pictures on disk
VERSIONS = 7  # of each original
SESSION_SIZE = 200
BATCH = 5000


def build_study(n_items: int, **settings: int) -> Invitation:
    """A study over `n_items` pairs, and the link by which annotators come in."""
    project = Project.objects.create(slug="bench", name="Serving bench")
    add_pairs(project, n_items)
    campaign = Campaign.objects.create(project=project, slug="bench", name="Serving bench")
    study = studies.create_study(
        project,
        campaign=campaign,
        mode=Mode.HA2,
        name=f"{n_items} pairs",
        pairs=Pair.objects.all(),
        **{"session_size": SESSION_SIZE} | settings,
    )
    studies.change_state(study, Study.State.OPEN)
    gather_statistics()
    return studies.invite(study)


def add_pairs(project: Project, n_pairs: int) -> None:
    """An image row for every picture of every pair, as in life; the rows share the few files."""
    stored = [_stored(project, number) for number in range(N_FILES)]
    source = Source.objects.create(project=project, name="noise")
    n_groups = -(-n_pairs // VERSIONS)
    originals = Image.objects.bulk_create(_images(stored, "original", n_groups), batch_size=BATCH)
    versions = Image.objects.bulk_create(_images(stored, "version", n_pairs), batch_size=BATCH)
    rows = (
        Pair(
            project=project,
            original=(original := originals[number // VERSIONS]),
            anonymized=version,
            group=original.sha256,
            source=source,
            anonymized_path=f"{number}.jpg",
        )
        for number, version in enumerate(versions)
    )
    Pair.objects.bulk_create(rows, batch_size=BATCH)


def _stored(project: Project, number: int) -> Image:
    picture = inspect(noise_jpeg(number))
    store_files(project, picture)
    return image_row(project, picture)


def _images(stored: list[Image], kind: str, n_images: int) -> Iterator[Image]:
    copied = ("project", "original", "display_sha256", "display", "content_type", "width", "height", "n_bytes")
    for number in range(n_images):
        file = stored[number % len(stored)]
        name = sha256(f"{kind} {number}".encode()).hexdigest()
        yield Image(sha256=name, **{field: getattr(file, field) for field in copied})


def noise_jpeg(number: int) -> bytes:
    """A 1024 x 768 picture of soft shapes under film grain; about 190 kB."""
    random = np.random.default_rng(number)
    shapes = PillowImage.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    scene = np.asarray(shapes.resize((1024, 768), PillowImage.Resampling.BICUBIC), dtype=np.int16)
    grainy = (scene + random.normal(0, 12, scene.shape)).clip(0, 255).astype(np.uint8)
    file = BytesIO()
    PillowImage.fromarray(grainy).save(file, "JPEG", quality=82)
    return file.getvalue()


def gather_statistics() -> None:
    """PostgreSQL does it within a minute of such an import; plans made before then are not those of daily life."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def check_size(study: Study, *, named: int) -> None:
    """Stop when the study is smaller than the size that the figures are published under."""
    counts = {"items": study.items.count(), "pairs": study.project.pairs.count()}
    for what, count in counts.items():
        if count < named:
            raise SystemExit(f"The study has {count} {what}, not the {named} it is named for: no figure is reported.")


def check_ratings(study: Study, *, acknowledged: int) -> None:
    """Stop when a rating is lost, stored twice or not counted, or when a pair went over its goal."""
    stored = Rating.objects.filter(assignment__item__study=study).count()
    counted = study.items.aggregate(total=Sum("n_rated"))["total"]
    if not stored == counted == acknowledged:
        raise SystemExit(f"{acknowledged} answers were acknowledged, {stored} are stored and {counted} are counted.")
    if above := study.items.filter(n_held__gt=F("goal")).count():
        raise SystemExit(f"{above} pairs were given to more people than their goal.")


def database_version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sqlite_version()" if connection.vendor == "sqlite" else "SHOW server_version")
        return f"{connection.display_name} {cursor.fetchone()[0].split()[0]}"


def database_backend() -> int | None:
    """The process that serves this connection; None for SQLite, which has none."""
    if connection.vendor == "sqlite":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
