from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from datasets.management.following import named_project
from datasets.pair_changes import FACTS, change_pairs, merge_groups, remove_pairs
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Mend or remove pairs that are in no study and no release. Each change is recorded."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's slug")
        parser.add_argument("pairs", nargs="*", type=int, help="their numbers")
        parser.add_argument("--remove", action="store_true", help="with the pictures that nothing else uses")
        parser.add_argument("--merge", nargs="+", metavar="GROUP", help="put the pairs of these groups into --group")
        for fact in FACTS:
            parser.add_argument(f"--{fact}", help="JSON" if fact == "parameters" else None)

    def handle(self, *args: Any, project: str, pairs: list[int], **options: Any) -> None:
        found = named_project(project)
        told = {fact: options[fact] for fact in FACTS if options[fact] is not None}
        chosen = found.pairs.filter(number__in=pairs)
        if missing := set(pairs) - set(chosen.values_list("number", flat=True)):
            raise CommandError(f"The project has no pair {min(missing)}.")
        if options["merge"]:
            if not options["group"]:
                raise CommandError("Name the group that the pairs go into with --group.")
            n = merge_groups(found, options["merge"], into=options["group"], by=None)
        elif options["remove"]:
            n = remove_pairs(chosen, by=None)
        else:
            n = change_pairs(chosen, told, by=None)
        self.stdout.write(f"{n} pairs {'removed' if options['remove'] else 'changed'}.")
