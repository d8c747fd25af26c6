import re
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from datasets.management.following import finish_here
from datasets.models.jobs import Job
from datasets.models.pictures import Image
from datasets.models.removals import Removal
from datasets.removal import counted, remove_image, take_up_again, taken_with
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Remove a picture for good because somebody shown in it asked, with all made from it, from every project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("picture", help="the SHA-256 of the file as it was imported, or the picture's number")
        parser.add_argument("--yes", action="store_true", help="do it; without, say what would go")

    def handle(self, *args: Any, picture: str, yes: bool, **options: Any) -> None:
        take_up_again()
        interrupted = list(Job.objects.unfinished().filter(kind="remove_image"))
        for left in interrupted:
            finish_here(self, left)
            self.stdout.write("Finished a removal that had been interrupted.")
        images = named_images(picture)
        if not images and interrupted:
            return
        if not images:
            raise CommandError("There is no such picture here; it may have been removed already.")
        for image in images:
            counts = ", ".join(f"{what}: {n}" for what, n in counted(taken_with(image)).items())
            self.stdout.write(f"{image.project.slug}: {counts}")
            if yes:
                self._remove(image)
        if not yes:
            self.stdout.write("Nothing was done. The same command with --yes removes it.")

    def _remove(self, image: Image) -> None:
        removal: Removal = remove_image(image)
        finish_here(self, Job.objects.get(kind="remove_image", arguments__removal=removal.pk))
        for zip_job in Job.objects.unfinished().filter(kind="export_release", project=removal.project):
            finish_here(self, zip_job)
        self.stdout.write("Removed. Models that were trained on it:")
        for words in removal.models_trained or ["none"]:
            self.stdout.write(f"  {words}")


def named_images(picture: str) -> list[Image]:
    """Those of the file in every project, or the one of this number."""
    there = Image.objects.exclude(display="").filter(renews=None).select_related("project").order_by("pk")
    if re.fullmatch("[0-9a-fA-F]{64}", picture):
        return list(there.filter(sha256=picture.lower()))
    return list(there.filter(pk=picture)) if picture.isdecimal() else []
