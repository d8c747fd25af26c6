from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.http import Http404
from django.test import RequestFactory

from datasets.files import DRAFTS, file_response, media_path, store

DATA = bytes(range(256)) * 2000  # several chunks


@pytest.fixture(autouse=True)
def _media_of_its_own(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    (tmp_path / "a.zip").write_bytes(DATA)
    (tmp_path / "empty.zip").touch()


def fetched(asked: str = "", name: str = "a.zip") -> Any:
    request = RequestFactory().get("/", headers={"range": asked} if asked else {})
    return file_response(request, name, content_type="application/zip")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=10-", 10, len(DATA) - 1),
        ("bytes=-7", len(DATA) - 7, len(DATA) - 1),
        ("bytes=-999999999", 0, len(DATA) - 1),
        ("bytes=5-999999999", 5, len(DATA) - 1),
    ],
)
def test_a_part_of_a_file_can_be_fetched(asked, first, last):
    answer = fetched(asked)
    assert answer.status_code == 206
    assert b"".join(answer.streaming_content) == DATA[first : last + 1]
    assert answer["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert answer["Content-Length"] == str(last + 1 - first)


@pytest.mark.parametrize(
    "asked",
    ["bytes=-", "bytes=-0", "bytes=9-3", "bytes=999999999-", "bytes=0-1,5-6", "lines=1-2", "bytes=" + "9" * 5000 + "-"],
    ids=range(7),
)
def test_a_part_that_makes_no_sense_gets_the_whole_file(asked):
    answer = fetched(asked)
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == DATA
    assert answer["Content-Length"] == str(len(DATA))


def test_a_file_is_sent_with_the_offer_of_parts_and_is_kept_by_nobody():
    answer = fetched()
    assert (answer["Accept-Ranges"], answer["Content-Length"]) == ("bytes", str(len(DATA)))
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "Content-Disposition" not in answer


def test_a_missing_file_is_not_found_and_named_in_the_log(caplog):
    with pytest.raises(Http404):
        fetched(name="pictures/gone.png")
    assert "pictures/gone.png is named in the database" in caplog.text


def test_an_empty_file_has_no_parts():
    answer = fetched("bytes=0-", "empty.zip")
    assert (answer.status_code, b"".join(answer.streaming_content)) == (200, b"")


@pytest.mark.parametrize("prefix", ["/protected", "/protected/"])
def test_a_server_in_front_is_told_where_a_file_lies_and_not_how_long_it_is(settings, prefix):
    settings.ACCEL_PREFIX = prefix
    answer = fetched("bytes=0-9")
    assert answer["X-Accel-Redirect"] == "/protected/a.zip"
    assert (answer.status_code, b"".join(answer.streaming_content)) == (200, b"")
    assert "Content-Length" not in answer
    assert answer["Content-Type"] == "application/zip"
    assert answer["Cache-Control"] == "private, no-store"


def test_a_file_is_stored_under_its_name_and_leaves_no_draft():
    store("new/b.png", DATA)
    assert media_path("new/b.png").read_bytes() == DATA
    assert list(media_path(DRAFTS).iterdir()) == []


def test_a_file_that_is_there_is_not_written_again():
    before = media_path("a.zip").stat()
    store("a.zip", DATA)
    assert media_path("a.zip").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("damaged", [DATA[:-1], b"", DATA[:-1] + b"x"], ids=["cut off", "empty", "of the same size"])
def test_a_damaged_file_is_mended_when_it_is_stored_again(damaged):
    media_path("a.zip").write_bytes(damaged)
    store("a.zip", DATA)
    assert media_path("a.zip").read_bytes() == DATA


def test_many_who_store_the_same_file_leave_it_whole():
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda _: store("new/c.png", DATA), range(32)))
    assert media_path("new/c.png").read_bytes() == DATA
    assert list(media_path(DRAFTS).iterdir()) == []
