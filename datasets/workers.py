"""Which workers there are: each says every few seconds that it is, so that an empty lane is seen before a job waits."""

from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from datasets.hosts import this_host
from datasets.models.hosts import Worker

SAY_EVERY_SECONDS = 5.0
THERE_WITHIN = timedelta(seconds=30)  # whoever was last heard of before that is taken for gone
FORGOTTEN_AFTER = timedelta(days=1)


def appear(lanes: list[str]) -> Worker:
    Worker.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()
    return Worker.objects.create(host=this_host(), lanes=lanes, seen_at=Now())


def say_there(worker: Worker) -> None:
    Worker.objects.filter(pk=worker.pk).update(seen_at=Now())


def leave(worker: Worker) -> None:
    Worker.objects.filter(pk=worker.pk).delete()


def hosts_by_lane() -> dict[str, list[str]]:
    """The hosts of the workers that are there, once for each worker, for every lane that there is."""
    there = list(Worker.objects.filter(seen_at__gt=Now() - THERE_WITHIN).order_by("host"))
    return {lane: [worker.host for worker in there if lane in worker.lanes] for lane in settings.LANES}
