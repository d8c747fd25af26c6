from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from datasets.restore import restore
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Take a backup back, on a host with an empty database, an empty media folder and the backup's keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dir", type=Path, help="where backups are")
        parser.add_argument("--ledger", type=Path, metavar="FILE", help="of erasures; default: ERASURE_LEDGER")
        parser.add_argument("--backup", default="", metavar="NAME", help="which; default: the newest")

    def handle(self, *args: Any, dir: Path, backup: str, ledger: Path | None, **options: Any) -> None:  # noqa: A002
        taken, n_erased = restore(dir, backup, ledger=ledger)
        if n_erased is None:
            self.stderr.write(
                "There is no ledger of erasures here, so whoever was erased since is back. Where you have one, begin "
                "anew on an empty machine with --ledger FILE."
            )
        else:
            self.stdout.write(f"{n_erased} who were erased since are erased again.")
        self.stdout.write(
            f"The site is as it was on {taken.made_at:%Y-%m-%d %H:%M} UTC. Everybody logs in anew. "
            "Look at it with manage.py doctor, then start web server and workers."
        )
