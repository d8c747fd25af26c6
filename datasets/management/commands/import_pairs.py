from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from datasets.jobs import queue_job
from datasets.management.following import finish_here, named_project
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Import pairs of pictures: a manifest.csv with the pictures under --root, or a zip that holds both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("manifest", type=Path, help="manifest.csv, or a .zip with manifest.csv in it")
        parser.add_argument("--root", type=Path, help="folder that the manifest's paths start from (default: its own)")
        parser.add_argument("--project", required=True, help="the project's slug")

    def handle(self, *args: Any, manifest: Path, root: Path | None, project: str, **options: Any) -> None:
        if not manifest.is_file():
            raise CommandError(f"There is no file {manifest}.")
        if root and not root.is_dir():
            raise CommandError(f"There is no folder {root}.")
        if manifest.suffix == ".zip":
            arguments = {"archive": str(manifest.resolve())}
        else:
            arguments = {"manifest": str(manifest.resolve()), "root": str((root or manifest.parent).resolve())}
        result = finish_here(self, queue_job("import_pairs", named_project(project), by=None, **arguments))
        self.stdout.write(f"{result['n_new']} new pairs, {result['n_known']} were known already.")
