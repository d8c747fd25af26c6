"""The statements of this room, each written out whole, with %(name)s for its values; {now} and its like are what the
databases spell apart (annotation/sql.py)."""

ANSWERED = """
UPDATE annotation_assignment SET answered_at = {now}
WHERE public_id = %(assignment)s AND participation_id = %(participation)s AND answered_at IS NULL
RETURNING id, item_id, purpose, returned_at, {seconds_since_served}"""

RATED = """
INSERT INTO annotation_rating (assignment_id, score, seconds, hidden_seconds, is_late, viewing, created_at)
VALUES (%(assignment)s, %(score)s, %(seconds)s, %(hidden_seconds)s, %(is_late)s, %(viewing)s, {now})
RETURNING id"""

SAID = """
INSERT INTO annotation_revision (rating_id, number, "key", score, seconds, created_at)
VALUES (%(rating)s, 1, %(key)s, %(score)s, %(seconds)s, {now})
ON CONFLICT ("key") DO NOTHING RETURNING id"""

# A late answer takes a place anew: its own was given to others.
COUNTED = """
UPDATE annotation_item SET n_rated = n_rated + 1, n_held = n_held + %(n_late)s WHERE id = %(item)s"""

COUNT_ANSWERS = """
UPDATE annotation_participation SET n_answered = %(n_answered)s WHERE id = %(participation)s"""

PAINTED = """
UPDATE annotation_assignment SET painted_at = {now}
WHERE public_id = %(assignment)s AND participation_id = %(participation)s
AND painted_at IS NULL AND served_at IS NOT NULL"""

# One box; none that lies outside the item's picture.
MARKED = """
INSERT INTO annotation_cue (revision_id, kind, x, y, width, height)
SELECT %(revision)s, %(kind)s, %(x)s, %(y)s, %(width)s, %(height)s
FROM annotation_item item
JOIN datasets_pair pair ON pair.id = item.pair_id
JOIN datasets_image picture ON picture.id = pair.anonymized_id
JOIN annotation_study study ON study.id = item.study_id
LEFT JOIN datasets_image renewed ON renewed.renews_id = picture.id AND renewed.id <= study.newest_renewal
WHERE item.id = %(item)s AND %(x)s <= COALESCE(renewed.width, picture.width) - %(width)s
AND %(y)s <= COALESCE(renewed.height, picture.height) - %(height)s"""
