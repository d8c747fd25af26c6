"""Where a statement's speed depends on an index, the plan that the database makes for it names that index.

In a study with some hundred originals and people, after statistics were gathered. PostgreSQL is asked both for the plan
that it makes for these values and for the one that it keeps for a statement that comes again and again.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from psycopg import sql

from annotation.access import ACTS_FOR, MINE, SHOWN
from annotation.answering import statements as answering
from annotation.giving import statements as giving
from annotation.giving.leases import expired
from annotation.giving.statements import ANY_VERSION, NEW_AND_SATED, NEW_ORIGINAL, SPACED, UNSPOILT, Condition
from annotation.models.people import Annotator, Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Item, Study
from annotation.sql import prefer_indexes, spelled, under, uuid_value
from datasets.models.pictures import Image, Pair
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
N_ORIGINALS, VERSIONS, N_RATING, SESSION, N_WAITING = 500, 3, 30, 80, 400


def draw(statement: str, condition: Condition = NEW_ORIGINAL, unspoilt: str = giving.EVERY_ITEM) -> str:
    return under(statement, allowed=condition.sql, unspoilt=unspoilt, lock="{skip_locked}")


HISTORY = "one_assignment_per_occurrence"  # finds one pair in all that somebody was given
VERSIONS_SEEN = f"item_group {HISTORY}"
DRAWS = {
    "fewest": (draw(giving.FEWEST), f"item_draw {VERSIONS_SEEN}"),
    "fewest of any version": (draw(giving.FEWEST, ANY_VERSION), f"item_draw {HISTORY}"),
    "first": (draw(giving.FIRST), f"item_draw {VERSIONS_SEEN}"),
    "take the first": (draw(giving.TAKE_FIRST), f"item_draw {VERSIONS_SEEN}"),
    "take the first, spaced": (draw(giving.TAKE_FIRST, SPACED), f"item_draw {VERSIONS_SEEN}"),
    "take the first, alone": (draw(giving.TAKE_FIRST, NEW_ORIGINAL, UNSPOILT["HA1"]), f"item_draw {VERSIONS_SEEN}"),
    "take the first, beside": (draw(giving.TAKE_FIRST, NEW_ORIGINAL, UNSPOILT["HA2"]), f"item_draw {VERSIONS_SEEN}"),
    "take the least sure": (draw(giving.TAKE_WIDEST), f"item_priority {VERSIONS_SEEN}"),
    "check": (draw(giving.CHECK), f"item_check_draw {VERSIONS_SEEN}"),
    "sated": (draw(giving.SATED), VERSIONS_SEEN),
    "sated in all versions": (draw(giving.SATED, NEW_AND_SATED), VERSIONS_SEEN),
    "again": (giving.AGAIN, f"one_assignment_per_position {HISTORY}"),
    "wanted": (giving.WANTED, "item_draw"),
    "originals": (giving.ORIGINALS, "item_group"),
}
OTHERS = {
    "held": (under(giving.LEASES, which=giving.HELD), "assignment_unanswered"),
    "held and served": (under(giving.LEASES, which=giving.HELD_AND_SERVED), "assignment_unanswered"),
    "how many are held": (giving.COUNT_HELD, "assignment_unanswered"),
    "last position": (giving.LAST_POSITION, "one_assignment_per_position"),
    "serve": (giving.SERVE, "assignment_unanswered"),
    "returned": (draw(giving.RETURNED), f"assignment_unanswered {HISTORY}"),
    "may come": (draw(giving.MAY_COME), VERSIONS_SEEN),
    "give back": (giving.GIVE_BACK, "assignment_unanswered"),
    "answered": (answering.ANSWERED, "assignment_public_id"),
    "painted": (answering.PAINTED, "assignment_public_id"),
    "who asks": (under(MINE, acts_for=ACTS_FOR), "participation_public_id"),
    "shown": (under(SHOWN, acts_for=ACTS_FOR), "assignment_anonymized_key assignment_original_key"),
}


@pytest.fixture
def study() -> Study:
    """With a second one over the same pairs, and people who have answered some of a session, all of it or nothing."""
    alone = make.study(n_pairs=1, mode="HA1")
    project, like = alone.project, Pair.objects.get()
    file = {"project": project, "width": 8, "height": 8, "n_bytes": 1, "content_type": "image/png"}
    names = [f"{n:064x}" for n in range(N_ORIGINALS * VERSIONS)]
    pictures = Image.objects.bulk_create(Image(sha256=name, display_sha256=name, **file) for name in names)
    facts = {"project": project, "original": like.original, "source": like.source}
    pairs = Pair.objects.bulk_create(
        Pair(anonymized=picture, group=names[n // VERSIONS][::-1], anonymized_path=f"{n}.png", **facts)
        for n, picture in enumerate(pictures)
    )
    for each in (alone, make.study(project, n_pairs=0, mode="HA2", is_open=False)):
        each.items.all().delete()
        fill(each, pairs)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return alone


def fill(study: Study, pairs: list[Pair]) -> None:
    items = Item.objects.bulk_create(
        Item(
            study=study, pair=pair, group=pair.group, shuffle=n * 104_729, role="main" if n % 50 else "check",
            goal=5 if n % 50 else 0, n_held=n % 6 if n % 50 else 0, is_core=not n % 2,
            priority=n % 997 / 1000 if n % 2 else None,
        )
        for n, pair in enumerate(pairs)
    )  # fmt: skip
    now, who = timezone.now(), {"study": study, "campaign": study.campaign, "consent_text": study.texts.all()[0]}
    users = User.objects.bulk_create(User(username=str(uuid4())) for _ in range(N_RATING + N_WAITING))
    known = Annotator.objects.bulk_create(Annotator(project=study.project, user=user) for user in users)
    people = Participation.objects.bulk_create(
        Participation(annotator=each, n_planned=SESSION, consented_at=now, leased_until=now, **who) for each in known
    )
    Assignment.objects.bulk_create(
        Assignment(
            item=items[(k * 37 + n * 19) % len(items)], participation=person, position=n + 1, reason="new original",
            reserved_at=now, served_at=now, answered_at=now if n < SESSION * k // N_RATING else None,
        )
        for k, person in enumerate(people[:N_RATING])
        for n in range(SESSION)
    )  # fmt: skip


def named(study: Study) -> dict[str, Any]:
    """A value for everything that a statement may name."""
    person = study.participations.order_by("pk")[N_RATING // 2]
    held = person.assignments.order_by("position").last()
    assert held
    return {
        "study": study.pk, "participation": person.pk, "annotator": person.annotator_id,
        "user": person.annotator.user_id, "by_cookie": False, "public_id": uuid_value(person.public_id),
        "assignment": uuid_value(held.public_id), "key": uuid_value(held.anonymized_key),
        "position": SESSION + 1, "spacing": 5, "n_held": 1, "start": 2**27, "from_group": "8", "role": "check",
        "first": 1, "last": SESSION, "n": 90, "painted_too": True,
    }  # fmt: skip


@pytest.mark.parametrize("table", [DRAWS, OTHERS])
def test_every_statement_asks_the_index_that_makes_it_fast(study: Study, table: dict[str, tuple[str, str]]) -> None:
    values = named(study)
    if table is DRAWS:
        prefer_indexes()
    for name, (statement, indexes) in table.items():
        for plan in plans_of(spelled(statement, connection.vendor), values):
            missing = [index for index in indexes.split() if not any(index in asked for asked in plan)]
            assert not missing, f"{name}: {plan}"


def test_of_those_whose_time_has_run_out_only_what_they_have_not_answered_is_looked_at(study: Study) -> None:
    assert "assignment_unanswered" in expired(study.pk).order_by("leased_until").values_list("pk").explain()


def plans_of(statement: str, values: dict[str, Any]) -> Iterator[set[str]]:
    """The names of the indexes that a statement asks, by each plan that the database may make for it."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            lines = [line for *_, line in cursor.fetchall()]
            yield {named for line in lines for name, named in index_names() if f"INDEX {name} " in line}
            return
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
        numbered = statement % {name: f"${n}" for n, name in enumerate(names, start=1)}
        cursor.execute(f"PREPARE it AS {numbered}")
        given = sql.SQL(", ").join(values[name] for name in names)
        for mode in ("force_custom_plan", "force_generic_plan"):
            cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
            cursor.execute(sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE it ({})").format(given))
            [[plan]] = cursor.fetchall()
            yield set(re.findall(r'"Index Name": "(\w+)"', plan if isinstance(plan, str) else json.dumps(plan)))
        cursor.execute("DEALLOCATE it")


@cache
def index_names() -> list[tuple[str, str]]:
    """Each index of SQLite's, with the name of the constraint that it is made for."""
    names = []
    with connection.cursor() as cursor:
        for table in ("annotation_item", "annotation_assignment", "annotation_participation"):
            constraints = connection.introspection.get_constraints(cursor, table)
            known = {tuple(each["columns"]): name for name, each in constraints.items() if each["unique"]}
            cursor.execute(f"PRAGMA index_list({table})")
            for _, name, *_ in cursor.fetchall():
                cursor.execute(f"PRAGMA index_info({name})")
                columns = tuple(column for *_, column in cursor.fetchall())
                is_named = columns in known and not known[columns].startswith("__unnamed")
                own = known[columns] if is_named else f"{table}_{columns[0]}"
                names.append((name, own if name.startswith("sqlite_") else name))
    return names
