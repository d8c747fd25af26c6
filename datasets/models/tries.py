from django.db import models


class Tally(models.Model):
    """How often somebody has tried something. The keyed hash does not say whose it is, an account's or an address's."""

    key = models.CharField(max_length=64, primary_key=True)
    n = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField()  # from then on it counts no more, and is deleted by the workers

    class Meta:
        indexes = [models.Index(fields=["ends_at"], name="tally_age")]

    def __str__(self) -> str:
        return f"{self.n} until {self.ends_at:%H:%M:%S}"
