"""A release as files: the same bytes each time, readable without this site, checkable with `sha256sum -c`."""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from datasets.content import content_of, hash_of_sums, json_lines, labels_of, picture_name, shown_original
from datasets.files import media_path
from datasets.jobs import Attempt, JobFailed, handles, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Image
from datasets.models.releases import Release, ReleaseNotice
from datasets.refusals import Refusal
from datasets.release_texts import told_hash

ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # a zip has no "no date"
CHUNK = 1024 * 1024
PROGRESS_EVERY = 25  # pictures


def archive_name(release: Release) -> str:
    return f"releases/{release.public_id}/{release.slug}-v{release.version}.zip"


class Retracted(Refusal):
    sentence = "This release is retracted, so it has no files any more. Its page says why."


@transaction.atomic
def request_export(release: Release, *, by: AbstractBaseUser | None = None) -> Job:
    """The job that makes the archive: the one under way or done if there is one, else a new one."""
    # Two people ask at once: the second waits here, then gets the first's job.
    if Release.objects.select_for_update(no_key=True).get(pk=release.pk).is_retracted():
        raise Retracted
    made = Job.objects.filter(kind="export_release", project=release.project, arguments__release=release.pk)
    running = made.unfinished().first()
    done = made.filter(state=Job.State.DONE).first() if media_path(archive_name(release)).exists() else None
    return running or done or queue_job("export_release", release.project, by=by, release=release.pk)


@handles("export_release", in_closed_projects=True)
def export_release(attempt: Attempt) -> dict[str, Any]:
    """Write the archive; anew where a picture of it is removed meanwhile."""
    while (made := _export(attempt)) is None:
        pass
    return made


def _export(attempt: Attempt) -> dict[str, Any] | None:
    """Write the archive beside its final place, then put it there if the job is still ours. None: a picture was removed
    since it was begun."""
    release = Release.objects.frozen().select_related("project").get(pk=attempt.arguments["release"])
    path = media_path(archive_name(release))
    path.parent.mkdir(parents=True, exist_ok=True)
    drafts = f".job-{attempt.job.pk}-attempt-"
    for left in path.parent.glob(f"{drafts}*"):  # by an attempt that died
        left.unlink(missing_ok=True)
    draft = path.with_name(f"{drafts}{attempt.number}.zip")
    n_removed = release.n_removed()
    try:
        with zipfile.ZipFile(draft, "w", allowZip64=True) as archive:
            files = _write_archive(attempt, release, archive)
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        n_bytes = draft.stat().st_size
        with attempt.writing():
            if Release.objects.select_for_update(no_key=True).get(pk=release.pk).is_retracted():
                raise JobFailed(str(Retracted.sentence))
            is_whole = release.n_removed() == n_removed
            if is_whole:
                draft.replace(path)
    except JobFailed:  # its file may be missing because it was removed
        is_whole = release.n_removed() == n_removed
        if is_whole:
            raise
    finally:
        draft.unlink(missing_ok=True)
    if not is_whole:
        return None
    return {"file": archive_name(release), "sha256": digest, "bytes": n_bytes, "n_files": files, "n_removed": n_removed}


def _write_archive(attempt: Attempt, release: Release, archive: zipfile.ZipFile) -> int:
    sums: dict[str, dict[str, Any]] = {}

    def add(name: str, chunks: Iterator[bytes], *, compressed: bool = True) -> None:
        sums[name] = _add(archive, name, _heeded(attempt, chunks), compressed=compressed)

    for name, chunks in content_of(release).items():
        add(name, chunks(release))
    if hash_of_sums((sums[name]["sha256"], name) for name in content_of(release)) != release.content_hash:
        raise _altered("its content has")
    if told_hash(release) != release.told_hash:
        raise _altered("its README, its agreement or what its manifest says have")
    add("agreement.json", json_lines(release.agreement))
    add("README.md", iter([release.readme.encode()]))
    _write_pictures(attempt, release, add, sums)
    if notices := [each.text for each in release.notices.filter(kind=ReleaseNotice.Kind.REMOVED)]:
        add("REMOVED.txt", iter([_removed_words(release, notices)]))
    manifest = {"release": release.facts, "files": sums}
    add("manifest.json", json_lines(manifest))
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in sorted(sums.items()))
    _add(archive, "SHA256SUMS", iter([lines.encode()]), compressed=True)
    return len(sums) + 1


def _write_pictures(attempt: Attempt, release: Release, add: Callable[..., None], sums: dict[str, Any]) -> None:
    """Each once, but for those that were removed."""
    n_labels = release.labels.count()
    for n, label in enumerate(labels_of(release), start=1):
        for image in filter(None, (shown_original(label), label.anonymized)):
            if picture_name(image) not in sums and not image.is_removed:
                add(picture_name(image), _file_chunks(image), compressed=False)
                if sums[picture_name(image)]["sha256"] != image.display_sha256:
                    raise _unusable(image, "damaged")
        if n % PROGRESS_EVERY == 0:
            attempt.progress(n, n_labels)


def _removed_words(release: Release, notices: list[str]) -> bytes:
    """What somebody who unpacks it wonders about: which rows have no picture, and why."""
    pairs = ", ".join(str(pair) for pair in release.labels.removed().order_by("pair").values_list("pair", flat=True))
    words = [*dict.fromkeys(notices), f"Pairs without a picture: {pairs}.", f"Content hash: {release.content_hash}"]
    return ("\n\n".join(words) + "\n").encode()


def zips_made(release: Release) -> list[dict[str, Any]]:
    """The zips that were made of it, one for each number of pictures left out, as their jobs say: the oldest first."""
    jobs = Job.objects.filter(kind="export_release", arguments__release=release.pk, state=Job.State.DONE)
    results = jobs.order_by("finished_at").values_list("result", flat=True)
    return list({result.get("n_removed", 0): result for result in results}.values())


def _heeded(attempt: Attempt, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        attempt.look()
        yield chunk


def _add(archive: zipfile.ZipFile, name: str, chunks: Iterator[bytes], *, compressed: bool) -> dict[str, Any]:
    entry = zipfile.ZipInfo(name, date_time=ZIP_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    digest, n_bytes = hashlib.sha256(), 0
    with archive.open(entry, "w", force_zip64=True) as member:
        for chunk in chunks:
            digest.update(chunk)
            n_bytes += len(chunk)
            member.write(chunk)
    return {"sha256": digest.hexdigest(), "bytes": n_bytes}


def _file_chunks(image: Image) -> Iterator[bytes]:
    try:
        with media_path(str(image.display.name)).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except FileNotFoundError as error:
        raise _unusable(image, "missing") from error


def _altered(what: str) -> JobFailed:
    return JobFailed(
        f"What the database holds of this release is not what was frozen: {what} another hash. Somebody or "
        "something changed it past the studio. Restore the database from a backup, or freeze the study again."
    )


def _unusable(image: Image, what: str) -> JobFailed:
    return JobFailed(
        f"The file of picture {image.display_sha256} is {what} on the server. Restore it from a backup of the media "
        "folder or import the picture again, then try again."
    )
