"""Every address of the site, as its URLconf has them, and who may open it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, resolve
from django.utils import timezone
from django.utils.regex_helper import normalize

from annotation.access import resume_token
from annotation.models.people import Invitation, Participation
from datasets.members import LASTS
from datasets.models.invitations import ProjectInvitation, hash_of_token
from datasets.models.jobs import Job
from datasets.models.projects import Project, Role
from datasets.models.removals import Removal
from tests import make
from tests.scoring import trained

INVITED = "0123456789abcdef" * 2  # the token of the link into the project

ADMINS_GUIDE = Path(__file__).resolve().parents[1] / "docs" / "admins.md"
ASKED: dict[str, set[str]] = {"": set(), "look": {"GET"}, "send": {"POST"}, "both": {"GET", "POST"}}
OF_THE_ADMIN = "admin:*"


def _roles_table() -> tuple[list[str], dict[str, dict[str, set[str]]]]:
    """The roles, and by which methods each may ask each address, as docs/admins.md has it."""
    table = ADMINS_GUIDE.read_text().partition("| page | nobody |")
    head, _, *rows = (table[1] + table[2].partition("\n\n")[0]).splitlines()
    roles = [cell.strip() for cell in head.split("|")[2:-1]]
    return roles, {
        name: {role: ASKED[cell.strip()] for role, cell in zip(roles, row.split("|")[2:-1], strict=True)}
        for row in rows
        for name in re.findall(r"`([^`]+)`", row)
    }


ROLES, MAY = _roles_table()


def open_to(*roles: str) -> set[str]:
    """Addresses that these roles, and no others, may ask."""
    return {name for name, may in MAY.items() if {role for role, methods in may.items() if methods} == set(roles)}


PUBLIC = open_to(*ROLES) | {"admin-login"}
PERSONAL = open_to("by a link")  # to the person whose participation it is, logged in or not
COMMON = open_to(*ROLES[2:])  # to everybody with a log-in
MEMBERS = open_to("annotator", "researcher", "admin")


def is_of_the_admin(url: str, name: str) -> bool:
    return url.startswith("/admin/") and name != "admin-login"


def is_of_an_account(name: str) -> bool:
    """Everybody's own: tests/test_accounts.py asks what is there."""
    return name in COMMON and name.startswith(("account", "mfa_", "usersessions_"))


def something_for_everything(**fields: Any) -> dict[str, Any]:
    """Something that exists for every argument of every address, around a study with these fields."""
    study = make.rated_study(n_pairs=12, n_people=2, session_size=2, goal=3, **fields)  # the fewest that can be split
    release = make.release(study)
    participation = make.participation(study)
    lease = make.leases(participation)[0]
    job = Job.objects.get()
    admin = make.member(study.project, Role.ADMIN)
    invited = ProjectInvitation.objects.create(
        project=study.project,
        role=Role.ANNOTATOR,
        token_hash=hash_of_token(INVITED),
        made_by=admin,
        expires_at=timezone.now() + LASTS,
    )
    return {
        "project": study.project.slug,
        "study": study.public_id,
        "invitation": make.invitation(study).pk,
        "member": make.member(study.project).memberships.get().pk,
        "invited": invited.pk,
        "participation": participation.public_id,
        "key": lease.anonymized_key,
        "person": participation.public_id,
        "item": lease.item.pk,
        "pair": lease.item.pair.number,
        "image": lease.item.pair.anonymized_id,
        "removal": removed_elsewhere(study.project).public_id,
        "slug": release.slug,
        "version": release.version,
        "job": job.public_id,
        "language": "de",
        "run": trained.compared(trained.run(release)).public_id,
        # Of the admin.
        "app_label": "datasets",
        "object_id": study.project.pk,
        "id": make.user().pk,
        "content_type_id": 1,
        "url": "nothing/here",
        # Of accounts.
        "uidb36": "1",
        "pk": 1,
    }


def removed_elsewhere(project: Project) -> Removal:
    """A removal in this project, of a picture that nothing here refers to."""
    return Removal.objects.create(
        project=project, pairs=[], n_ratings=0, releases=[], models_trained=[], files_left=[], zips_left=[]
    )


def tokens() -> dict[str, str]:
    """Of the addresses that open to whoever has them, by how these begin."""
    resume = resume_token(Participation.objects.latest("pk"))
    return {"join/": Invitation.objects.get().token, "resume/": resume, "invited/": INVITED}


def templates() -> Iterator[tuple[str, list[str]]]:
    """Each address with a place for each of its arguments, and their names."""
    for pattern in _patterns(get_resolver()):
        yield from normalize(pattern)


def _patterns(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for each in resolver.url_patterns:
        route = before + str(each.pattern.regex.pattern).removeprefix("^")
        if isinstance(each, URLPattern):
            yield route
        else:
            yield from _patterns(each, route.removesuffix(r"\Z"))


def addresses(arguments: dict[str, Any]) -> dict[str, str]:
    """Every address of the URLconf, with the name of what answers there."""
    known, found = tokens(), {}
    for template, names in templates():
        token = next((token for start, token in known.items() if template.startswith(start)), None)
        given = arguments | {"token": token} | ({"key": "no-key"} if template.startswith("account/") else {})
        url = "/" + template % {name: given[name] for name in names}
        found[url] = resolve(url).view_name
    return found
