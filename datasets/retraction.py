"""A release that should not be used any more: its page and its hash stay, so that whoever cited it finds out why; its
files go."""

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from datasets.audit import record
from datasets.export import archive_name
from datasets.files import media_path
from datasets.models.audit import What
from datasets.models.releases import Release, ReleaseNotice
from datasets.refusals import Refusal


class CannotRetract(Refusal):
    """It is retracted already, or no reason is given."""


@transaction.atomic
def retract_release(release: Release, *, reason: str, by: AbstractBaseUser | None = None) -> None:
    """Nothing is exported and nothing trained from it any more. There is no way back: a new version is frozen instead.

    Raises CannotRetract.
    """
    if not reason.strip():
        raise CannotRetract("Say why the release is retracted: whoever has used it will read it.")
    release = Release.objects.select_for_update(no_key=True).get(pk=release.pk)  # an export that ends now is waited for
    if release.is_retracted():
        raise CannotRetract("This release is retracted already.")
    release.notices.create(kind=ReleaseNotice.Kind.RETRACTED, text=reason.strip())
    record(What.RETRACTED, by=by, on=release, project=release.project)
    transaction.on_commit(lambda: media_path(archive_name(release)).unlink(missing_ok=True))
