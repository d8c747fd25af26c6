from argparse import ArgumentParser
from typing import Any

from annotation.studies.closing import close_project, reopen_project
from datasets.management.following import named_project
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Close a project with all its studies, so that nothing begins in it any more; or open it again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="its slug")
        parser.add_argument("--reopen", action="store_true", help="its studies stay closed; open them one by one")

    def handle(self, *args: Any, project: str, reopen: bool, **options: Any) -> None:
        found = named_project(project)
        (reopen_project if reopen else close_project)(found)
        self.stdout.write(f"{found} is {'open again' if reopen else 'closed'}.")
