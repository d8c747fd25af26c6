import io
import pickle
import re
import shutil
from email.message import Message
from hashlib import sha256
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision

from scoring.at_hand import WEIGHT_FILES
from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.networks import network
from scoring.perceptanon.weights import VERSIONS, imagenet_weights, weights_from_file
from scoring.recipe import BACKBONES
from tests.perceptanon.make import recipe

MOBILENET = "mobilenet_v2-b0353104.pth"


class Answer(io.BytesIO):
    """What a web server sends."""

    def info(self) -> Message:
        return Message()


@pytest.fixture
def net_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """No network, and nothing downloaded before. The list fills with the addresses that are asked for."""
    asked: list[str] = []

    def urlopen(request, *_, **__):
        asked.append(request.full_url)
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "urlopen", urlopen)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch-home"))
    return asked


def test_the_vendored_weights_make_the_network_compute_what_torchvisions_model_does(shared_weights, net_down):
    state, name = imagenet_weights("mobilenet_v2", shared_weights)
    net = network(recipe(backbone="mobilenet_v2", weights="imagenet", target="labels10", task="classification"), state)
    published = torchvision.models.mobilenet_v2(weights=None).eval()
    published.load_state_dict(torch.load(shared_weights / MOBILENET, weights_only=True))
    published.classifier[1] = net.core.classifier[1]
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(net.eval()(pictures), published(pictures))
    assert (name, net_down) == (MOBILENET, [])


def test_the_training_form_looks_for_the_files_that_the_training_takes():
    taken = {
        name: torchvision.models.get_model_weights(name)[VERSIONS.get(name, "DEFAULT")].url.rsplit("/", 1)[-1]
        for name in BACKBONES
        if name != "tiny"
    }
    assert taken == WEIGHT_FILES


def test_a_damaged_file_is_refused_by_its_hash(tmp_path, net_down):
    whole = torchvision.models.mobilenet_v2(weights=None).state_dict()
    torch.save(whole, tmp_path / MOBILENET)
    begins = sha256((tmp_path / MOBILENET).read_bytes()).hexdigest()[:8]
    with pytest.raises(CannotTrain, match=f"{MOBILENET} is damaged.*begins with {begins}, not b0353104. Download"):
        imagenet_weights("mobilenet_v2", tmp_path)
    assert net_down == []


def test_a_file_that_holds_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    content = io.BytesIO()
    torch.save({"weight": Trap()}, content)
    path = tmp_path / f"weights-{sha256(content.getvalue()).hexdigest()[:8]}.pth"
    path.write_bytes(content.getvalue())
    with pytest.raises(pickle.UnpicklingError):
        weights_from_file(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("backbone", "file"),
    [
        ("resnet18", "resnet18-f37072fd.pth"),
        ("resnet50", "resnet50-11ad3fa6.pth"),  # IMAGENET1K_V2, as in the paper
        ("resnet152", "resnet152-f82ba261.pth"),  # IMAGENET1K_V2
        ("densenet121", "densenet121-a639ec97.pth"),
        ("vgg11", "vgg11-8a719046.pth"),
        ("alexnet", "alexnet-owt-7be5be79.pth"),
        ("vit_b_16", "vit_b_16-c867db91.pth"),
        ("mobilenet_v2", MOBILENET),
    ],
)
def test_missing_weights_are_named_with_their_address_and_the_folder_they_belong_in(backbone, file, tmp_path, net_down):
    address = f"https://download.pytorch.org/models/{file}"
    with pytest.raises(CannotTrain) as refusal:
        imagenet_weights(backbone, tmp_path)
    assert re.search(f"not in {tmp_path}.*service not known.*Download {address}", str(refusal.value))
    assert "random weights" in str(refusal.value)
    assert net_down == [address]


def test_without_a_weights_folder_the_message_says_that_none_is_set(net_down):
    with pytest.raises(CannotTrain, match=r"no weights folder is set.*--weights"):
        imagenet_weights("resnet18", None)


def test_a_download_that_was_damaged_on_the_way_is_refused(tmp_path, net_down, monkeypatch):
    monkeypatch.setattr(torch.hub, "urlopen", lambda *_, **__: Answer(b"half of it"))
    with pytest.raises(CannotTrain, match="invalid hash value"):
        imagenet_weights("resnet18", tmp_path)
    assert not list((tmp_path / "torch-home").rglob("*.pth"))


def test_a_download_is_used_where_the_folder_has_no_such_file(tmp_path, shared_weights, net_down, monkeypatch):
    content = (shared_weights / MOBILENET).read_bytes()
    monkeypatch.setattr(torch.hub, "urlopen", lambda *_, **__: Answer(content))
    state, name = imagenet_weights("mobilenet_v2", tmp_path)
    vendored, _ = imagenet_weights("mobilenet_v2", shared_weights)
    assert torch.equal(state["classifier.1.bias"], vendored["classifier.1.bias"])
    assert name == MOBILENET


def test_a_folder_of_weights_may_be_a_copy_anywhere(tmp_path, shared_weights, net_down):
    shutil.copy(shared_weights / MOBILENET, tmp_path)
    assert imagenet_weights("mobilenet_v2", tmp_path)[1] == MOBILENET
