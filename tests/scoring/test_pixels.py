import math
import tracemalloc

import numpy as np
import pytest
from skimage import data
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from scoring.measures.pixels import SizesDiffer, TooSmall, mse, psnr, ssim

BLACK, WHITE = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 255, np.uint8)
PAPER = {"k1": 0.01**2, "k2": 0.03**2}

# Around the edges of a tile of 64 windows, which is 74 pixels.
sizes = pytest.mark.parametrize("size", [(11, 11), (11, 90), (74, 75), (75, 74), (150, 139)])


def noisy_pair(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    return picture, np.clip(picture + rng.normal(0, 40, picture.shape), 0, 255).astype(np.uint8)


def pixelated(picture: np.ndarray, block: int) -> np.ndarray:
    return picture[::block, ::block].repeat(block, axis=0).repeat(block, axis=1)


def scikit_images_ssim(a: np.ndarray, b: np.ndarray, *, k1: float = 0.01, k2: float = 0.03) -> float:
    return structural_similarity(
        a / 255,
        b / 255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
        K1=k1,
        K2=k2,
    )


@sizes
def test_all_three_are_those_of_scikit_image(size):
    a, b = noisy_pair(size)
    assert mse(a, b) == pytest.approx(mean_squared_error(a / 255, b / 255), rel=1e-12)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a / 255, b / 255, data_range=1), rel=1e-12)
    assert ssim(a, b) == pytest.approx(scikit_images_ssim(a, b), abs=1e-10)
    assert ssim(a, b, **PAPER) == pytest.approx(scikit_images_ssim(a, b, **PAPER), abs=1e-9)


def test_a_pixelated_photograph_has_scikit_images_ssim_and_the_papers_is_far_below():
    photograph = data.astronaut()
    blocks = pixelated(photograph, 16)
    assert ssim(photograph, blocks) == pytest.approx(scikit_images_ssim(photograph, blocks), abs=1e-10)
    assert ssim(photograph, blocks, **PAPER) == pytest.approx(scikit_images_ssim(photograph, blocks, **PAPER), abs=1e-8)
    assert ssim(photograph, blocks, **PAPER) < ssim(photograph, blocks) - 0.1


def test_black_against_white_is_as_far_as_pictures_go():
    assert mse(BLACK, WHITE) == 1
    assert psnr(BLACK, WHITE) == 0
    assert ssim(BLACK, WHITE) == pytest.approx(1e-4 / (1 + 1e-4))  # flat: what is left is c1 / (1 + c1)
    assert ssim(BLACK, WHITE, **PAPER) == pytest.approx(1e-8 / (1 + 1e-8), rel=1e-6)


def test_one_grey_level_in_one_channel_of_one_pixel_counts():
    nearly = BLACK.copy()
    nearly[4, 5, 1] = 1
    assert mse(BLACK, nearly) == pytest.approx(1 / (255**2 * 20 * 30 * 3))
    assert psnr(BLACK, nearly) == pytest.approx(10 * math.log10(255**2 * 20 * 30 * 3))
    assert 0.99 < ssim(BLACK, nearly) < 1


@pytest.mark.parametrize("picture", [BLACK, WHITE, noisy_pair((80, 80))[0]], ids=["black", "white", "noise"])
def test_identical_pictures_have_no_error_infinite_psnr_and_ssim_one(picture):
    assert mse(picture, picture.copy()) == 0
    assert psnr(picture, picture.copy()) == math.inf
    assert ssim(picture, picture.copy()) == pytest.approx(1, abs=1e-12)
    assert ssim(picture, picture.copy(), **PAPER) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("measure", [mse, psnr, ssim])
def test_which_picture_comes_first_changes_nothing(measure):
    a, b = noisy_pair((30, 40))
    assert measure(a, b) == measure(b, a)
    assert type(measure(a, b)) is float


@pytest.mark.parametrize("measure", [mse, psnr, ssim])
def test_pictures_of_different_sizes_are_refused_with_both_sizes(measure):
    with pytest.raises(SizesDiffer, match="30 x 20 and 20 x 30"):
        measure(BLACK, BLACK.transpose(1, 0, 2))


@pytest.mark.parametrize("measure", [mse, psnr, ssim])
@pytest.mark.parametrize(
    "wrong", [BLACK[:, :, 0], BLACK[:, :, :1], BLACK / 255, BLACK[:0], np.zeros((20, 30, 4), np.uint8)]
)
def test_what_is_no_rgb_picture_is_refused(measure, wrong):
    for pair in ((BLACK, wrong), (wrong, BLACK), (wrong, wrong)):
        with pytest.raises(ValueError, match="rows x columns x 3 of uint8"):
            measure(*pair)


def test_a_picture_without_room_for_a_window_has_no_ssim_but_an_error():
    for a, b in (noisy_pair((10, 40)), noisy_pair((40, 10))):
        with pytest.raises(TooSmall, match="11 pixels a side"):
            ssim(a, b)
        assert mse(a, b) > 0


@pytest.mark.parametrize("measure", [mse, ssim])
def test_memory_stays_far_below_the_pictures_as_floats(measure):
    a, b = noisy_pair((900, 1600))
    tracemalloc.start()
    measure(a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6  # one of them as floats is 35 MB
