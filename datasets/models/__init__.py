"""Django looks for models here; everything else imports from the module that owns the model."""

from datasets.models.audit import AuditEntry
from datasets.models.forms import SentForm
from datasets.models.hosts import SharedFact, Worker
from datasets.models.invitations import ProjectInvitation
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, PairChange, Source
from datasets.models.projects import Membership, Project, ProjectChange, Role
from datasets.models.releases import FrozenCue, FrozenRating, Label, Release, ReleaseNotice, SetAsideRating
from datasets.models.removals import Removal, RemovedImage
from datasets.models.tries import Tally

__all__ = [
    "AuditEntry",
    "FrozenCue",
    "FrozenRating",
    "Image",
    "Job",
    "Label",
    "Membership",
    "Pair",
    "PairChange",
    "Project",
    "ProjectChange",
    "ProjectInvitation",
    "Release",
    "ReleaseNotice",
    "Removal",
    "RemovedImage",
    "Role",
    "SentForm",
    "SetAsideRating",
    "SharedFact",
    "Source",
    "Tally",
    "Worker",
]
