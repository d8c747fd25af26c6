from typing import Any

from django.core.management.base import CommandError

from datasets.doctor import findings
from datasets.hosts import Finding
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Look at all that the site leans on, from this host, and say what to mend. Exit code 1: something stops it."

    def handle(self, *args: Any, **options: Any) -> None:
        found = []
        for finding in findings():  # each as it is found: a database that does not answer takes its time
            found.append(finding)
            self.stdout.write(f"{_weight(finding):5}{finding}")
        if n := sum(finding.stops for finding in found):
            raise CommandError(f"{n} of these stop{'s' if n == 1 else ''} the site, or this host of it.")


def _weight(finding: Finding) -> str:
    if finding.stops:
        return "STOP"
    return "mend" if finding.mend else "ok"
