from typing import Any

from datasets.telling import TellingCommand
from datasets.tries import forget_all


class Command(TellingCommand):
    help = (
        "Begin to count anew, for everybody: wrong passwords, wrong withdrawal codes, and how many have begun to rate "
        "from one address. Whoever was locked out may try again at once."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        n = forget_all()
        self.stdout.write(f"{n} count{'' if n == 1 else 's'} forgotten.")
