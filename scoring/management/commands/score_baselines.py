from argparse import ArgumentParser
from typing import Any

from datasets.management.commands.export_release import named_release
from datasets.management.following import finish_here
from datasets.telling import TellingCommand
from scoring.baselines import request_baselines


class Command(TellingCommand):
    help = "Compute PSNR, MSE and SSIM of a release's pairs, where they are not known yet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("release", help="PROJECT/SLUG, or PROJECT/SLUG/VERSION (default: the newest)")

    def handle(self, *args: Any, release: str, **options: Any) -> None:
        found = named_release(release)
        result = finish_here(self, request_baselines(found))
        self.stdout.write(f"{found}: {result['n_scored']} pairs scored, of {found.labels.count()}.")
