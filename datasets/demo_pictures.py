"""The demo's pictures, read where two scientific Python packages are installed: nothing is shipped or downloaded.

Licences as the packages state them: scikit-image in the docstrings of `skimage/data/_fetchers.py`, matplotlib in the
comment inside the JPEG, which names the Wikimedia Commons page.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import Any

from PIL import Image

from datasets.anonymize import VARIANTS, Region, Variant, anonymize, as_rgb
from datasets.refusals import Refusal
from datasets.rows import MANIFEST_COLUMNS
from datasets.tables import csv_lines

# Source: the package to import, the folder of its pictures.
_FOLDERS = {"scikit-image": ("skimage", "data"), "matplotlib": ("matplotlib", "mpl-data/sample_data")}


class DemoPicturesMissing(Refusal):
    """A package that holds demo pictures, or a picture of it, is not installed."""


@dataclass(frozen=True)
class Original:
    """One picture of an installed package. The regions, set by hand, are what one would hide."""

    name: str
    file: str
    regions: tuple[Region, ...]
    what: str
    licence: str
    source: str = "scikit-image"

    @property
    def path(self) -> Path:
        path = _folder(self.source) / self.file
        if not path.is_file():
            raise DemoPicturesMissing(f"{self.source} is installed without {self.file}; install its wheel from PyPI.")
        return path


# Only pictures whose licence is stated and free. With the standard seed, train, val and test each get several of them.
_ORIGINALS = (
    Original(
        name="astronaut",
        file="astronaut.png",
        regions=((150, 8, 304, 194), (277, 336, 333, 380), (130, 346, 210, 428)),
        what="head, name tag and crew patch of the astronaut Eileen Collins",
        licence="Public domain, no known copyright restrictions (NASA)",
    ),
    Original(
        name="grace_hopper",
        file="grace_hopper.jpg",
        regions=((150, 128, 380, 338), (76, 480, 172, 522)),
        what="face and name tag of Grace Hopper",
        licence="Public domain (US Navy, Wikimedia Commons File:Grace_Hopper.jpg)",
        source="matplotlib",
    ),
    Original(
        name="camera",
        file="camera.png",
        regions=((160, 60, 274, 206),),
        what="head of the man with the camera",
        licence="CC0 (Lav Varshney)",
    ),
    Original(
        name="chelsea",
        file="chelsea.png",
        regions=((122, 70, 354, 278),),
        what="eyes and nose of Chelsea the cat",
        licence="CC0 (Stefan van der Walt)",
    ),
    Original(
        name="coffee",
        file="coffee.png",
        regions=((166, 12, 428, 326),),
        what="cup with its spoon",
        licence="CC0 (Rachel Michetti)",
    ),
    Original(
        name="rocket",
        file="rocket.jpg",
        regions=((272, 110, 372, 412),),
        what="rocket on its pad",
        licence="Public domain (SpaceX)",
    ),
    Original(
        name="coins",
        file="coins.png",
        regions=((302, 12, 368, 76), (242, 92, 300, 147), (312, 152, 382, 222), (14, 229, 79, 291)),
        what="four of the coins",
        licence="No known copyright restrictions (Brooklyn Museum)",
    ),
    Original(
        name="text",
        file="text.png",
        regions=((0, 32, 80, 84), (96, 24, 290, 94), (58, 118, 282, 170)),
        what="handwritten formulas",
        licence="Public domain, no known copyright restrictions (Wikipedia File:Corner.png)",
    ),
    Original(
        name="retina",
        file="retina.jpg",
        regions=((90, 470, 380, 820),),
        what="optic disc and the vessels that leave it",
        licence="CC0 (Mikael Häggström)",
    ),
    Original(
        name="horse",
        file="horse.png",
        regions=((300, 4, 394, 108),),
        what="head of a horse's silhouette",
        licence="CC0 (Andreas Preuss)",
    ),
    Original(
        name="cell",
        file="cell.png",
        regions=((356, 302, 500, 446),),
        what="cell that floats in saline",
        licence="CC0 (Müller et al., Optics Express 26(8), 2018)",
    ),
)


def demo_originals() -> list[Original]:
    """The originals. Raises DemoPicturesMissing where a package that holds them is not installed."""
    for source in _FOLDERS:
        _folder(source)
    return list(_ORIGINALS)


def open_original(original: Original) -> Image.Image:
    """The picture in RGB, in full size; what is see-through is grey."""
    with Image.open(original.path) as picture:
        return as_rgb(picture)


def write_demo_pairs(folder: Path, originals: Sequence[Original] | None = None) -> Path:
    """Write originals (unless given, all of the demo's), their variants and `manifest.csv`; returns that file's path.

    A row of the manifest is one pair: paths relative to the folder, the method and scope, and the strength (where the
    method has one) and regions as JSON. The same packages give the same bytes again.
    """
    originals = demo_originals() if originals is None else originals
    manifest = folder / "manifest.csv"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = (pair for original in originals for pair in _written_pairs(folder, original))
    with manifest.open("w", newline="", encoding="utf-8") as file:
        file.writelines(csv_lines(MANIFEST_COLUMNS, map(itemgetter(*MANIFEST_COLUMNS), pairs)))
    return manifest


def _written_pairs(folder: Path, original: Original) -> Iterator[dict[str, str]]:
    picture = open_original(original)
    original_path = _write_original(folder, original, picture)
    for variant in VARIANTS:
        yield {
            "original": original_path,
            "anonymized": _write_variant(folder, original, picture, variant),
            "group": original.name,
            "source": original.source,
            "method": variant.method,
            "scope": variant.scope,
            "parameters": json.dumps(_parameters(original, variant)),
        }


def _write_original(folder: Path, original: Original, picture: Image.Image) -> str:
    """The package's own file where it shows the same colours as our RGB variants do, else a PNG that does."""
    as_is = _shows_like_rgb(original.path)
    relative = f"originals/{original.name}{original.path.suffix if as_is else '.png'}"
    target = _parent_made(folder / relative)
    if as_is:
        shutil.copyfile(original.path, target)
    else:
        picture.save(target)
    return relative


def _shows_like_rgb(path: Path) -> bool:
    """RGB, or grey without a profile: browsers apply a grey profile, and the RGB variants cannot carry one."""
    with Image.open(path) as picture:
        return picture.mode == "RGB" or (picture.mode == "L" and "icc_profile" not in picture.info)


def _write_variant(folder: Path, original: Original, picture: Image.Image, variant: Variant) -> str:
    anonymized = anonymize(
        picture, original.regions, method=variant.method, scope=variant.scope, strength=variant.strength
    )
    relative = f"{variant.scope}_{variant.method}/{original.name}_{variant.slug}.jpg"
    target = _parent_made(folder / relative)
    anonymized.save(target, quality=92, icc_profile=anonymized.info.get("icc_profile"))
    return relative


def _parameters(original: Original, variant: Variant) -> dict[str, Any]:
    strength = {} if variant.strength is None else {"strength": variant.strength}
    return {**strength, "regions": original.regions}


def _parent_made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _folder(source: str) -> Path:
    package, subfolder = _FOLDERS[source]
    spec = find_spec(package)  # finds the package without importing it, which would take seconds
    if spec is None or spec.origin is None:
        raise DemoPicturesMissing(f"{source} is not installed; run: pip install perceptanon-studio[demo]")
    return Path(spec.origin).parent / subfolder
