from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from datasets.backup import CannotBackUp, back_up, damages
from datasets.restore import chosen
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = (
        "Copy the site while people use it: the database as it is now, and the files that no backup in DIR has yet. "
        "Only the site's user can read it. The keys are not in it: --keys puts them into a file of their own."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "dir", nargs="?", default=settings.BACKUP_DIR, help="where backups are; default: BACKUP_DIR"
        )
        parser.add_argument("--keep", type=int, help="afterwards only so many stay, the newest")
        parser.add_argument("--keys", type=Path, metavar="FILE", help="write the keys there; keep it elsewhere")
        parser.add_argument("--check", action="store_true", help="make none: read every byte of the newest one")

    def handle(self, *args: Any, dir: str, keep: int | None, keys: Path | None, check: bool, **options: Any) -> None:  # noqa: A002
        if not dir:
            raise CannotBackUp("Say where: manage.py backup DIR, or set BACKUP_DIR.")
        if keep is not None and keep < 1:
            raise CannotBackUp("--keep must be at least 1.")
        backup = chosen(Path(dir)) if check else back_up(Path(dir), keep=keep, keys=keys)
        if check and (found := [*damages(backup)]):
            raise CannotBackUp(f"Backup {backup.folder.name} is not whole: {', '.join(found)}. Make a new one.")
        facts = backup.manifest
        size = (facts["database"]["n_bytes"] + facts["files"]["n_bytes"]) / 1e6
        self.stdout.write(f"{backup.folder}: {facts['files']['n']} files and the database, {size:,.1f} MB in all.")
        if facts["n_missing"]:
            self.stdout.write(
                f"{facts['n_missing']} files that the database names were not there, {facts['missing'][0]} among them: "
                "removed meanwhile, or lost before."
            )
