"""Runs as a training leaves them, without the training: rows enough for whatever is made of them."""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client, override_settings

from datasets import splits
from datasets.files import media_path
from datasets.models.jobs import Job
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Label, Release
from scoring.compare import request_comparison
from scoring.models import Checkpoint, Epoch, Prediction, TrainingRun
from scoring.runs import queue_run, recipe_for
from tests import make

CHOICES = {"backbone": "tiny", "weights": "random", "size": 32, "batch_size": 4, "epochs": 2}
VERSIONS = {"perceptanon-studio": "0.1.0", "code_sha256": "c0de" * 16, "torch": "2.14.1"}


def release(n_pairs: int = 12, **fields: Any) -> Release:
    """Large enough to split: of 12 originals 8, 2 and 2 fall into the parts; of 24 13, 4 and 7."""
    return make.release(make.rated_study(n_pairs=n_pairs, **fields))


def originals(of: Project, n: int, part: str, *, seed: int = splits.SEED) -> list[Pair]:
    """Pairs of as many originals whose names fall into this part."""
    names = (f"{part}{i}" for i in range(100 * n))
    groups = [name for name in names if splits.part_of(name, seed=seed) == part][:n]
    return [make.pair(of, group=group) for group in groups]


def queued_run(of: Release | None = None, **choices: Any) -> TrainingRun:
    of = of or release()
    return queue_run(of, recipe_for(of, **CHOICES | choices))


def noisy_mean(label: Label) -> float:
    """People's mean, and noise that looks drawn by lot but is not."""
    return label.mean + random.Random(label.number).gauss(0, 1.5)


def run(of: Release | None = None, *, score: Callable[[Label], float] = noisy_mean, **choices: Any) -> TrainingRun:
    """A run that is done: its epochs, a prediction of each pair, and a model file that holds nothing."""
    made = queued_run(of, **choices)
    recipe, labels = made.parsed_recipe(), list(made.release.labels.order_by("number"))
    parts = splits.parts(labels, recipe.scheme, seed=recipe.split_seed)
    Prediction.objects.bulk_create(
        Prediction(run=made, label=label, split=part, target=label.mean, score=score(label))
        for label, part in zip(labels, parts, strict=True)
        if part
    )
    if recipe.target != "mean":
        for prediction in made.predictions.select_related("label"):
            prediction.target = round(prediction.label.mean)
            prediction.save(update_fields=["target"])
    epochs(made, recipe.epochs)
    checkpoint(made, {part: parts.count(part) for part in splits.PARTS})
    Job.objects.filter(pk=made.job.pk).update(state=Job.State.DONE, attempt=1, n_done=recipe.epochs)
    return TrainingRun.objects.with_lineage().get(pk=made.pk)


def epochs(of: TrainingRun, n: int) -> None:
    Epoch.objects.bulk_create(
        Epoch(run=of, number=i, train_loss=0.5 / i, val_loss=0.6 / i, lr=0.01, seconds=1.5) for i in range(1, n + 1)
    )


def checkpoint(of: TrainingRun, n_pairs: dict[str, int]) -> Checkpoint:
    data = str(of.public_id).encode()
    name = f"{of.folder}/attempt-1/model.safetensors"
    media_path(name).parent.mkdir(parents=True)
    media_path(name).write_bytes(data)
    meta = {
        "best": {"epoch": of.recipe["epochs"], "val_loss": 0.3},
        "n_pairs": n_pairs,
        "weights_file": "",
        "device": "cpu",
        "versions": VERSIONS,
    }
    return Checkpoint.objects.create(
        project=of.project,
        run=of,
        mode=of.release.mode,
        file=name,
        sha256=hashlib.sha256(data).hexdigest(),
        meta=meta,
    )


def compared(of: TrainingRun | None = None) -> TrainingRun:
    """The run, its comparison made by its job."""
    of = of or run()
    make.done(request_comparison(of))
    return TrainingRun.objects.with_lineage().get(pk=of.pk)


def researcher(of: TrainingRun) -> Client:
    client = Client()
    client.force_login(make.member(of.project))
    return client


@contextmanager
def site_for_a_module(blocker: Any, folder: Path) -> Iterator[None]:
    """A database and a media folder to make something in, once for many tests; afterwards both are as before."""
    with blocker.unblock(), override_settings(MEDIA_ROOT=folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        try:
            yield
        finally:
            call_command("flush", verbosity=0, interactive=False)
