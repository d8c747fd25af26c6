"""What was changed in a study, by whom, when and why: written in the transaction that makes the change, and into the
audit log with it."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from annotation.models.studies import Study, StudyChange
from datasets.audit import record
from datasets.models.audit import What
from datasets.refusals import Refusal

Kind = StudyChange.Kind
STEPS = {
    Study.State.OPEN: What.STUDY_OPENED,
    Study.State.PAUSED: What.STUDY_PAUSED,
    Study.State.CLOSED: What.STUDY_CLOSED,
}


class NotPossible(Refusal):
    """What was asked does not fit the study's state; the message says what to do."""


def locked_study(study: Study) -> Study:
    """The study as it is now, for whoever changes it next to wait.

    Its texts must not change between being opened and being marked as shown, and each change names what was before.
    People who join or rate do not wait: they only refer to the study.
    """
    return Study.objects.select_for_update(of=("self",), no_key=True).get(pk=study.pk)


def record_change(
    study: Study, kind: str, *, before: Any, after: Any, by: AbstractBaseUser | None = None, reason: str = ""
) -> StudyChange:
    what = STEPS[after] if kind == Kind.STATE else What.STUDY_CHANGED
    was, becomes = _logged(kind, before), _logged(kind, after)
    if kind == Kind.PAIRS:  # batch by batch, of which this is the first
        becomes = {Kind.PAIRS.label: "more"}
    record(what, by=by, on=study, project=study.project, before=was, after=becomes)
    return StudyChange.objects.create(
        study=study, kind=kind, before=before, after=after, reason=reason, changed_by_id=by.pk if by else None
    )


def _logged(kind: str, value: Any) -> dict[str, Any]:
    """What the audit log says of it: of codes and addresses for those who have finished only that they were changed, of
    many pairs their numbers."""
    if kind in {Kind.COMPLETION, Kind.ROLES}:
        value = sorted(value)
    return {Kind(kind).label.lower(): value}
