"""The networks: an ImageNet CNN with a new last layer (HA1), or one that looks at both pictures (HA2)."""

from collections.abc import Callable

import torch
import torchvision
from torch import nn

from scoring.recipe import Recipe

HIDDEN = 512  # units between the two embeddings and the output, as published


class Tiny(nn.Module):
    """A small CNN for tests, demos and small machines: 25,000 weights.

    Group norm: batch norm's statistics would be noise on the small batches of a small release.
    """

    WIDTHS = (16, 32, 64)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *self.WIDTHS), self.WIDTHS, strict=False):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(8, after),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(self.WIDTHS[-1], 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.classifier(self.features(images))
        return out


class Siamese(nn.Module):
    """HA2: one extractor looks at original and anonymized in turn, a head compares the two embeddings."""

    def __init__(self, extractor: nn.Module, n_features: int, outputs: int) -> None:
        super().__init__()
        self.shared_extractor = extractor
        self.head = nn.Sequential(nn.Linear(2 * n_features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))

    def forward(self, original: torch.Tensor, anonymized: torch.Tensor) -> torch.Tensor:
        # Two passes, as published: batch norm sees each stream by itself. One joined pass trains differently.
        both = torch.cat([self.shared_extractor(original), self.shared_extractor(anonymized)], dim=1)  # B x 2F
        out: torch.Tensor = self.head(both)
        return out


class PerceptAnon(nn.Module):
    """Called with its pictures, each B x 3 x S x S and normalised; gives B x outputs.

    For regression that is one number from 0 to 1, for classification the classes' logits. The weights, as kept in
    files, are those of `core` and have the published names: torchvision's own in HA1, `shared_extractor.*` and
    `head.*` in HA2.
    """

    def __init__(self, core: nn.Module, *, squashed: bool) -> None:
        super().__init__()
        self.core = core
        self.squashed = squashed

    def forward(self, *images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.core(*images)
        return out.sigmoid() if self.squashed else out


def backbone(name: str) -> nn.Module:
    """A classifier of ImageNet's 1000 classes with random weights, ready to be given others."""
    if name == "tiny":
        return Tiny()
    model: nn.Module = torchvision.models.get_model(name, weights=None)
    return model


def network(recipe: Recipe, pretrained: dict[str, torch.Tensor] | None = None) -> PerceptAnon:
    """The recipe's network, its backbone starting from `pretrained` where given.

    What is new, and all of it without `pretrained`, is drawn by torch's generator: seed it first.
    """
    trunk = backbone(recipe.backbone)
    if pretrained is not None:
        trunk.load_state_dict(pretrained)
    if recipe.mode == "HA1":
        core = trunk
        _replace_last_linear(core, lambda n_features: nn.Linear(n_features, recipe.outputs))
    else:
        n_features = _replace_last_linear(trunk, lambda _: nn.Identity())
        core = Siamese(trunk, n_features, recipe.outputs)
    return PerceptAnon(core, squashed=not recipe.is_classification)


def _replace_last_linear(model: nn.Module, make: Callable[[int], nn.Module]) -> int:
    """Put something else in the place of the classifier; returns how many features come to it."""
    name, last = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1]
    path, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(path), attribute, make(last.in_features))
    return last.in_features
