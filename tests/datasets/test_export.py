"""The archive, checked with the tools that a researcher has: unzip, sha256sum, csv, statistics, krippendorff."""

import csv
import hashlib
import io
import json
import math
import os
import shutil
import statistics
import subprocess
import tracemalloc
import zipfile
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from threading import Event
from typing import Any

import krippendorff
import numpy as np
import pytest
from django.db import transaction
from django.urls import reverse
from PIL import Image as PillowImage

from annotation.studies.life import change_state
from annotation.studies.wording import write_texts
from datasets import jobs, splits
from datasets.content import content_hash
from datasets.export import archive_name, request_export
from datasets.files import media_path, store
from datasets.images import image_row, store_files
from datasets.jobs import in_seconds
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.models.releases import FrozenRating, Label, Release
from datasets.pictures import inspect
from datasets.releases import Names, ReleasedPair, ReleasedRating, begin_release, finish_release, write_labels
from datasets.rows import LABEL_COLUMNS, RATING_COLUMNS, SPLIT_COLUMNS, ManifestRow, manifest_rows
from tests import make
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
SECRET = "Secret-Garden-Street-7"


@pytest.fixture(autouse=True)
def _media_of_its_own(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def release() -> Release:
    """Six pairs of three originals, rated by four people, with what real ratings have: gaps, late and revised ones."""
    study = make.rated_study(n_pairs=6, per_group=2, n_people=4)
    make.rate(make.participation(make.more_wanted(study)), 9, 2)
    return make.release(study)


@pytest.fixture
def unzipped(release, tmp_path) -> Path:
    with zipfile.ZipFile(make.archive(release)) as archive:
        archive.extractall(tmp_path / "unzipped")
    return tmp_path / "unzipped"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scores_by_pair(folder: Path) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {}
    for row in table(folder / "ratings.csv"):
        scores.setdefault(row["pair"], []).append(float(row["score"]))
    return scores


def ratings_matrix(folder: Path) -> np.ndarray:
    """Annotators x pairs, empty where somebody did not rate: what the krippendorff package takes."""
    rows = table(folder / "ratings.csv")
    people, pairs = (sorted({row[name] for row in rows}) for name in ("annotator", "pair"))
    matrix = np.full((len(people), len(pairs)), np.nan)
    for row in rows:
        matrix[people.index(row["annotator"]), pairs.index(row["pair"])] = float(row["score"])
    return matrix


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Numbers, computed anew from the ratings


def test_mean_median_and_deviation_follow_from_the_ratings(unzipped):
    scores = scores_by_pair(unzipped)
    for label in table(unzipped / "labels.csv"):
        given = scores[label["pair"]]
        assert int(label["n"]) == len(given) >= 4
        assert float(label["score_mean"]) == pytest.approx(np.mean(given), abs=1e-6)
        assert float(label["score_median"]) == pytest.approx(np.median(given), abs=1e-6)
        assert float(label["score_std"]) == pytest.approx(statistics.stdev(given), abs=1e-6)


@pytest.mark.parametrize("level", ["interval", "ordinal", "nominal"])
def test_alpha_is_what_the_krippendorff_package_finds_in_the_ratings(unzipped, level):
    told = json.loads((unzipped / "agreement.json").read_text())[level]["alpha"]
    found = krippendorff.alpha(ratings_matrix(unzipped), level_of_measurement=level, value_domain=range(1, 11))
    assert told == pytest.approx(found, abs=1e-12)
    assert not math.isnan(told)


def test_agreement_tells_how_its_interval_can_be_drawn_again(unzipped, release):
    agreement = json.loads((unzipped / "agreement.json").read_text())
    assert agreement == release.agreement
    assert agreement["interval"]["low"] <= agreement["interval"]["alpha"] <= agreement["interval"]["high"]
    assert (agreement["unit"], agreement["n_items"], agreement["n_ratings"]) == ("group", 6, 26)
    assert {"seed", "resamples", "dropped", "versions"} <= agreement.keys()


def test_corrected_scores_lie_beside_the_means(unzipped):
    for label in table(unzipped / "labels.csv"):
        assert 1 <= float(label["score_corrected"]) <= 10
        assert float(label["score_corrected_se"]) > 0


def test_every_rating_is_exported_whoever_gave_it(unzipped, release):
    stored = FrozenRating.objects.filter(label__release=release).values_list("label__number", "annotator", "score")
    told = [(int(row["pair"]), row["annotator"], float(row["score"])) for row in table(unzipped / "ratings.csv")]
    assert sorted(told) == sorted(stored)
    assert len({row["annotator"] for row in table(unzipped / "ratings.csv")}) == 5


def test_a_long_absence_is_exported_to_the_tenth_of_a_second(release):
    rating = FrozenRating.objects.filter(label__release=release).first()
    FrozenRating.objects.filter(pk=rating.pk).update(seconds=1234567.8)
    Release.objects.filter(pk=release.pk).update(content_hash=content_hash(release))
    with zipfile.ZipFile(make.archive(release)) as archive:
        assert b"1234567.8" in archive.read("ratings.csv")


# Files


def test_sha256sum_finds_every_file_as_it_was_written(unzipped):
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=unzipped, capture_output=True, text=True, check=True
    )
    named = {line.removesuffix(": OK") for line in checked.stdout.splitlines()}
    assert named == files_of(unzipped) - {"SHA256SUMS"}


def test_the_manifest_lists_every_file_with_its_size_and_hash(unzipped):
    listed = json.loads((unzipped / "manifest.json").read_text())["files"]
    assert listed.keys() == files_of(unzipped) - {"SHA256SUMS", "manifest.json"}
    for name, entry in listed.items():
        data = (unzipped / name).read_bytes()
        assert entry == {"sha256": sha256(data), "bytes": len(data)}


def test_the_content_hash_is_found_by_the_command_in_the_readme(unzipped, release):
    command = (unzipped / "README.md").read_text().split("lines that\n`")[1].split("`")[0]
    assert command.startswith("sha256sum labels.csv ")
    lines = subprocess.run(command.split(), cwd=unzipped, capture_output=True, check=True).stdout
    assert sha256(lines) == release.content_hash == json_of(unzipped, "manifest.json")["release"]["content_hash"]


def json_of(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_two_exports_are_the_same_byte_for_byte(release):
    first = make.archive(release).read_bytes()
    make.archive(release).unlink()
    assert make.archive(release).read_bytes() == first


def test_the_columns_are_the_documented_ones_in_their_order(unzipped):
    for name, columns in {"labels": LABEL_COLUMNS, "ratings": RATING_COLUMNS, "splits": SPLIT_COLUMNS}.items():
        assert (unzipped / f"{name}.csv").read_text().splitlines()[0] == ",".join(columns)


def test_every_path_in_the_labels_leads_to_a_picture_and_every_picture_is_named(unzipped):
    named = {row[path] for row in table(unzipped / "labels.csv") for path in ("original_path", "anonymized_path")}
    assert named == {name for name in files_of(unzipped) if name.startswith("pictures/")}
    for row in table(unzipped / "labels.csv"):
        assert sha256((unzipped / row["anonymized_path"]).read_bytes()) == row["anonymized_sha256"]
        assert sha256((unzipped / row["original_path"]).read_bytes()) == row["original_sha256"]


def test_labels_can_be_imported_again_as_a_manifest(unzipped):
    text = (unzipped / "labels.csv").read_text()
    rows = list(manifest_rows(io.StringIO(text, newline="")))
    assert all(isinstance(row, ManifestRow) and (unzipped / row.anonymized).is_file() for row in rows)
    assert len(rows) == 6


def test_pictures_in_the_archive_are_those_that_were_shown_and_tell_nothing_else(tmp_path):
    exif = PillowImage.Exif()
    exif[0x010E] = SECRET
    photo = io.BytesIO()
    PillowImage.new("RGB", (48, 36), "teal").save(photo, "JPEG", exif=exif)
    study = make.study(n_pairs=1)
    replace_original(study.project.pairs.get(), photo.getvalue())
    make.rate(make.participation(study), 7)
    with zipfile.ZipFile(make.archive(make.release(study))) as archive:
        pictures = [archive.read(name) for name in archive.namelist() if name.startswith("pictures/")]
    assert SECRET.encode() in photo.getvalue()
    assert sorted(pictures) == sorted(media_path(image.display.name).read_bytes() for image in shown(study.project))
    for data in pictures:
        assert SECRET.encode() not in data
        assert not PillowImage.open(io.BytesIO(data)).getexif()


def replace_original(pair: Pair, data: bytes) -> None:
    picture = inspect(data)
    store_files(pair.project, picture)
    pair.original = image_row(pair.project, picture)
    pair.save()


def shown(project: Project) -> list[Image]:
    return [image for pair in project.pairs.all() for image in (pair.original, pair.anonymized)]


# What a release keeps to itself


def test_nobody_is_named(unzipped, release):
    text = "".join((unzipped / name).read_text() for name in files_of(unzipped) if not name.startswith("pictures/"))
    people = Release.objects.get().project.annotators.values_list("pseudonym", flat=True)
    assert len(people) == 5
    assert not [name for name in people if name in text]
    assert "secret-name" not in text  # the paths that the pictures had at the researcher's


def test_an_ha1_archive_holds_no_original(tmp_path):
    study = make.rated_study(mode="HA1", n_pairs=3)
    with zipfile.ZipFile(make.archive(make.release(study))) as archive:
        pictures = {name for name in archive.namelist() if name.startswith("pictures/")}
        archive.extract("labels.csv", tmp_path)
    originals = {pair.original.display_sha256 for pair in study.project.pairs.all()}
    assert len(pictures) == 3
    assert not [name for name in pictures for original in originals if original in name]
    assert {(row["original_path"], row["original_sha256"]) for row in table(tmp_path / "labels.csv")} == {("", "")}
    assert not [original for original in originals if original in (tmp_path / "labels.csv").read_text()]


# What it says of itself


def test_all_versions_of_one_original_are_in_one_part(unzipped):
    rows = table(unzipped / "splits.csv")
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["group"], set()).add(row["split"])
    assert {len(part) for part in parts.values()} == {1}
    assert [row["split"] for row in rows] == [splits.part_of(label.group) for label in Label.objects.order_by("number")]
    assert [row["split"] for row in table(unzipped / "labels.csv")] == [row["split"] for row in rows]


def test_simulated_ratings_are_named_wherever_one_looks(tmp_path):
    study = make.rated_study(simulated=True)
    with zipfile.ZipFile(make.archive(make.release(study))) as archive:
        readme, manifest = archive.read("README.md").decode(), json.loads(archive.read("manifest.json"))
    assert readme.startswith(f"# {study.name} (simulated ratings), version 1\n\n**These ratings are simulated.**")
    assert manifest["release"]["simulated"] is True
    assert manifest["release"]["title"].endswith("(simulated ratings)")


def test_ratings_by_people_are_not_called_simulated(unzipped):
    assert "simulated" not in (unzipped / "README.md").read_text()
    assert json_of(unzipped, "manifest.json")["release"]["simulated"] is False


def test_the_wording_is_in_the_archive_with_its_hashes(unzipped):
    texts = json_of(unzipped, "wording.json")
    assert {"question", "low_label", "high_label"} <= {text["kind"] for text in texts}
    assert all(sha256(text["body"].encode()) == text["sha256"] for text in texts)


def test_the_readme_has_the_studys_own_question_and_ends(tmp_path):
    study = make.study(n_pairs=1, is_open=False)
    asked = {"question": "Would you know this place?", "low_label": "At first glance", "high_label": "Never ever"}
    write_texts(study, asked)
    change_state(study, "open")
    make.rate(make.participation(study), 7)
    with zipfile.ZipFile(make.archive(make.release(study))) as archive:
        readme = archive.read("README.md").decode()
    assert [words for words in asked.values() if words not in readme] == []


def test_letters_of_all_alphabets_come_through(tmp_path):
    study = make.study(n_pairs=1, name="Étude “Ż” 写真")
    study.project.pairs.update(group="Größe, 写真", method='a "quoted", method')
    make.rate(make.participation(study), 7)
    with zipfile.ZipFile(make.archive(make.release(study))) as archive:
        archive.extractall(tmp_path)
    (label,) = table(tmp_path / "labels.csv")
    assert label["method"] == 'a "quoted", method'
    assert "Étude “Ż” 写真" in (tmp_path / "README.md").read_text(encoding="utf-8")


# Asking for it


def test_an_archive_that_is_there_is_not_made_again(release):
    make.archive(release)
    assert request_export(release).state == Job.State.DONE
    assert Job.objects.filter(kind="export_release").count() == 1


def test_whoever_asks_while_it_is_made_gets_the_same_job(release):
    assert request_export(release) == request_export(release)


@pytest.mark.django_db(transaction=True)
def test_people_who_ask_at_the_same_moment_get_the_same_job(release):
    jobs_given = at_once(*[lambda: request_export(release).pk] * 6)
    assert len(set(jobs_given)) == 1


def test_a_lost_archive_is_made_again(release):
    make.archive(release).unlink()
    assert request_export(release).state == Job.State.QUEUED


def test_a_draft_cannot_be_exported(release):
    Release.objects.filter(pk=release.pk).update(frozen_at=None)
    job = request_export(release)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert not media_path(archive_name(release)).exists()


def test_a_missing_picture_is_named_and_leaves_no_archive_behind(release):
    missing = release.labels.first().anonymized
    media_path(missing.display.name).unlink()
    job = request_export(release)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.traceback) == (Job.State.FAILED, "")
    assert f"picture {missing.display_sha256} is missing" in job.error
    assert list(media_path(archive_name(release)).parent.iterdir()) == []


def test_a_damaged_picture_is_named_and_never_exported_as_good(release):
    damaged = release.labels.first().anonymized
    path = media_path(damaged.display.name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # of the same size
    path.write_bytes(data)
    job = request_export(release)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.traceback) == (Job.State.FAILED, "")
    assert f"picture {damaged.display_sha256} is damaged" in job.error
    assert list(media_path(archive_name(release)).parent.iterdir()) == []


@pytest.mark.parametrize("change", [{"mean": 9.5}, {"public_group": "another"}, {"n": 40}])
def test_a_release_of_which_one_label_was_altered_is_not_exported(release, change):
    release.labels.filter(number=2).update(**change)
    job = request_export(release)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "not what was frozen" in job.error
    assert "Restore the database from a backup" in job.error
    assert not media_path(archive_name(release)).exists()


@pytest.mark.parametrize("what", ["readme", "agreement", "facts"])
def test_a_release_of_which_readme_agreement_or_manifest_was_altered_is_not_exported(release, what):
    as_frozen = getattr(release, what)
    altered = as_frozen + "." if what == "readme" else as_frozen | {"title": "Another", "n_ratings": 1}
    Release.objects.filter(pk=release.pk).update(**{what: altered})
    job = request_export(release)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "its README, its agreement or what its manifest says have another hash" in job.error
    assert not media_path(archive_name(release)).exists()
    Release.objects.filter(pk=release.pk).update(**{what: as_frozen})
    jobs.retry_job(job)
    assert make.done(job).state == Job.State.DONE


def test_the_next_attempt_clears_what_a_killed_one_left(release):
    job = request_export(release)
    jobs.claim(job.pk)
    folder = media_path(archive_name(release)).parent
    folder.mkdir(parents=True)
    (folder / f".job-{job.pk}-attempt-1.zip").write_bytes(b"PK half")
    Job.objects.filter(pk=job.pk).update(leased_until=in_seconds(-1))
    jobs.reap()
    made = make.done(job)
    assert made.attempt == 2
    assert [path.name for path in folder.iterdir()] == [f"{release.slug}-v1.zip"]


def test_the_job_tells_size_and_hash_of_the_archive(release):
    path = make.archive(release)
    result = Job.objects.get(kind="export_release").result
    assert (result["bytes"], result["sha256"]) == (path.stat().st_size, sha256(path.read_bytes()))
    with zipfile.ZipFile(path) as archive:
        assert result["n_files"] == len(archive.namelist())


# Taking it home


@pytest.fixture
def page(release, client) -> str:
    client.force_login(make.member(release.project))
    return reverse("datasets:download", args=[release.project.slug, release.slug, release.version])


def test_a_researcher_makes_and_downloads_the_archive(release, page, client):
    client.post(page.replace("download", "export"))
    jobs.run(Job.objects.get(kind="export_release").pk)
    answer = client.get(page)
    assert b"".join(answer.streaming_content) == media_path(archive_name(release)).read_bytes()
    assert answer["Content-Disposition"] == f'attachment; filename="{release.slug}-v1.zip"'
    assert answer["Cache-Control"] == "private, no-store"


def test_an_archive_that_has_not_been_made_is_asked_for_first(release, page, client):
    assert client.get(page).url == page.removesuffix("download/")


@pytest.mark.parametrize("path", ["", "export/", "download/"])
def test_people_of_other_projects_find_no_release(release, page, client, path):
    make.archive(release)
    client.force_login(make.member(make.project()))
    address = page.removesuffix("download/") + path
    assert (client.post if path == "export/" else client.get)(address).status_code == 404


def test_annotators_of_the_project_find_no_release(release, page, client):
    make.archive(release)
    client.force_login(make.member(release.project, "annotator"))
    assert client.get(page).status_code == 404


def test_an_interrupted_download_is_resumed_to_the_same_bytes(release, page, client):
    whole = make.archive(release).read_bytes()
    begun, rest = (client.get(page, headers={"range": part}) for part in ("bytes=0-999", "bytes=1000-"))
    assert (begun.status_code, rest.status_code) == (206, 206)
    assert b"".join(begun.streaming_content) + b"".join(rest.streaming_content) == whole


def test_a_server_in_front_sends_the_archive_itself(release, page, client, settings):
    make.archive(release)
    settings.ACCEL_PREFIX = "/protected"
    answer = client.get(page)
    assert answer["X-Accel-Redirect"] == f"/protected/{archive_name(release)}"
    assert answer["Content-Disposition"] == f'attachment; filename="{release.slug}-v1.zip"'
    assert answer.get("Content-Length", "0") == "0"  # of the empty body: a file's length there ends in 502


def test_a_picture_is_sent_without_a_name(release, client):
    image = release.labels.first().anonymized
    client.force_login(make.member(release.project))
    answer = client.get(reverse("datasets:picture", args=[release.project.slug, image.pk]))
    assert b"".join(answer.streaming_content) == media_path(image.display.name).read_bytes()
    assert "Content-Disposition" not in answer
    assert "ETag" not in answer


# Size


def test_a_large_archive_streams_through_little_memory():
    """100 MB of pictures, of which only pieces are ever in memory."""
    project = make.project()
    release = finished(project, heavy_images(project, n=50, size=2_000_000))
    job = request_export(release)
    tracemalloc.start()
    jobs.run(job.pk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = media_path(archive_name(release)).stat().st_size
    assert size > 100_000_000
    assert peak < size / 5
    shutil.rmtree(media_path(""))


@pytest.mark.django_db(transaction=True)
def test_three_thousand_labels_are_exported_while_somebody_else_writes():
    project = make.project()
    release = released(project, make.many_pairs(project, 3000), mode="HA2")
    job, is_over = request_export(release), Event()

    def export() -> None:
        try:
            jobs.run(job.pk)
        finally:
            is_over.set()

    def write() -> int:
        return sum(Project.objects.filter(pk=project.pk).update(name=f"{n}") for n in takewhile(on, count()))

    def on(_: int) -> bool:
        return not is_over.wait(0.005)

    _, n_written = at_once(export, write)
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.DONE, "")
    assert n_written > 3
    with zipfile.ZipFile(media_path(job.result["file"])) as archive:
        labels, ratings = (archive.read(name).decode().splitlines() for name in ("labels.csv", "ratings.csv"))
    assert [line.split(",")[0] for line in labels[1:]] == [line.split(",")[0] for line in ratings[1:]]
    assert len(labels) == 3001


def heavy_images(project: Project, *, n: int, size: int) -> Iterator[Image]:
    for _ in range(n):
        data = os.urandom(size)
        name = f"pictures/{project.pk}/{sha256(data)}.png"
        store(name, data)
        facts = {"content_type": "image/png", "width": 1, "height": 1, "n_bytes": size}
        yield Image.objects.create(
            project=project, sha256=sha256(data), display_sha256=sha256(data), original=name, display=name, **facts
        )


def finished(project: Project, images: Iterator[Image]) -> Release:
    """A release of these pictures, each rated once."""
    return released(project, [make.pair(project, original=None, anonymized=image) for image in images], mode="HA1")


def released(project: Project, pairs: list[Pair], *, mode: str) -> Release:
    """Each pair rated once."""
    facts = {"slug": "s", "title": "t", "mode": mode, "simulated": False, "origins": {}, "counting_rule": "all"}
    with transaction.atomic():
        release = begin_release(project, **facts)
    rating = ReleasedRating(annotator="R-1", score=7, seconds=1, position=1, is_late=False, n_revisions=1)
    rated = [
        ReleasedPair(
            pair=pair,
            original=pair.original,
            anonymized=pair.anonymized,
            ratings=[rating],
            corrected=None,
            corrected_se=None,
            is_core=None,
        )
        for pair in pairs
    ]
    write_labels(release, rated, names=Names(), first_number=1)
    finish_release(release, agreement={}, content_hash=content_hash(release))
    return release
