import os
from typing import Any

from django.core.management.base import CommandError
from django.urls import reverse

from datasets.management.following import named_project
from datasets.models.releases import Release
from datasets.telling import TellingCommand
from scoring.demo import train_demo


class Command(TellingCommand):
    help = "Ask for the demo's model, if it was not asked for before, and say where it is watched."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = train_demo(named_project("demo"))
        except Release.DoesNotExist as error:
            raise CommandError("The demo has no release yet; run: manage.py build_demo") from error
        site = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
        self.stdout.write(
            "\nA small model trains in the background on the simulated ratings, for a minute or two. As researcher or\n"
            f"admin, watch it and see it compared with people:\n  {site}{reverse('scoring:run', args=[run.public_id])}"
        )
