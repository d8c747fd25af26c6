"""The one place that opens a picture's bytes from outside. Plain Pillow, safe to call from many threads.

Pillow sees only what without_metadata wrote: one still picture of a known format and size, without EXIF, text or second
frames. So it parses no metadata and has nothing to warn of, which matters as warnings cannot be caught per thread.
"""

import struct
import zlib
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from datasets.metadata import PictureRefused, Still, png_colour_chunks, without_metadata

__all__ = ["MAX_BYTES", "MAX_PIXELS", "Picture", "PictureRefused", "inspect", "open_display"]

MAX_BYTES = 40_000_000
MAX_PIXELS = 50_000_000  # decoding takes 4 to 16 bytes of memory a pixel: WebP and progressive JPEG the most
MAX_ASPECT = 20  # a thinner strip cannot be looked at on a page

_CONTENT_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}

# What Pillow's three readers raise on damaged files; UnidentifiedImageError is an OSError.
_UNREADABLE = (
    EOFError,
    IndexError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A picture as it came and as it is shown: upright, without metadata, not compressed anew."""

    format: str  # of the original: JPEG, PNG or WEBP
    display_format: str  # PNG if the original had to be turned, else the same
    width: int  # of the display picture
    height: int
    original: bytes
    original_sha256: str
    display: bytes
    display_sha256: str

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self.display_format]

    @property
    def extension(self) -> str:
        return _EXTENSIONS[self.display_format]

    @property
    def original_extension(self) -> str:
        return _EXTENSIONS[self.format]


def inspect(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Picture:
    """Check a file down to its last pixel and cut its metadata. Raises PictureRefused."""
    still = _checked_still(data, max_bytes, max_pixels)
    image = _decoded(still)
    display_format, display = still.format, still.data
    if still.orientation != 1:
        image = _upright(image, still)
        display_format, display = "PNG", _png(image, still)
    return Picture(
        format=still.format,
        display_format=display_format,
        width=image.width,
        height=image.height,
        original=data,
        original_sha256=sha256(data).hexdigest(),
        display=display,
        display_sha256=sha256(display).hexdigest(),
    )


def open_display(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The upright pixels as 8-bit RGB, what is transparent shown on white. Raises PictureRefused."""
    still = _checked_still(data, max_bytes, max_pixels)
    image = _upright(_decoded(still), still)
    if image.mode.startswith("I;16"):  # convert() would clip 16-bit grey at 255
        image = image.convert("I").point([value >> 8 for value in range(65536)], "L")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _checked_still(data: bytes, max_bytes: int, max_pixels: int) -> Still:
    if len(data) > max_bytes:
        raise PictureRefused(f"{len(data) / 1e6:.1f} MB; at most {max_bytes / 1e6:g} MB are allowed: make it smaller")
    if not data:
        raise PictureRefused("the file is empty; send it again")
    still = without_metadata(data)
    size = f"{still.width} x {still.height} pixels"
    # Pillow's own limit is only ever lowered to: above it Image.open would warn, for all threads or for none.
    allowed = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    if still.width * still.height > allowed:
        raise PictureRefused(f"{size}; at most {allowed / 1e6:g} megapixels are allowed: make it smaller")
    if min(still.width, still.height) < 1:
        raise PictureRefused(f"{size}; a picture has at least one: export it again")
    if max(still.width, still.height) > MAX_ASPECT * min(still.width, still.height):
        raise PictureRefused(f"{size}; one side may be at most {MAX_ASPECT} times the other: crop it")
    return still


def _decoded(still: Still) -> Image.Image:
    """All pixels. verify() is not enough: it passes a truncated JPEG."""
    try:
        image = Image.open(BytesIO(still.data), formats=(still.format,))
        if image.size != (still.width, still.height):  # two readers of the header disagree: neither is believed
            raise OSError("size in doubt")
        image.load()
    except _UNREADABLE as error:
        what = f"{still.format} that cannot be decoded: it is damaged or of a rare kind"
        raise PictureRefused(f"{what}; export it again") from error
    return image


def _upright(image: Image.Image, still: Still) -> Image.Image:
    return image if still.orientation == 1 else image.transpose(_UPRIGHT[still.orientation])


def _png(image: Image.Image, still: Still) -> bytes:
    """The pixels as they are, with what says how their numbers are meant."""
    if image.mode == "CMYK":  # PNG has none; the profile belongs to the inks and goes with them
        image = image.convert("RGB")
        image.info.pop("icc_profile", None)
    colours = PngInfo()
    if still.format == "PNG":
        for kind, content in png_colour_chunks(still.data):
            colours.add(kind, content)
    out = BytesIO()
    # Level 2: a phone's turned 12-megapixel photo in 1.3 s instead of 4.9 s at the default 6, for 13% more bytes.
    image.save(out, "PNG", pnginfo=colours, compress_level=2)
    return out.getvalue()
