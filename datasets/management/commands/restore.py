from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from datasets.restore import restore
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Take a backup back, on a host with an empty database, an empty media folder and the backup's keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dir", type=Path, help="where backups are")
        parser.add_argument("--backup", default="", metavar="NAME", help="which; default: the newest")

    def handle(self, *args: Any, dir: Path, backup: str, **options: Any) -> None:  # noqa: A002
        taken = restore(dir, backup)
        self.stdout.write(
            f"The site is as it was on {taken.made_at:%Y-%m-%d %H:%M} UTC. Everybody logs in anew. "
            "Look at it with manage.py doctor, then start web server and workers."
        )
