"""A study in which everything that an annotator must not learn is recognized wherever it turns up: words that stand
nowhere else, rows with numbers of a range of their own, and pictures whose files tell all that a file can.

Built by the verbs that build any study, in a test's database or by `manage.py shell` in that of a running site.
"""

import csv
import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import AutoField, Model
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from annotation.models.people import Annotator, Participation
from annotation.models.ratings import Assignment, Cue, Rating, Remark, Report, Revision
from annotation.models.studies import Item, Study, StudyText
from annotation.studies import life
from annotation.watching.roles import PairRole, give_role
from datasets.jobs import queue_job
from datasets.models.projects import Project
from datasets.models.releases import Release
from scoring.models import Checkpoint
from tests import make
from tests.scoring import trained

METHOD, SCOPE, SOURCE, PARAMETER = "pangolin", "capybara", "wallaroo", "flamingo"
FILE, GROUP, CAMERA, NOTE = "axolotl", "platypus", "aardwolf", "narwhal"
WORDS = (METHOD, SCOPE, SOURCE, PARAMETER, FILE, GROUP, CAMERA, NOTE)
# Others' times, how they looked and where they drew boxes, what the model predicts, and the order that it proposes.
SECONDS, PIXEL_RATIO, BOX, PREDICTION, PRIORITY = 86.4173, 3.7157, 60_417_313, 7.73193, 0.61737
FIGURES = (SECONDS, PIXEL_RATIO, BOX, PREDICTION, PRIORITY)
# The rows of every table are numbered from some place up here.
FIRST_ID = 2_034_000_000
ID = re.compile(rb"(?<![\w.-])2034\d{6}(?![\w.-])")
ANY_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)

N_MAIN = 16
ROLES = [
    PairRole("practice", 8, 9),
    PairRole("check", 2, 3),
    PairRole("check", 7, 8),
    PairRole("check", instructed_score=4),
]
# Every purpose occurs: one practice pair, warm-up, checks, and repeats of pairs that counted.
SESSION = {"session_size": 16, "n_practice": 1, "n_warm_up": 2, "n_checks": 3, "repeat_percent": 13}
RULES = {"repeat_distance": 3, "goal": 50, "asks_who": True, "asks_cues": True}


# Pictures ---------------------------------------------------------------------------------------------------------


def picture(n: int, kind: str) -> bytes:
    """One of 48 x 32 pixels unlike all others, with a place, a camera and a name in every part that may hold words."""
    pixels = PillowImage.open(BytesIO(make.picture_bytes(n, size=(48, 32))))
    out, words = BytesIO(), f"{CAMERA} {FILE}{n}"
    if kind == "JPEG":
        pixels.save(
            out, kind, exif=_exif(words), comment=words.encode(), xmp=f"<x:xmpmeta>{words}</x:xmpmeta>".encode()
        )
    else:
        text = PngInfo()
        text.add_text("Author", words)
        text.add_itxt("XML:com.adobe.xmp", words)
        pixels.save(out, kind, exif=_exif(words), pnginfo=text)
    return out.getvalue() + words.encode()  # also after the end, where cropping tools leave what they cut off


def _exif(words: str) -> PillowImage.Exif:
    tags = PillowImage.Exif()
    description, artist, gps = 0x010E, 0x013B, 0x8825
    tags[description], tags[artist] = words, words
    tags[gps] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return tags


def write_pairs(folder: Path, n: int) -> Path:
    """Pictures and the manifest that names them; returns the manifest."""
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["original", "anonymized", "group", "source", "method", "scope", "parameters"])
        for i in range(n):
            original, hidden = f"{FILE}-o{i}.jpg", f"{FILE}-a{i}.{'jpg' if i % 2 else 'png'}"
            (folder / original).write_bytes(picture(2 * i, "JPEG"))
            (folder / hidden).write_bytes(picture(2 * i + 1, "JPEG" if i % 2 else "PNG"))
            rows.writerow([original, hidden, f"{GROUP}{i}", SOURCE, METHOD, SCOPE, f'{{"{PARAMETER}": {i}}}'])
    return manifest


# The study --------------------------------------------------------------------------------------------------------


def study(project: Project, folder: Path, *, mode: str, name: str = "Night walk", **rules: Any) -> Study:
    """An open study over planted pairs in which three people have said what they think, and a model has too."""
    if not project.pairs.exists():
        manifest = write_pairs(folder, N_MAIN + len(ROLES))
        make.done(queue_job("import_pairs", project, root=str(folder), manifest=str(manifest)))
    made = make.study(project, n_pairs=0, mode=mode, name=name, is_open=False, **SESSION | RULES | rules)
    for item, role in zip(made.items.order_by("pk")[: len(ROLES)], ROLES, strict=True):
        give_role(made, item, role)
    life.change_state(made, Study.State.OPEN)
    _said_by_others(made)
    trained.compared(trained.run(make.release(made), score=lambda label: PREDICTION))
    made.items.update(priority=PRIORITY)
    return made


def _said_by_others(of: Study) -> None:
    make.fill_in(of, n_people=3)
    theirs = Rating.objects.filter(assignment__item__study=of)
    theirs.update(seconds=SECONDS, viewing={"pixel_ratio": PIXEL_RATIO})
    Remark.objects.bulk_create(Remark(rating=rating, note=f"A {NOTE} was here.", knows="yes") for rating in theirs)
    said = Revision.objects.filter(rating__in=theirs)
    Cue.objects.bulk_create(Cue(revision=each, kind="text", x=BOX, y=0, width=9, height=9) for each in said)
    held = make.leases(make.participation(of))[0]
    Report.objects.create(assignment=held, kind=Report.Kind.OTHER, words=f"It shows a {NOTE}.")


def strange_ids() -> None:
    """Number the rows of every table from a place where nobody begins to count."""
    tables = [model._meta.db_table for model in _our_models() if isinstance(model._meta.pk, AutoField)]
    with connection.cursor() as cursor:
        for n, table in enumerate(tables):
            start = FIRST_ID + 10_000 * n
            if connection.vendor == "postgresql":
                cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, start])
            else:
                cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
                cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, start])


def _our_models() -> Iterator[type[Model]]:
    for label in ("auth", "datasets", "annotation", "scoring"):
        yield from apps.get_app_config(label).get_models()


# What must not get out --------------------------------------------------------------------------------------------


def secrets(of: Participation | None = None) -> list[str]:
    """Everything that must not reach this person, or a person who does not take part: in small letters.

    Of their own, what was not yet given to them.
    """
    return sorted({each.lower() for each in (*WORDS, *map(str, FIGURES), *_hashes(), *_draws(), *_of_others(of))})


def _hashes() -> Iterator[str]:
    """Of every file below MEDIA_ROOT, in the usual ways and spellings, and of what has a hash of its own."""
    for path in Path(settings.MEDIA_ROOT).rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for name in ("md5", "sha1", "sha256"):
                digest = hashlib.new(name, data).digest()
                plain = b64encode(digest).decode().rstrip("=")
                yield from (digest.hex(), plain, plain.replace("+", "-").replace("/", "_"))
    yield from Release.objects.values_list("content_hash", flat=True)
    yield from Checkpoint.objects.values_list("sha256", flat=True)
    yield from StudyText.objects.values_list("sha256", flat=True)


def _draws() -> Iterator[str]:
    """What the order of a session can be computed from."""
    for model, name in ((Study, "seed"), (Participation, "seed"), (Item, "shuffle"), (Assignment, "draw_start")):
        yield from (str(number) for number in model.objects.values_list(name, flat=True) if number and number > 10**6)


def _of_others(mine: Participation | None) -> Iterator[str]:
    own = mine.pk if mine else 0
    others = Participation.objects.exclude(pk=own)
    for person in others:
        yield from _spellings(person.public_id)
        if person.code_hash:
            yield person.code_hash
    yield from Annotator.objects.values_list("pseudonym", flat=True)
    given = Assignment.objects.filter(participation=own, served_at__isnull=False)
    for ids in Assignment.objects.exclude(pk__in=given).values_list("public_id", "original_key", "anonymized_key"):
        for each in filter(None, ids):
            yield from _spellings(each)


def _spellings(public_id: UUID) -> tuple[str, str]:
    return str(public_id), public_id.hex


def leaks(sent: bytes, hidden: list[str]) -> list[str]:
    """What of it is in these bytes; numbers of rows too, and ids that are not random."""
    text = sent.lower()
    found = [each for each in hidden if each.encode() in text]
    found += [match.decode() for match in ID.findall(text)]
    return found + [each.decode() for each in ANY_UUID.findall(text) if UUID(each.decode()).version != 4]


def tells_of_itself(data: bytes) -> list[str]:
    """What a picture's file says beyond its pixels and how their colours are meant, as another reader sees it."""
    image = PillowImage.open(BytesIO(data))
    image.load()
    pixels = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "icc_profile", "progressive", "progression"}
    pixels |= {"adobe", "adobe_transform", "gamma", "chromaticity", "srgb", "transparency"}
    said = [f"{name}" for name in image.info if name not in pixels]
    return said + [f"EXIF {tag}" for tag in image.getexif()] + ([CAMERA] if CAMERA.encode() in data else [])


# One lease like another -------------------------------------------------------------------------------------------


def masked(lease: dict[str, Any]) -> dict[str, Any]:
    """A lease without what differs from pair to pair: addresses, which are random, and the position."""
    pictures = [each | {"url": "ADDRESS"} for each in lease["pictures"]]
    return lease | {"assignment": "ID", "position": 0, "pictures": pictures}


def purposes(leases: list[dict[str, Any]]) -> dict[str, str]:
    """What each assignment is for, by its id."""
    named = Assignment.objects.filter(public_id__in={lease["assignment"] for lease in leases})
    return {str(public_id): purpose for public_id, purpose in named.values_list("public_id", "purpose")}
