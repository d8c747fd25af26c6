import csv
import hashlib
import io
import os
import sys
import tracemalloc
import unicodedata
import zipfile
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models.signals import post_save
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, FakePayload, encode_multipart
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from datasets import files, ingest, jobs
from datasets.files import media_path
from datasets.ingest import PAIRS_AT_ONCE, KnownPairs, SeenRow, check, store
from datasets.jobs import JobFailed, LostLease, claim, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project, Role
from datasets.pair_changes import merge_groups
from datasets.pictures import inspect
from datasets.reports import report_name
from datasets.roots import Archive, opened_root
from datasets.rows import BadManifest, Manifest, ManifestRow, manifest_rows
from datasets.tables import DELIMITERS
from datasets.uploads import BoundedUpload
from tests import make
from tests.colours import DISPLAY_P3
from tests.datasets.test_pictures import saved

pytestmark = pytest.mark.django_db
State = Job.State
PLAIN = {"read_as": "UTF-8, commas", "unread": []}  # what is said of a manifest with nothing odd about it


@pytest.fixture(autouse=True)
def _media_of_its_own(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def project() -> Project:
    return make.project()


@pytest.fixture
def folder(tmp_path) -> Path:
    """An original with two versions, and a picture without an original."""
    root = tmp_path / "pictures"
    (root / "sub").mkdir(parents=True)
    for n, name in enumerate(["original.png", "sub/blur.png", "sub/mask.png", "lone.png"]):
        (root / name).write_bytes(make.picture_bytes(n))
    write_manifest(
        root,
        'original.png,sub/blur.png,,London,blur,face,"{""r"": 9}"',
        "original.png,sub/mask.png,,London,mask,face,",
        ",lone.png,alone,,,,",
    )
    return root


def write_manifest(root: Path, *lines: str) -> None:
    text = "\n".join(["original,anonymized,group,source,method,scope,parameters", *lines]) + "\n"
    (root / "manifest.csv").write_text(text, encoding="utf-8")


def zipped(root: Path, *, prefix: str = "", **options: Any) -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", **options) as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + str(file.relative_to(root)))
    return path


def imported(project: Project, **arguments: Any) -> Job:
    job = queue_job("import_pairs", project, **arguments)
    jobs.run(job.pk)
    job.refresh_from_db()
    return job


def from_folder(project: Project, root: Path) -> Job:
    return imported(project, root=str(root), manifest=str(root / "manifest.csv"))


def stored_files(project: Project) -> list[Path]:
    return [path for path in media_path(f"pictures/{project.pk}").rglob("*") if path.is_file()]


def assert_nothing_was_imported(project: Project, job: Job) -> None:
    assert job.state == State.FAILED
    assert not job.traceback
    assert not Pair.objects.exists()
    assert not Image.objects.exists()
    assert not Source.objects.exists()
    assert stored_files(project) == []


# What comes in


def test_a_folder_becomes_pairs(project, folder):
    job = from_folder(project, folder)
    assert job.result == PLAIN | {"n_rows": 3, "n_new": 3, "n_known": 0}
    assert (job.n_done, job.n_total) == (3, 3)
    pair = Pair.objects.get(method="blur")
    assert (pair.scope, pair.source.name, pair.parameters) == ("face", "London", {"r": 9})
    assert (pair.original_path, pair.anonymized_path) == ("original.png", "sub/blur.png")
    assert media_path(pair.original.original.name).read_bytes() == (folder / "original.png").read_bytes()


def test_versions_of_one_original_share_its_picture_and_its_hash_as_group(project, folder):
    from_folder(project, folder)
    blur, mask = Pair.objects.exclude(original=None).order_by("method")
    assert blur.original == mask.original
    assert blur.group == mask.group == blur.original.sha256
    assert Image.objects.count() == 4


def test_a_picture_without_original_keeps_the_group_it_came_with(project, folder):
    from_folder(project, folder)
    lone = Pair.objects.get(original=None)
    assert (lone.group, lone.source.name) == ("alone", "unnamed")


@pytest.mark.parametrize("prefix", ["", "my pictures/", "two/folders/"])
def test_a_zip_is_imported_as_it_comes_from_the_desktop(project, folder, prefix):
    job = imported(project, archive=str(zipped(folder, prefix=prefix)))
    assert job.result["n_new"] == 3
    assert set(Pair.objects.values_list("anonymized_path", flat=True)) == {"sub/blur.png", "sub/mask.png", "lone.png"}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_zip_is_imported(project, folder, method):
    assert imported(project, archive=str(zipped(folder, compression=method))).result["n_new"] == 3


def test_imported_again_nothing_changes(project, folder):
    from_folder(project, folder)
    before = (list(Pair.objects.values()), list(Image.objects.values()), sorted(stored_files(project)))
    assert from_folder(project, folder).result == PLAIN | {"n_rows": 3, "n_new": 0, "n_known": 3}
    assert (list(Pair.objects.values()), list(Image.objects.values()), sorted(stored_files(project))) == before


def test_imported_again_after_its_groups_were_merged_nothing_changes(project, folder):
    from_folder(project, folder)
    original = Pair.objects.exclude(original=None).first().group
    merge_groups(project, [original, "alone"], into="alone", by=None)
    merge_groups(project, ["alone"], into="7", by=None)  # a merge of merges, into a name that looks like a number
    before = list(Pair.objects.values().order_by("pk"))
    assert from_folder(project, folder).result == {"n_rows": 3, "n_new": 0, "n_known": 3, **PLAIN}
    assert list(Pair.objects.values().order_by("pk")) == before


def test_a_new_version_of_what_was_merged_comes_into_the_group_of_the_others(project, folder):
    from_folder(project, folder)
    merge_groups(project, ["alone"], into="everybody", by=None)
    (folder / "new.png").write_bytes(make.picture_bytes(9))
    write_manifest(folder, ",lone.png,alone,,,,", ",new.png,alone,,,,")
    assert from_folder(project, folder).result["n_new"] == 1
    assert set(Pair.objects.filter(original=None).values_list("group", flat=True)) == {"everybody"}


def test_another_project_gets_pictures_of_its_own(project, folder):
    from_folder(project, folder)
    other = make.project()
    assert from_folder(other, folder).result["n_new"] == 3
    assert Pair.objects.filter(project=other, original__project=other).count() == 2


def test_an_original_is_opened_once_for_all_its_versions(project, folder):
    names = [f"v{n}.png" for n in range(30)]
    for n, name in enumerate(names):
        (folder / name).write_bytes(make.picture_bytes(100 + n))
    write_manifest(folder, *(f"original.png,{name},,,,," for name in names))
    opened = opened_files(lambda: from_folder(project, folder))
    assert opened.count(folder / "original.png") == 2  # once to check it, once to store it
    assert Pair.objects.count() == 30


def opened_files(work: Any) -> list[Path]:
    """Every file that Python opens meanwhile. An audit hook stays for good, so this one falls silent."""
    opened: list[Path] = []
    listening = True

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event == "open" and isinstance(arguments[0], str | os.PathLike):
            opened.append(Path(arguments[0]))

    sys.addaudithook(hear)
    work()
    listening = False
    return opened


# What is refused: all of it or nothing


def truncated_jpeg() -> bytes:
    return make.picture_bytes(size=(200, 200), format="JPEG")[:-200]


def gif() -> bytes:
    return make.picture_bytes(format="GIF")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "line 4: lone.png cannot be read: No such file or directory."),
        (truncated_jpeg(), "line 4: lone.png: truncated JPEG"),
        (gif(), "line 4: lone.png: not a JPEG, PNG or WebP picture"),
        (b"", "line 4: lone.png: the file is empty"),
    ],
    ids=["missing", "truncated", "GIF", "empty"],
)
def test_one_bad_picture_and_nothing_is_imported(project, folder, data, said):
    (folder / "lone.png").unlink()
    if data is not None:
        (folder / "lone.png").write_bytes(data)
    job = from_folder(project, folder)
    assert said in job.error
    assert_nothing_was_imported(project, job)


def test_all_bad_rows_are_named_at_once_with_their_lines(project, folder):
    write_manifest(folder, "original.png,gone.png,,,,,", ",lone.png,,,,,", "original.png,lone.png,,,,,no")
    job = from_folder(project, folder)
    assert [line.split(":")[0] for line in job.error.splitlines()[1:]] == ["line 2", "line 3", "line 4"]
    assert_nothing_was_imported(project, job)


SAID = 'original.png,sub/blur.png,g,London,blur,face,"{""r"": 9}"'


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        ("group", 'original.png,sub/blur.png,h,London,blur,face,"{""r"": 9}"'),
        ("source", 'original.png,sub/blur.png,g,Paris,blur,face,"{""r"": 9}"'),
        ("method", 'original.png,sub/blur.png,g,London,mask,face,"{""r"": 9}"'),
        ("scope", 'original.png,sub/blur.png,g,London,blur,body,"{""r"": 9}"'),
        ("parameters", 'original.png,copy.png,g,London,blur,face,"{""r"": 8}"'),
        ("group and source", 'original.png,copy.png,h,Paris,blur,face,"{""r"": 9}"'),
    ],
)
def test_a_row_that_says_something_else_of_two_pictures_is_refused(project, folder, fact, line):
    (folder / "copy.png").write_bytes((folder / "sub/blur.png").read_bytes())
    write_manifest(folder, SAID, ",lone.png,alone,,,,", line)
    job = from_folder(project, folder)
    assert f"line 4: the same two pictures as in line 2, with another {fact}." in job.error
    assert_nothing_was_imported(project, job)
    write_manifest(folder, SAID)
    from_folder(project, folder)
    write_manifest(folder, ",lone.png,alone,,,,", line)
    job = from_folder(project, folder)
    assert (
        f"line 3: the project has these two pictures as pair 1, with another {fact}. Write what is there" in job.error
    )
    assert Pair.objects.count() == 1


def test_rows_that_say_something_else_are_named_in_the_order_of_their_lines(project, folder):
    write_manifest(folder, SAID)
    from_folder(project, folder)
    alone = ",lone.png,alone,,,,"
    write_manifest(folder, alone, "original.png,gone.png,,,,,", SAID.replace("blur,face", "mask,face"), alone + "no")
    job = from_folder(project, folder)
    assert [line.split(":")[0] for line in job.error.splitlines()[1:]] == ["line 3", "line 4", "line 5"]


def test_a_check_asks_the_database_as_often_for_many_rows_of_one_batch_as_for_few(project, folder):
    def n_queries(*lines: str) -> int:
        write_manifest(folder, *lines)
        attempt = claim(queue_job("import_pairs", project, root=str(folder), manifest=str(folder / "manifest.csv")).pk)
        with CaptureQueriesContext(connection) as asked:
            check(attempt, opened_root(attempt.arguments))
        return len(asked)

    alone = ",lone.png,alone,,,,"
    assert n_queries(SAID, alone) == n_queries(*[SAID, alone] * 9)


def test_a_check_keeps_less_than_250_bytes_of_a_row(project):
    known, n_rows = KnownPairs(project), 10_000
    facts = {"group": "g", "source": "s", "method": "m", "scope": "face", "parameters": {"r": 9}}
    tracemalloc.start()
    for number in range(0, n_rows, PAIRS_AT_ONCE):
        batch = [SeenRow(line, "", f"{line:064x}", facts, {}, {}) for line in range(number, number + PAIRS_AT_ONCE)]
        assert known.problems(batch) == []
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept / n_rows < 250


def test_the_same_row_twice_is_one_pair(project, folder):
    alike = 'original.png,sub/blur.png,g,London,blur,face,"{ ""r"":9 }"'
    write_manifest(folder, SAID, alike, ",lone.png,alone,,,,", ",lone.png,alone,,,,")
    assert from_folder(project, folder).result == PLAIN | {"n_rows": 4, "n_new": 2, "n_known": 2}


def test_what_another_import_has_stored_since_the_check_is_not_contradicted(project, folder):
    from_folder(project, folder)
    attempt = claim(queue_job("import_pairs", project, root=str(folder), manifest=str(folder / "manifest.csv")).pk)
    Pair.objects.filter(method="blur").update(method="mask")
    with pytest.raises(JobFailed, match="line 2: the project now has these two pictures with another method"):
        store(attempt, opened_root(attempt.arguments), 3)


def report_of(job: Job) -> list[dict[str, str]]:
    text = media_path(report_name(job)).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_all_bad_files_of_a_long_manifest_stand_in_the_report(project, folder):
    write_manifest(folder, *[f"gone{n}.png,lost{n}.png,,,,," for n in range(30)], ",lone.png,,,,,", "one,two,,,,,{},")
    job = from_folder(project, folder)
    assert len(job.error.splitlines()) == 22
    assert job.error.endswith("... and 42 more, all of them in the report.")
    rows = report_of(job)
    assert [int(row["line"]) for row in rows] == [*(n for n in range(2, 32) for _ in "oa"), 32, 33]
    assert rows[59]["problem"].startswith("lost29.png cannot be read: No such file or directory")
    assert rows[61]["problem"].startswith("8 cells under 7 columns")
    assert_nothing_was_imported(project, job)


def test_a_hint_at_a_file_whose_name_is_not_utf_8_can_be_read(project, folder):
    (folder / os.fsdecode(b"b\xfcro.png")).write_bytes(make.picture_bytes())
    write_manifest(folder, ",büro.png,alone,,,,")
    job = from_folder(project, folder)
    assert "büro.png cannot be read: No such file or directory; the nearest name is b?ro.png" in job.error
    assert "b?ro.png" in report_of(job)[0]["problem"]


def test_a_report_goes_when_its_import_succeeds(project, folder):
    write_manifest(folder, ",gone.png,g,,,,")
    job = from_folder(project, folder)
    write_manifest(folder, ",lone.png,g,,,,")
    jobs.retry_job(job)
    jobs.run(job.pk)
    assert Pair.objects.count() == 1
    assert not media_path(report_name(job)).exists()


def test_old_reports_are_swept_by_the_next_import(project, folder):
    write_manifest(folder, ",gone.png,g,,,,")
    old, new = from_folder(project, folder), from_folder(project, folder)
    os.utime(media_path(report_name(old)), (0, 0))
    write_manifest(folder, ",lone.png,g,,,,")
    from_folder(project, folder)
    assert [media_path(report_name(job)).exists() for job in (old, new)] == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'anonymized'"),
        ("anonymized,group\n", "The manifest has no rows"),
        ("anonymized,group\n\n,\n", "The manifest has no rows"),
        ("anonymized,img2,group\na,b,c\n", "two columns for 'anonymized'"),
    ],
)
def test_a_manifest_that_names_no_pairs_is_refused(project, folder, text, said):
    (folder / "manifest.csv").write_text(text)
    job = from_folder(project, folder)
    assert said in job.error
    assert_nothing_was_imported(project, job)


def test_a_missing_manifest_is_refused(project, tmp_path):
    job = from_folder(project, tmp_path)
    assert "the manifest cannot be read: No such file" in job.error
    assert_nothing_was_imported(project, job)


@pytest.mark.parametrize(
    "name", ["../secret.png", "sub/../../secret.png", "{root}/../secret.png", "link.png", "linked/secret.png"]
)
def test_nothing_outside_the_folder_can_be_reached(project, folder, name):
    secret = folder.parent / "secret.png"
    secret.write_bytes(make.picture_bytes())
    (folder / "link.png").symlink_to(secret)
    (folder / "linked").symlink_to(folder.parent)
    write_manifest(folder, f",{name.format(root=folder)},g,,,,")
    job = from_folder(project, folder)
    assert "lies outside the root folder" in job.error
    assert_nothing_was_imported(project, job)


def test_a_link_within_the_folder_is_followed(project, folder):
    (folder / "again.png").symlink_to(folder / "lone.png")
    write_manifest(folder, ",again.png,g,,,,")
    assert from_folder(project, folder).result["n_new"] == 1


@pytest.mark.parametrize("name", ["circle.png", "sub", "n" * 300 + ".png"])
def test_what_is_no_readable_file_is_named(project, folder, name):
    (folder / "circle.png").symlink_to(folder / "circle.png")
    write_manifest(folder, f",{name},g,,,,")
    job = from_folder(project, folder)
    assert f"line 2: {name} cannot be read" in job.error
    assert_nothing_was_imported(project, job)


def without_manifest(root: Path) -> Path:
    (root / "manifest.csv").unlink()
    return zipped(root)


def with_two_manifests(root: Path) -> Path:
    (root / "sub" / "manifest.csv").write_bytes((root / "manifest.csv").read_bytes())
    return zipped(root)


def with_a_member_missing(root: Path) -> Path:
    (root / "lone.png").unlink()
    return zipped(root)


def with_a_way_out(root: Path) -> Path:
    (root.parent / "secret.png").write_bytes(make.picture_bytes())
    write_manifest(root, ",../secret.png,g,,,,")
    return zipped(root)


def cut_off(root: Path) -> Path:
    path = zipped(root)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def encrypted(root: Path) -> Path:
    """As a zip program would mark it: bit 0 of each entry's flags, in both of its headers."""
    path = zipped(root)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(signature, at + 4)
    path.write_bytes(data)
    return path


def damaged_within(root: Path) -> Path:
    path = zipped(root, compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("manifest.csv")
    data = bytearray(path.read_bytes())
    start = entry.header_offset + 30 + len(entry.filename)
    data[start : start + entry.compress_size] = b"\xff" * entry.compress_size
    path.write_bytes(data)
    return path


def not_a_zip(root: Path) -> Path:
    return root / "original.png"


def not_there(root: Path) -> Path:
    return root / "gone.zip"


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (without_manifest, "no manifest.csv, and lone.png lies in none of the layouts"),
        (with_two_manifests, "must hold one manifest.csv; it holds 2"),
        (with_a_member_missing, "line 4: lone.png is not in the zip"),
        (with_a_way_out, "line 2: ../secret.png is not in the zip"),
        (encrypted, "manifest.csv cannot be read from the zip; make it again, without a password"),
        (damaged_within, "manifest.csv cannot be read from the zip"),
        (cut_off, "not a zip that can be read"),
        (not_a_zip, "not a zip that can be read"),
        (not_there, "not a zip that can be read"),
    ],
)
def test_a_zip_that_does_not_fit_is_refused_whole(project, folder, build, said):
    job = imported(project, archive=str(build(folder)))
    assert said in job.error
    assert_nothing_was_imported(project, job)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_zip_is_read_or_refused(tmp_path, damage):
    path = tmp_path / "damaged.zip"
    data = bytearray(small_zip())
    for where, byte in damage:
        data[int(where * len(data))] = byte
    path.write_bytes(data)
    try:
        with Archive(path).manifest_text() as lines:
            assert lines.read() is not None
    except (BadManifest, UnicodeDecodeError):  # the latter is caught where rows are read
        return


def test_a_file_without_a_name_is_passed_over(tmp_path):
    path = tmp_path / "nameless.zip"
    path.write_bytes(small_zip())
    with zipfile.ZipFile(path, "a") as archive, archive.open(zipfile.ZipInfo(""), "w") as nameless:
        nameless.write(b"whose?")
    assert all(each.filename for each in Archive(path).members)


def small_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Bücher/manifest.csv", "anonymized,group\n" + "a.png,g\n" * 9)
        archive.writestr("Bücher/a.png", b"...")
    return file.getvalue()


@pytest.mark.parametrize(
    "line", [b"0" * 1_000_000, (b"0,g," + b"x" * 60_000 + b"\n") * 16], ids=["one line", "many lines"]
)
def test_a_manifest_that_unpacks_to_hundreds_of_megabytes_is_refused_in_little_memory(tmp_path, settings, line):
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as archive,
        archive.open("manifest.csv", "w") as member,
    ):
        member.write(b"anonymized,group,x\n")
        for _ in range(200):
            member.write(line)
    tracemalloc.start()
    with (
        pytest.raises(BadManifest, match=r"is longer than 64000|is larger than 150 MB"),
        Archive(path).manifest_text() as text,
    ):
        for _ in manifest_rows(text, at_most=settings.MANIFEST_MAX_BYTES):
            pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5_000_000


def test_a_manifest_in_a_folder_has_the_same_bounds(project, folder, settings):
    settings.MANIFEST_MAX_BYTES = 100
    job = from_folder(project, folder)
    assert "the manifest is larger than" in job.error
    assert_nothing_was_imported(project, job)


@pytest.mark.parametrize(
    ("setting", "at_most"), [("IMPORT_MAX_ROWS", 1), ("IMPORT_MAX_PIXELS", 48 * 32), ("IMPORT_MAX_BYTES", 1)]
)
def test_an_import_that_is_larger_than_the_site_allows_says_which_setting_and_keeps_nothing(
    project, folder, settings, setting, at_most
):
    setattr(settings, setting, at_most)
    job = from_folder(project, folder)
    assert "One import may not be as large as this one" in job.error
    assert job.error.endswith(f"ask an admin of the site to raise {setting}.")
    assert_nothing_was_imported(project, job)


def test_a_small_zip_that_names_large_pictures_again_and_again_is_refused_at_the_limit(project, tmp_path, settings):
    """Each by names of its own and in turn, so that none is opened once for all rows."""
    settings.IMPORT_MAX_PIXELS = 50_000_000
    flat = io.BytesIO()
    PillowImage.new("RGB", (3000, 3000)).save(flat, "PNG")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(5):
            archive.writestr(f"{n}.png", flat.getvalue())
        archive.writestr("manifest.csv", manifest_of(*(f"{n % 5}.png" for n in range(20_000))))
    assert (tmp_path / "bomb.zip").stat().st_size < 300_000
    job = imported(project, archive=str(tmp_path / "bomb.zip"))
    assert "0.1 gigapixels so far" in job.error
    assert not Pair.objects.exists()


def test_whoever_cancels_is_heard_at_every_line_a_blank_one_too():
    heard = []
    manifest = Manifest(io.StringIO("anonymized,group\n" + "\n" * 500 + "a.png,g\n"), look=lambda: heard.append(1))
    assert len([*manifest.rows()]) == 1
    assert len(heard) == 503  # with the end


def test_a_job_looks_up_once_a_second_from_long_work_and_ends_at_the_sites_limit(project, settings):
    attempt = claim(queue_job("import_pairs", project, root="x", manifest="y").pk)
    jobs.cancel_job(attempt.job)
    with CaptureQueriesContext(connection) as asked:
        for _ in range(1000):
            attempt.look()
    assert len(asked) == 0
    sleep(jobs.LOOK_WITHIN_SECONDS)
    with pytest.raises(jobs.JobCancelled):
        attempt.look()
    settings.JOB_MAX_SECONDS = 1
    attempt.job.cancel_requested = False
    attempt.job.save()
    sleep(jobs.LOOK_WITHIN_SECONDS)
    with pytest.raises(jobs.JobFailed, match="raise JOB_MAX_SECONDS"):
        attempt.look()


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_a_name_that_one_system_takes_apart_is_found_by_the_other(project, folder, listed, stored, packed):
    (folder / "lone.png").rename(folder / unicodedata.normalize(stored, "Gebäude.png"))
    write_manifest(folder, f",{unicodedata.normalize(listed, 'Gebäude.png')},g,,,,")
    job = imported(project, archive=str(zipped(folder, prefix="Bücher/"))) if packed else from_folder(project, folder)
    assert job.result["n_new"] == 1


# Cancelled, taken over


def test_a_cancelled_import_keeps_no_half_batch(project, folder):
    attempt = claim(queue_job("import_pairs", project, root=str(folder), manifest=str(folder / "manifest.csv")).pk)
    jobs.cancel_job(attempt.job)
    with pytest.raises(jobs.JobCancelled):
        ingest.import_pairs(attempt)
    assert not Pair.objects.exists()


def cancelled_at_its_first_pair(project: Project, folder: Path) -> Job:
    """The import, which goes on to the end of its first batch."""

    def cancel(**_: Any) -> None:
        jobs.cancel_job(Job.objects.get())

    post_save.connect(cancel, sender=Pair)
    try:
        return from_folder(project, folder)
    finally:
        post_save.disconnect(cancel, sender=Pair)


def test_an_import_that_is_cancelled_half_way_says_what_stays_and_goes_on_when_tried_again(project, folder):
    n = ingest.PAIRS_AT_ONCE + 2
    for k in range(n):
        (folder / f"{k}.png").write_bytes(make.picture_bytes(100 + k))
    write_manifest(folder, *(f",{k}.png,alone {k},,,," for k in range(n)))

    job = cancelled_at_its_first_pair(project, folder)
    assert (job.state, Pair.objects.count()) == (State.CANCELLED, ingest.PAIRS_AT_ONCE)
    assert job.error == f"{ingest.PAIRS_AT_ONCE} new pairs were stored before it was cancelled, and are kept."
    jobs.retry_job(job)
    jobs.finish(job)
    assert job.result == PLAIN | {"n_rows": n, "n_new": n, "n_known": 0}


def test_display_files_count_among_what_is_held_before_it_is_stored(project, folder, monkeypatch):
    photo = PillowImage.effect_noise((400, 300), 60).convert("RGB")
    lossy = [saved(photo.rotate(angle), "WEBP", quality=20, icc_profile=DISPLAY_P3) for angle in (0, 180)]
    for k, data in enumerate(lossy):
        (folder / f"{k}.webp").write_bytes(data)
    write_manifest(folder, *(f",{k}.webp,alone {k},,,," for k in range(2)))
    assert len(inspect(lossy[0]).display) > sum(map(len, lossy))
    monkeypatch.setattr(ingest, "BYTES_AT_ONCE", sum(map(len, lossy)))
    assert cancelled_at_its_first_pair(project, folder).state == State.CANCELLED
    assert Pair.objects.count() == 1


def test_an_import_that_was_taken_over_adds_nothing(project, folder):
    attempt = claim(queue_job("import_pairs", project, root=str(folder), manifest=str(folder / "manifest.csv")).pk)
    Job.objects.filter(pk=attempt.job.pk).update(attempt=2)
    with pytest.raises(LostLease):
        ingest.import_pairs(attempt)
    assert not Pair.objects.exists()


def test_what_a_killed_writer_left_is_cleared_away_and_what_is_being_written_is_not(project, folder):
    from_folder(project, folder)
    old, new = (media_path(files.DRAFTS) / name for name in ("old", "new"))
    for draft in (old, new):
        draft.write_bytes(b"half a pic")
    os.utime(old, (0, 0))
    from_folder(project, folder)
    assert (old.exists(), new.exists()) == (False, True)


# The page


@pytest.fixture
def researcher(project, client):
    client.force_login(person := make.member(project))
    return person


def upload(client: Any, project: Project, data: bytes, **fields: str) -> Any:
    archive = SimpleUploadedFile("my pictures.zip", data, "application/zip")
    return client.post(reverse("datasets:import", args=[project.slug]), {"archive": archive, **fields})


def incoming() -> list[Path]:
    return list(media_path("incoming").glob("*"))


def test_the_report_is_downloaded_by_the_projects_researchers_alone(project, folder, client, researcher):
    upload(client, project, with_a_member_missing(folder).read_bytes())
    job = Job.objects.get()
    address = reverse("datasets:job-report", args=[job.public_id])
    assert address not in client.get(reverse("datasets:job", args=[job.public_id])).content.decode()
    assert client.get(address).url == reverse("datasets:job", args=[job.public_id])
    jobs.run(job.pk)
    assert address in client.get(reverse("datasets:job", args=[job.public_id])).content.decode()
    assert b"lone.png is not in the zip" in b"".join(client.get(address))
    client.force_login(make.member(make.project()))
    assert client.get(address).status_code == 404


def test_a_researcher_says_on_the_page_that_odd_columns_are_left_unread(project, folder, client, researcher):
    text = (folder / "manifest.csv").read_text().replace("parameters", "parameters,score", 1)
    (folder / "manifest.csv").write_text(text)
    data = zipped(folder).read_bytes()
    upload(client, project, data)
    jobs.run(Job.objects.get().pk)
    assert "the column 'score' seems to hold ratings" in Job.objects.get().error
    assert not Pair.objects.exists()
    upload(client, project, data, leave_columns="on")
    job = Job.objects.first()
    jobs.run(job.pk)
    page = client.get(reverse("datasets:job", args=[job.public_id])).content.decode()
    assert "UTF-8, commas" in page
    assert "Nobody reads the column score" in page
    assert Pair.objects.count() == 3


def test_a_column_of_numbers_like_ratings_stops_the_import_until_it_is_said_to_be_left_unread(project, folder):
    lines = (folder / "manifest.csv").read_text().splitlines()
    cells = ["q3", "7", "3", "10"]
    (folder / "manifest.csv").write_text("".join(f"{a},{b}\n" for a, b in zip(lines, cells, strict=True)))
    error = from_folder(project, folder).error
    assert "line 2: the column 'q3' holds numbers from 1 to 10 in most rows" in error
    assert "remove it, or import it again and say" in error
    assert not Pair.objects.exists()
    arguments = {"root": str(folder), "manifest": str(folder / "manifest.csv")}
    assert imported(project, **arguments, leave_columns=True).result["unread"] == ["q3"]
    assert Pair.objects.count() == 3


def test_a_researcher_uploads_a_zip_and_follows_its_job(project, folder, client, researcher):
    answer = upload(client, project, zipped(folder).read_bytes())
    job = Job.objects.get()
    assert answer.url == reverse("datasets:job", args=[job.public_id])
    jobs.run(job.pk)
    assert Pair.objects.count() == 3
    assert Job.objects.get().created_by == researcher


def test_the_upload_goes_when_its_import_is_done(project, folder, client, researcher):
    upload(client, project, zipped(folder).read_bytes())
    assert len(incoming()) == 1
    jobs.run(Job.objects.get().pk)
    assert incoming() == []


def test_the_upload_of_a_failed_import_stays_for_another_try(project, folder, client, researcher):
    upload(client, project, with_a_member_missing(folder).read_bytes())
    jobs.run(Job.objects.get().pk)
    assert len(incoming()) == 1
    jobs.retry_job(Job.objects.get())
    jobs.run(Job.objects.get().pk)
    assert "line 4: lone.png is not in the zip" in Job.objects.get().error


def kept_upload(folder: Path, project: Project, **fields: Any) -> Path:
    """An upload whose import has ended like this."""
    path = media_path(f"incoming/{fields['state']}-{fields['finished_at']:%j}.zip")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PK")
    job = queue_job("import_pairs", project, archive=str(path))
    Job.objects.filter(pk=job.pk).update(**fields)
    return path


def test_uploads_that_nobody_will_read_again_are_swept_by_the_next_import(project, folder):
    now, long_ago = timezone.now(), timezone.now() - timedelta(days=8)
    kept = [kept_upload(folder, project, state=state, finished_at=now) for state in ("failed", "cancelled")]
    kept += [kept_upload(folder, project, state="queued", finished_at=long_ago)]
    gone = [kept_upload(folder, project, state=state, finished_at=long_ago) for state in ("failed", "cancelled")]
    gone += [kept_upload(folder, project, state="done", finished_at=now)]
    without_job = [media_path(f"incoming/{name}.zip") for name in ("new", "old")]
    for path in without_job:
        path.write_bytes(b"PK")
    os.utime(without_job[1], (0, 0))
    from_folder(project, folder)
    assert set(incoming()) == {*kept, without_job[0]}
    assert not [path for path in gone if path.exists()]


def test_an_import_whose_upload_was_swept_says_so_when_it_is_tried_again(project, folder, client, researcher):
    upload(client, project, with_a_member_missing(folder).read_bytes())
    job = Job.objects.get()
    jobs.run(job.pk)
    incoming()[0].unlink()
    jobs.retry_job(job)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.error == "The uploaded file is gone; upload it again."


def test_an_upload_appears_whole_and_leaves_nothing_behind(project, folder, client, researcher, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "arriving"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    data = zipped(folder).read_bytes()
    upload(client, project, data)
    assert [path.read_bytes() for path in incoming()] == [data]
    assert list(settings.FILE_UPLOAD_TEMP_DIR.iterdir()) == list(media_path(files.DRAFTS).glob("*")) == []


def test_what_arrives_beyond_the_limit_is_not_written_down(project, rf, settings, tmp_path):
    settings.UPLOAD_MAX_BYTES, settings.FILE_UPLOAD_TEMP_DIR = 100, tmp_path
    request = rf.post(reverse("datasets:import", args=[project.slug]))
    request.user, request.resolver_match = make.member(project), resolve(request.path)
    handler = BoundedUpload(request)
    handler.new_file("archive", "a.zip", "application/zip", None)
    for start in range(0, 1000, 50):
        handler.receive_data_chunk(b"x" * 50, start)
    kept = handler.file_complete(1000)
    assert (kept.size, Path(kept.temporary_file_path()).stat().st_size) == (1000, 100)


def test_a_job_that_has_ended_says_that_it_cannot_be_cancelled(project, folder, client, researcher):
    job = from_folder(project, folder)
    page = client.post(reverse("datasets:job-cancel", args=[job.public_id]), follow=True).content.decode()
    assert "This job is Done already; there is nothing to cancel." in page
    assert "Cancelling" not in page


def test_a_zip_on_the_server_is_its_owners_and_stays(project, folder):
    path = zipped(folder)
    imported(project, archive=str(path))
    assert path.exists()


def test_a_file_that_is_no_zip_makes_no_job(project, client, researcher):
    answer = upload(client, project, b"not a zip")
    assert answer.status_code == 400
    assert "This is not a zip file." in answer.content.decode()
    assert not Job.objects.exists()
    assert incoming() == []


def test_a_file_that_is_too_large_is_sent_to_the_command(project, folder, client, researcher, settings):
    settings.UPLOAD_MAX_BYTES = 10
    answer = upload(client, project, zipped(folder).read_bytes())
    assert answer.status_code == 400
    assert "manage.py import_pairs" in answer.content.decode()
    assert not Job.objects.exists()


@pytest.mark.parametrize("role", [None, Role.ANNOTATOR])
def test_nobody_else_can_import_into_a_project(project, folder, client, role):
    client.force_login(make.member(project, role) if role else make.member(make.project()))
    assert upload(client, project, zipped(folder).read_bytes()).status_code == 404
    assert client.get(reverse("datasets:import", args=[project.slug])).status_code == 404
    assert not Job.objects.exists()


class Sent(FakePayload):
    """The body of a request, and how much of it was read."""

    n_read = 0

    def read(self, size: int | None = None) -> bytes:
        data = super().read(size)
        self.n_read += len(data)
        return data


def sent_by_a_stranger(url: str, data: bytes) -> tuple[Any, Sent]:
    return sent(Client(enforce_csrf_checks=True), url, data)


def sent(browser: Client, url: str, data: bytes) -> tuple[Any, Sent]:
    form = {"username": "ann", "archive": SimpleUploadedFile("large.zip", data)}
    body = Sent(encode_multipart(BOUNDARY, form))
    browser.get(reverse("login"))  # brings the cookie, without which nobody looks for a token in the body
    whole = {"CONTENT_LENGTH": len(body), "wsgi.input": body}
    return browser.post(url, content_type=MULTIPART_CONTENT, **whole), body


def test_an_import_asks_for_a_log_in_before_it_reads_what_is_sent(project, folder, settings):
    answer, body = sent_by_a_stranger(reverse("datasets:import", args=[project.slug]), zipped(folder).read_bytes())
    assert answer.url.startswith(reverse(settings.LOGIN_URL))
    assert body.n_read == 0
    assert not Job.objects.exists()


def test_a_page_that_is_open_to_everybody_takes_no_files(settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "nowhere"  # whatever would be written there fails
    answer, body = sent_by_a_stranger(reverse("login"), b"x" * 10_000_000)
    assert answer.status_code == 403  # there was no token
    assert body.n_read < 1_000_000


def test_files_are_read_from_who_may_send_them_to_pages_that_ask_for_them(project, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "nowhere"
    for person, page, status in (
        (make.member(project, Role.ANNOTATOR), "datasets:import", 404),
        (make.member(make.project()), "datasets:import", 404),
        (make.member(project), "datasets:sources", 403),  # there was no token in what was read
    ):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(person)
        answer, body = sent(browser, reverse(page, args=[project.slug]), b"x" * 10_000_000)
        assert answer.status_code == status
        assert body.n_read < 1_000_000


# From ordinary computers


def unflagged_zip(path: Path, members: dict[str, bytes], encoding: str) -> Path:
    """A zip whose names are bytes of a code page, with no flag that says which, as many programs write them."""
    names = [name.encode(encoding) for name in members]
    placeholders = [f"<{n}>".ljust(len(name), "@") for n, name in enumerate(names)]
    with zipfile.ZipFile(path, "w") as archive:
        for placeholder, data in zip(placeholders, members.values(), strict=True):
            archive.writestr(placeholder, data)
    data = path.read_bytes()
    for placeholder, name in zip(placeholders, names, strict=True):
        data = data.replace(placeholder.encode(), name)
    path.write_bytes(data)
    return path


def manifest_of(*names: str) -> bytes:
    return "".join(["anonymized,group\n", *(f"{name},g\n" for name in names)]).encode()


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("utf-8", ["Gebäude.png", "写真.png"]),
        ("cp437", ["Gebäude.png", "Straße.png"]),
        ("cp850", ["søster.png", "Ávila.png"]),
        ("cp866", ["ж.png", "ц.png"]),
        ("cp1251", ["ж.png", "ц.png"]),
        ("cp932", ["写真表示.png", "ソース表.png"]),
        ("cp936", ["照片一二.png", "建筑物.png"]),
        ("cp1252", ["Gebäude.png", "Ÿœuvre.png"]),
        ("cp1250", ["žluťoučký.png", "kůň.png"]),
    ],
)
def test_a_zip_is_read_in_the_code_page_of_its_country(project, tmp_path, encoding, names):
    pictures = {f"p/{name}": make.picture_bytes(n) for n, name in enumerate(names)}
    members = {"manifest.csv": manifest_of(*pictures), **pictures}
    job = imported(project, archive=str(unflagged_zip(tmp_path / "a.zip", members, encoding)))
    assert job.error == ""
    assert {
        pair.anonymized_path: media_path(pair.anonymized.original.name).read_bytes() for pair in Pair.objects.all()
    } == pictures


@pytest.mark.parametrize("listed", ["NFC", "NFD"])
def test_a_finders_zip_is_imported_without_what_it_puts_beside_the_pictures(project, tmp_path, listed):
    name = unicodedata.normalize("NFD", "Büro/Gebäude.png")
    said = unicodedata.normalize(listed, "Gebäude.png")
    members = {
        unicodedata.normalize("NFD", "Büro/manifest.csv"): manifest_of(said),
        name: make.picture_bytes(),
        "__MACOSX/" + unicodedata.normalize("NFD", "Büro/._Gebäude.png"): b"Mac OS X",
        "__MACOSX/" + unicodedata.normalize("NFD", "Büro/x/manifest.csv"): b"Mac OS X",
    }
    job = imported(project, archive=str(unflagged_zip(tmp_path / "a.zip", members, "utf-8")))
    assert job.error == ""
    assert Pair.objects.get().anonymized_path == said


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize(
    "said", ["sub\\blur.png", "./sub/blur.png", "/sub/blur.png", "Sub/BLUR.PNG", ".\\sub//blur.png"]
)
def test_a_path_is_found_however_a_system_spells_it(project, folder, said, packed):
    write_manifest(folder, f",{said},g,,,,")
    job = imported(project, archive=str(zipped(folder, prefix="all/"))) if packed else from_folder(project, folder)
    assert job.error == ""
    assert Pair.objects.get().anonymized.sha256 == hashlib.sha256((folder / "sub/blur.png").read_bytes()).hexdigest()


def test_members_that_windows_separates_by_backslashes_are_found(project, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("my\\manifest.csv", manifest_of("sub/a.png"))
        archive.writestr("my\\sub\\a.png", make.picture_bytes())
    assert imported(project, archive=str(path)).result["n_new"] == 1


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_names_that_differ_in_case_alone_are_not_guessed(project, folder, packed):
    (folder / "LONE.png").write_bytes(make.picture_bytes(7))
    write_manifest(folder, ",Lone.png,g,,,,")
    job = imported(project, archive=str(zipped(folder))) if packed else from_folder(project, folder)
    assert "several files are called so" in job.error
    assert_nothing_was_imported(project, job)
    write_manifest(folder, ",LONE.png,g,,,,", ",lone.png,h,,,,")
    job = imported(project, archive=str(zipped(folder))) if packed else from_folder(project, folder)
    assert job.result["n_new"] == 2


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize(("said", "near"), [("sub/blurr.png", "sub/blur.png"), ("elsewhere/mask.png", "sub/mask.png")])
def test_the_nearest_name_is_shown_where_one_is_not_found(project, folder, said, near, packed):
    write_manifest(folder, f",{said},g,,,,")
    job = imported(project, archive=str(zipped(folder))) if packed else from_folder(project, folder)
    assert f"the nearest name is {near}." in job.error


@pytest.mark.parametrize(
    ("encoding", "read_as"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("cp1252", "Windows-1252"),
    ],
)
@pytest.mark.parametrize(
    ("first", "delimiter"), [("", ","), ("", ";"), ("", "\t"), ("sep=;\r\n", ";"), ("sep=,\r\n", ",")]
)
def test_a_manifest_is_read_however_a_spreadsheet_saved_it(project, folder, encoding, read_as, first, delimiter):
    (folder / "lone.png").rename(folder / "Gebäude.png")
    lines = ["anonymized,group,source", "Gebäude.png,g,München"]
    text = first + "\r\n".join(line.replace(",", delimiter) for line in lines)
    (folder / "manifest.csv").write_bytes(text.encode(encoding))
    job = from_folder(project, folder)
    assert job.error == ""
    assert job.result["read_as"].split(", ") == [read_as, DELIMITERS[delimiter]]
    assert Pair.objects.get().source.name == "München"


def test_a_column_that_nobody_reads_is_named(project, folder):
    (folder / "manifest.csv").write_text("anonymized,group,camera\nlone.png,g,Leica\n")
    assert from_folder(project, folder).result["unread"] == ["camera"]


# Without a manifest


def laid_out(root: Path, *names: str) -> Path:
    for n, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(make.picture_bytes(n))
    return root


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_folders_are_shown_as_rows_and_imported_only_then(project, tmp_path, client, researcher, packed):
    root = laid_out(
        tmp_path / "all", "my/London/originals/a.JPG", "my/London/face_blur/a.png", "my/Rome/body_mask_big/b.png"
    )
    job = imported(project, archive=str(zipped(root))) if packed else imported(project, root=str(root))
    assert job.error == ""
    assert not Pair.objects.exists()
    page = client.get(reverse("datasets:job", args=[job.public_id])).content.decode()
    assert all(cell in page for cell in ("my/London/face_blur/a.png", "my/London/originals/a.JPG", "mask_big"))
    answer = client.post(reverse("datasets:import-previewed", args=[job.public_id]))
    jobs.run(Job.objects.first().pk)
    assert answer.url == reverse("datasets:job", args=[Job.objects.first().public_id])
    found = Pair.objects.values_list("source__name", "scope", "method", "original_path").order_by("source__name")
    assert list(found) == [
        ("London", "face", "blur", "my/London/originals/a.JPG"),
        ("Rome", "body", "mask_big", ""),
    ]
    assert Pair.objects.get(original=None).group == "Rome/b"


def test_originals_and_anonymized_pictures_of_equal_names_are_pairs(project, tmp_path):
    root = laid_out(tmp_path / "all", "originals/a.png", "originals/b.png", "anonymized/a.png", "anonymized/b.png")
    assert imported(project, root=str(root), as_previewed=True).result["n_new"] == 2
    assert set(Pair.objects.values_list("original_path", "anonymized_path")) == {
        ("originals/a.png", "anonymized/a.png"),
        ("originals/b.png", "anonymized/b.png"),
    }


@pytest.mark.parametrize("name", ["b.tiff", "b.TIF", "b.heic", "b.gif", "b.bmp", "b.jfif", "b.avif"])
def test_a_picture_of_another_kind_is_not_left_out_without_a_word(project, tmp_path, name):
    root = laid_out(tmp_path / "all", "London/face_blur/a.png", f"London/face_blur/{name}")
    job = imported(project, root=str(root), as_previewed=True)
    assert f"London/face_blur/{name} is a picture that is no .jpg, .png or .webp" in job.error
    assert_nothing_was_imported(project, job)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("manifest", [True, False], ids=["manifest", "layout"])
def test_a_zip_with_two_files_of_one_name_is_refused(project, tmp_path, manifest):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        if manifest:
            archive.writestr("manifest.csv", "anonymized,group\nLondon/face_blur/a.png,g\n")
        for _ in range(2):
            archive.writestr("London/face_blur/a.png", make.picture_bytes())
    job = imported(project, archive=str(path), as_previewed=True)
    assert "two files of the name London/face_blur/a.png" in job.error
    assert_nothing_was_imported(project, job)


def test_a_layout_with_a_file_whose_name_is_not_utf_8_names_it(project, tmp_path):
    root = laid_out(tmp_path / "all", "London/face_blur/a.png", os.fsdecode(b"London/face_blur/b\xfcro.png"))
    job = imported(project, root=str(root), as_previewed=True)
    assert "London/face_blur/b?ro.png is not UTF-8; rename the file" in job.error
    assert_nothing_was_imported(project, job)


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_a_layout_is_read_once(tmp_path, packed):
    root = laid_out(tmp_path / "all", "London/face_blur/a.png")
    arguments = {"archive": str(zipped(root))} if packed else {"root": str(root)}
    opened = opened_root(arguments)
    with opened.manifest_text() as text:
        first = text.read()
    laid_out(root, "London/face_blur/b.png")
    if packed:
        opened.members.clear()
    with opened.manifest_text() as text:
        assert text.read() == first


def test_by_layout_the_original_of_the_very_same_name_is_taken(project, tmp_path):
    root = laid_out(tmp_path / "all", "originals/A.png", "originals/a.jpg", "originals/a.png", "anonymized/A.png")
    assert imported(project, root=str(root), as_previewed=True).error == ""
    assert Pair.objects.get().original_path == "originals/A.png"


@pytest.mark.parametrize("other", ["originals/A.png", "original/a.webp"])
def test_by_layout_no_original_is_guessed_among_several(project, tmp_path, other):
    root = laid_out(tmp_path / "all", "originals/a.png", other, "anonymized/a.jpg")
    job = imported(project, root=str(root), as_previewed=True)
    both = ", ".join(sorted(["originals/a.png", other]))
    assert f"anonymized/a.jpg may belong to any of {both}: rename all but one" in job.error
    assert_nothing_was_imported(project, job)


def test_a_picture_outside_the_layout_is_not_left_out_without_a_word(project, tmp_path):
    root = laid_out(tmp_path / "all", "originals/a.png", "anonymized/a.png", "anonymized/c.png")
    job = imported(project, root=str(root), as_previewed=True)
    assert "anonymized/c.png has no original of the same name" in job.error
    assert_nothing_was_imported(project, job)


def test_an_upload_that_was_previewed_waits_for_its_import(project, folder, tmp_path, client, researcher):
    root = laid_out(tmp_path / "all", "originals/a.png", "anonymized/a.png")
    upload(client, project, zipped(root).read_bytes())
    first = Job.objects.get()
    jobs.run(first.pk)
    from_folder(make.project(), folder)
    assert len(incoming()) == 1
    client.post(reverse("datasets:import-previewed", args=[first.public_id]))
    jobs.run(Job.objects.first().pk)
    assert Pair.objects.filter(project=project).count() == 1
    assert incoming() == []


def test_what_was_previewed_is_imported_by_the_projects_researchers_alone(project, tmp_path, client):
    root = laid_out(tmp_path / "all", "originals/a.png", "anonymized/a.png")
    job = imported(project, root=str(root))
    client.force_login(make.member(project, Role.ANNOTATOR))
    assert client.post(reverse("datasets:import-previewed", args=[job.public_id])).status_code == 404
    assert client.get(reverse("datasets:sample-manifest", args=[project.slug])).status_code == 404
    assert Job.objects.count() == 1


def test_the_sample_manifest_is_a_manifest(project, client, researcher):
    text = client.get(reverse("datasets:sample-manifest", args=[project.slug])).content.decode()
    rows = list(manifest_rows(io.StringIO(text, newline="")))
    assert [type(row) for row in rows] == [ManifestRow] * 3
