from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import Field, fields
from typing import Any

from datasets.management.commands.export_release import named_release
from datasets.management.following import finish_here
from datasets.telling import TellingCommand
from scoring.recipe import Recipe
from scoring.runs import GIVEN, queue_run, recipe_for


class Command(TellingCommand):
    help = "Train PerceptAnon on a release, in this process or by a worker. What is not named is as in the paper."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("release", help="PROJECT/SLUG, or PROJECT/SLUG/VERSION (default: the newest)")
        parser.add_argument("--queue", action="store_true", help="leave it to a worker of the lane train")
        for field in fields(Recipe):
            if field.name not in GIVEN:
                option = f"--{field.name.replace('_', '-')}"
                parser.add_argument(option, type=_reader(field), default=field.default, help="default: %(default)s")

    def handle(self, *args: Any, release: str, queue: bool, **options: Any) -> None:
        found = named_release(release)
        choices = {field.name: options[field.name] for field in fields(Recipe) if field.name not in GIVEN}
        run = queue_run(found, recipe_for(found, **choices))
        name = str(run.public_id)[:8]
        if queue:
            self.stdout.write(f"run {name} is queued: manage.py work --lane train")
            return
        finish_here(self, run.job)
        run.refresh_from_db()
        best = run.checkpoint.meta["best"]
        self.stdout.write(
            f"run {name}: best epoch {best['epoch']}, validation loss {best['val_loss']:.5f}, model "
            f"{run.checkpoint.sha256[:12]}. Next: manage.py compare {name}, manage.py use_checkpoint {name}"
        )


def _reader(field: Field[Any]) -> Any:
    return _true_or_false if field.type is bool else field.type


def _true_or_false(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ArgumentTypeError("must be true or false")
    return text.lower() == "true"
