import uuid

from django.conf import settings
from django.db import models

from datasets.models.projects import Project


class RemovedImage(models.Model):
    """That a picture may not come back: a keyed hash of its bytes, which tells nobody which it was.

    It stands for the whole site, and outlives the project: whoever is shown in it asked the site.
    """

    digest = models.CharField(max_length=64, unique=True)  # datasets.ledger.picture_digest
    removed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"removed {self.removed_at:%Y-%m-%d}"


class Removal(models.Model):
    """What was taken out with a picture, for whoever has to tell others; nothing in it leads back to the picture."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="removals")
    pairs = models.JSONField()  # their numbers
    n_ratings = models.PositiveIntegerField()
    releases = models.JSONField()  # those that hold it, by name
    models_trained = models.JSONField()  # on such a release: run, checkpoint and release, in words
    # What is still to be done, and by what names: emptied by the job, so that the hashes in them do not stay.
    files_left = models.JSONField()  # below MEDIA_ROOT
    zips_left = models.JSONField()  # ids of releases whose zip is made anew
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)  # when the last file had gone

    class Meta:
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"removal of a picture from {self.project}, {self.at:%Y-%m-%d}"
