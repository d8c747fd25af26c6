from pathlib import Path

import pytest
import torch

from tests.perceptanon.make import folder_to_train

torch.set_num_threads(1)  # more are slower on pictures this small, and the order of sums would depend on the machine


@pytest.fixture(autouse=True)
def _same_chance_in_every_run() -> None:
    torch.manual_seed(0)


@pytest.fixture
def shared_weights() -> Path:
    """Real ImageNet weights, where they are."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "weights"
    if not folder.is_dir():
        pytest.skip("the ImageNet weights are not here (../shared/weights)")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fifteen pairs of noise to train the tiny network on for two epochs: nine to train, three to validate and test."""
    return folder_to_train(tmp_path / "run")
