"""An open HA2 study of a named size, and what its tables must hold before and after a measurement."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from io import BytesIO

import numpy as np
from django.db import connection
from django.db.models import F, Sum
from PIL import Image as PillowImage

from annotation.models.people import Invitation
from annotation.models.ratings import Rating
from annotation.models.studies import Study
from annotation.studies import invitations, life, setup
from datasets.images import image_row, store_files
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from datasets.models.releases import Mode
from datasets.pictures import inspect

N_FILES = 50  # distinct pictures on disk
VERSIONS = 7  # of each original
SESSION_SIZE = 200
GOAL = 10
MIN_BYTES = 200_000  # of a picture
SIZE = (1024, 768)
ROWS_AT_ONCE = 5000


def build_studies(sizes: Sequence[int]) -> list[Invitation]:
    """A study for each number of pairs, over the same pairs, and the links by which annotators come in."""
    project = Project.objects.create(slug="bench", name="Serving bench")
    add_pairs(project, max(sizes))
    built = [add_study(project, n_items) for n_items in sizes]
    gather_statistics()
    return built


def build_study(n_items: int, *, size: tuple[int, int] = SIZE, **settings: int) -> Invitation:
    """One study, with other settings than the serving bench's."""
    project = Project.objects.create(slug=f"bench-{size[0]}", name="Bench")
    add_pairs(project, n_items, size=size)
    built = add_study(project, n_items, **settings)
    gather_statistics()
    return built


def add_study(project: Project, n_items: int, *, name: str = "", **settings: int) -> Invitation:
    name = name or f"{n_items} pairs"
    first = Pair.objects.filter(project=project).order_by("pk")[:n_items]
    study = setup.create_study(
        project,
        campaign=setup.begin_campaign(project, name),
        mode=Mode.HA2,
        name=name,
        pairs=Pair.objects.filter(pk__lte=max(first.values_list("pk", flat=True))),
        **{"goal": GOAL, "session_size": SESSION_SIZE} | settings,
    )
    life.change_state(study, Study.State.OPEN)
    return invitations.invite(study)


def add_pairs(project: Project, n_pairs: int, *, size: tuple[int, int] = SIZE) -> None:
    """An image row for every picture of every pair, as in life; the rows share the few files."""
    stored = [_stored(project, number, size) for number in range(N_FILES)]
    source = Source.objects.create(project=project, name="noise")
    n_groups = -(-n_pairs // VERSIONS)
    originals = Image.objects.bulk_create(_images(stored, "original", n_groups), batch_size=ROWS_AT_ONCE)
    versions = Image.objects.bulk_create(_images(stored, "version", n_pairs), batch_size=ROWS_AT_ONCE)
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
    Pair.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)


def _stored(project: Project, number: int, size: tuple[int, int]) -> Image:
    file = noise_jpeg(number, size)
    least = MIN_BYTES * size[0] * size[1] // (SIZE[0] * SIZE[1])
    if len(file) < least:
        raise SystemExit(f"A picture has {len(file)} bytes, not the {least} it is named for: no figure is reported.")
    picture = inspect(file)
    store_files(project, picture)
    return image_row(project, picture)


def _images(stored: list[Image], kind: str, n_images: int) -> Iterator[Image]:
    copied = (
        "project",
        "original",
        "display_sha256",
        "display",
        "content_type",
        "width",
        "height",
        "n_bytes",
        "changes",
    )
    for number in range(n_images):
        file = stored[number % len(stored)]
        name = sha256(f"{kind} {number}".encode()).hexdigest()
        yield Image(sha256=name, **{field: getattr(file, field) for field in copied})


def noise_jpeg(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """A picture of soft shapes under film grain; at 1024 x 768 a little over 200 kB."""
    random = np.random.default_rng(number)
    shapes = PillowImage.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    scene = np.asarray(shapes.resize(size, PillowImage.Resampling.BICUBIC), dtype=np.int16)
    grainy = (scene + random.normal(0, 12, scene.shape)).clip(0, 255).astype(np.uint8)
    file = BytesIO()
    PillowImage.fromarray(grainy).save(file, "JPEG", quality=84)
    return file.getvalue()


def gather_statistics() -> None:
    """PostgreSQL does it within a minute of such an import; plans made before then are not those of daily life."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def check_size(study: Study, *, named: int) -> None:
    """Stop when the study is smaller than the size that the figures are published under."""
    if (count := study.items.filter(goal__gte=GOAL).count()) < named:
        raise SystemExit(
            f"The study has {count} items that want {GOAL} ratings, not the {named} it is named for: "
            "no figure is reported."
        )


def check_ratings(study: Study, *, acknowledged: int) -> None:
    """Stop when a rating is lost, stored twice or not counted, or when a pair went over its goal."""
    ratings = Rating.objects.filter(assignment__item__study=study)
    stored, main = ratings.count(), ratings.filter(assignment__purpose="main").count()
    counted = study.items.aggregate(total=Sum("n_rated"))["total"]
    if stored != acknowledged or counted != main:
        raise SystemExit(
            f"{acknowledged} answers were acknowledged, {stored} are stored; {main} count, {counted} are counted."
        )
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
