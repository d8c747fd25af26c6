import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets.anonymize import METHODS, SCOPES, STRENGTHS, VARIANTS, Region, Variant, anonymize, as_rgb

Case = tuple[Image.Image, list[Region]]


def noise(width: int = 40, height: int = 30, *, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def ramp(width: int, height: int) -> Image.Image:
    across, down = np.meshgrid(np.linspace(0, 200, width), np.linspace(20, 240, height))
    return Image.fromarray(np.stack([across, down, (across + down) / 2], axis=-1).astype(np.uint8))


def inside(picture: Image.Image, regions: list[Region]) -> np.ndarray:
    hidden = np.zeros((picture.height, picture.width), dtype=bool)
    for left, top, right, bottom in regions:
        hidden[top:bottom, left:right] = True
    return hidden


def variant_of(picture: Image.Image, regions: list[Region], variant: Variant) -> np.ndarray:
    return np.asarray(
        anonymize(picture, regions, method=variant.method, scope=variant.scope, strength=variant.strength)
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A small noisy picture with one to three regions, overlapping or not, that leave its last column alone."""
    width, height = draw(st.integers(2, 24)), draw(st.integers(1, 24))
    regions = []
    for _ in range(draw(st.integers(1, 3))):
        left, top = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 1))
        regions.append((left, top, draw(st.integers(left + 1, width - 1)), draw(st.integers(top + 1, height))))
    return noise(width, height, seed=draw(st.integers(0, 99))), regions


variants = st.sampled_from(VARIANTS)


@given(case=cases(), variant=variants)
@settings(max_examples=30)
def test_global_leaves_the_scene_and_local_leaves_black_outside_the_regions(case: Case, variant: Variant) -> None:
    picture, regions = case
    outside = ~inside(picture, regions)
    left_over = variant_of(picture, regions, variant)[outside]
    assert np.array_equal(left_over, np.asarray(picture)[outside] if variant.scope == "global" else left_over * 0)


@given(case=cases(), variant=variants)
@settings(max_examples=30)
def test_the_picture_given_is_not_touched_and_the_size_stays(case: Case, variant: Variant) -> None:
    picture, regions = case
    before = picture.tobytes()
    assert variant_of(picture, regions, variant).shape == (picture.height, picture.width, 3)
    assert picture.tobytes() == before


@given(case=cases(), scope=st.sampled_from(SCOPES), seed=st.integers(100, 199))
@settings(max_examples=30)
def test_inpainting_does_not_look_at_what_it_hides(case: Case, scope: str, seed: int) -> None:
    picture, regions = case
    hidden = inside(picture, regions)
    other = np.where(hidden[..., None], np.asarray(noise(*picture.size, seed=seed)), np.asarray(picture))
    variant = Variant("inpaint", scope)
    assert np.array_equal(variant_of(picture, regions, variant), variant_of(Image.fromarray(other), regions, variant))


@given(
    case=cases(), variant=st.sampled_from([v for v in VARIANTS if v.method in STRENGTHS]), seed=st.integers(100, 199)
)
@settings(max_examples=30)
def test_blurred_and_pixelated_regions_take_nothing_from_their_scene(case: Case, variant: Variant, seed: int) -> None:
    picture, regions = case
    hidden = inside(picture, regions)
    elsewhere = np.where(hidden[..., None], np.asarray(picture), np.asarray(noise(*picture.size, seed=seed)))
    here = variant_of(picture, regions, variant)[hidden]
    assert np.array_equal(here, variant_of(Image.fromarray(elsewhere), regions, variant)[hidden])


@pytest.mark.parametrize("method", STRENGTHS)
def test_local_shows_the_region_as_global_does(method: str) -> None:
    region = (5, 6, 29, 22)
    shown = [
        anonymize(noise(), [region], method=method, scope=scope, strength=STRENGTHS[method]["light"]).crop(region)
        for scope in SCOPES
    ]
    assert shown[0].tobytes() == shown[1].tobytes()


def test_a_mask_is_black() -> None:
    masked = anonymize(noise(), [(5, 6, 29, 22)], method="mask", scope="global")
    assert masked.crop((5, 6, 29, 22)).getextrema() == ((0, 0), (0, 0), (0, 0))


@pytest.mark.parametrize("method", STRENGTHS)
def test_strong_leaves_less_of_the_region_than_light(method: str) -> None:
    region = (0, 0, 48, 48)
    light, strong = (
        np.asarray(anonymize(noise(64, 48), [region], method=method, scope="local", strength=strength)).std()
        for strength in (STRENGTHS[method]["light"], STRENGTHS[method]["strong"])
    )
    assert strong < light


@pytest.mark.parametrize("method", STRENGTHS)
def test_strength_means_the_same_at_twice_the_resolution(method: str) -> None:
    small = ramp(64, 64)
    large = small.resize((128, 128), Image.Resampling.BICUBIC)
    strength = STRENGTHS[method]["strong"]
    of_small = anonymize(small, [(8, 8, 56, 56)], method=method, scope="global", strength=strength)
    of_large = anonymize(large, [(16, 16, 112, 112)], method=method, scope="global", strength=strength)
    difference = np.asarray(of_large.resize(small.size, Image.Resampling.BOX), int) - np.asarray(of_small, int)
    assert np.abs(difference).mean() < 1


def test_pixelate_counts_its_blocks_along_the_shorter_side() -> None:
    region = (0, 0, 40, 20)
    pixelated = np.asarray(anonymize(noise(), [region], method="pixelate", scope="global", strength=4).crop(region))
    assert [len(np.unique(pixelated[:, 0], axis=0)), len(np.unique(pixelated[0], axis=0))] == [4, 8]


def test_pixelate_alters_a_region_smaller_than_its_number_of_blocks() -> None:
    region = (3, 3, 11, 11)
    pixelated = anonymize(noise(), [region], method="pixelate", scope="global", strength=1000).crop(region)
    colours = np.unique(np.asarray(pixelated).reshape(-1, 3), axis=0)
    assert len(colours) == 16  # blocks of two by two pixels


def test_the_strongest_blur_is_one_colour_nearly() -> None:
    blurred = anonymize(noise(), [(0, 0, 40, 30)], method="blur", scope="local", strength=1e9)
    assert np.ptp(np.asarray(blurred), axis=(0, 1)).max() < 30


def test_inpainting_continues_an_even_slope() -> None:
    picture, region = ramp(160, 120), (30, 20, 130, 100)
    filled = anonymize(picture, [region], method="inpaint", scope="global")
    assert np.abs(np.asarray(filled, int) - np.asarray(picture, int)).max() <= 4


def test_inpainting_stays_between_the_darkest_and_brightest_of_its_surroundings() -> None:
    pixels = np.full((60, 60, 3), 90, dtype=np.uint8)
    pixels[:, 30:] = 160
    pixels[20:40, 20:40] = (255, 0, 255)
    filled = anonymize(Image.fromarray(pixels), [(20, 20, 40, 40)], method="inpaint", scope="global")
    assert np.asarray(filled).min() == 90
    assert np.asarray(filled).max() == 160


def test_inpainting_most_of_a_large_picture_is_quick() -> None:
    started = time.perf_counter()
    anonymize(noise(512, 512), [(64, 64, 448, 448)], method="inpaint", scope="global")
    assert time.perf_counter() - started < 2  # 0.2 s on an idle core


def test_overlapping_regions_do_not_bring_back_what_was_hidden() -> None:
    picture = noise()
    regions = [(4, 4, 24, 24), (14, 14, 34, 28)]
    pixelated = np.asarray(anonymize(picture, regions, method="pixelate", scope="global", strength=2))
    hidden = inside(picture, regions)
    assert not (pixelated == np.asarray(picture))[hidden].all(axis=-1).any()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_a_picture_of_any_mode_comes_back_in_rgb(mode: str) -> None:
    picture = noise().convert(mode)
    assert anonymize(picture, [(1, 1, 9, 9)], method="mask", scope="global").mode == "RGB"


def test_what_is_see_through_is_the_grey_of_the_rating_page_not_what_lies_beneath() -> None:
    picture = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    assert as_rgb(picture).getextrema() == ((117, 117),) * 3


def test_metadata_is_left_behind_but_for_the_colour_profile() -> None:
    picture = noise()
    picture.info = {"exif": b"Exif: at home", "comment": b"me", "icc_profile": b"wide gamut"}
    assert anonymize(picture, [(1, 1, 9, 9)], method="mask", scope="global").info == {"icc_profile": b"wide gamut"}
    assert picture.info["comment"] == b"me"


def test_a_grey_profile_is_not_put_on_rgb_pixels() -> None:
    picture = noise().convert("L")
    picture.info = {"icc_profile": b"dot gain 20%"}
    assert as_rgb(picture).info == {}


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"method": "swirl"}, "choose one of mask, blur, pixelate, inpaint"),
        ({"scope": "regional"}, "choose one of global, local"),
        ({"method": "mask", "scope": "local", "strength": None}, "use scope='global'"),
        ({"method": "mask"}, "mask has no strength; leave it out"),
        ({"method": "inpaint"}, "inpaint has no strength; leave it out"),
        ({"strength": None}, "blur needs a strength above 0"),
        ({"strength": 0}, "above 0, not 0"),
        ({"strength": -0.1}, "above 0, not -0.1"),
        ({"strength": float("nan")}, "above 0, not nan"),
        ({"strength": float("inf")}, "above 0, not inf"),
        ({"method": "pixelate", "strength": 0}, "pixelate needs a strength above 0"),
        ({"regions": []}, "give at least one"),
        ({"regions": [(5, 5, 5, 9)]}, "is empty"),
        ({"regions": [(5, 9, 8, 7)]}, "is empty"),
        (
            {"regions": [(1, 1, 4, 4), (30, 5, 41, 9)]},
            r"\(30, 5, 41, 9\) leaves the picture; keep it within \(0, 0, 40, 30\)",
        ),
        ({"regions": [(-1, 0, 5, 5)]}, "leaves the picture"),
        ({"regions": [(90, 90, 95, 95)]}, "leaves the picture"),
        ({"method": "inpaint", "strength": None, "regions": [(0, 0, 20, 30), (20, 0, 40, 30)]}, "make them smaller"),
    ],
)
def test_what_cannot_be_done_is_refused_with_advice(wrong: dict[str, Any], advice: str) -> None:
    way = {"regions": [(5, 5, 9, 9)], "method": "blur", "scope": "global", "strength": 0.1, **wrong}
    regions = way.pop("regions")
    with pytest.raises(ValueError, match=advice):
        anonymize(noise(), regions, **way)


def test_there_are_eleven_variants_of_every_method_and_scope_each_with_its_own_slug() -> None:
    assert len({variant.slug for variant in VARIANTS}) == len(VARIANTS) == 11
    ways = {(variant.method, variant.scope) for variant in VARIANTS}
    assert ways == {(method, scope) for method in METHODS for scope in SCOPES} - {("mask", "local")}


@pytest.mark.parametrize(
    ("variant", "slug"),
    [
        (Variant("mask", "global"), "global_mask"),
        (Variant("blur", "global", STRENGTHS["blur"]["strong"]), "global_blur_strong"),
        (Variant("pixelate", "local", STRENGTHS["pixelate"]["light"]), "local_pixelate_light"),
        (Variant("pixelate", "local", 9), "local_pixelate_9"),
    ],
)
def test_a_slug_names_scope_method_and_strength(variant: Variant, slug: str) -> None:
    assert variant.slug == slug
