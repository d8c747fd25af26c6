"""Archives that people send: taken in no further than allowed, kept for their import, and swept away after it."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils import timezone

from datasets.files import DRAFTS, media_path
from datasets.models.jobs import Job

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

INCOMING = "incoming"  # below MEDIA_ROOT: uploads that wait for their import
RETRIED_WITHIN = timedelta(days=7)  # so long a failed import can be tried again with the same upload
QUEUED_WITHIN = 24 * 3600.0  # seconds; an upload without a job after that lost its sender


def takes_files(may: Callable[..., object]) -> Callable[[View], View]:
    """For a view to which files may be sent, by whomever `may(request, what the address names)` lets pass.

    All other addresses are sent no files: the web server refuses what is longer than a form (config/web.py), and no
    file is taken out of a form.
    """

    def decorate(view: View) -> View:
        view.files_from = may  # type: ignore[attr-defined]
        return view

    return decorate


def is_for_files(path: str) -> bool:
    """Whether some page at this address takes files, whoever sends them."""
    try:
        return hasattr(resolve(path).func, "files_from")
    except Resolver404:
        return False


class BoundedUpload(TemporaryFileUploadHandler):
    """Puts uploads into temporary files, and what lies beyond UPLOAD_MAX_BYTES nowhere.

    The rest is still read, so that the form can answer: it sees the size that was sent, and says that it is too large.
    What nobody takes is not even read: files of strangers, those for other pages, those from who may not send them.
    """

    n_bytes = 0  # of all files of the request

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        request = self.request
        asked = request.resolver_match if request else None
        if request is None or asked is None or not request.user.is_authenticated:
            raise StopUpload(connection_reset=True)
        may = getattr(asked.func, "files_from", None)
        if may is None:
            raise StopUpload(connection_reset=True)
        may(request, *asked.kwargs.values())
        super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.n_bytes += len(raw_data)
        if self.n_bytes <= settings.UPLOAD_MAX_BYTES:
            super().receive_data_chunk(raw_data, start)


def keep_upload(upload: TemporaryUploadedFile) -> str:
    """Put an upload where a worker finds it, under a name of ours. It appears by rename, whole."""
    path, draft = media_path(f"{INCOMING}/{uuid4().hex}.zip"), media_path(f"{DRAFTS}/{uuid4().hex}")
    for each in (path, draft):
        each.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.move(upload.temporary_file_path(), draft)  # copies where the temporary folder is another disk
        draft.touch()  # its time is that of its arrival here
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return str(path)


def is_upload(path: Path) -> bool:
    """Whether this is our own copy of what somebody sent; a file that lies elsewhere is theirs."""
    return path.is_relative_to(media_path(INCOMING))


def upload_of(job: Job) -> Path | None:
    """Our copy of what an import reads, whether it is still there or not."""
    path = Path(str(job.arguments.get("archive", ""))) if job.kind == "import_pairs" else None
    return path if path and is_upload(path) else None


def discard_unread(archive: str) -> None:
    """Remove an upload of which no import was begun."""
    if not Job.objects.filter(kind="import_pairs", arguments__archive=archive).exists():
        Path(archive).unlink(missing_ok=True)


def discard_old_uploads() -> None:
    """Remove uploads that no import will read again."""
    for path in media_path(INCOMING).glob("*"):
        with suppress(FileNotFoundError):  # another worker was faster
            if not _is_wanted(path):
                path.unlink()


def _is_wanted(path: Path) -> bool:
    job = Job.objects.filter(kind="import_pairs", arguments__archive=str(path)).first()  # the newest
    if job is None:
        return path.stat().st_mtime > time.time() - QUEUED_WITHIN
    if job.state in {Job.State.FAILED, Job.State.CANCELLED} or "preview" in job.result:
        return job.finished_at is None or job.finished_at > timezone.now() - RETRIED_WITHIN
    return not job.is_finished
