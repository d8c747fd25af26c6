"""What was changed in a study, by whom, when and why: written in the transaction that makes the change."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from annotation.models.studies import Study, StudyChange
from datasets.refusals import Refusal


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
    return StudyChange.objects.create(
        study=study, kind=kind, before=before, after=after, reason=reason, changed_by_id=by.pk if by else None
    )
