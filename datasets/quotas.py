"""How much a project may hold: so many pairs, and so many bytes of pictures as they came.

What an import would add is known once it is checked, before any of it is kept; then it reserves that, so that of two at
once no more come in than there is room for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from django.conf import settings
from django.db.models import Sum

from datasets.jobs import Attempt, JobFailed
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project

RESERVED = "reserved"  # in the result of an import that runs: pairs and bytes


@dataclass(frozen=True)
class Room:
    n_pairs: int
    n_bytes: int

    def __add__(self, other: Self) -> "Room":
        return Room(self.n_pairs + other.n_pairs, self.n_bytes + other.n_bytes)


def quota_of(project: Project) -> Room:
    """The project's own where a superuser has given it one, else the site's."""
    return Room(project.max_pairs or settings.PROJECT_MAX_PAIRS, project.max_bytes or settings.PROJECT_MAX_BYTES)


def held_by(project: Project) -> Room:
    n_bytes = Image.objects.filter(project=project, renews=None).exclude(display="").aggregate(n=Sum("n_bytes"))["n"]
    return Room(Pair.objects.filter(project=project).count(), n_bytes or 0)


def reserve(attempt: Attempt, wanted: Room) -> None:
    """Raises JobFailed where there is no room for it beside what is held and what other imports have reserved."""
    with attempt.writing():
        project = Project.objects.select_for_update(no_key=True).get(pk=attempt.job.project_id)
        imports = project.jobs.filter(kind="import_pairs", state=Job.State.RUNNING).exclude(pk=attempt.job.pk)
        beside = [Room(*each.result[RESERVED]) for each in imports if RESERVED in each.result]
        held, most = sum(beside, held_by(project)), quota_of(project)
        if wanted.n_pairs and held.n_pairs + wanted.n_pairs > most.n_pairs:
            raise _full("PROJECT_MAX_PAIRS", "pairs", f"{held.n_pairs:,}", f"{wanted.n_pairs:,}", f"{most.n_pairs:,}")
        if wanted.n_bytes and held.n_bytes + wanted.n_bytes > most.n_bytes:
            in_gb = [f"{room.n_bytes / 1e9:,.2f}" for room in (held, wanted, most)]
            raise _full("PROJECT_MAX_BYTES", "GB of pictures", *in_gb)
        attempt.note(**{RESERVED: [wanted.n_pairs, wanted.n_bytes]})


def _full(setting: str, of_what: str, held: str, wanted: str, most: str) -> JobFailed:
    return JobFailed(
        f"Nothing was imported: the project holds {held} {of_what}, this would add {wanted}, and {most} is the most. "
        f"Remove what is not needed, use another project, or ask an admin of the site for more room ({setting})."
    )


@dataclass
class Newcomers:
    """The pictures of an import that the project does not have yet, each counted once."""

    project: Project
    n_bytes: int = 0
    _counted: set[int] = field(default_factory=set)  # the first eight bytes of each hash: a million have to fit in

    def see(self, sizes: Iterable[tuple[str, int]]) -> None:
        """SHA-256 and bytes of pictures, as they came."""
        new = {sha256: n for sha256, n in sizes if _short(sha256) not in self._counted}
        there = Image.objects.filter(project=self.project, renews=None, sha256__in=new).exclude(display="")
        self.n_bytes += sum(new[sha256] for sha256 in new.keys() - set(there.values_list("sha256", flat=True)))
        self._counted.update(map(_short, new))


def _short(sha256: str) -> int:
    return int(sha256[:16], 16)
