"""Train PerceptAnon on a folder: `python -m scoring.perceptanon.train FOLDER`. No site is needed.

In:   recipe.json and labels.csv (an unpacked release has the latter, with its pictures beside it).
Out:  epochs.jsonl and epoch-NNNN/ while it goes on; then model.safetensors with meta.json, predictions.csv, and at last
      result.json. Stopped at any moment and started again, it goes on after the last whole epoch.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from datasets import disk
from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.lifeline import exit_when_silent
from scoring.states import DISK_FULL

FAILED = 3  # exit status where the reason is in failed.json


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if options.exit_when_silent:
        exit_when_silent(options.exit_when_silent)
    os.nice(options.nice)
    # Only now: importing torch takes seconds, in which the worker may die.
    from scoring.perceptanon.folder import train_folder
    from scoring.perceptanon.memory import first_to_die, limit_memory

    if options.exit_when_silent:  # it works for a site
        first_to_die()
    if options.memory:
        limit_memory(options.memory)
    failed = options.folder / "failed.json"
    failed.unlink(missing_ok=True)
    try:
        train_folder(
            options.folder,
            pictures=options.pictures or options.folder,
            weights=options.weights,
            device=options.device,
            locks=options.locks,
            say=lambda text: print(text, flush=True),  # noqa: T201
        )
    except CannotTrain as reason:
        print(reason, file=sys.stderr)  # noqa: T201
        failed.write_text(json.dumps({"reason": str(reason)}))
        return FAILED
    except Exception as error:
        if not disk.is_full(error):
            raise
        print(f"The disk is full: {error}", file=sys.stderr)  # noqa: T201
        return DISK_FULL
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scoring.perceptanon.train", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=_folder, help="holds recipe.json and labels.csv")
    parser.add_argument(
        "--pictures", type=_folder, help="the paths in labels.csv are below this folder (default: FOLDER)"
    )
    parser.add_argument(
        "--weights", type=_folder, help="folder with torchvision's ImageNet weights, by their own file names"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 (default: cuda where there is one)")
    parser.add_argument(
        "--locks", type=Path, metavar="FOLDER", help="wait for other trainings on the device that name this folder"
    )
    parser.add_argument(
        "--exit-when-silent",
        type=float,
        metavar="SECONDS",
        help="end when standard input ends or is silent for so long",
    )
    parser.add_argument("--memory", type=int, metavar="BYTES", help="take no more: what does not fit fails")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="give way to other processes, from 0 to 19")
    return parser.parse_args(arguments)


def _folder(text: str) -> Path:
    if not (path := Path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


if __name__ == "__main__":
    sys.exit(main())
