from django.conf import settings
from django.db import models


class SentForm(models.Model):
    """A form that somebody has sent, and where that led: the same form sent again leads there and does nothing."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.UUIDField()  # chosen when the form was shown
    led_to = models.CharField(max_length=500, blank=True)  # empty only while what it asks for is being done
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_sent_form_per_key")]
        indexes = [models.Index(fields=["sent_at"], name="sent_form_age")]

    def __str__(self) -> str:
        return f"{self.key} of {self.user}"
