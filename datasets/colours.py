"""What a picture's numbers mean, and how they become sRGB's: by ICC profile, by PNG's gAMA and cHRM or cICP, by inks.

What says nothing is sRGB, as browsers take it. Each conversion is of 8-bit pictures without transparency, which may be
parts of one.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

Convert = Callable[[Image.Image], Image.Image]

_SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_D65 = (0.3127, 0.3290)
# By their numbers in ITU-T H.273, all with D65.
_CICP_PRIMARIES = {
    1: _SRGB,
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_CICP_SRGB_CURVE = 13
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_SEEN = 2  # of 255: profiles that are meant to be sRGB's differ from each other by no more
_SCREEN_GAMMA = 2.2  # what gAMA is held against, as in browsers: 1 / 2.2 there leaves the numbers as they are


@dataclass(frozen=True)
class Conversion:
    said_by: str  # icc, gamma, chromaticities, cicp or inks
    convert: Convert  # from the picture's own base mode to RGB or L


def base_mode(image: Image.Image) -> str:
    """The mode in which an 8-bit picture's colours are converted: L, RGB or CMYK."""
    if image.mode == "CMYK":
        return "CMYK"
    return "L" if image.mode in ("1", "L", "LA") or image.mode.startswith("I") else "RGB"


def conversion(image: Image.Image, said: Mapping[bytes, bytes]) -> Conversion | None:
    """How this picture's colours become sRGB's, or None where they are. `said` holds a PNG's colour chunks.

    What is said first counts, in the order of the PNG standard: cICP, profile, sRGB, then gAMA with cHRM. A profile
    that is broken or made for other numbers (an RGB one on a grey picture) counts for nothing, as in browsers.
    """
    mode = base_mode(image)
    if can_be_read(said) and b"cICP" in said:
        matrix = _matrix(_CICP_PRIMARIES[said[b"cICP"][0]], _D65)
        return _by_numbers("cicp", mode, None, matrix)
    if "icc_profile" in image.info and (transform := _transform(image.info["icc_profile"], mode)):
        return None if _is_srgb(transform, mode) else Conversion("icc", partial(_by_profile, transform=transform))
    if mode == "CMYK":
        return Conversion("inks", lambda part: part.convert("RGB"))
    if "icc_profile" in image.info or b"sRGB" in said:
        return None
    return _by_gamma(said, mode)


def can_be_read(said: Mapping[bytes, bytes]) -> bool:
    """Whether cICP, where there is one, names colours that sRGB can stand for: HDR and video ranges do not."""
    primaries, curve, coefficients, full_range = said.get(b"cICP", bytes((1, _CICP_SRGB_CURVE, 0, 1)))
    return primaries in _CICP_PRIMARIES and (curve, coefficients, full_range) == (_CICP_SRGB_CURVE, 0, 1)


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        if opened.profile.xcolor_space.strip() != {"L": "GRAY"}.get(mode, mode):
            return None
        return ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _by_profile(part: Image.Image, *, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    return transform.apply(part)


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether nobody could tell the difference, on all greys and on colours across the cube."""
    if mode == "CMYK":
        return False
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    before = Image.fromarray((greys if mode == "L" else np.concatenate([greys, cube]))[None]).convert(mode)
    after = _by_profile(before, transform=transform)
    difference = np.asarray(after, dtype=int) - np.asarray(before.convert("RGB"), dtype=int)
    return bool(np.abs(difference).max() <= _SEEN)


def _by_gamma(said: Mapping[bytes, bytes], mode: str) -> Conversion | None:
    curve = matrix = None
    if (gamma := int.from_bytes(said.get(b"gAMA", b""))) and abs((power := 1e5 / gamma / _SCREEN_GAMMA) - 1) > 0.02:
        curve = np.rint(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    if b"cHRM" in said:
        white, *primaries = np.array(struct.unpack(">8I", said[b"cHRM"])).reshape(4, 2) / 1e5
        matrix = _matrix(primaries, white)
    return _by_numbers("gamma" if matrix is None else "chromaticities", mode, curve, matrix)


def _by_numbers(said_by: str, mode: str, curve: np.ndarray | None, matrix: np.ndarray | None) -> Conversion | None:
    if mode != "RGB":
        matrix = None  # greys of any primaries are greys, once the white is the screen's
    if curve is None and matrix is None:
        return None
    return Conversion(said_by, partial(_computed, curve=curve, matrix=matrix))


def _computed(part: Image.Image, *, curve: np.ndarray | None, matrix: np.ndarray | None) -> Image.Image:
    if curve is not None:
        part = part.point(curve.tolist() * len(part.getbands()))
    if matrix is None:
        return part
    linear = _LINEAR[np.asarray(part)] @ matrix.T.astype(np.float32)
    return Image.fromarray(np.rint(255 * _encoded(linear.clip(0, 1))).astype(np.uint8))


def _matrix(primaries: object, white: object) -> np.ndarray | None:
    """From linear RGB of these primaries and white (x, y each) to linear sRGB; None if it is that or makes no sense."""
    try:
        own = _to_xyz(np.asarray(primaries, dtype=float), np.asarray(white, dtype=float))
    except np.linalg.LinAlgError:
        return None
    matrix = np.asarray(np.linalg.inv(_to_xyz(np.array(_SRGB), np.array(_D65))) @ own)
    if not np.isfinite(matrix).all() or np.abs(matrix - np.eye(3)).max() < 0.01:
        return None
    return matrix


def _to_xyz(primaries: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Linear RGB to XYZ, the white adapted to D65 after Bradford."""
    columns = np.array([[x / y if y else np.nan, 1, (1 - x - y) / y if y else np.nan] for x, y in [*primaries, white]])
    scale = np.linalg.solve(columns[:3].T, columns[3])
    x, y = _D65
    there, here = _BRADFORD @ columns[3], _BRADFORD @ np.array([x / y, 1, (1 - x - y) / y])
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(here / there) @ _BRADFORD
    return np.asarray(adapted @ (columns[:3].T * scale))


def _encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB's curve (IEC 61966-2-1), 0 to 1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _decoded(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


_LINEAR = _decoded(np.arange(256) / 255).astype(np.float32)
