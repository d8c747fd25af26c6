"""Every address of the site, as its URLconf has them, and who may open it."""

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, resolve
from django.utils.regex_helper import normalize

from annotation.access import resume_token
from annotation.models.people import Invitation, Participation
from datasets.models.jobs import Job
from datasets.models.projects import Project
from datasets.models.removals import Removal
from tests import make
from tests.scoring import trained

PUBLIC = {"health", "ready", "login", "admin-login"}
PUBLIC |= {f"annotation:{name}" for name in ("join", "resume", "left", "withdrawal", "language", "words")}
LEADS_ON = {"admin-login", "annotation:resume", "annotation:language"}
# Open to the person whose participation it is, logged in or not.
PERSONAL = {
    f"annotation:{name}"
    for name in (
        "rate", "last-answer", "instructions", "answer", "rest", "your-data", "end", "another-session", "picture",
        "leave", "new-code", "erase",
    )
}  # fmt: skip
# Open to everybody with a log-in.
COMMON = {"home", "logout", "schema"}
# Open to every member of the project.
MEMBERS = {"annotation:take-part"}
# Open to the project's researchers alone: an annotator must learn nothing of what stands there.
RESEARCHERS = {
    f"{app}:{name}"
    for app, names in {
        "annotation": (
            "project", "close-project", "reopen-project",
            "study-new", "forecast", "study", "wording", "wording-in", "state", "goal", "completion",
            "more-pairs", "delete-study", "invite", "revoke", "freeze", "ratings", "remarks", "cues", "quality",
            "check-again", "annotator", "decide", "settle", "items", "items-csv", "item", "give-role",
            "withdraw", "seen", "preregistration",
        ),
        "datasets": (
            "pairs", "import", "sample-manifest", "pair", "pair-change", "pair-remove", "pair-changes", "groups",
            "groups-merge", "groups-compare", "picture", "release", "export", "download", "release-key",
            "retract", "sources",
            "job", "job-cancel", "job-retry", "job-report", "job-discard",
            "import-previewed",
        ),
        "scoring": ("runs", "run", "comparison", "predictions"),
    }.items()
    for name in names
}  # fmt: skip
# Open to the project's admins alone.
ADMINS = {"datasets:picture-remove", "datasets:removal"}


def is_of_the_admin(url: str, name: str) -> bool:
    return url.startswith("/admin/") and name != "admin-login"


def something_for_everything(**fields: Any) -> dict[str, Any]:
    """Something that exists for every argument of every address, around a study with these fields."""
    study = make.rated_study(n_pairs=12, n_people=2, session_size=2, goal=3, **fields)  # the fewest that can be split
    release = make.release(study)
    participation = make.participation(study)
    lease = make.leases(participation)[0]
    job = Job.objects.get()
    return {
        "project": study.project.slug,
        "study": study.public_id,
        "invitation": make.invitation(study).pk,
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
    }


def removed_elsewhere(project: Project) -> Removal:
    """A removal in this project, of a picture that nothing here refers to."""
    return Removal.objects.create(
        project=project, pairs=[], n_ratings=0, releases=[], models_trained=[], files_left=[], zips_left=[]
    )


def tokens() -> dict[str, str]:
    """Of the addresses that open to whoever has them, by how these begin."""
    return {"join/": Invitation.objects.get().token, "resume/": resume_token(Participation.objects.latest("pk"))}


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
        url = "/" + template % {name: token if name == "token" else arguments[name] for name in names}
        found[url] = resolve(url).view_name
    return found
