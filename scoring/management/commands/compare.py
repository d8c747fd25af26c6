from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from datasets.management.following import finish_here
from datasets.telling import TellingCommand
from scoring.compare import prediction_lines, request_comparison
from scoring.management.naming import named_run


class Command(TellingCommand):
    help = "Compare a run's model with people, classical metrics and a lookup table, on the run's test part."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="the run's id, or its beginning")
        parser.add_argument("--to", type=Path, metavar="FILE", help="write predictions.csv there too")

    def handle(self, *args: Any, run: str, to: Path | None, **options: Any) -> None:
        found = named_run(run)
        to = to / "predictions.csv" if to and to.is_dir() else to
        if to and not to.parent.is_dir():
            raise CommandError(f"There is no folder {to.parent}; make it first.")
        finish_here(self, request_comparison(found))
        found.refresh_from_db()
        self._show(found.comparison.figures)
        if to:
            with to.open("w", newline="") as file:
                file.writelines(prediction_lines(found))
            self.stdout.write(f"predictions: {to}")

    def _show(self, figures: dict[str, Any]) -> None:
        self.stdout.write(f"Test part: {figures['n_pairs']} pairs of {figures['n_groups']} originals")
        if figures["is_too_small"]:
            self.stdout.write(f"Too small to conclude anything: fewer than {figures['enough_groups']} originals.")
        for predictor in figures["predictors"]:
            rho, tau = (_figure(predictor[statistic]) for statistic in ("spearman", "kendall"))
            self.stdout.write(f"  {predictor['name']}: rho {rho}, tau {tau}, n {predictor['n']}")
        for statistic, people in figures["people"].items():
            alone, halves = people["leave_one_out"], people["split_half"]
            self.stdout.write(
                f"  People, {statistic}: one against the others {_figure(alone['human'])} "
                f"({alone['human']['n_annotators']} annotators), this run against those same others "
                f"{_figure(alone['model'])}, half against half {_figure(halves)}"
            )


def _figure(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return f"undefined ({found['reason']})"
    interval = f" ({found['low']:.3f} to {found['high']:.3f})" if found.get("low") is not None else ""
    return f"{found['value']:.3f}{interval}"
