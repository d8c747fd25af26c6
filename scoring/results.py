"""A trained folder becomes rows: the predictions first, then, in one instant, the checkpoint that makes them count."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import BigIntegerField
from django.db.models.functions import Coalesce

from datasets.jobs import Attempt, JobFailed
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from scoring.compare import request_comparison
from scoring.models import Checkpoint, Prediction, TrainingRun

PREDICTIONS_AT_ONCE = 500  # in one transaction, so that nobody who rates has to wait


def take_in(attempt: Attempt, run: TrainingRun, folder: Path) -> Checkpoint:
    """Store what the training left, once: a checkpoint by constraint. Its comparison is asked for with it."""
    try:
        meta = _read_meta(folder)
    except (OSError, ValueError, KeyError) as error:
        raise JobFailed(f"The training ended without its result ({error!r}); see the end of its log.") from error
    _store_predictions(attempt, run, folder)
    model = folder / "model.safetensors"
    with attempt.writing():
        checkpoint = Checkpoint.objects.create(
            project=run.project,
            run=run,
            mode=meta["recipe"]["mode"],
            file=str(model.relative_to(settings.MEDIA_ROOT)),
            sha256=meta["sha256"],
            meta=meta,
        )
        request_comparison(run, by=attempt.job.created_by)
    return checkpoint


def _read_meta(folder: Path) -> dict[str, Any]:
    (folder / "result.json").read_text()  # written last: without it the training did not come to its end
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
    with (folder / "model.safetensors").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != meta["sha256"]:
        raise ValueError("model.safetensors is not the file that meta.json describes")
    return meta


def _store_predictions(attempt: Attempt, run: TrainingRun, folder: Path) -> None:
    with attempt.writing():
        run.predictions.all().delete()  # of an attempt that died in the middle of this
    label_ids = dict(run.release.labels.values_list("pair", "pk"))
    with (folder / "predictions.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        while batch := list(islice(rows, PREDICTIONS_AT_ONCE)):
            predictions = [
                Prediction(
                    run=run,
                    label_id=label_ids[int(row["pair"])],
                    split=row["split"],
                    target=float(row["target"]),
                    score=float(row["prediction"]),
                )
                for row in batch
            ]
            with attempt.writing():
                Prediction.objects.bulk_create(predictions)


# For studies that are ordered by a model ---------------------------------------------------------------------------


def priorities_for(project: Project, mode: str, pair_ids: Iterable[int]) -> dict[int, float]:
    """What the checkpoint in use would have rated first, from 0 to 1; only of pairs that its run has predicted.

    A pair is the more urgent the rarer its predicted score, to the whole point, is among all that the run predicted:
    so the ends of the scale are covered early. The model gives a score and no doubt about it; this choice asks neither
    where people may disagree nor where the model may be wrong, and favours no end of the scale.
    """
    checkpoint = Checkpoint.objects.filter(project=project, mode=mode, in_use=True).first()
    if checkpoint is None:
        return {}
    predictions = Prediction.objects.filter(run=checkpoint.run_id).order_by()
    # As pairs name them, whichever of their files people saw.
    named = [
        Coalesce(f"label__{side}__renews", f"label__{side}", output_field=BigIntegerField())
        for side in ("original", "anonymized")
    ]
    rows = predictions.values_list(*named, "score")
    scores = rows.iterator(chunk_size=PREDICTIONS_AT_ONCE)
    predicted = {(original, picture): round(score) for original, picture, score in scores}
    times = Counter(predicted.values())
    wanted, found = iter(pair_ids), {}
    while batch := list(islice(wanted, PREDICTIONS_AT_ONCE)):
        pairs = Pair.objects.filter(project=project, pk__in=batch).values_list("pk", "original", "anonymized")
        for pk, original, picture in pairs:
            if (original, picture) in predicted:
                found[pk] = 1 - times[predicted[original, picture]] / len(predicted)
    return found
