"""Plain builders with defaults: a test names only what matters to it."""

import io
import itertools
import random
import uuid
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image as PillowImage

from annotation.access import remember
from annotation.answering.introduction import questions
from annotation.answering.ratings import Answer, count_answers, revise_rating, submit_rating
from annotation.freeze import request_freeze
from annotation.giving.leases import next_pairs
from annotation.giving.person import locked
from annotation.models.people import Annotator, Invitation, Participation
from annotation.models.ratings import Assignment, Rating, Revision
from annotation.models.studies import SCORES, Campaign, Study
from annotation.privacy import code_to_show, void_code
from annotation.studies import invitations, life, setup
from annotation.studies.wording import current_texts, standard_wording, write_texts
from datasets import jobs, members
from datasets.export import request_export
from datasets.files import media_path
from datasets.images import image_row, store_files, stored_as
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Membership, Project, Role
from datasets.models.releases import Release
from datasets.pictures import inspect

_numbers = itertools.count(1)


def user(name: str | None = None, **fields: Any) -> User:
    return User.objects.create_user(name or f"user{next(_numbers)}", password="a-good-password", **fields)


def project(**fields: Any) -> Project:
    n = next(_numbers)
    return Project.objects.create(**{"slug": f"project{n}", "name": f"Project {n}"} | fields)


def member(of: Project, role: str = Role.RESEARCHER, **fields: Any) -> User:
    person = user(**fields)
    Membership.objects.create(project=of, user=person, role=role)
    return person


def link_into(of: Project, role: str = Role.RESEARCHER, *, by: User | None = None, **fields: Any) -> str:
    """The address of an invitation into a project, by an admin of it."""
    made = members.invite(of, role=role, by=by or member(of, Role.ADMIN), **fields)
    return str(members.link_to_show(made, lambda token: reverse("annotation:invited", args=[token])))


def picture_bytes(n: int | None = None, *, size: tuple[int, int] = (48, 32), format: str = "PNG") -> bytes:  # noqa: A002
    """A small picture unlike all others."""
    n = next(_numbers) if n is None else n
    colours = np.empty((size[1], size[0], 3), np.uint8)
    colours[:, :, :2] = n * 37 % 256, n // 256 % 256
    colours[:, :, 2] = (n * 91 + np.arange(size[0] * size[1]).reshape(colours.shape[:2])) % 256
    file = io.BytesIO()
    PillowImage.fromarray(colours).save(file, format)
    return file.getvalue()


def image(of: Project, **kind: Any) -> Image:
    picture = inspect(picture_bytes(**kind))
    store_files(of, picture)
    return image_row(of, picture)


def old_image(of: Project, *, size: tuple[int, int], data: bytes = b"") -> Image:
    """A picture as versions stored it that took any size and left colours and transparency to the browser."""
    data = data or picture_bytes(size=size)
    digest = sha256(data).hexdigest()
    files = {"original": data, "original_sha256": digest, "display": data, "display_sha256": digest}
    picture = replace(inspect(picture_bytes()), width=size[0], height=size[1], **files)
    store_files(of, picture)
    return image_row(of, picture)


def pair(of: Project, *, group: str | None = None, original: Image | str | None = "new", **fields: Any) -> Pair:
    n = next(_numbers)
    source, _ = Source.objects.get_or_create(project=of, name=fields.pop("source", "test"))
    return Pair.objects.create(
        **{
            "project": of,
            "original": image(of) if original == "new" else original,
            "anonymized": image(of),
            "group": group or f"group{n}",
            "source": source,
            "method": "blur",
            "scope": "global",
            "anonymized_path": f"secret-name-{n}.png",
        }
        | fields
    )


def pairs(of: Project, n: int, *, per_group: int = 1) -> list[Pair]:
    """`n` pairs; each original has `per_group` versions. In few statements: most tests begin with them."""
    originals, shown = images(of, -(-n // per_group)), images(of, n)
    source, _ = Source.objects.get_or_create(project=of, name="test")
    alike = {"project": of, "source": source, "method": "blur", "scope": "global"}
    return Pair.objects.bulk_create(
        Pair(
            **alike,
            original=originals[i // per_group],
            anonymized=shown[i],
            group=f"g{i // per_group}",
            anonymized_path=f"secret-name-{next(_numbers)}.png",
        )
        for i in range(n)
    )


def images(of: Project, n: int) -> list[Image]:
    new = [inspect(picture_bytes()) for _ in range(n)]
    for picture in new:
        store_files(of, picture)
    return Image.objects.bulk_create(
        Image(project=of, sha256=picture.original_sha256, **stored_as(of, picture)) for picture in new
    )


def many_pairs(of: Project, n: int) -> list[Pair]:
    """As many rows as a large project has, quickly: versions of one original in groups of their own, without files."""
    first = pair(of)
    shown = [copy(first.anonymized) for _ in range(n - 1)]
    for picture in shown:
        picture.pk, picture.sha256 = None, f"{next(_numbers):064x}"
    alike = {name: getattr(first, name) for name in ("project", "original", "source", "method", "scope")}
    made = Pair.objects.bulk_create(
        Pair(**alike, anonymized=picture, group=f"group {picture.sha256}", anonymized_path=f"{picture.sha256}.png")
        for picture in Image.objects.bulk_create(shown)
    )
    return [first, *made]


def study(
    of: Project | None = None, *, n_pairs: int = 4, per_group: int = 1, is_open: bool = True, **fields: Any
) -> Study:
    """A study over `n_pairs` new pairs, open unless said otherwise."""
    of = of or project()
    n = next(_numbers)
    campaign = fields.pop("campaign", None) or Campaign.objects.create(project=of, slug=f"c{n}", name=f"Campaign {n}")
    if n_pairs:
        pairs(of, n_pairs, per_group=per_group)
    # Pairs that count and nothing else: what a session holds besides is named where it matters.
    defaults = {"mode": "HA2", "name": f"Study {n}", "goal": 2, "session_size": 100}
    defaults |= {"n_warm_up": 0, "repeat_percent": 0}
    made = setup.create_study(of, campaign=campaign, pairs=Pair.objects.filter(project=of), **defaults | fields)
    if is_open:
        life.change_state(made, Study.State.OPEN)
    return made


def wording(of: Study, language: str) -> dict[str, str]:
    """All its texts in a further language, recognizable by it."""
    texts = {kind: f"{kind} ({language})" for kind in standard_wording(of.mode)}
    write_texts(of, texts, language=language)
    return texts


def invitation(of: Study, kind: str = Invitation.Kind.MANY) -> Invitation:
    return invitations.invite(of, kind=kind)


def participation(of: Study, *, by: User | None = None, **fields: Any) -> Participation:
    """Somebody who has consented and read the instructions."""
    return Participation.objects.create(
        **{
            "study": of,
            "campaign": of.campaign,
            "annotator": Annotator.objects.create(project=of.project, user=by),
            "consent_text": current_texts(of)["consent"],
            "consented_at": timezone.now(),
            "instructed_at": timezone.now(),
            "n_planned": of.session_size,
        }
        | fields
    )


def code(of: Participation) -> str:
    """A new withdrawal code of theirs, as it is shown to them."""
    void_code(of)
    return str(code_to_show(of))


def browser(of: Participation, **fields: Any) -> Client:
    """A browser that may act for this participation, without a log-in."""
    client = Client(**fields)
    client.cookies.update(remember(HttpResponse(), of).cookies)
    return client


def leases(of: Participation) -> list[Assignment]:
    """What is in front of this person, in order."""
    given = Assignment.objects.select_related("item", "participation").in_bulk(
        [lease.pk for lease in next_pairs(of).leases]
    )
    return sorted(given.values(), key=attrgetter("position"))


def rate(of: Participation, *scores: int) -> None:
    """Answers to pair after pair, as they are given out, one for each score."""
    for score in scores:
        rating(leases(of)[0], score, seconds=2.5)


def rating(of: Assignment, score: int = 7, *, key: uuid.UUID | None = None, **fields: Any) -> Rating:
    """An answer to this pair, or a revised one, stored as a turn stores it, whatever comes next."""
    answer = Answer(key or uuid.uuid4(), of.public_id, score, **fields)
    with transaction.atomic():
        person = locked(of.participation_id)
        (revise_rating if answer.revises else submit_rating)(person, answer)
        count_answers(person)
    return Rating.objects.get(assignment=of)


def rated_study(
    *, n_pairs: int = 4, n_people: int = 3, seed: int = 1, scores: Sequence[int] = SCORES, **fields: Any
) -> Study:
    """A study in which everybody has rated every pair, with scores that look drawn by lot but are not."""
    made = study(n_pairs=n_pairs, **{"goal": n_people} | fields)
    fill_in(made, n_people=n_people, seed=seed, scores=scores)
    return made


def fill_in(of: Study, *, n_people: int, seed: int = 1, scores: Sequence[int] = SCORES) -> None:
    """Rows as the verbs would write them: quick enough for thousands."""
    now, lots = timezone.now(), random.Random(seed)
    items, people = list(of.items.order_by("pk")), [participation(of) for _ in range(n_people)]
    given = {"reserved_at": now, "served_at": now, "answered_at": now, "reason": "new original"}
    assignments = Assignment.objects.bulk_create(
        Assignment(item=item, participation=person, position=position, **given)
        for person in people
        for position, item in enumerate(items, start=1)
    )
    ratings = Rating.objects.bulk_create(
        Rating(assignment=each, score=lots.choice(scores), seconds=2.5, created_at=now) for each in assignments
    )
    Revision.objects.bulk_create(
        Revision(rating=each, number=1, key=uuid.uuid4(), score=each.score, seconds=2.5, created_at=now)
        for each in ratings
    )
    of.items.update(n_held=n_people, n_rated=n_people)
    of.participations.update(n_answered=len(items))


def more_wanted(of: Study) -> Study:
    """The same study, each pair wanting one more rating."""
    of.items.update(goal=F("goal") + 1)
    return of


def done(job: Job) -> Job:
    """The job, done in this process."""
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error + job.traceback
    return job


def release(of: Study) -> Release:
    return Release.objects.get(pk=done(request_freeze(of)).result["release"])


def archive(of: Release) -> Path:
    """The release as a zip, made by its job."""
    return media_path(done(request_export(of)).result["file"])


def understood(of: Study) -> dict[str, str]:
    """The form below the instructions, answered rightly."""
    return {question.name: question.answer for question in questions(of.mode)}


def answer(assignment: Assignment | str, score: Any = 7, **fields: Any) -> dict[str, Any]:
    """An answer as the page sends it."""
    named = str(assignment.public_id) if isinstance(assignment, Assignment) else str(assignment)
    return {"key": str(uuid.uuid4()), "assignment": named, "score": score, "seconds": 2.5} | fields


def expire(*given: Assignment) -> None:
    """Let the time of those who hold these pairs run out."""
    people = [assignment.participation_id for assignment in given]
    Participation.objects.filter(pk__in=people).update(leased_until=timezone.now() - timedelta(minutes=1))


def rate_all(of: Participation, score: int = 5) -> None:
    """Answer every pair this person is given."""
    while held := leases(of):
        rating(held[0], score, seconds=1.0)
