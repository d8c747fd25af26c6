"""Files under MEDIA_ROOT: written whole or not at all, and sent only by a view that has checked who asks."""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

log = logging.getLogger(__name__)

CHUNK = 256 * 1024
DRAFTS = "drafts"  # below MEDIA_ROOT: files that are being written
ABANDONED_AFTER = 3600.0  # seconds; a draft takes a moment


def media_path(name: str) -> Path:
    return Path(settings.MEDIA_ROOT) / name


def store(name: str, data: bytes) -> None:
    """Write a file under its content's name. It appears by rename, so a killed process leaves no half of one.

    A file that is there is left as it is, unless it was damaged: then it is mended by being written again.
    """
    path = media_path(name)
    if path.exists() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = media_path(f"{DRAFTS}/{uuid4().hex}")
    draft.parent.mkdir(exist_ok=True)
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name without the bytes
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def discard_old_drafts() -> None:
    """Remove what killed processes left half written."""
    for draft in media_path(DRAFTS).glob("*"):
        with suppress(FileNotFoundError):  # its writer, or another worker, was faster
            if draft.stat().st_mtime < time.time() - ABANDONED_AFTER:
                draft.unlink()


def file_response(
    request: HttpRequest, name: str, *, content_type: str, download_as: str | None = None
) -> HttpResponseBase:
    """Send a file to somebody who may have it: by the web server in front if there is one, else with Range support."""
    if settings.ACCEL_PREFIX:
        # The body comes from the server in front. A length of ours, on an empty body, makes it answer 502; for a
        # streamed body nobody on the way fills one in.
        response: HttpResponseBase = StreamingHttpResponse(iter(()), content_type=content_type)
        response["X-Accel-Redirect"] = f"{settings.ACCEL_PREFIX.rstrip('/')}/{name}"
    else:
        try:
            response = _from_disk(request, media_path(name), content_type)
        except FileNotFoundError as error:
            log.error("%s is named in the database, but there is no such file below MEDIA_ROOT", name)
            raise Http404("This file is missing on the server.") from error
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    del response["Content-Disposition"]
    if download_as:
        response["Content-Disposition"] = content_disposition_header(True, download_as) or "attachment"
    return response


class _WholeFile(FileResponse):
    block_size = CHUNK  # Django's 4 kB make fifty turns of a picture


def _from_disk(request: HttpRequest, path: Path, content_type: str) -> HttpResponseBase:
    size = path.stat().st_size
    if part := _requested_part(request.headers.get("Range", ""), size):
        first, last = part
        file = path.open("rb")
        file.seek(first)
        response = _WholeFile(file, status=206, content_type=content_type)
        response.streaming_content = _part(file, last - first + 1)
        # A server that sends files itself, from where they stand as long as the header says, needs no thread for it.
        response.file_to_stream = file  # type: ignore[assignment]  # the stubs know BytesIO alone
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
        response["Content-Length"] = str(last - first + 1)
    else:
        response = _WholeFile(path.open("rb"), content_type=content_type)
    response["Accept-Ranges"] = "bytes"
    return response


def _requested_part(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range, or None: then the whole file is the answer, as RFC 9110 allows."""
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header)
    if not match or match[0] == "bytes=-":
        return None
    if not match[1]:
        first, last = max(0, size - int(match[2])), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    return (first, last) if first <= last else None


def _part(file: BinaryIO, left: int) -> Iterator[bytes]:
    with file:
        while left and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
