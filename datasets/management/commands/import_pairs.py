from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from datasets.files import media_path
from datasets.jobs import queue_job
from datasets.management.following import finish_here, named_project
from datasets.reports import report_name
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Import pairs of pictures: a manifest.csv with the pictures under --root, or a zip that holds both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("manifest", type=Path, help="manifest.csv, a .zip, or a folder without a manifest")
        parser.add_argument("--root", type=Path, help="folder that the manifest's paths start from (default: its own)")
        parser.add_argument(
            "--leave-columns",
            action="store_true",
            help="go on where a column that is not read is nearly a known one, or seems to hold ratings",
        )
        parser.add_argument(
            "--by-layout",
            action="store_true",
            help="import by the folders' names where there is no manifest; without it the rows are only shown",
        )
        parser.add_argument("--project", required=True, help="the project's slug")

    def handle(self, *args: Any, manifest: Path, root: Path | None, project: str, **options: Any) -> None:
        if not manifest.exists():
            raise CommandError(f"There is no file {manifest}.")
        if root and not root.is_dir():
            raise CommandError(f"There is no folder {root}.")
        if manifest.is_dir():
            arguments = {"root": str(manifest.resolve())}
        elif manifest.suffix == ".zip":
            arguments = {"archive": str(manifest.resolve())}
        else:
            arguments = {"manifest": str(manifest.resolve()), "root": str((root or manifest.parent).resolve())}
        said = {"leave_columns": options["leave_columns"], "as_previewed": options["by_layout"]}
        job = queue_job("import_pairs", named_project(project), by=None, **said, **arguments)
        try:
            result = finish_here(self, job)
        except CommandError as error:
            report = media_path(report_name(job))
            raise CommandError(f"{error}\nThe report: {report}" if report.exists() else str(error)) from error
        if "preview" in result:
            self.stdout.writelines("\t".join(row) + "\n" for row in result["preview"])
            self.stdout.write(f"{result['n_rows']} pairs by layout; --by-layout imports them.")
            return
        self.stdout.write(f"The manifest was read as {result['read_as']}.")
        if result["unread"]:
            self.stdout.write(f"Nobody reads its columns {', '.join(result['unread'])}.")
        self.stdout.write(f"{result['n_new']} new pairs, {result['n_known']} were known already.")
