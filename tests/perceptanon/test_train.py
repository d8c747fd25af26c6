"""Training as a command, in processes of its own: each takes seconds to import torch, so there are few."""

import csv
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file

from scoring.perceptanon.train import FAILED, main
from scoring.states import DISK_FULL
from tests.perceptanon.make import TINY, folder_to_train, label, write_labels, write_recipe

COMMAND = [sys.executable, "-m", "scoring.perceptanon.train"]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def reason(folder: Path) -> str:
    return json.loads((folder / "failed.json").read_text())["reason"]


# What a good folder becomes ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, subprocess.Popen[str], str]:
    """A training that hears from its worker all the time, and takes longer than it would bear silence."""
    folder = folder_to_train(tmp_path_factory.mktemp("command") / "run", mode="HA2", epochs=3)
    process = subprocess.Popen(
        [*COMMAND, str(folder), "--device", "cpu", "--exit-when-silent", "1", "--nice", "3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started, niceness = time.monotonic(), 0
    while process.poll() is None and time.monotonic() - started < 120:
        niceness = max(niceness, os.getpriority(os.PRIO_PROCESS, process.pid))
        try:
            process.stdin.write(".")
            process.stdin.flush()
        except BrokenPipeError:
            break
        time.sleep(0.1)
    said, errors = process.communicate()
    assert time.monotonic() - started > 1, "too quick to say whether it bore the silence"
    assert (process.returncode, errors) == (0, "")
    assert niceness == os.getpriority(os.PRIO_PROCESS, 0) + 3
    return folder, process, said


def test_a_training_says_what_it_does(done):
    said = done[2].splitlines()
    assert said[0] == "HA2 tiny on cpu: 9 train, 3 val, 3 test"
    assert [line.partition(":")[0] for line in said[1:]] == [*(f"epoch {n} of 3" for n in (1, 2, 3)), "done"]


def test_a_training_leaves_its_files_and_no_drafts(done):
    given = {"recipe.json", "labels.csv", "original", "anonymized"}
    assert {path.name for path in done[0].iterdir()} - given == {
        "epochs.jsonl",
        "epoch-0003",
        "model.safetensors",
        "meta.json",
        "predictions.csv",
        "result.json",
    }


def test_the_result_names_the_best_epoch_of_those_that_were_written_down(done):
    lines = [json.loads(line) for line in (done[0] / "epochs.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert all(line.keys() == {"epoch", "train_loss", "val_loss", "lr", "seconds"} for line in lines)
    best = min(lines, key=lambda line: line["val_loss"])
    assert json.loads((done[0] / "result.json").read_text()) == {
        "n_epochs": 3,
        "best": {"epoch": best["epoch"], "val_loss": best["val_loss"]},
    }


def test_the_model_comes_with_all_that_is_needed_to_make_it_again(done):
    folder = done[0]
    meta = json.loads((folder / "meta.json").read_text())
    files = {"sha256": "model.safetensors", "recipe_sha256": "recipe.json", "labels_sha256": "labels.csv"}
    for name, file in files.items():
        assert meta[name] == sha256((folder / file).read_bytes()).hexdigest()
    assert meta["recipe"].items() >= {**TINY, "mode": "HA2", "epochs": 3, "seed": 0, "lr": 0.01}.items()
    assert meta["n_pairs"] == meta["n_groups"] == {"train": 9, "val": 3, "test": 3}
    assert meta["versions"].items() >= {name: version(name) for name in ("torch", "torchvision", "numpy")}.items()
    assert (meta["weights_file"], meta["device"]) == ("", "cpu")


def test_every_row_that_took_part_has_its_prediction(done):
    rows = rows_of(done[0])
    assert [int(row["pair"]) for row in rows] == list(range(15))
    assert [row["split"] for row in rows] == ["train", "train", "train", "val", "test"] * 3
    assert [float(row["score_mean"]) for row in rows] == [1 + pair % 10 for pair in range(15)]
    assert [row["target"] for row in rows] == [row["score_mean"] for row in rows]
    assert all(1 <= float(row["prediction"]) <= 10 for row in rows)


# Failures ------------------------------------------------------------------------------------------------------------


def no_recipe(folder: Path) -> None:
    (folder / "recipe.json").unlink()


def no_json(folder: Path) -> None:
    (folder / "recipe.json").write_text("{mode: HA1}")


def bad_recipe(folder: Path) -> None:
    write_recipe(folder, epochs=0)


def no_labels(folder: Path) -> None:
    (folder / "labels.csv").unlink()


def bad_labels(folder: Path) -> None:
    (folder / "labels.csv").write_text("pair,score\n1,2\n")


def no_test_rows(folder: Path) -> None:
    write_labels(folder, [label(pair) for pair in range(4)])


def missing_picture(folder: Path) -> None:
    (folder / "anonymized" / "1.png").unlink()


def picture_outside(folder: Path) -> None:
    write_labels(folder, [label(pair, anonymized_path="../secret.png") for pair in range(5)])


def one_row_for_batch_norm(folder: Path) -> None:
    write_recipe(folder, backbone="resnet18", epochs=1)
    write_labels(folder, [label(0), label(3), label(4)])


def long_number(folder: Path) -> None:
    (folder / "recipe.json").write_text('{"mode": "HA1", "lr": ' + "9" * 5000 + "}")


def nested_too_deeply(folder: Path) -> None:
    (folder / "recipe.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (no_recipe, "There is no recipe.json in"),
        (no_json, "recipe.json is not JSON"),
        (bad_recipe, "recipe.json: epochs must be from 1 to 10000"),
        (no_labels, "There is no labels.csv in"),
        (bad_labels, "labels.csv has no column 'original_path'"),
        (no_test_rows, "none falls into test"),
        (missing_picture, "anonymized/1.png"),
        (picture_outside, "'../secret.png' that is not below"),
        (one_row_for_batch_norm, ""),
        (long_number, "recipe.json"),
        (nested_too_deeply, "recipe.json is not JSON"),
    ],
)
def test_what_cannot_be_trained_on_fails_with_the_reason_in_one_sentence(folder, capsys, spoil, expected):
    spoil(folder)
    assert main([str(folder), "--device", "cpu"]) == FAILED == 3
    said = capsys.readouterr().err
    assert said == reason(folder) + "\n"
    assert expected in said
    assert not (folder / "result.json").exists()


def test_a_full_disk_ends_a_training_by_its_own_status(folder, capsys):
    (folder / "epochs.jsonl").symlink_to("/dev/full")
    assert main([str(folder), "--device", "cpu"]) == DISK_FULL
    assert capsys.readouterr().err.startswith("The disk is full: ")
    assert not (folder / "result.json").exists()


def test_a_recipe_that_does_not_fit_into_memory_is_refused_before_its_first_epoch(tmp_path):
    folder = folder_to_train(tmp_path / "run", n_pairs=110, backbone="mobilenet_v2", size=512, batch_size=64)
    options = ["--device", "cpu", "--memory", str(2 * 10**9), "--exit-when-silent", "100"]
    process = subprocess.Popen([*COMMAND, str(folder), *options], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    own, adjusted = Path(f"/proc/{process.pid}/oom_score_adj"), set()
    while process.poll() is None:
        with suppress(FileNotFoundError, ProcessLookupError):
            adjusted.add(own.read_text().strip())
        time.sleep(0.05)
    assert process.returncode == FAILED
    assert reason(folder) == (
        "This recipe does not fit into the memory of cpu: 64 pairs at a time of 512 pixels, mobilenet_v2. Halve the "
        "batch size, or take smaller pictures or a smaller network."
    )
    assert not (folder / "epochs.jsonl").exists()
    assert "1000" in adjusted  # where the host has no memory left, this one ends first


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", "hpu", "meta"])
def test_an_unknown_device_is_named(folder, capsys, device):
    assert main([str(folder), "--device", device]) == FAILED
    assert f"There is no device {device!r} here; take cpu" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_a_mistake_in_the_command(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "nowhere")])
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_a_failure_that_was_mended_leaves_no_failure_behind(folder, capsys):
    recipe = (folder / "recipe.json").read_text()
    no_recipe(folder)
    assert main([str(folder), "--device", "cpu"]) == FAILED
    (folder / "recipe.json").write_text(recipe)
    assert main([str(folder), "--device", "cpu"]) == 0
    assert (folder / "result.json").exists()
    assert not (folder / "failed.json").exists()


def test_pictures_and_weights_may_lie_elsewhere(tmp_path, shared_weights):
    classes = {"target": "labels10", "task": "classification"}
    folder = folder_to_train(tmp_path / "run", backbone="mobilenet_v2", weights="imagenet", epochs=1, **classes)
    for kind in ("original", "anonymized"):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        (folder / kind).rename(tmp_path / "pictures" / kind)
    options = ["--pictures", str(tmp_path / "pictures"), "--weights", str(shared_weights), "--device", "cpu"]
    assert main([str(folder), *options]) == 0
    assert json.loads((folder / "meta.json").read_text())["weights_file"] == "mobilenet_v2-b0353104.pth"
    assert {float(row["prediction"]) for row in rows_of(folder)} <= set(range(1, 11))


def test_the_model_file_is_a_network_for_torchvision_that_gives_the_predictions(tmp_path):
    folder = folder_to_train(tmp_path / "run", backbone="resnet18", epochs=1, batch_size=5)
    assert main([str(folder), "--device", "cpu"]) == 0
    net = torchvision.models.resnet18(num_classes=1).eval()
    net.load_state_dict(load_file(folder / "model.safetensors"))
    pictures = torch.stack(
        [torch.tensor(np.array(Image.open(folder / "anonymized" / f"{pair}.png"))) for pair in range(15)]
    )
    images = (pictures / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        scores = 1 + 9 * net(images.permute(0, 3, 1, 2)).sigmoid().squeeze(1)
    assert [float(row["prediction"]) for row in rows_of(folder)] == pytest.approx(scores.tolist(), abs=1e-4)


def test_a_training_that_cannot_be_done_fails_as_a_command_too(folder):
    bad_labels(folder)
    failed = subprocess.run([*COMMAND, str(folder), "--device", "cpu"], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (FAILED, "")
    assert failed.stderr == reason(folder) + "\n"
    assert "Traceback" not in failed.stderr


# The lifeline --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("worker", ["is gone", "is silent"])
def test_a_training_ends_itself_when_its_worker(folder, worker):
    write_recipe(folder, epochs=10_000)
    started = time.monotonic()
    process = subprocess.Popen(
        [*COMMAND, str(folder), "--device", "cpu", "--exit-when-silent", "1"],
        stdin=subprocess.PIPE if worker == "is silent" else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.wait(30) == 75
        assert time.monotonic() - started < 10  # far less, on a machine that has nothing else to do
        assert "Traceback" not in process.stdout.read()
    finally:
        process.kill()
        process.wait()


def test_torch_is_imported_only_after_the_lifeline_holds():
    code = (
        "import sys, threading, scoring.perceptanon.train as train\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules and 'django' not in sys.modules\n"
        "class Found(Exception): pass\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name in ('torch', 'numpy'):\n"
        "            print(sorted(thread.name for thread in threading.enumerate()))\n"
        "            raise Found\n"
        "sys.meta_path.insert(0, Finder())\n"
        "try: train.main(['.', '--exit-when-silent', '5'])\n"
        "except Found: pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.read() == "['MainThread', 'lifeline']\n"
