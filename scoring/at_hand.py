"""What a training would find, as far as this host can tell without torch: weights, devices, pairs for each part.

The worker may be on another host, so nothing here refuses a training; it is said before somebody presses *Train*.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from datasets import splits
from datasets.doctor import examines
from datasets.hosts import Finding
from datasets.models.releases import Label, Release
from datasets.refusals import Refusal
from scoring.models import Checkpoint

# torchvision's own names (scoring/perceptanon/weights.py takes the same files); the backbone tiny has none.
WEIGHT_FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet50": "resnet50-11ad3fa6.pth",
    "resnet152": "resnet152-f82ba261.pth",
    "densenet121": "densenet121-a639ec97.pth",
    "vgg11": "vgg11-8a719046.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
    "vit_b_16": "vit_b_16-c867db91.pth",
    "mobilenet_v2": "mobilenet_v2-b0353104.pth",
}


def weights_here() -> list[str]:
    """Backbones whose ImageNet weights lie on this host: in WEIGHTS_DIR, or where torch keeps its downloads."""
    return [name for name, file in WEIGHT_FILES.items() if any((folder / file).is_file() for folder in _folders())]


def _folders() -> list[Path]:
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    torch_home = Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser()
    downloads = torch_home / "hub" / "checkpoints"
    return [Path(settings.WEIGHTS_DIR), downloads] if settings.WEIGHTS_DIR else [downloads]


def devices_in_words() -> str:
    gpus = _gpus_in_words()
    says = f"Workers choose the device by TRAIN_DEVICE, which is {settings.TRAIN_DEVICE} here. This host {gpus}."
    if find_spec("torch") is None:
        says += " torch is not installed here: a worker on another host has to take the lane train."
    if last := Checkpoint.objects.filter(meta__has_key="device").first():
        says += f" The newest model was trained on {last.meta['device']}."
    return says


def _n_gpus() -> int:
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def _gpus_in_words() -> str:
    n = _n_gpus()
    return f"has {n} GPU{'' if n == 1 else 's'}" if n else "has no GPU"


@examines()
def device_and_weights() -> Iterator[Finding]:
    """Of this host; another may be the one that trains."""
    if find_spec("torch") is None:
        yield Finding("GPU", "torch is not installed: this host does no trainings.")
        return
    says = f"this host {_gpus_in_words()}, and TRAIN_DEVICE is {settings.TRAIN_DEVICE}."
    is_missing = settings.TRAIN_DEVICE.startswith("cuda") and not _n_gpus()
    yield Finding("GPU", says, "Set TRAIN_DEVICE=auto or cpu, or install the GPU's driver." if is_missing else "")
    if here := weights_here():
        yield Finding("weights", f"ImageNet's are here for {', '.join(here)}.")
    else:
        mend = "Set WEIGHTS_DIR to a folder with torchvision's files, unless workers may download them."
        yield Finding("weights", "ImageNet's are here for no backbone.", mend)


@dataclass(frozen=True)
class Parts:
    """How large the parts of a release are under a scheme: (pairs, originals) of each, or why it cannot be split."""

    scheme: str
    sizes: list[tuple[int, int]]  # in the order of splits.PARTS
    reason: str = ""


def parts_of(release: Release, *, seed: int, also: str = "") -> list[Parts]:
    """Under every scheme that the release's sources and methods allow, and under one more where it is named."""
    labels = list(release.labels.only("group", "source", "method").order_by("number"))
    schemes = list(_schemes(labels))
    return [_parts(labels, scheme, seed) for scheme in schemes + [also] * (also != "" and also not in schemes)]


def _schemes(labels: list[Label]) -> Iterator[str]:
    yield "all"
    sources, methods = {label.source for label in labels}, {label.method for label in labels} - {""}
    yield from (task for task, its in splits.TASKS.items() if sources & its)
    if len(sources) > 1:
        yield from (f"loov-{source}" for source in sorted(sources))
    if len(methods) > 1:
        yield from (f"anon-{method}" for method in sorted(methods))


def _parts(labels: list[Label], scheme: str, seed: int) -> Parts:
    try:
        found = splits.parts(labels, scheme, seed=seed)
    except Refusal as refusal:
        return Parts(scheme, [], str(refusal))
    n_pairs = Counter(found)
    groups = Counter(part for part, _ in {(part, label.group) for part, label in zip(found, labels, strict=True)})
    return Parts(scheme, [(n_pairs[part], groups[part]) for part in splits.PARTS])
