"""By how much the sum over a disc exceeds what is expected there.

For counts that is the likelihood ratio in standard deviations, so that the noise is alike beside
the direct beam and in the corners; for grey levels it is the difference.
"""

from typing import NamedTuple

import numba
import numpy as np

from orimap.tasks.patterns.reflections.spots.position import Pattern
from orimap.tasks.patterns.reflections.spots.shape import HALF_DIAGONAL_PX, SpotShape

# Discs that are taken away are not known better than this share of their height, and have tails
# of the other share, which reach so many radii. Counted discs are those of a convergent beam; the
# cameras and the precession behind grey levels leave rounded ones with a wide skirt.
DISC_MISFIT, TAIL_SHARE = 0.1, 0.02
GREY_DISC_MISFIT, GREY_TAIL_SHARE = 0.3, 0.1
TAIL_DISC_RADII = 4.0
# Nowhere is less than this expected in a disc.
LEAST_EXPECTED = 1e-3


class Excess(NamedTuple):
    """Disc sums and what is expected of them; a tuple, which compiled loops can take.

    Parameters
    ----------
    sums, expected : (detector_y, detector_x) float32 arrays
        Of the disc centred on each pixel.
    areas : (detector_y, detector_x) float32 array, pixels
        How many valid pixels each disc covers.
    counts : bool
    """

    sums: np.ndarray
    expected: np.ndarray
    areas: np.ndarray
    counts: bool


@numba.njit(cache=True, nogil=True)
def stands_out(total: float, expected: float, area: float, counts: bool) -> float:
    """Return by how much a sum exceeds what is expected: standard deviations or grey levels.

    For counts the signed root of the likelihood ratio, ``sqrt(2 (t ln(t/e) - (t - e)))``, which
    follows the normal distribution also where counts are few (Wilks 1938,
    doi:10.1214/aoms/1177732360).
    """
    expected = max(expected, LEAST_EXPECTED)
    if total <= expected or area <= 0:
        return 0.0
    if counts:
        return np.sqrt(2 * max(total * np.log(total / expected) - (total - expected), 0.0))
    return (total - expected) / area


@numba.njit(cache=True, nogil=True)
def stands_out_at(excess: Excess, y: int, x: int) -> float:
    """Return by how much the disc centred on a pixel stands out."""
    return stands_out(excess.sums[y, x], excess.expected[y, x], excess.areas[y, x], excess.counts)


@numba.njit(cache=True, nogil=True)
def stands_out_between(pattern: Pattern, others: np.ndarray, y: float, x: float) -> float:
    """Return by how much a disc at a sub-pixel position stands out from background and others."""
    image, valid, shape = pattern.image, pattern.valid, pattern.shape
    total = expected = area = 0.0
    reach = shape.radius + HALF_DIAGONAL_PX
    for row in range(max(0, int(np.ceil(y - reach))), min(image.shape[0], int(y + reach) + 1)):
        for column in range(
            max(0, int(np.ceil(x - reach))), min(image.shape[1], int(x + reach) + 1)
        ):
            entry = int(((row - y) ** 2 + (column - x) ** 2) * shape.coverage_scale)
            if entry < len(shape.coverage) and valid[row, column]:
                share = shape.coverage[entry]
                total += share * image[row, column]
                below = pattern.background[row, column]
                below += (1 + DISC_MISFIT) * max(others[row, column], 0.0)
                expected += share * below
                area += share
    return stands_out(total, expected, area, pattern.counts)


@numba.njit(cache=True, nogil=True)
def surface_of(excess: Excess, ground: float) -> np.ndarray:
    """What stands out at every pixel; less than ``ground`` is ground, which parts hills: 0."""
    sums, expected = excess.sums, excess.expected
    surface = np.zeros(sums.shape, np.float32)
    for y in range(sums.shape[0]):
        for x in range(sums.shape[1]):
            above = sums[y, x] - expected[y, x]
            # The likelihood ratio never exceeds the excess over the root of what is expected.
            enough = not excess.counts or above * above >= ground * ground * expected[y, x]
            if above > 0 and enough:
                rise = stands_out_at(excess, y, x)
                if rise >= ground:
                    surface[y, x] = rise
    return surface


@numba.njit(cache=True, nogil=True)
def expect_disc(excess: Excess, spot: tuple[float, float, float], shape: SpotShape) -> None:
    """Add to the expected disc sums what a disc, its misfit and its tails account for."""
    y, x, amplitude = spot
    expected, areas, counts = excess.expected, excess.areas, excess.counts
    misfit = DISC_MISFIT if counts else GREY_DISC_MISFIT
    tail_share = TAIL_SHARE if counts else GREY_TAIL_SHARE
    overlap, scale = shape.overlap, shape.overlap_scale
    full = overlap[0]
    reach = TAIL_DISC_RADII * shape.radius
    height, width = expected.shape
    for row in range(max(0, int(np.ceil(y - reach))), min(height, int(y + reach) + 1)):
        for column in range(max(0, int(np.ceil(x - reach))), min(width, int(x + reach) + 1)):
            squared = (row - y) ** 2 + (column - x) ** 2
            entry = int(squared * scale)
            common = overlap[entry] * (1 + misfit) if entry < len(overlap) else 0.0
            tail = max(0.0, 1 - np.sqrt(squared) / reach) * tail_share * full
            expected[row, column] += amplitude * (common + tail) * areas[row, column] / full


@numba.njit(cache=True, nogil=True)
def climb(y: int, x: int, excess: Excess) -> tuple[int, int]:
    """Walk from a maximum to where most stands out now that other discs are taken away."""
    height, width = excess.sums.shape
    best = stands_out_at(excess, y, x)
    while True:
        next_y, next_x = y, x
        for row in range(max(y - 1, 1), min(y + 2, height - 1)):
            for column in range(max(x - 1, 1), min(x + 2, width - 1)):
                rise = stands_out_at(excess, row, column)
                if rise > best:
                    best, next_y, next_x = rise, row, column
        if next_y == y and next_x == x:
            return y, x
        y, x = next_y, next_x
