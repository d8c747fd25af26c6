"""The classical baselines: how far two pictures of equal size differ pixel by pixel.

A picture is rows x columns x 3 of uint8, RGB as displayed; the figures are of its values scaled to 0..1. Pictures are
worked through in small pieces, so that memory does not grow with their size.
"""

import math
from collections.abc import Iterator

import numpy as np

RADIUS = 5  # pixels: scikit-image cuts a Gaussian of sigma 1.5 off at 3.5 sigma
SIGMA = 1.5
WINDOW = 2 * RADIUS + 1

ROWS_AT_ONCE = 64
TILE = 64  # pixels a side; the matrices of a tile then stay in the processor's cache


class SizesDiffer(ValueError):
    """The two pictures have different sizes; which one to scale, and how, is for the caller to say."""


class TooSmall(ValueError):
    """A picture has no room for one SSIM window."""


def mse(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared difference over pixels and channels: 0 for identical pictures, 1 for black against white."""
    _refuse_unlike(a, b)
    total = 0  # in whole grey levels, thus exact
    for top in range(0, len(a), ROWS_AT_ONCE):
        strip = slice(top, top + ROWS_AT_ONCE)
        total += int(np.square(a[strip].astype(np.int32) - b[strip]).sum(dtype=np.int64))
    return total / (a.size * 255**2)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """10 log10(1 / MSE), in decibels, for a data range of 1: +inf for identical pictures, 0 for black against white."""
    error = mse(a, b)
    return 10 * math.log10(1 / error) if error else math.inf


def ssim(a: np.ndarray, b: np.ndarray, *, k1: float = 0.01, k2: float = 0.03) -> float:
    """Mean structural similarity, -1 to 1: 1 for identical pictures. About 0.12 s per megapixel.

    Wang et al. 2004: an 11-pixel Gaussian window of sigma 1.5, population covariance, data range 1, the mean over the
    three channels and every place where the window fits. It is scikit-image's structural_similarity with
    gaussian_weights=True, sigma=1.5, use_sample_covariance=False.

    The figures published with PerceptAnon come from k1=0.01**2, k2=0.03**2, the textbook's constants squared twice:
    name them apart, they differ widely (0.237 against 0.705 on one pixelated pair).
    """
    _refuse_unlike(a, b)
    height, width = a.shape[0] - WINDOW + 1, a.shape[1] - WINDOW + 1  # of the map of windows
    if height < 1 or width < 1:
        raise TooSmall(f"SSIM needs {WINDOW} pixels a side; the pictures have {_size(a)}.")
    total = sum(float(_similarity(a[tile], b[tile], k1**2, k2**2).sum()) for tile in _tiles(height, width))
    return total / (height * width * 3)


def _similarity(a: np.ndarray, b: np.ndarray, c1: float, c2: float) -> np.ndarray:
    """SSIM of every window in a piece of the pictures, channels x windows down x windows across.

    In float64: the paper's c2 is 8e-7, and variances are small differences of squares.
    """
    x, y = (piece.transpose(2, 0, 1) / 255 for piece in (a, b))
    mean_x, mean_y, mean_squares, mean_xy = _windowed(np.stack([x, y, x * x + y * y, x * y]))
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = mean_xy - product, mean_squares - squares  # `variances` is that of x plus that of y
    return (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))


def _windowed(maps: np.ndarray) -> np.ndarray:
    """The Gaussian mean of each window, over the last two axes: as matrix products, which beat eleven shifted sums."""
    down, across = (_GAUSSIAN[: n - WINDOW + 1, :n] for n in maps.shape[-2:])
    return down @ maps @ across.T


def _gaussian_rows() -> np.ndarray:
    """TILE x (TILE + 10): each row holds the window's weights, one place further on than the row above."""
    weights = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    rows = np.zeros((TILE, TILE + WINDOW - 1))
    for row in range(TILE):
        rows[row, row : row + WINDOW] = weights
    return rows


_GAUSSIAN = _gaussian_rows()


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """The pieces of a picture that hold TILE x TILE windows (fewer at the far edges), every window in one piece."""
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            yield slice(top, bottom + WINDOW - 1), slice(left, right + WINDOW - 1)


def _refuse_unlike(a: np.ndarray, b: np.ndarray) -> None:
    for picture in (a, b):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
            shape = " x ".join(map(str, picture.shape))
            raise ValueError(f"a picture is rows x columns x 3 of uint8, not {shape} of {picture.dtype}.")
    if a.shape != b.shape:
        raise SizesDiffer(f"the pictures have {_size(a)} and {_size(b)} pixels; pixel measures need equal sizes.")


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"
