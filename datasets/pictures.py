"""The one place that opens a picture's bytes from outside. Plain Pillow, safe to call from many threads.

Pillow sees only what without_metadata wrote: one still picture of a known format and size, without EXIF, text or second
frames. So it parses no metadata and has nothing to warn of, which matters as warnings cannot be caught per thread.

People, metrics and networks see one thing: 8-bit sRGB, upright, on GROUND where the picture is see-through. What came
like that is shown as it came. Everything else is made so once, at import; `open_display` reads what earlier versions
stored the same way.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from math import ceil, sqrt
from typing import Any

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from datasets.colours import Conversion, base_mode, can_be_read, conversion
from datasets.looks import LOOK_SIDE, SAYS_NOTHING, look_of
from datasets.metadata import PictureRefused, Still, png_colour_chunks, shown_as_it_came, without_metadata

__all__ = ["GROUND", "MAX_BYTES", "MAX_PIXELS", "Picture", "PictureRefused", "inspect", "open_display"]

MAX_BYTES = 40_000_000
MAX_PIXELS = 108_000_000  # 12000 x 9000, the most that telephones take: decoding stays below 1 GB
MAX_DEEP_PIXELS = 50_000_000  # of WebP and of CMYK, whose decoders take up to 20 bytes of memory a pixel
DISPLAY_PIXELS = 25_000_000  # 100 MB on the screen: whole photos of ordinary cameras, on a telephone too
DISPLAY_BYTES = 4 * MAX_DEEP_PIXELS  # of a display file: a PNG of ours may be larger than what came
MIN_SIDE = 32  # fewer pixels show nobody, and networks make nothing of them
MAX_ASPECT = 20  # a thinner strip cannot be looked at on a page

# What see-through parts are shown on: the surround of pictures on the rating page (--mid-grey in studio.css), on which
# people saw them before display files had a ground of their own.
GROUND = "#757575"

_ROWS = 128  # converted at a time, so that a conversion needs no second copy of a large picture
_READERS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}
_CONTENT_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}

# What Pillow raises on damaged files, some of it only when colours are converted; UnidentifiedImageError is an OSError.
_UNREADABLE = (
    AssertionError,
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
    """A picture as it came and as it is shown: in sRGB, without metadata, its coded pixels kept if they can be."""

    format: str  # of the original: JPEG, PNG or WEBP
    display_format: str  # the same, or PNG where a WebP had to be made anew
    width: int  # of the display picture, upright
    height: int
    original: bytes
    original_sha256: str
    display: bytes
    display_sha256: str
    # What was changed for the display file: `colours` (what said how they are meant), `ground` (the colour behind
    # see-through parts) and `reduced_from` (width and height, upright). Empty: the pixels are those that came.
    changes: dict[str, Any] = field(default_factory=dict)
    look: int = SAYS_NOTHING  # of datasets.looks

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
    """Check a file down to its last pixel, cut its metadata and make what people are shown. Raises PictureRefused."""
    still = _checked_still(data, max_bytes, max_pixels)
    size = f"{still.width} x {still.height} pixels"
    if min(still.width, still.height) < MIN_SIDE:
        raise PictureRefused(f"{size}; each side needs at least {MIN_SIDE}: take a larger picture")
    said = _said_of_colours(still)
    if not can_be_read(said):
        raise PictureRefused("PNG in HDR or in rare colours (cICP); export it in sRGB")
    display_size = _display_size(still.width, still.height)
    with _refused_where_unreadable(still):
        return _made(data, still, said, display_size)


def _made(data: bytes, still: Still, said: dict[bytes, bytes], display_size: tuple[int, int]) -> Picture:
    image = _decoded(still, display_size)
    colours = conversion(image, said)
    changes: dict[str, Any] = {}
    if colours:
        changes["colours"] = colours.said_by
    if _is_see_through(image):
        changes["ground"] = GROUND
    if display_size != (still.width, still.height):
        changes["reduced_from"] = [still.width, still.height] if still.orientation < 5 else [still.height, still.width]
    if changes:
        image = _rendered(image, colours, display_size)
    look = _look(image, still)
    display_format, display = still.format, b""
    if changes or (still.orientation != 1 and still.format != "JPEG"):
        image = _upright(image, still)
        display_format = "JPEG" if still.format == "JPEG" else "PNG"
        display = _encoded(image, display_format)
        width, height = image.size
    else:
        display = shown_as_it_came(still)
        width, height = (image.width, image.height) if still.orientation < 5 else (image.height, image.width)
    return Picture(
        format=still.format,
        display_format=display_format,
        width=width,
        height=height,
        original=data,
        original_sha256=sha256(data).hexdigest(),
        display=display,
        display_sha256=sha256(display).hexdigest(),
        changes=changes,
        look=look,
    )


def _look(image: Image.Image, still: Still) -> int:
    """Small first, then turned: a large picture is not copied to be turned."""
    grey = _in_eight_bits(image).convert("L").resize((LOOK_SIDE, LOOK_SIDE), Image.Resampling.BOX)
    return look_of(_upright(grey, still))


def open_display(data: bytes, *, max_bytes: int = DISPLAY_BYTES, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The upright pixels as 8-bit sRGB, what is see-through on GROUND. Raises PictureRefused."""
    still = _checked_still(data, max_bytes, max_pixels)
    with _refused_where_unreadable(still):
        image = _decoded(still)
        return _upright(_rendered(image, conversion(image, _said_of_colours(still)), image.size), still)


def _said_of_colours(still: Still) -> dict[bytes, bytes]:
    return dict(png_colour_chunks(still.data)) if still.format == "PNG" else {}


def _display_size(width: int, height: int) -> tuple[int, int]:
    """The same shape within DISPLAY_PIXELS. It depends on the size alone: both pictures of a pair keep one geometry."""
    scale = sqrt(DISPLAY_PIXELS / (width * height))
    return (width, height) if scale >= 1 else (max(1, int(width * scale)), max(1, int(height * scale)))


def _checked_still(data: bytes, max_bytes: int, max_pixels: int) -> Still:
    if len(data) > max_bytes:
        raise PictureRefused(f"{len(data) / 1e6:.1f} MB; at most {max_bytes / 1e6:g} MB are allowed: make it smaller")
    if not data:
        raise PictureRefused("the file is empty; send it again")
    still = without_metadata(data)
    size = f"{still.width} x {still.height} pixels"
    allowed = min(max_pixels, MAX_DEEP_PIXELS) if still.format == "WEBP" else max_pixels
    if still.width * still.height > allowed:
        raise _too_many_pixels(still, allowed)
    if min(still.width, still.height) < 1:
        raise PictureRefused(f"{size}; a picture has at least one: export it again")
    if max(still.width, still.height) > MAX_ASPECT * min(still.width, still.height):
        raise PictureRefused(f"{size}; one side may be at most {MAX_ASPECT} times the other: crop it")
    return still


def _too_many_pixels(still: Still, allowed: int) -> PictureRefused:
    size = f"{still.width} x {still.height} pixels"
    return PictureRefused(f"{size}; at most {allowed / 1e6:g} megapixels are allowed: make it smaller")


def _decoded(still: Still, least: tuple[int, int] | None = None) -> Image.Image:
    """All pixels; of a JPEG only as many as `least` asks for. verify() is not enough: it passes a truncated JPEG."""
    # Not Image.open: it warns, for all threads or for none, of what is larger than Pillow's own limit.
    image = _READERS[still.format](BytesIO(still.data))
    if image.size != (still.width, still.height):  # two readers of the header disagree: neither is believed
        raise OSError("size in doubt")
    if image.mode == "CMYK" and still.width * still.height > MAX_DEEP_PIXELS:
        raise _too_many_pixels(still, MAX_DEEP_PIXELS)
    if least and least != image.size:
        image.draft(None, least)
    image.load()
    # A copy lets go of WebP's decoder, which keeps 8 bytes a pixel for as long as its picture lives.
    return image.copy() if still.format == "WEBP" else image


@contextmanager
def _refused_where_unreadable(still: Still) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        what = f"{still.format} that cannot be decoded: it is damaged or of a rare kind"
        raise PictureRefused(f"{what}; export it again") from error


def _strips(image: Image.Image, rows: int) -> Iterator[tuple[int, Image.Image]]:
    """Where each strip begins, and the strip in 8 bits."""
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        yield top, _in_eight_bits(strip)


def _in_eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I;16"):
        return image
    # By the high byte, as browsers do: convert() would clip 16-bit grey at 255.
    grey = image.convert("I").point([value >> 8 for value in range(65536)], "L")
    clear = image.info.get("transparency")
    grey.info = {"transparency": clear >> 8} if isinstance(clear, int) else {}
    return grey


def _is_see_through(image: Image.Image) -> bool:
    """Whether any pixel is: many files have an alpha channel in which nothing is."""
    if not image.has_transparency_data:
        return False
    return any(_alpha(strip).getextrema()[0] != 255 for _, strip in _strips(image, _ROWS))


def _alpha(image: Image.Image) -> Image.Image:
    return image.convert("RGBA").getchannel("A")


def _rendered(image: Image.Image, colours: Conversion | None, size: tuple[int, int]) -> Image.Image:
    """What people see, in RGB: colours first, then the ground, then the size."""
    factor = max(1, min(image.width // size[0], image.height // size[1]))
    whole = Image.new("RGB", (ceil(image.width / factor), ceil(image.height / factor)))
    for top, strip in _strips(image, _ROWS * factor):
        flat = _flat(strip, colours)
        whole.paste(flat.reduce(factor) if factor > 1 else flat, (0, top // factor))
    return whole if whole.size == size else whole.resize(size, Image.Resampling.LANCZOS)


def _flat(strip: Image.Image, colours: Conversion | None) -> Image.Image:
    alpha = _alpha(strip) if strip.has_transparency_data else None
    strip.info.pop("transparency", None)  # else Pillow warns that the next line drops it
    opaque = strip.convert(base_mode(strip))
    opaque = (colours.convert(opaque) if colours else opaque).convert("RGB")
    if alpha is None:
        return opaque
    ground = Image.new("RGB", strip.size, GROUND)
    ground.paste(opaque, mask=alpha)
    return ground


def _upright(image: Image.Image, still: Still) -> Image.Image:
    return image if still.orientation == 1 else image.transpose(_UPRIGHT[still.orientation])


def _encoded(image: Image.Image, kind: str) -> bytes:
    """The file of a display picture that is made anew. A PNG keeps every pixel; a photo as PNG grows thirtyfold."""
    out = BytesIO()
    image.info.pop("icc_profile", None)
    if kind == "JPEG":
        image.save(out, "JPEG", quality=97, subsampling=0)
    else:
        # Level 2: a phone's turned 12-megapixel photo in 1.3 s instead of 4.9 s at the default 6, for 13% more bytes.
        image.save(out, "PNG", compress_level=2)
    return out.getvalue()
