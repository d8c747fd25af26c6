import os
from typing import Any

from django.urls import reverse

from annotation.demo import build_demo
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Build the demo, or what is missing of it, and say how to get in."

    def handle(self, *args: Any, **options: Any) -> None:
        demo = build_demo()
        site = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
        self.stdout.write(f"\nPerceptAnon Studio: {site}/\n\nLog in as")
        for name, password in demo["passwords"].items():
            self.stdout.write(f"  {name:<12}{password}")
        self.stdout.write("\nOr rate without a log-in, by invitation:")
        for study, token in demo["invitations"].items():
            self.stdout.write(f"  {study:<26}{site}{reverse('annotation:join', args=[token])}")
