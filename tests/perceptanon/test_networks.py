import copy
from operator import attrgetter

import pytest
import torch
import torchvision
from torch import nn

from scoring.perceptanon.networks import Tiny, backbone, network
from scoring.recipe import BACKBONES, Recipe
from tests.perceptanon.make import recipe

CLASSES = {"target": "labels10", "task": "classification"}
# Where each of torchvision's networks keeps its last linear layer, and how many features come to it.
LAST = {
    "resnet18": ("fc", 512),
    "resnet50": ("fc", 2048),
    "resnet152": ("fc", 2048),
    "densenet121": ("classifier", 1024),
    "vgg11": ("classifier.6", 4096),
    "alexnet": ("classifier.6", 4096),
    "vit_b_16": ("heads.head", 768),
    "mobilenet_v2": ("classifier.1", 1280),
}


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def without_last(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's own weights, but for the last layer's."""
    with torch.device("meta"):
        own = shapes(getattr(torchvision.models, name)())
    return {key: shape for key, shape in own.items() if key.rpartition(".")[0] != LAST[name][0]}


def random_pictures(n: int, *, seed: int = 0, size: int = 32) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_every_backbone_but_our_own_is_torchvisions():
    assert {*LAST, "tiny"} == set(BACKBONES)


@pytest.mark.parametrize(("task", "outputs"), [({}, 1), (CLASSES, 10)], ids=["regression", "classification"])
@pytest.mark.parametrize("name", LAST)
def test_weights_of_ha1_are_named_and_shaped_as_torchvisions_with_a_last_layer_of_our_own(name, task, outputs):
    last, n_features = LAST[name]
    with torch.device("meta"):
        net = network(Recipe(mode="HA1", backbone=name, weights="random", **task))
    assert shapes(net.core) == without_last(name) | {
        f"{last}.weight": (outputs, n_features),
        f"{last}.bias": (outputs,),
    }


@pytest.mark.parametrize(("task", "outputs"), [({}, 1), (CLASSES, 10)], ids=["regression", "classification"])
@pytest.mark.parametrize("name", LAST)
def test_weights_of_ha2_have_the_published_names_and_both_embeddings_come_to_the_head(name, task, outputs):
    n_features = LAST[name][1]
    with torch.device("meta"):
        net = network(Recipe(mode="HA2", backbone=name, weights="random", **task))
    assert shapes(net.core) == {f"shared_extractor.{key}": shape for key, shape in without_last(name).items()} | {
        "head.0.weight": (512, 2 * n_features),
        "head.0.bias": (512,),
        "head.2.weight": (outputs, 512),
        "head.2.bias": (outputs,),
    }


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121"])
def test_ha1_computes_what_a_network_built_by_hand_does(name):
    net = network(recipe(backbone=name)).eval()
    by_hand = getattr(torchvision.models, name)(weights=None, num_classes=1).eval()
    by_hand.load_state_dict(net.core.state_dict())
    pictures = random_pictures(2)
    with torch.no_grad():
        assert torch.equal(net(pictures), torch.sigmoid(by_hand(pictures)))


def test_ha2_computes_what_a_siamese_network_built_by_hand_does():
    net = network(recipe(mode="HA2", backbone="resnet18", **CLASSES)).eval()
    weights = net.core.state_dict()
    extractor = torchvision.models.resnet18(weights=None).eval()
    extractor.fc = nn.Identity()
    extractor.load_state_dict({key[17:]: value for key, value in weights.items() if key.startswith("shared_")})
    original, anonymized = random_pictures(2, seed=1), random_pictures(2, seed=2)
    with torch.no_grad():
        both = torch.cat([extractor(original), extractor(anonymized)], dim=1)
        hidden = torch.relu(both @ weights["head.0.weight"].T + weights["head.0.bias"])
        by_hand = hidden @ weights["head.2.weight"].T + weights["head.2.bias"]
        torch.testing.assert_close(net(original, anonymized), by_hand)


def test_ha2_passes_originals_and_anonymized_through_the_backbone_one_after_the_other():
    net = network(recipe(mode="HA2", backbone="resnet18")).train()
    norm, conv1 = net.core.shared_extractor.bn1, net.core.shared_extractor.conv1
    original, anonymized = random_pictures(4, seed=1), 3 + random_pictures(4, seed=2)
    with torch.no_grad():
        net(original, anonymized)
        first, second = (conv1(images).mean(dim=(0, 2, 3)) for images in (original, anonymized))
    # Each pass moves the running mean a tenth of the way: joined, there would be one step, to the mean of both.
    torch.testing.assert_close(norm.running_mean, 0.9 * (0.1 * first) + 0.1 * second)
    assert norm.num_batches_tracked == 2


@pytest.mark.parametrize("deaf_to", ["original", "anonymized"])
def test_the_original_is_the_first_half_of_what_the_head_compares(deaf_to):
    net = network(recipe(mode="HA2")).eval()
    half = slice(0, 64) if deaf_to == "original" else slice(64, 128)
    pictures = {"original": random_pictures(1, seed=1), "anonymized": random_pictures(1, seed=2)}
    with torch.no_grad():
        net.core.head[0].weight[:, half] = 0
        before = net(*pictures.values())
        for name in pictures:
            changed = net(*(pictures | {name: random_pictures(1, seed=3)}).values())
            assert torch.equal(changed, before) == (name == deaf_to)


@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_regression_stays_between_0_and_1_whatever_the_weights(mode):
    net = network(recipe(mode=mode)).eval()
    pictures = [random_pictures(8, seed=seed) for seed in range(int(mode[-1]))]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(50)
        outputs = net(*pictures)
    assert outputs.shape == (8, 1)
    assert 0 <= outputs.min() <= outputs.max() <= 1


def test_classification_gives_logits():
    net = network(recipe(**CLASSES)).eval()
    with torch.no_grad():
        outputs = net(random_pictures(8))
    assert outputs.shape == (8, 10)
    assert outputs.min() < 0


@pytest.mark.parametrize("task", [{}, CLASSES], ids=["regression", "classification"])
def test_the_vision_transformer_works_in_ha2(task):
    with torch.device("meta"):  # shapes alone: real weights take seconds
        net = network(Recipe(mode="HA2", backbone="vit_b_16", weights="random", **task))
        outputs = net(torch.empty(2, 3, 224, 224), torch.empty(2, 3, 224, 224))
    assert outputs.shape == (2, 10 if task else 1)


@pytest.mark.parametrize("name", ["tiny", "resnet18", "mobilenet_v2"])
@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_training_reaches_every_weight(mode, name):
    net = network(recipe(mode=mode, backbone=name))
    net(*[random_pictures(2, seed=seed) for seed in range(int(mode[-1]))]).sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_a_copy_is_a_network_of_its_own(mode):
    net = network(recipe(mode=mode)).eval()
    pictures = [random_pictures(2, seed=seed) for seed in range(int(mode[-1]))]
    with torch.no_grad():
        before = net(*pictures)
        other = copy.deepcopy(net)
        for parameter in other.parameters():
            parameter.zero_()
        assert torch.equal(other(*pictures), torch.full((2, 1), 0.5))
        assert torch.equal(net(*pictures), before)


def test_the_seed_decides_all_that_is_random():
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        net = network(recipe(mode="HA2"))
        return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


@pytest.mark.parametrize(("mode", "trunk"), [("HA1", "core"), ("HA2", "core.shared_extractor")])
def test_a_backbone_starts_from_the_weights_it_is_given_but_for_the_last_layer(mode, trunk):
    pretrained = backbone("resnet18").state_dict()
    own = attrgetter(trunk)(network(recipe(mode=mode, backbone="resnet18"), pretrained)).state_dict()
    for name, tensor in pretrained.items():
        if not name.startswith("fc."):
            assert torch.equal(own[name], tensor)
    assert "fc.weight" not in own or own["fc.weight"].shape == (1, 512)


def test_the_tiny_backbone_is_small_and_takes_any_size():
    tiny = Tiny()
    assert sum(parameter.numel() for parameter in tiny.features.parameters()) < 25_000
    assert tiny(random_pictures(1, size=32)).shape == tiny(random_pictures(1, size=65)).shape == (1, 1000)
