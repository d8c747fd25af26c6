"""Django looks for models here; everything else imports from the module that owns the model."""

from annotation.models.people import Annotator, Decision, Flag, Invitation, Participation
from annotation.models.ratings import Assignment, Cue, Rating, Revision
from annotation.models.studies import Campaign, Item, Study, StudyChange, StudyText

__all__ = [
    "Annotator",
    "Assignment",
    "Campaign",
    "Cue",
    "Decision",
    "Flag",
    "Invitation",
    "Item",
    "Participation",
    "Rating",
    "Revision",
    "Study",
    "StudyChange",
    "StudyText",
]
