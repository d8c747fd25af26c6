"""The machines and processes that serve this site, as far as they have to know of each other."""

from django.db import models


class SharedFact(models.Model):
    """What every host of the site has in common, as the first of them had it (datasets/hosts.py)."""

    name = models.CharField(max_length=40, primary_key=True)
    value = models.CharField(max_length=64)  # a mark, or the fingerprint of a key; never the key
    recorded_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class Worker(models.Model):
    """A process that does jobs, as it was last heard of; one that was killed leaves its row behind for a while."""

    host = models.CharField(max_length=255)
    lanes = models.JSONField()
    started_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()  # by the database's clock, which all hosts share

    def __str__(self) -> str:
        return f"{self.host}: {', '.join(self.lanes)}"
