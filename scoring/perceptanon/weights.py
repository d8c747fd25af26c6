"""ImageNet weights of a backbone: from a folder, else from where torchvision downloads them. Checked by their hash."""

from hashlib import file_digest
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch.hub import load_state_dict_from_url

from scoring.perceptanon.failures import CannotTrain

# The paper used torchvision's DEFAULT. This one is at hand in its first version, and did not take part in the paper.
VERSIONS = {"mobilenet_v2": "IMAGENET1K_V1"}


def imagenet_weights(backbone: str, folder: Path | None) -> tuple[dict[str, torch.Tensor], str]:
    """The state dict and its file's name, which ends in the first characters of its SHA-256. Raises CannotTrain."""
    weights = torchvision.models.get_model_weights(backbone)[VERSIONS.get(backbone, "DEFAULT")]
    name = weights.url.rsplit("/", 1)[-1]
    if folder is not None and (folder / name).is_file():
        return weights_from_file(folder / name), name
    try:
        state = load_state_dict_from_url(weights.url, progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        where = f"in {folder}" if folder is not None else "anywhere, as no weights folder is set"
        raise CannotTrain(
            f"The weights of {backbone} are not {where}, and could not be downloaded ({error}). Download {weights.url} "
            f"into the weights folder (WEIGHTS_DIR, or --weights), or start from random weights."
        ) from error
    return dict(state), name


def weights_from_file(path: Path) -> dict[str, torch.Tensor]:
    """The state dict, where the file's SHA-256 is the one its name ends in. Raises CannotTrain."""
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    expected = path.stem.rsplit("-", 1)[-1]
    if not digest.startswith(expected):
        raise CannotTrain(
            f"{path} is damaged: its SHA-256 begins with {digest[:8]}, not {expected}. Download it again."
        )
    return dict(torch.load(path, map_location="cpu", weights_only=True))  # weights only: never unpickle code
