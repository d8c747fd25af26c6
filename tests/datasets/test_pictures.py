import json
import os
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from datasets.metadata import MAX_SCANS, without_metadata
from datasets.pictures import GROUND, Picture, PictureRefused, inspect, open_display

REPOSITORY = Path(__file__).parents[2]
PHOTOS = sorted((REPOSITORY.parent / "shared/data/london/neutral").glob("*.jpg"))
SECRET = b"Secret-Garden-Street-7"
Build = Callable[[], bytes]
Edits = list[tuple[float, int, bytes]]  # where, how many bytes go, what comes
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(width: int = 45, height: int = 32, mode: str = "RGB") -> Image.Image:
    """A smooth picture with some noise; no two turns of it look alike."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 20, (height, width))
    channels = [x * 235 // width + noise, y * 235 // height + noise, (x + 2 * y) % 200 + noise, 255 - y * 200 // height]
    rgba = Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8), "RGBA")
    return rgba if mode == "RGBA" else rgba.convert("RGB").convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int = 1, thumbnail: bytes = b"") -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = SECRET.decode()
    tags.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 26.0), 29: SECRET.decode()})  # GPS
    return tags.tobytes() + thumbnail


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int, scanlines: bytes, *, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    idat = chunk(b"IDAT", zlib.compress(scanlines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + idat + chunk(b"IEND")


def interlaced_png(image: Image.Image) -> bytes:
    """Pillow reads Adam7 and does not write it."""
    rgb = np.asarray(image.convert("RGB"))
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [rgb[y::dy, x::dx] for y, x, dy, dx in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    return png_of(image.width, image.height, rows, interlaced=1)


def after_header(png: bytes, *chunks: bytes) -> bytes:
    return png[:33] + b"".join(chunks) + png[33:]


def after_soi(jpeg: bytes, marker: int, body: bytes) -> bytes:
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[2:]


def webp_of(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in chunks]
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, parts))) + b"WEBP" + b"".join(parts)


def photo_with_everything() -> bytes:
    """A JPEG as a phone and an editor may leave it."""
    jpeg = saved(pixels(), "JPEG", exif=exif(), comment=SECRET, xmp=b"<x>" + SECRET + b"</x>", icc_profile=ICC)
    jpeg = after_soi(jpeg, 0xED, b"Photoshop 3.0\0" + SECRET)  # IPTC
    jpeg = after_soi(jpeg, 0xE2, b"FPXR\0" + SECRET)
    jpeg = after_soi(jpeg, 0xEB, b"JP\0\0" + SECRET)  # C2PA
    return after_soi(jpeg, 0xE0, b"JFXX\0\x10" + SECRET)


def png_with_everything() -> bytes:
    text = PngInfo()
    text.add_text("Comment", SECRET.decode())
    text.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    png = saved(pixels(), "PNG", pnginfo=text, exif=exif(), dpi=(72, 72), icc_profile=ICC)
    return after_header(png, chunk(b"tIME", b"\x07\xea\x01\x01\x01\x01\x01"), chunk(b"prVt", SECRET))


def webp_with_everything() -> bytes:
    return saved(pixels(), "WEBP", exif=exif(), xmp=SECRET, icc_profile=ICC)


def palette_png() -> bytes:
    palette = pixels().quantize(16)
    return saved(palette, "PNG", transparency=bytes(range(0, 256, 16)), exif=exif())


def deep_png(colour: int, n_channels: int) -> bytes:
    samples = np.random.default_rng(3).integers(0, 65536, (32, 33, n_channels)).astype(">u2")
    return png_of(33, 32, b"".join(b"\0" + row.tobytes() for row in samples), depth=16, colour=colour)


ORDINARY: dict[str, Build] = {
    "baseline JPEG": lambda: saved(pixels(), "JPEG", subsampling=0, exif=exif()),
    "4:2:0 JPEG": lambda: saved(pixels(), "JPEG", subsampling=2, comment=SECRET),
    "progressive JPEG": lambda: saved(pixels(), "JPEG", progressive=True, exif=exif()),
    "JPEG with restart markers": lambda: saved(pixels(), "JPEG", restart_marker_blocks=2, exif=exif()),
    "JPEG with fill bytes": lambda: saved(pixels(), "JPEG", exif=exif()).replace(b"\xff\xdb", b"\xff\xff\xff\xdb"),
    "grey JPEG": lambda: saved(pixels(mode="L"), "JPEG", exif=exif()),
    "CMYK JPEG with Adobe's marker": lambda: saved(pixels(mode="CMYK"), "JPEG", exif=exif()),
    "RGB JPEG with Adobe's marker": lambda: saved(pixels(), "JPEG", keep_rgb=True, exif=exif()),
    "JPEG with everything": photo_with_everything,
    "palette PNG": palette_png,
    "grey PNG": lambda: saved(pixels(mode="L"), "PNG", exif=exif()),
    "one-bit PNG": lambda: saved(pixels(mode="1"), "PNG"),
    "16-bit grey PNG": lambda: deep_png(0, 1),
    "16-bit RGB PNG": lambda: deep_png(2, 3),
    "RGBA PNG": lambda: saved(pixels(mode="RGBA"), "PNG", exif=exif()),
    "PNG with a see-through colour": lambda: saved(
        pixels(), "PNG", transparency=pixels().getpixel((3, 4)), exif=exif()
    ),
    "interlaced PNG": lambda: interlaced_png(pixels()),
    "PNG with everything": png_with_everything,
    "lossy WebP": lambda: saved(pixels(), "WEBP", exif=exif()),
    "simple lossy WebP": lambda: saved(pixels(), "WEBP"),
    "lossless WebP": lambda: saved(pixels(), "WEBP", lossless=True, exif=exif()),
    "lossy WebP with alpha": lambda: saved(pixels(mode="RGBA"), "WEBP", exif=exif()),
    "lossless WebP with alpha": lambda: saved(pixels(mode="RGBA"), "WEBP", lossless=True, xmp=SECRET),
    "WebP with everything": webp_with_everything,
}
# These are made anew, as their numbers are no sRGB's or something shows through.
MADE_ANEW = {
    "CMYK JPEG with Adobe's marker",
    "palette PNG",
    "RGBA PNG",
    "PNG with a see-through colour",
    "lossy WebP with alpha",
    "lossless WebP with alpha",
}
as_it_came = pytest.mark.parametrize("build", [build for name, build in ORDINARY.items() if name not in MADE_ANEW])
made_anew = pytest.mark.parametrize("build", [ORDINARY[name] for name in sorted(MADE_ANEW)], ids=sorted(MADE_ANEW))
ordinary = pytest.mark.parametrize("build", ORDINARY.values(), ids=ORDINARY.keys())


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def assert_same_pixels(one: bytes, other: bytes) -> None:
    a, b = opened(one), opened(other)
    assert (a.mode, a.size, a.getpalette(), a.tobytes()) == (b.mode, b.size, b.getpalette(), b.tobytes())
    assert a.info.get("transparency") == b.info.get("transparency")


def assert_shown_alike(one: Image.Image, other: Image.Image, *, within: int = 0) -> None:
    a, b = (np.asarray(each.convert("RGB"), dtype=int) for each in (one, other))
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= within


@as_it_came
def test_cutting_metadata_leaves_every_pixel_as_it_was(build: Build) -> None:
    data = build()
    picture = inspect(data)
    assert_same_pixels(picture.display, data)
    assert picture.changes == {}
    assert (picture.width, picture.height) == opened(data).size


@ordinary
def test_the_display_file_has_nothing_left_to_cut(build: Build) -> None:
    display = inspect(build()).display
    assert inspect(display).display == display
    assert not opened(display).getexif()


@pytest.mark.parametrize("build", [photo_with_everything, png_with_everything, webp_with_everything])
def test_place_author_and_comments_are_gone_from_the_display_file(build: Build) -> None:
    data = build()
    display = inspect(data).display
    assert SECRET in data
    for trace in (SECRET, b"Exif", b"eXIf", b"EXIF", b"XMP", b"xmp", b"FPXR", b"Photoshop", b"JFXX", b"tEXt", b"iTXt"):
        assert trace not in display


def test_the_original_is_kept_byte_for_byte_and_both_files_are_hashed() -> None:
    data = photo_with_everything()
    picture = inspect(data)
    assert picture.original == data
    assert picture.original_sha256 == sha256(data).hexdigest()
    assert picture.display_sha256 == sha256(picture.display).hexdigest() != picture.original_sha256


@pytest.mark.parametrize(
    ("kind", "content_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")]
)
def test_a_picture_is_known_by_its_content(kind: str, content_type: str) -> None:
    picture = inspect(saved(pixels(), kind))
    assert (picture.format, picture.display_format, picture.content_type) == (kind, kind, content_type)
    assert picture.extension == picture.original_extension == {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}[kind]


def test_a_picture_without_metadata_is_shown_as_it_came() -> None:
    for kind in ("PNG", "WEBP"):
        data = saved(pixels(), kind)
        assert inspect(data).display == data


def test_the_thumbnail_of_the_unpainted_face_goes_with_the_header_that_carries_it() -> None:
    jpeg = saved(pixels(), "JPEG")
    thumbnail = b"JFIF\0\x01\x02\0\0\x01\0\x01" + bytes((4, 4)) + SECRET.ljust(48)
    with_thumbnail = jpeg[:2] + struct.pack(">BBH", 0xFF, 0xE0, len(thumbnail) + 2) + thumbnail + jpeg[20:]
    display = inspect(with_thumbnail).display
    assert SECRET not in display
    assert_same_pixels(display, jpeg)


# Upright


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_shown_upright(kind: str, orientation: int) -> None:
    data = saved(pixels(), kind, exif=exif(orientation))
    picture = inspect(data)
    expected = ImageOps.exif_transpose(opened(data))
    assert ImageOps.exif_transpose(opened(picture.display)).tobytes() == expected.tobytes()
    assert (picture.width, picture.height) == expected.size == ((45, 32) if orientation < 5 else (32, 45))
    assert open_display(data).tobytes() == open_display(picture.display).tobytes() == expected.tobytes()
    assert SECRET not in picture.display
    assert inspect(picture.display).display == picture.display


def test_a_turned_photo_keeps_its_bytes_and_says_only_how_it_is_turned() -> None:
    photo = pixels(450, 320)
    straight, turned = inspect(saved(photo, "JPEG")), inspect(saved(photo, "JPEG", exif=exif(6), comment=SECRET))
    assert (turned.display_format, turned.extension, turned.content_type) == ("JPEG", ".jpg", "image/jpeg")
    assert straight.display[2:] in (turned.display[:2] + turned.display[38:])[2:]
    assert len(turned.display) - len(straight.display) == 36
    assert dict(opened(turned.display).getexif()) == {0x0112: 6}
    assert turned.changes == {}


def test_a_turned_png_keeps_its_palette() -> None:
    data = after_header(saved(pixels().quantize(16), "PNG"), chunk(b"eXIf", exif(8)[6:]))
    before, after = opened(data), opened(inspect(data).display)
    assert after.convert("RGB").tobytes() == before.convert("RGB").transpose(Image.Transpose.ROTATE_90).tobytes()
    assert after.mode == "P"


def test_a_turned_cmyk_photo_is_shown_upright_in_rgb() -> None:
    data = saved(pixels(mode="CMYK"), "JPEG", exif=exif(3))
    picture = inspect(data)
    shown = opened(picture.display)
    assert_shown_alike(shown, opened(data).transpose(Image.Transpose.ROTATE_180), within=8)
    assert picture.changes == {"colours": "inks"}
    assert not shown.getexif()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"neither order",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff" + b"\0" * 20,
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0",  # orientation 9
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0\x06\0\0\0",  # orientation as text
    ],
)
def test_a_picture_with_broken_exif_is_shown_as_stored(broken: bytes) -> None:
    jpeg = saved(pixels(), "JPEG")
    picture = inspect(after_soi(jpeg, 0xE1, b"Exif\0\0" + broken))
    assert picture.display == without_metadata(jpeg).data


# Refused


@pytest.mark.parametrize(
    "data",
    [
        saved(pixels(), "GIF"),
        saved(pixels(), "BMP"),
        saved(pixels(), "TIFF"),
        saved(pixels(), "ICO"),
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b"<!doctype html><title>picture.jpg</title>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\xff\xd8",
        b"RIFF\x04\0\0\0WAVE",
    ],
)
def test_other_formats_are_refused_whatever_their_name_says(data: bytes) -> None:
    with pytest.raises(PictureRefused, match="not a JPEG, PNG or WebP"):
        inspect(data)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(PictureRefused, match="empty"):
        inspect(b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_picture_is_refused(kind: str) -> None:
    data = saved(pixels(200, 150), kind)
    with pytest.raises(PictureRefused, match=rf"(?i)truncated {kind}: the file ends in the middle of the picture"):
        inspect(data[: len(data) // 2])


@ordinary
def test_a_file_cut_anywhere_is_refused_or_shows_the_same_pixels(build: Build) -> None:
    data = build()
    stride = max(1, len(data) // 400)
    for length in {*range(0, len(data), stride), *range(len(data) - 40, len(data)), *range(60)}:
        try:
            picture = inspect(data[:length])
        except PictureRefused:
            continue
        assert_same_pixels(picture.display, data)


def test_a_file_cut_at_any_byte_of_a_small_picture_is_refused() -> None:
    small = pixels(32, 32)
    for data in (saved(small, "JPEG", exif=exif()), saved(small, "PNG", exif=exif())):
        for length in range(len(data)):
            with pytest.raises(PictureRefused):
                inspect(data[:length])


def test_a_png_whose_pixels_end_early_inside_whole_chunks_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 45, 32, 8, 2, 0, 0, 0)
    half = zlib.compress(bytes(136 * 32))[:20]
    with pytest.raises(PictureRefused, match="cannot be decoded"):
        inspect(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", half) + chunk(b"IEND"))


def test_a_wrong_checksum_is_refused() -> None:
    data = bytearray(saved(pixels(), "PNG"))
    data[60] ^= 1
    with pytest.raises(PictureRefused, match="checksum"):
        inspect(bytes(data))


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([], "palette is missing"),
        ([(b"PLTE", b"")], "palette is missing"),
        ([(b"PLTE", bytes(6)), (b"tRNS", bytes(3))], "more colours than its palette has"),
        ([(b"PLTE", bytes(900)), (b"tRNS", bytes(300))], "cannot be decoded"),
    ],
    ids=["no palette", "empty palette", "see-through beyond the palette", "beyond any palette"],
)
def test_a_palette_that_does_not_fit_its_picture_is_refused(chunks: list[tuple[bytes, bytes]], said: str) -> None:
    indexed = png_of(40, 40, (b"\0" + bytes(40)) * 40, colour=3)
    data = after_header(indexed, *(chunk(kind, body) for kind, body in chunks))
    for look in (inspect, open_display):
        with pytest.raises(PictureRefused, match=said):
            look(data)


def test_a_palette_that_comes_after_the_pixels_is_refused() -> None:
    indexed = png_of(40, 40, (b"\0" + bytes(40)) * 40, colour=3)
    with pytest.raises(PictureRefused, match="palette is missing"):
        inspect(indexed[:-12] + chunk(b"PLTE", bytes(6)) + indexed[-12:])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animated_pictures_are_refused(kind: str) -> None:
    frames = [pixels(), ImageOps.flip(pixels())]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(PictureRefused, match="animated pictures are not accepted; save one frame"):
        inspect(data)


def test_of_a_phones_two_pictures_in_one_file_the_first_is_shown() -> None:
    first, second = pixels(), ImageOps.flip(pixels())
    data = saved(first, "MPO", save_all=True, append_images=[second])
    picture = inspect(data)
    assert opened(data).format == "MPO"
    assert picture.display == without_metadata(saved(first, "JPEG")).data


@pytest.mark.parametrize("trailer", [b"PK\x03\x04" + SECRET, b"<script>" + SECRET, b"\xff\xd8\xff\xe0" + SECRET])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_follows_the_picture_is_dropped(kind: str, trailer: bytes) -> None:
    data = saved(pixels(), kind)
    assert inspect(data + trailer).display == inspect(data).display


def test_comments_between_the_scans_of_a_progressive_photo_are_dropped() -> None:
    data = saved(pixels(), "JPEG", progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    comment = struct.pack(">BBH", 0xFF, 0xFE, len(SECRET) + 2) + SECRET
    assert inspect(data[:last_scan] + comment + data[last_scan:]).display == inspect(data).display


def test_jpegs_that_no_browser_shows_are_refused() -> None:
    arithmetic = saved(pixels(), "JPEG").replace(b"\xff\xc0", b"\xff\xc9")
    with pytest.raises(PictureRefused, match="browsers"):
        inspect(arithmetic)


def test_a_jpeg_with_a_second_frame_header_is_refused() -> None:
    data = saved(pixels(), "JPEG")
    at = data.index(b"\xff\xc0")
    with pytest.raises(PictureRefused):
        inspect(data[:at] + data[at : at + 19] + data[at:])


def test_a_photo_that_would_be_decoded_hundreds_of_times_is_refused() -> None:
    data = saved(pixels(), "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(PictureRefused, match="scans"):
        inspect(data[:-2] + last_scan * MAX_SCANS + data[-2:])


def test_apples_own_png_dialect_is_refused() -> None:
    with pytest.raises(PictureRefused, match="necessary"):
        inspect(saved(pixels(), "PNG")[:8] + chunk(b"CgBI", b"\0\0\0\0") + saved(pixels(), "PNG")[8:])
    with pytest.raises(PictureRefused, match="necessary"):
        inspect(after_header(saved(pixels(), "PNG"), chunk(b"CgBI", b"\0\0\0\0")))


def test_a_webp_whose_headers_disagree_is_refused() -> None:
    simple = saved(pixels(), "WEBP")
    claims_less = webp_of((b"VP8X", b"\0\0\0\0" + b"\7\0\0" + b"\7\0\0"), (b"VP8 ", simple[20:]))
    with pytest.raises(PictureRefused, match="disagree"):
        inspect(claims_less)


def test_a_colour_chunk_of_the_wrong_length_is_no_hiding_place() -> None:
    data = after_header(saved(pixels(), "PNG"), chunk(b"gAMA", b"\0\0\xb1\x8f" + SECRET))
    assert SECRET not in inspect(data).display


# Size


def test_a_file_of_too_many_bytes_is_refused() -> None:
    data = saved(pixels(), "PNG")
    inspect(data, max_bytes=len(data))
    with pytest.raises(PictureRefused, match="MB; at most"):
        inspect(data, max_bytes=len(data) - 1)


def test_a_picture_of_too_many_pixels_is_refused() -> None:
    data = saved(pixels(), "JPEG")
    inspect(data, max_pixels=45 * 32)
    with pytest.raises(PictureRefused, match=r"45 x 32 pixels; at most 0.001439 megapixels are allowed"):
        inspect(data, max_pixels=45 * 32 - 1)
    with pytest.raises(PictureRefused, match="12001 x 9000 pixels; at most 108 megapixels are allowed"):
        inspect(png_of(12001, 9000, b""))


def test_of_webp_and_inks_fewer_pixels_are_decoded() -> None:
    inks = saved(Image.new("CMYK", (8_000, 6_300)), "JPEG")
    side = (7_999).to_bytes(3, "little") + (6_299).to_bytes(3, "little")
    webp = webp_of((b"VP8X", b"\0" * 4 + side), (b"VP8L", b"\x2f" + struct.pack("<I", 7_999 | 6_299 << 14)))
    for data in (inks, webp):
        with pytest.raises(PictureRefused, match="8000 x 6300 pixels; at most 50 megapixels are allowed"):
            inspect(data)


@pytest.mark.parametrize(("width", "height"), [(0, 9), (9, 0), (0, 0)])
def test_a_picture_without_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(PictureRefused, match="at least one"):
        inspect(png_of(width, height, b""))


@pytest.mark.parametrize(("width", "height"), [(31, 32), (32, 31), (1, 1)])
def test_a_picture_with_a_side_of_fewer_than_32_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(PictureRefused, match=f"{width} x {height} pixels; each side needs at least 32: take a larger"):
        inspect(png_of(width, height, b"\0" * (1 + 3 * width) * height))


def test_a_square_of_32_pixels_is_a_picture_and_a_thread_is_not() -> None:
    assert inspect(saved(pixels(32, 32), "PNG")).width == 32
    assert inspect(saved(pixels(640, 32), "PNG")).width == 640
    with pytest.raises(PictureRefused, match="one side may be at most 20 times the other"):
        inspect(saved(pixels(641, 32), "PNG"))


def test_a_small_picture_that_was_stored_before_can_still_be_opened() -> None:
    assert open_display(saved(pixels(24, 16), "PNG")).size == (24, 16)


TELEPHONE = """
import sys
from PIL import Image
kind, *progressive = sys.argv[1:]
whole = Image.effect_noise((400, 300), 60).convert("RGB").resize((12000, 9000), Image.Resampling.NEAREST)
whole.save("picture", kind, progressive=bool(progressive), compress_level=1)
"""
IMPORTED = """
import json
import re
import warnings
from datasets.pictures import inspect
warnings.simplefilter("error")
picture = inspect(open("picture", "rb").read())
# Not getrusage: its peak counts the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
print(json.dumps([peak, picture.width, picture.height, picture.changes, picture.display_format, len(picture.display)]))
"""


@pytest.mark.parametrize(
    "kind",
    [("JPEG", "progressive"), *[pytest.param(kind, marks=pytest.mark.long) for kind in (("JPEG",), ("PNG",))]],
    ids=" ".join,
)
def test_a_telephones_largest_photo_comes_in_within_a_gigabyte_and_at_a_size_to_show(
    kind: tuple[str, ...], tmp_path: Path
) -> None:
    python = partial(subprocess.run, check=True, capture_output=True, text=True, cwd=tmp_path)
    python([sys.executable, "-c", TELEPHONE, *kind])
    run = python([sys.executable, "-c", IMPORTED], env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    peak, width, height, changes, display_format, _ = json.loads(run.stdout)
    assert peak < 1_000_000  # kB
    assert (width, height, changes) == (5773, 4330, {"reduced_from": [12000, 9000]})
    assert display_format == kind[0]


@pytest.mark.parametrize("turned", [1, 6])
def test_both_pictures_of_a_large_pair_get_the_same_size_whatever_their_formats(turned: int) -> None:
    whole = Image.effect_noise((60, 40), 60).convert("RGB").resize((6300, 4200), Image.Resampling.NEAREST)
    jpeg = inspect(saved(whole, "JPEG", exif=exif(turned)))
    png = inspect(saved(whole, "PNG", compress_level=1, exif=exif(turned)))
    assert (jpeg.width, jpeg.height) == (png.width, png.height)
    assert jpeg.width * jpeg.height <= 25_000_000
    assert jpeg.changes == png.changes == {"reduced_from": [6300, 4200] if turned == 1 else [4200, 6300]}
    assert open_display(jpeg.display).size == open_display(png.display).size == (png.width, png.height)


BOMBS = """
import resource, struct, sys, zlib
from datasets.pictures import PictureRefused, inspect
from tests.datasets.test_pictures import png_of, webp_of
png = png_of(30000, 30000, bytes(30_000_000))
side = (16_000).to_bytes(3, "little")
webp = webp_of((b"VP8X", b"\\0" * 4 + side + side), (b"VP8L", b"\\x2f" + struct.pack("<I", 16_000 | 16_000 << 14)))
frame = struct.pack(">BBHBHHB", 255, 192, 17, 8, 60000, 60000, 3) + b"\\1\\x11\\0\\2\\x11\\0\\3\\x11\\0"
jpeg = b"\\xff\\xd8" + frame + b"\\xff\\xda\\0\\x0c\\3\\1\\0\\2\\0\\3\\0\\0\\x3f\\0" + b"\\0" * 99 + b"\\xff\\xd9"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for bomb in (png, webp, jpeg):
    try:
        inspect(bomb)
    except PictureRefused as refused:
        assert "megapixels" in str(refused), refused
    else:
        sys.exit("accepted")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_pictures_that_unpack_to_gigabytes_are_refused_before_they_do() -> None:
    run = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 20_000  # kB


def test_a_colour_profile_that_unpacks_to_megabytes_is_refused() -> None:
    profile = b"ICC\0\0" + zlib.compress(bytes(50_000_000))
    with pytest.raises(PictureRefused, match="cannot be decoded"):
        inspect(after_header(saved(pixels(), "PNG"), chunk(b"iCCP", profile)))


# Opening what is stored


def test_see_through_parts_are_opened_on_the_grey_of_the_rating_page() -> None:
    clear = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    clear.putpixel((1, 0), (10, 20, 30, 255))
    for kind in ("PNG", "WEBP"):
        shown = open_display(saved(clear, kind, **({"lossless": True} if kind == "WEBP" else {})))
        assert (shown.mode, shown.getpixel((0, 0)), shown.getpixel((1, 0))) == ("RGB", (117, 117, 117), (10, 20, 30))
    assert f"--mid-grey: {GROUND};" in (REPOSITORY / "static/studio.css").read_text()


@made_anew
def test_what_is_made_anew_reads_as_the_picture_that_came_and_says_why(build: Build) -> None:
    picture = inspect(build())
    within = 8 if picture.format == "JPEG" else 0
    assert_shown_alike(open_display(picture.display), open_display(picture.original), within=within)
    assert picture.changes == ({"colours": "inks"} if picture.format == "JPEG" else {"ground": "#757575"})
    assert opened(picture.display).mode == "RGB"


def test_an_alpha_channel_in_which_nothing_shows_through_is_kept() -> None:
    data = saved(pixels().convert("RGBA"), "PNG")
    assert inspect(data).display == data


def test_sixteen_bit_grey_is_opened_by_its_high_byte_and_not_clipped() -> None:
    samples = np.array([[0, 300, 40_000, 65_535]], dtype=">u2")
    shown = open_display(png_of(4, 1, b"\0" + samples.tobytes(), depth=16, colour=0))
    assert [shown.getpixel((x, 0)) for x in range(4)] == [(v, v, v) for v in (0, 1, 156, 255)]


@ordinary
def test_every_display_file_opens_as_rgb(build: Build) -> None:
    assert open_display(inspect(build()).display).mode == "RGB"


def test_opening_is_under_the_same_caps() -> None:
    with pytest.raises(PictureRefused, match="megapixels"):
        open_display(saved(pixels(), "PNG"), max_pixels=100)


def test_many_threads_may_inspect_at_once_and_no_warning_filter_is_touched() -> None:
    files = [build() for build in ORDINARY.values()] * 4
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        shown = [picture.display_sha256 for picture in pool.map(inspect, files)]
    assert shown == [inspect(data).display_sha256 for data in files]
    assert warnings.filters == filters


# Anything at all

VALID = [build() for build in ORDINARY.values()]
edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), st.binary(max_size=6)), min_size=1, max_size=4)


def edited(data: bytes, changes: Edits) -> bytes:
    for place, n_removed, inserted in changes:
        at = int(place * len(data))
        data = data[:at] + inserted + data[at + n_removed :]
    return data


def mended(png: bytes) -> bytes:
    """The same chunks with right checksums, so that damage gets further in."""
    at, parts = 8, [png[:8]]
    while at + 12 <= len(png):
        length = int.from_bytes(png[at : at + 4])
        parts.append(chunk(png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return b"".join(parts)


def inspected(data: bytes) -> Picture | None:
    try:
        return inspect(data, max_pixels=1_000_000)
    except PictureRefused:
        return None


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBP"]))
@settings(max_examples=400, database=None, derandomize=True)
def test_random_bytes_are_refused_and_nothing_else_happens(data: bytes, start: bytes) -> None:
    assert inspected(start + data) is None


@given(st.sampled_from(VALID), edits, st.booleans())
@settings(max_examples=800, database=None, derandomize=True)
def test_a_damaged_file_is_refused_or_shown_as_pillow_would_show_it(data: bytes, changes: Edits, mend: bool) -> None:
    data = edited(data, changes)
    if mend and data.startswith(b"\x89PNG"):
        data = mended(data)
    if picture := inspected(data):
        shown = opened(picture.display)
        assert ImageOps.exif_transpose(shown).size == (picture.width, picture.height)
        assert inspect(picture.display).display == picture.display
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of metadata that was cut from the display file
            try:
                expected = ImageOps.exif_transpose(opened(data))
            except (OSError, SyntaxError, ValueError, struct.error):
                return  # what broke it was in the metadata
        if not picture.changes:
            assert expected.convert(shown.mode).tobytes() == ImageOps.exif_transpose(shown).tobytes()


@pytest.mark.skipif(not PHOTOS, reason="the face photographs are not in this checkout")
def test_real_photographs_keep_their_pixels() -> None:
    for path in PHOTOS:
        data = path.read_bytes()
        picture = inspect(data)
        assert_same_pixels(picture.display, data)
        assert b"CREATOR" not in picture.display
