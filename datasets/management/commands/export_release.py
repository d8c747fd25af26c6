from argparse import ArgumentParser
from pathlib import Path
from shutil import copyfile
from typing import Any

from django.core.management.base import CommandError

from datasets.audit import record
from datasets.export import request_export
from datasets.files import media_path
from datasets.management.following import finish_here, named_project
from datasets.models.audit import What
from datasets.models.releases import Release
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Write a release as a zip: labels, ratings, splits, wording, pictures and a manifest with SHA-256."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("release", help="PROJECT/SLUG, or PROJECT/SLUG/VERSION (default: the newest)")
        parser.add_argument("--to", type=Path, help="copy the zip to this file or folder")

    def handle(self, *args: Any, release: str, to: Path | None, **options: Any) -> None:
        found = named_release(release)
        if to and not to.is_dir() and not to.parent.is_dir():
            raise CommandError(f"There is no folder {to.parent}.")
        result = finish_here(self, request_export(found))
        record(What.DOWNLOADED, by=None, on=found, project=found.project)
        path = media_path(result["file"])
        if to:
            to = to / path.name if to.is_dir() else to
            try:
                copyfile(path, to)
            except OSError as error:
                raise CommandError(f"{to} cannot be written: {error.strerror}. The zip is at {path}.") from error
        self.stdout.write(f"{found}: {to or path}\nsha256 {result['sha256']}")


def named_release(name: str) -> Release:
    project, _, rest = name.partition("/")
    slug, _, version = rest.partition("/")
    releases = Release.objects.frozen().filter(project=named_project(project))
    wanted = releases.filter(slug=slug)
    if version:
        wanted = wanted.filter(version=version) if version.isdecimal() else wanted.none()
    if found := wanted.select_related("project").order_by("-version").first():
        return found
    known = ", ".join(f"{each.slug}/{each.version}" for each in releases) or "none yet"
    raise CommandError(f"There is no release {name!r}. Releases of {project}: {known}.")
