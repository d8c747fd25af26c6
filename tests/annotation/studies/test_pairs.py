"""Which pairs a study takes, and that each is in it once."""

import pytest
from django.db import connection

from annotation.models.studies import RING, Study
from annotation.studies.pairs import PairsDoNotFit, add_items
from datasets.models.pictures import Pair
from tests import make
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def test_ha2_refuses_pairs_without_original() -> None:
    project = make.project()
    make.pair(project, original=None)
    with pytest.raises(PairsDoNotFit):
        make.study(project, mode="HA2")
    assert not Study.objects.exists()


def test_ha1_takes_pairs_without_original() -> None:
    project = make.project()
    make.pair(project, original=None)
    assert make.study(project, mode="HA1", n_pairs=2).items.count() == 3


def test_pairs_added_twice_are_in_the_study_once() -> None:
    study = make.study(n_pairs=3)
    make.pairs(study.project, 2)
    everything = Pair.objects.filter(project=study.project)
    assert [add_items(study, everything), add_items(study, everything), study.items.count()] == [2, 0, 5]


def test_items_lie_on_the_ring_in_an_order_that_the_seed_decides() -> None:
    places = []
    for _ in range(2):
        study = make.study(n_pairs=5, seed=7)
        places.append(list(study.items.order_by("pk").values_list("shuffle", flat=True)))
    assert places[0] == places[1]
    assert len(set(places[0])) == 5
    assert all(0 <= place < RING for place in places[0])


@pytest.mark.django_db(transaction=True)
def test_pairs_added_twice_at_once_are_in_the_study_once_and_counted_once() -> None:
    study = make.study(n_pairs=2)
    make.pairs(study.project, 20)
    added = at_once(*[lambda: add_items(study, Pair.objects.filter(project=study.project))] * 3)
    assert (sum(added), study.items.count()) == (20, 22)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL counts the rows that it reads")
def test_a_batch_of_pairs_reads_no_more_of_a_study_the_more_it_holds() -> None:
    study = make.study(n_pairs=1, is_open=False)
    made = make.many_pairs(study.project, 6000)
    add_items(study, Pair.objects.filter(pk__lt=made[5000].pk))
    before = _rows_read("annotation_item")
    assert add_items(study, Pair.objects.filter(pk__gte=made[5000].pk), at_once=100) == 1000
    n_counted = 2 * 5001  # before the first batch
    assert _rows_read("annotation_item") - before < n_counted + 1000


def _rows_read(table: str) -> int:
    """In this transaction, by whatever plan."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables "
            "WHERE relname = %s",
            [table],
        )
        [n] = cursor.fetchone()
    return int(n)
