"""Whoever reads on cannot begin to write: with one row as with a million, whether or not somebody else has written."""

import pytest
from django.db import ProgrammingError, connection, transaction

from annotation.watching.downloads import rating_lines
from datasets.batches import in_batches, in_ranges
from datasets.models.pictures import Pair
from tests import make

pytestmark = pytest.mark.django_db


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads on beside what is written")
def test_nobody_begins_to_write_while_they_read_on() -> None:
    project = make.project()
    make.pair(project)
    rows = iter(Pair.objects.iterator(chunk_size=10))
    next(rows)
    with pytest.raises(ProgrammingError, match="still being read"), transaction.atomic():
        pass
    assert list(rows) == []
    with transaction.atomic():
        project.save()


def test_whoever_breaks_a_download_off_can_write_at_once() -> None:
    study = make.rated_study()
    lines = rating_lines(study)
    assert [next(lines) for _ in range(2)]  # the header, and a first row
    lines.close()  # as the response does when the visitor is gone
    with transaction.atomic():
        study.save()


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_closed_reads_nothing_any_more() -> None:
    make.pair(project := make.project())
    rows = Pair.objects.iterator(chunk_size=10)
    next(rows)
    connection.close()
    with transaction.atomic():
        project.save()


@pytest.mark.parametrize("at_once", [1, 2, 3, 50])
def test_batches_hold_every_row_once_in_order_and_let_each_be_followed_by_a_write(at_once: int) -> None:
    project = make.project()
    made = [make.pair(project).pk for _ in range(5)]
    rows = project.pairs.select_related("anonymized")
    found: dict[str, list[int]] = {"rows": [], "tuples": [], "numbers": [], "ranges": [], "far": []}
    for batch in in_batches(rows, at_once=at_once):
        with transaction.atomic():
            found["rows"] += [pair.pk for pair in batch]
    found["tuples"] = [pk for batch in in_batches(rows.values_list("pk", "group"), at_once=at_once) for pk, _ in batch]
    found["numbers"] = [pk for batch in in_batches(rows.values_list("pk", flat=True), at_once=at_once) for pk in batch]
    found["ranges"] = [pair.pk for pair in in_ranges(rows.order_by("pk"), key="pk", at_once=at_once)]
    found["far"] = [pair.pk for batch in in_batches(rows, key="anonymized__pk", at_once=at_once) for pair in batch]
    assert list(found.values()) == [made] * 5
    assert list(in_ranges(rows.none(), key="pk", at_once=at_once)) == []


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="it is SQLite's")
def test_what_is_committed_is_on_disk_first() -> None:
    """Seen from outside in tests/test_on_disk.py."""
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
