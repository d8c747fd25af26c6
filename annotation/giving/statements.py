"""The statements of this room, each written out whole, with %(name)s for its values.

What stands in braces is either spelled differently by the two databases ({now}, {skip_locked}: annotation/sql.py), or
one of the conditions under which a draw is made. `sql.under` puts these in, once for each combination of them, and
nothing else is ever put together:

    {allowed}   the items that a rule of the draws allows
    {unspoilt}  without those that this person would spoil, or that would be spoilt for them, in another study
    {lock}      how an item is chosen whose place is then taken
    {which}     of a person's pairs
"""

from dataclasses import dataclass

from annotation.sql import under
from datasets.models.releases import Mode

# Conditions ---------------------------------------------------------------------------------------------------------

# On an item `i`. Nested, and with an offset of nothing, so that both databases ask an index for one pair at a time,
# however long the person's history is: PostgreSQL would make a join of it and might read all of the history.


@dataclass(frozen=True)
class Condition:
    """A rule of the draws; its name is the reason of an assignment."""

    name: str
    sql: str


NEW_ORIGINAL = Condition(
    "new original",
    """NOT EXISTS (
  SELECT 1 FROM annotation_item h WHERE h.study_id = i.study_id AND h."group" = i."group" AND EXISTS (
    SELECT 1 FROM annotation_assignment a
    WHERE a.participation_id = %(participation)s AND a.item_id = h.id LIMIT 1 OFFSET 0) LIMIT 1 OFFSET 0)""",
)

ANY_VERSION = Condition(
    "any version",
    """NOT EXISTS (
  SELECT 1 FROM annotation_assignment a
  WHERE a.participation_id = %(participation)s AND a.item_id = i.id LIMIT 1 OFFSET 0)""",
)

_APART = """NOT EXISTS (
  SELECT 1 FROM annotation_assignment a
  WHERE a.participation_id = %(participation)s AND a.item_id = i.id LIMIT 1 OFFSET 0)
AND NOT EXISTS (
  SELECT 1 FROM annotation_item h WHERE h.study_id = i.study_id AND h."group" = i."group" AND EXISTS (
    SELECT 1 FROM annotation_assignment a
    WHERE a.participation_id = %(participation)s AND a.item_id = h.id AND a.position + {distance} >= %(position)s
    LIMIT 1 OFFSET 0) LIMIT 1 OFFSET 0)"""
SPACED = Condition("spaced", under(_APART, distance="%(spacing)s"))
NOT_IN_A_ROW = Condition("not in a row", under(_APART, distance="1"))

# For a pair that does not count where few originals want ratings: none of theirs.
NEW_AND_SATED = Condition(
    NEW_ORIGINAL.name,
    """NOT EXISTS (
  SELECT 1 FROM annotation_item h WHERE h.study_id = i.study_id AND h."group" = i."group" AND EXISTS (
    SELECT 1 FROM annotation_assignment a
    WHERE a.participation_id = %(participation)s AND a.item_id = h.id LIMIT 1 OFFSET 0) LIMIT 1 OFFSET 0)
AND NOT EXISTS (
  SELECT 1 FROM annotation_item w
  WHERE w.study_id = i.study_id AND w."group" = i."group" AND w.n_held < w.goal AND w.state = 'open'
  LIMIT 1 OFFSET 0)""",
)

EVERY_ITEM = "TRUE"

# Nobody judges a picture alone whose original they have seen, or will: HA1 leaves out what this person holds or was
# shown in HA2, and HA2 what they hold in HA1, in any study of the project.
UNSPOILT = {
    Mode.HA1: """NOT EXISTS (
  SELECT 1 FROM annotation_participation o
  JOIN annotation_study s ON s.id = o.study_id AND s.mode = 'HA2'
  JOIN annotation_item h ON h.study_id = s.id AND h."group" = i."group"
  JOIN annotation_assignment a ON a.participation_id = o.id AND a.item_id = h.id
  WHERE o.annotator_id = %(annotator)s AND (a.served_at IS NOT NULL OR a.returned_at IS NULL))""",
    Mode.HA2: """NOT EXISTS (
  SELECT 1 FROM annotation_participation o
  JOIN annotation_study s ON s.id = o.study_id AND s.mode = 'HA1'
  JOIN annotation_item h ON h.study_id = s.id AND h."group" = i."group"
  JOIN annotation_assignment a ON a.participation_id = o.id AND a.item_id = h.id
  WHERE o.annotator_id = %(annotator)s AND a.answered_at IS NULL AND a.returned_at IS NULL)""",
}

# Draws --------------------------------------------------------------------------------------------------------------

# {skip_changing_role}: where no place is taken, and so no row changed, whoever changes the pair's role meanwhile
# (watching/roles.py) would see that nobody has been given it, and make it something else. They lock its row and are
# passed by, or wait until it is given.

FEWEST = """
SELECT i.n_held FROM annotation_item i
WHERE i.study_id = %(study)s AND i.state = 'open' AND i.n_held < i.goal AND i.n_held >= %(n_held)s
AND {allowed} AND {unspoilt}
ORDER BY i.n_held LIMIT 1"""

FIRST = """
SELECT i.id FROM annotation_item i
WHERE i.study_id = %(study)s AND i.state = 'open' AND i.n_held < i.goal AND i.n_held = %(n_held)s
AND i.shuffle >= %(start)s AND {allowed} AND {unspoilt}
ORDER BY i.shuffle LIMIT 1 {skip_changing_role}"""

TAKE_FIRST = """
UPDATE annotation_item SET n_held = n_held + 1 WHERE id = (
  SELECT i.id FROM annotation_item i
  WHERE i.study_id = %(study)s AND i.state = 'open' AND i.n_held < i.goal AND i.n_held = %(n_held)s
  AND i.shuffle >= %(start)s AND {allowed} AND {unspoilt}
  ORDER BY i.shuffle LIMIT 1 {lock})
AND n_held < goal RETURNING id"""

TAKE_WIDEST = """
UPDATE annotation_item SET n_held = n_held + 1 WHERE id = (
  SELECT i.id FROM annotation_item i
  WHERE i.study_id = %(study)s AND i.state = 'open' AND i.n_held < i.goal AND NOT (i.priority IS NULL) AND NOT i.is_core
  AND {allowed} AND {unspoilt}
  ORDER BY i.priority DESC, i.shuffle LIMIT 1 {lock})
AND n_held < goal RETURNING id"""

TAKE_THIS = """
UPDATE annotation_item SET n_held = n_held + 1 WHERE id = (
  SELECT i.id FROM annotation_item i WHERE i.id = %(item)s AND i.n_held < i.goal {lock})
AND n_held < goal RETURNING id"""

CHECK = """
SELECT i.id FROM annotation_item i
WHERE i.study_id = %(study)s AND i.state = 'open' AND NOT (i.role = 'main') AND i.role = %(role)s
AND i.shuffle >= %(start)s AND {allowed} AND {unspoilt}
ORDER BY i.shuffle LIMIT 1 {skip_changing_role}"""

SATED = """
SELECT i.id FROM annotation_item i
WHERE i.study_id = %(study)s AND i.state = 'open' AND i.role = 'main' AND i.n_held >= i.goal
AND {allowed} AND {unspoilt}
AND i."group" >= %(from_group)s ORDER BY i."group" LIMIT 1 {skip_changing_role}"""

AGAIN = """
SELECT a.item_id FROM annotation_assignment a
WHERE a.participation_id = %(participation)s AND a.position BETWEEN %(first)s AND %(last)s
AND a.purpose = 'main' AND a.skipped_at IS NULL AND (a.answered_at IS NOT NULL OR a.returned_at IS NULL)
AND EXISTS (SELECT 1 FROM annotation_item i WHERE i.id = a.item_id AND i.state = 'open')
AND NOT EXISTS (
  SELECT 1 FROM annotation_assignment r
  WHERE r.participation_id = a.participation_id AND r.item_id = a.item_id AND r.occurrence = 1)
ORDER BY a.position LIMIT 1"""

# Where many pairs want ratings some are looked at: should these be of few originals by chance, nothing is lost.
WANTED = """
SELECT COUNT(DISTINCT "group"), COUNT(*) FROM (
  SELECT i."group" FROM annotation_item i
  WHERE i.study_id = %(study)s AND i.state = 'open' AND i.n_held < i.goal LIMIT %(n)s) wanting"""

ORIGINALS = """
SELECT DISTINCT "group" FROM annotation_item
WHERE study_id = %(study)s AND role = 'main' AND state = 'open' LIMIT %(n)s"""

# A person -----------------------------------------------------------------------------------------------------------

# The columns of `Person`, then those of its plan.
LOCK = """
SELECT p.id, p.public_id, p.study_id, p.annotator_id, p.seed, p.n_answered,
  p.n_answered = 0 AND EXISTS (
    SELECT 1 FROM annotation_assignment a
    WHERE a.participation_id = p.id AND (a.painted_at IS NOT NULL OR a.skipped_at IS NOT NULL)),
  CASE WHEN p.n_answered = 0 THEN {seconds_since_consent} ELSE 0 END,
  CASE WHEN p.n_answered = 0 THEN (
    SELECT {seconds_since_first_sent} FROM annotation_assignment a WHERE a.participation_id = p.id) END,
  p.finished_at IS NOT NULL OR p.withdrawn_at IS NOT NULL, n.user_id IS NOT NULL,
  s.mode, s.state, s."window", s.lease_seconds, s.spacing, s.side,
  s.stops_adaptively OR s.is_ordered_by_model, s.core_percent, s.asks_cues,
  p.n_planned, s.n_practice, s.n_warm_up, s.n_checks, s.repeat_percent, s.repeat_distance
FROM annotation_participation p
JOIN annotation_annotator n ON n.id = p.annotator_id
JOIN annotation_study s ON s.id = p.study_id
WHERE p.id = %(participation)s {lock_participation}"""

LOCK_ANNOTATOR = "SELECT id FROM annotation_annotator WHERE id = %(annotator)s {lock_row}"

RENEW = """
UPDATE annotation_participation SET n_answered = %(n_answered)s, leased_until = {lease_end}
WHERE id = %(participation)s"""

FINISH = """
UPDATE annotation_participation SET n_answered = %(n_answered)s,
  finished_at = CASE WHEN withdrawn_at IS NULL THEN COALESCE(finished_at, {now}) ELSE finished_at END
WHERE id = %(participation)s"""

# What a person holds ------------------------------------------------------------------------------------------------

# Conditions on an assignment `a`.
HELD = "a.participation_id = %(participation)s AND a.answered_at IS NULL AND a.returned_at IS NULL"
HELD_AND_SERVED = """a.participation_id = %(participation)s
AND a.answered_at IS NULL AND a.returned_at IS NULL AND a.served_at IS NOT NULL"""
THIS = "a.id = %(assignment)s"

# The columns of `Lease`.
LEASES = """
SELECT a.id, a.public_id, a.position, a.original_side, a.original_key, a.anonymized_key,
  a.served_at IS NOT NULL, i.instructed_score,
  COALESCE(renewed.width, shown.width), COALESCE(renewed.height, shown.height),
  COALESCE(renewed_beside.width, beside.width), COALESCE(renewed_beside.height, beside.height)
FROM annotation_assignment a
JOIN annotation_item i ON i.id = a.item_id AND i.state = 'open'
JOIN datasets_pair pair ON pair.id = i.pair_id
JOIN datasets_image shown ON shown.id = pair.anonymized_id
LEFT JOIN datasets_image beside ON beside.id = pair.original_id AND a.original_key IS NOT NULL
JOIN annotation_study study ON study.id = i.study_id
LEFT JOIN datasets_image renewed ON renewed.renews_id = shown.id AND renewed.id <= study.newest_renewal
LEFT JOIN datasets_image renewed_beside
  ON renewed_beside.renews_id = beside.id AND renewed_beside.id <= study.newest_renewal
WHERE {which} ORDER BY a.position LIMIT %(n)s"""

COUNT_HELD = """
SELECT COUNT(*) FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id AND i.state = 'open'
WHERE a.participation_id = %(participation)s AND a.answered_at IS NULL AND a.returned_at IS NULL"""

LAST_POSITION = """
SELECT COALESCE(MAX(position), 0) FROM annotation_assignment WHERE participation_id = %(participation)s"""

ASSIGN = """
INSERT INTO annotation_assignment (public_id, item_id, participation_id, occurrence, purpose, position, original_side,
  reason, draw_start, draw_n_held, original_key, anonymized_key, reserved_at)
VALUES (%(public_id)s, %(item)s, %(participation)s, %(occurrence)s, %(purpose)s, %(position)s, %(original_side)s,
  %(reason)s, %(draw_start)s, %(draw_n_held)s, %(original_key)s, %(anonymized_key)s, {now})"""

SERVE = """
UPDATE annotation_assignment SET served_at = {now}
WHERE participation_id = %(participation)s AND answered_at IS NULL AND returned_at IS NULL AND served_at IS NULL
AND position BETWEEN %(first)s AND %(last)s"""

# Coming back, and the end -------------------------------------------------------------------------------------------

RETURNED = """
SELECT a.id, a.item_id, a.purpose FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
WHERE a.participation_id = %(participation)s
AND a.answered_at IS NULL AND a.returned_at IS NOT NULL AND a.skipped_at IS NULL AND i.state = 'open'
AND (a.purpose <> 'main' OR i.n_held < i.goal)
AND (a.purpose <> 'repeat' OR EXISTS (
  SELECT 1 FROM annotation_assignment m
  WHERE m.participation_id = a.participation_id AND m.item_id = a.item_id AND m.occurrence = 0
  AND (m.answered_at IS NOT NULL OR m.returned_at IS NULL)))
AND {unspoilt}
ORDER BY a.position LIMIT %(n)s"""

MAY_COME = """
SELECT i.id FROM annotation_item i
WHERE i.study_id = %(study)s AND i.state = 'open' AND i.role = 'main' AND i.n_rated < i.goal
AND (EXISTS (
  SELECT 1 FROM annotation_assignment a
  WHERE a.participation_id = %(participation)s AND a.item_id = i.id
  AND a.answered_at IS NULL AND a.skipped_at IS NULL LIMIT 1 OFFSET 0) OR {allowed})
AND {unspoilt} LIMIT 1"""

GIVE_BACK = """
UPDATE annotation_assignment SET returned_at = {now}
WHERE participation_id = %(participation)s AND answered_at IS NULL AND returned_at IS NULL
AND (painted_at IS NULL OR %(painted_too)s)
RETURNING item_id, purpose"""

FREE_PLACE = "UPDATE annotation_item SET n_held = n_held - 1 WHERE id = %(item)s"
