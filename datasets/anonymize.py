"""Our own anonymizers: a picture and the regions to hide in, an altered picture out.

Regions are counted in the pixels as stored: turn a photo by its EXIF orientation first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from datasets.pictures import GROUND

Region = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are just outside
Pixels = np.ndarray  # height x width x 3

METHODS = ("mask", "blur", "pixelate", "inpaint")
SCOPES = ("global", "local")

# Against the region's shorter side, so that the picture's resolution does not matter. Blur: the Gaussian's sigma as a
# share of that side. Pixelate: the number of blocks along it, fewer is stronger.
STRENGTHS: dict[str, dict[str, float]] = {
    "blur": {"light": 0.06, "strong": 0.18},
    "pixelate": {"light": 16, "strong": 6},
}


@dataclass(frozen=True)
class Variant:
    """One way to anonymize a picture. Mask and inpaint have no strength."""

    method: str
    scope: str
    strength: float | None = None

    @property
    def slug(self) -> str:
        """Such as `global_blur_strong` or `local_inpaint`; an unnamed strength appears as its number."""
        if self.strength is None:
            return f"{self.scope}_{self.method}"
        names = {strength: name for name, strength in STRENGTHS.get(self.method, {}).items()}
        return f"{self.scope}_{self.method}_{names.get(self.strength, f'{self.strength:g}')}"


VARIANTS = (
    Variant("mask", "global"),
    *(
        Variant(method, scope, strength)
        for method, strengths in STRENGTHS.items()
        for scope in SCOPES
        for strength in strengths.values()
    ),
    *(Variant("inpaint", scope) for scope in SCOPES),
)


def anonymize(
    picture: Image.Image, regions: Sequence[Region], *, method: str, scope: str, strength: float | None = None
) -> Image.Image:
    """The picture with its regions altered, in RGB and of the same size; the picture given stays as it was.

    Scope *global* leaves every other pixel as it is; *local* leaves nothing but the altered regions, on black.

    - mask: black. Global only, no strength.
    - blur: `strength` is the Gaussian's sigma as a share of the region's shorter side, at least one pixel.
    - pixelate: `strength` is the number of blocks along the region's shorter side, so fewer is stronger; a block is at
      least two pixels wide.
    - inpaint: a smooth fill from the surroundings that never looks inside the regions. No strength.

    Blur and pixelate see the region's own pixels only, so local shows nothing of the scene. Of the metadata only the
    colour profile is kept: EXIF can hold a thumbnail or a place. Raises ValueError for what cannot be done.
    """
    _check_way(method=method, scope=scope, strength=strength)
    _check_regions(regions, size=picture.size)
    original = as_rgb(picture)
    altered = _altered(original, regions, method=method, strength=strength)
    scene = original if scope == "global" else Image.new("RGB", original.size)
    for region in regions:
        scene.paste(altered.crop(region), region)
    scene.info = dict(original.info)
    return scene


def as_rgb(picture: Image.Image) -> Image.Image:
    """A copy in RGB, what is see-through on the site's ground, without metadata but for the colour profile."""
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        rgb = Image.new("RGB", picture.size, GROUND)
        rgb.paste(layer, mask=layer.getchannel("A"))
    else:
        rgb = picture.convert("RGB")
    # A profile made for grey or CMYK numbers would be wrong for RGB ones.
    profile = picture.info.get("icc_profile") if picture.mode in ("RGB", "RGBA", "P") else None
    rgb.info = {"icc_profile": profile} if profile else {}
    return rgb


def _check_way(*, method: str, scope: str, strength: float | None) -> None:
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}; choose one of {', '.join(METHODS)}.")
    if scope not in SCOPES:
        raise ValueError(f"Unknown scope {scope!r}; choose one of {', '.join(SCOPES)}.")
    if method == "mask" and scope == "local":
        raise ValueError("A mask has no local scope, it would be all black; use scope='global' or another method.")
    if method not in STRENGTHS and strength is not None:
        raise ValueError(f"{method} has no strength; leave it out.")
    if method in STRENGTHS and (strength is None or not 0 < strength < math.inf):
        raise ValueError(f"{method} needs a strength above 0, not {strength}; for example {STRENGTHS[method]}.")


def _check_regions(regions: Sequence[Region], *, size: tuple[int, int]) -> None:
    width, height = size
    if not regions:
        raise ValueError("There is no region to alter; give at least one (left, top, right, bottom).")
    for left, top, right, bottom in regions:
        if left >= right or top >= bottom:
            raise ValueError(f"Region {(left, top, right, bottom)} is empty; right and bottom must be the larger ones.")
        if left < 0 or top < 0 or right > width or bottom > height:
            raise ValueError(
                f"Region {(left, top, right, bottom)} leaves the picture; keep it within {(0, 0, width, height)}."
            )


def _altered(original: Image.Image, regions: Sequence[Region], *, method: str, strength: float | None) -> Image.Image:
    if method == "inpaint":
        return _inpainted(original, regions)
    altered = original.copy()
    for region in regions:
        # From the altered picture: where regions overlap, the second must not bring back what the first took away.
        altered.paste(_altered_part(altered.crop(region), method=method, strength=strength), region)
    return altered


def _altered_part(part: Image.Image, *, method: str, strength: float | None) -> Image.Image:
    if strength is None:
        return Image.new("RGB", part.size)
    if method == "blur":
        return _blurred(part, strength)
    return _pixelated(part, strength)


def _blurred(part: Image.Image, strength: float) -> Image.Image:
    sigma = max(1.0, strength * min(part.size))
    return part.filter(ImageFilter.GaussianBlur(min(sigma, max(part.size))))  # flat by then; Pillow needs some bound


def _pixelated(part: Image.Image, strength: float) -> Image.Image:
    block = max(2.0, min(part.size) / strength)  # smaller blocks would leave the pixels as they are
    blocks = (max(1, round(part.width / block)), max(1, round(part.height / block)))
    return part.resize(blocks, Image.Resampling.BOX).resize(part.size, Image.Resampling.NEAREST)


def _inpainted(original: Image.Image, regions: Sequence[Region]) -> Image.Image:
    unknown = np.zeros((original.height, original.width), dtype=bool)
    for left, top, right, bottom in regions:
        unknown[top:bottom, left:right] = True
    window = _window(regions, size=original.size)
    left, top, right, bottom = window
    unknown = unknown[top:bottom, left:right]
    if unknown.all():
        raise ValueError("The regions cover the whole picture and leave nothing to fill from; make them smaller.")
    pixels = np.asarray(original.crop(window), dtype=np.float32)
    filled = _harmonic_fill(pixels, unknown)
    inpainted = original.copy()
    inpainted.paste(Image.fromarray(np.rint(filled).clip(0, 255).astype(np.uint8)), window)
    return inpainted


def _window(regions: Sequence[Region], *, size: tuple[int, int]) -> Region:
    """The box around all regions with a little of their surroundings: all that a smooth fill depends on."""
    margin = 8
    lefts, tops, rights, bottoms = zip(*regions, strict=True)
    width, height = size
    return (
        max(0, min(lefts) - margin),
        max(0, min(tops) - margin),
        min(width, max(rights) + margin),
        min(height, max(bottoms) + margin),
    )


def _harmonic_fill(pixels: Pixels, unknown: np.ndarray) -> Pixels:
    """Each unknown pixel as the mean of its neighbours, nearly: solved at half the size first, then relaxed here.

    Relaxing alone would need as many rounds as the region has pixels; from the half-sized answer a few suffice.
    """
    if not unknown.any():
        return pixels
    guess = _harmonic_fill(*_halved(pixels, unknown)).repeat(2, axis=0).repeat(2, axis=1)
    height, width = unknown.shape
    filled = np.where(unknown[..., None], guess[:height, :width], pixels)
    return _relaxed(filled, unknown)


def _halved(pixels: Pixels, unknown: np.ndarray) -> tuple[Pixels, np.ndarray]:
    """Two by two pixels become one, the mean of the known ones; it is unknown where all of them are."""
    odd_edges = ((0, unknown.shape[0] % 2), (0, unknown.shape[1] % 2))
    known = np.pad(~unknown, odd_edges).astype(np.float32)[..., None]
    sums = _summed_by_four(np.pad(pixels, (*odd_edges, (0, 0))) * known)
    counts = _summed_by_four(known)
    return sums / np.maximum(counts, 1), counts[..., 0] == 0


def _summed_by_four(values: np.ndarray) -> np.ndarray:
    rows = values[0::2] + values[1::2]
    return np.asarray(rows[:, 0::2] + rows[:, 1::2])


def _relaxed(filled: Pixels, unknown: np.ndarray, *, rounds: int = 16) -> Pixels:
    """Jacobi rounds over the unknown pixels. The pixel counts in its own mean, else a chequerboard would stay."""
    is_unknown = unknown[..., None]
    for _ in range(rounds):
        ring = np.pad(filled, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (ring[:-2, 1:-1] + ring[2:, 1:-1] + ring[1:-1, :-2] + ring[1:-1, 2:] + filled) / 5
        filled = np.where(is_unknown, mean, filled)
    return filled
