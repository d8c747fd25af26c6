from argparse import ArgumentParser
from typing import Any

from datasets.hosts import SHARED, adopt
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = (
        "After a deliberate change: take this host's media folder (storage) or key as the site's. Hosts that have "
        "another do not start from then on. Another SECRET_KEY ends sessions and return addresses; another "
        "PSEUDONYM_KEY voids withdrawal codes and the ledger of erasures."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("shared", nargs="+", choices=SHARED, help="what was changed")

    def handle(self, *args: Any, shared: list[str], **options: Any) -> None:
        for name in shared:
            adopt(name)
        self.stdout.write(
            f"From now on the site has {' and '.join(shared)} of this host. Start all hosts anew with that."
        )
