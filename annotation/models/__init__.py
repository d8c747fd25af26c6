"""Django looks for models here; everything else imports from the module that owns the model."""

from annotation.models.people import Annotator, Invitation, Participation
from annotation.models.quality import Card, Decision, Flag, Preregistration
from annotation.models.ratings import Assignment, Cue, Rating, Remark, Report, Revision
from annotation.models.studies import Campaign, Item, Study, StudyChange, StudyText

__all__ = [
    "Annotator",
    "Assignment",
    "Campaign",
    "Card",
    "Cue",
    "Decision",
    "Flag",
    "Invitation",
    "Item",
    "Participation",
    "Preregistration",
    "Rating",
    "Remark",
    "Report",
    "Revision",
    "Study",
    "StudyChange",
    "StudyText",
]
