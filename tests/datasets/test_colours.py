"""Pictures whose numbers are no sRGB's: people, metrics and networks are shown one thing."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from datasets.pictures import PictureRefused, inspect, open_display
from tests.colours import ADOBE_LIKE, DISPLAY_P3, SRGB_LIKE, profile
from tests.datasets.test_pictures import after_header, after_soi, assert_shown_alike, chunk, opened, pixels, saved

GAMMA = chunk(b"gAMA", struct.pack(">I", 100_000))  # linear light
P3_CHROMATICITIES = chunk(
    b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
)  # white, red, green, blue
SCREEN_GAMMA = chunk(b"gAMA", struct.pack(">I", 45455))
SRGB_CHROMATICITIES = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
P3_CICP = chunk(b"cICP", bytes((12, 13, 0, 1)))
SWATCHES = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (200, 120, 60), (30, 90, 160), (0, 0, 0)]


def swatches(mode: str = "RGB") -> Image.Image:
    """Flat colours side by side, 40 pixels each."""
    image = Image.new("RGB", (40 * len(SWATCHES), 40))
    for n, colour in enumerate(SWATCHES):
        image.paste(colour, (40 * n, 0, 40 * n + 40, 40))
    return image.convert(mode)


def shown(data: bytes) -> list[tuple[int, ...]]:
    """The colours of the swatches in the display file, as somebody reads it who heeds no profile."""
    image = opened(inspect(data).display).convert("RGB")
    return [image.getpixel((40 * n + 20, 20)) for n in range(len(SWATCHES))]


def by_littlecms(icc: bytes) -> list[tuple[int, ...]]:
    source = ImageCms.ImageCmsProfile(BytesIO(icc))
    image = ImageCms.profileToProfile(swatches(), source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return [image.getpixel((40 * n + 20, 20)) for n in range(len(SWATCHES))]


def far(one: list[tuple[int, ...]], other: list[tuple[int, ...]]) -> int:
    return int(np.abs(np.array(one) - np.array(other)).max())


@pytest.mark.parametrize("icc", [DISPLAY_P3, ADOBE_LIKE], ids=["Display P3", "Adobe-like"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_with_another_profile_is_shown_in_srgb(kind: str, icc: bytes) -> None:
    options = {"PNG": {}, "JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}[kind]
    data = saved(swatches(), kind, icc_profile=icc, **options)
    picture = inspect(data)
    assert picture.changes == {"colours": "icc"}
    assert far(shown(data), by_littlecms(icc)) <= (0 if kind != "JPEG" else 3)
    assert far(shown(data), SWATCHES) > 15
    assert "icc_profile" not in opened(picture.display).info
    assert_shown_alike(open_display(picture.display), open_display(data), within=0 if kind != "JPEG" else 8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_profile_that_is_srgbs_goes_and_the_coded_pixels_stay(kind: str) -> None:
    for icc in (SRGB_LIKE, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        with_profile, without = saved(pixels(), kind, icc_profile=icc), saved(pixels(), kind)
        assert inspect(with_profile).changes == {}
        if kind != "WEBP":
            assert inspect(with_profile).display == inspect(without).display
        assert_shown_alike(opened(inspect(with_profile).display), opened(without))
        assert icc[:64] not in inspect(with_profile).display


def test_a_turned_photo_with_another_profile_is_shown_upright_in_srgb() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(swatches(), "JPEG", quality=100, subsampling=0, icc_profile=DISPLAY_P3, exif=exif)
    picture = inspect(data)
    upright = opened(picture.display)
    assert (picture.width, picture.height) == upright.size == (40, 40 * len(SWATCHES))
    found = [upright.getpixel((20, 40 * n + 20)) for n in range(len(SWATCHES))]
    assert far(found, by_littlecms(DISPLAY_P3)) <= 3
    assert not upright.getexif()


def test_a_grey_profile_is_heeded() -> None:
    linear = profile(gamma=1.0, grey=True)
    picture = inspect(saved(Image.new("L", (40, 40), 55), "PNG", icc_profile=linear))
    assert picture.changes == {"colours": "icc"}
    assert opened(picture.display).getpixel((9, 9)) == pytest.approx((128,) * 3, abs=1)  # sRGB's curve at 55 / 255


@pytest.mark.parametrize("icc", [b"no profile", DISPLAY_P3[:200], profile(gamma=1.0, grey=True)])
def test_a_profile_that_is_broken_or_for_other_numbers_counts_for_nothing(icc: bytes) -> None:
    picture = inspect(saved(pixels(), "PNG", icc_profile=icc))
    assert picture.changes == {}
    assert_shown_alike(opened(picture.display), pixels())


def test_a_png_in_linear_light_is_shown_as_browsers_show_it() -> None:
    data = after_header(saved(swatches(), "PNG"), GAMMA)
    expected = [tuple(round(255 * (value / 255) ** (1 / 2.2)) for value in colour) for colour in SWATCHES]
    assert shown(data) == expected
    assert inspect(data).changes == {"colours": "gamma"}


@pytest.mark.parametrize(
    "chunks",
    [
        [SCREEN_GAMMA],
        [SCREEN_GAMMA, SRGB_CHROMATICITIES],
        [chunk(b"sRGB", b"\0"), GAMMA],
        [chunk(b"cICP", bytes((1, 13, 0, 1))), GAMMA],
        [chunk(b"gAMA", bytes(4))],
        [chunk(b"cHRM", bytes(32))],
        [chunk(b"cHRM", b"\xff" * 32)],
    ],
)
def test_a_png_that_says_srgb_in_any_way_or_nonsense_keeps_its_pixels(chunks: list[bytes]) -> None:
    plain = saved(pixels(), "PNG")
    picture = inspect(after_header(plain, *chunks))
    assert (picture.display, picture.changes) == (plain, {})


@pytest.mark.parametrize(
    ("said", "chunks"),
    [("chromaticities", [SCREEN_GAMMA, P3_CHROMATICITIES]), ("cicp", [P3_CICP, GAMMA])],
)
def test_primaries_without_a_profile_mean_what_the_profile_of_the_same_means(said: str, chunks: list[bytes]) -> None:
    data = after_header(saved(swatches(), "PNG"), *chunks)
    assert inspect(data).changes == {"colours": said}
    assert far(shown(data), by_littlecms(DISPLAY_P3)) <= 3


def test_hdr_is_refused_with_what_to_do() -> None:
    pq = chunk(b"cICP", bytes((9, 16, 0, 1)))
    with pytest.raises(PictureRefused, match=r"HDR or in rare colours \(cICP\); export it in sRGB"):
        inspect(after_header(saved(pixels(), "PNG"), pq))


def test_colours_come_before_the_ground_and_the_ground_is_as_stated() -> None:
    half = swatches("RGBA")
    half.paste((0, 0, 0, 0), (0, 20, half.width, 40))
    picture = inspect(saved(half, "PNG", icc_profile=DISPLAY_P3))
    assert picture.changes == {"colours": "icc", "ground": "#757575"}
    image = opened(picture.display)
    assert far([image.getpixel((40 * n + 20, 10)) for n in range(len(SWATCHES))], by_littlecms(DISPLAY_P3)) == 0
    assert {image.getpixel((x, 30)) for x in range(image.width)} == {(117, 117, 117)}


def test_what_an_earlier_version_stored_is_read_as_people_saw_it() -> None:
    """Its display file carries the profile, which browsers heed, and lets the page's grey show through."""
    half = swatches("RGBA")
    half.paste((0, 0, 0, 0), (0, 20, half.width, 40))
    read = open_display(saved(half, "PNG", icc_profile=DISPLAY_P3))
    assert far([read.getpixel((40 * n + 20, 10)) for n in range(len(SWATCHES))], by_littlecms(DISPLAY_P3)) == 0
    assert read.getpixel((5, 30)) == (117, 117, 117)


def test_a_profile_spread_over_segments_is_put_together_and_goes_whole() -> None:
    plain = saved(swatches(), "JPEG", quality=100, subsampling=0)
    halves = DISPLAY_P3[:250], DISPLAY_P3[250:]
    spread = plain
    for n in (2, 1):
        spread = after_soi(spread, 0xE2, b"ICC_PROFILE\0" + bytes((n, 2)) + halves[n - 1])
    assert far(shown(spread), by_littlecms(DISPLAY_P3)) <= 3
    assert b"ICC_PROFILE" not in inspect(spread).display
