"""The image of one reflection: a flat disc whose rim shares its pixels with the background.

Everything that asks how much of a pixel, or of another disc, a disc covers looks it up here, by
the squared distance, so that the loops over pixels need neither roots nor trigonometry.
"""

from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np

# Half the diagonal of a pixel: a disc reaches this far beyond its radius.
HALF_DIAGONAL_PX = np.sqrt(0.5)
# Entries of a table by squared distance: steps of .01 px at the rim of a disc of 3 px, a tenth of
# what can be measured there.
TABLE_ENTRIES = 256
# A pixel's share is found on a grid of so many points a side, seen from so many directions.
FINE_POINTS = 16
DIRECTIONS = 9
# Above this share of occupied pixels, adding shifted rows (side by side in the processor) is
# quicker than adding a disc around every occupied pixel.
DENSE_SHARE = 0.2


class SpotShape(NamedTuple):
    """A disc and how it covers pixels and other discs; a tuple, which compiled loops can take.

    Parameters
    ----------
    radius : float, pixels
    coverage : (TABLE_ENTRIES,) float32 array
        Covered share of a pixel whose centre lies ``d`` from the disc's, at entry
        ``int(d² * coverage_scale)``, averaged over directions; 0 beyond the table.
    coverage_scale : float
    overlap : (TABLE_ENTRIES,) float32 array, pixels
        Common area of the disc centred on a pixel and another disc ``d`` away.
    overlap_scale : float
    kernel : (side, side) float32 array
        Covered share of the pixels around the one on which the disc is centred.
    """

    radius: float
    coverage: np.ndarray
    coverage_scale: float
    overlap: np.ndarray
    overlap_scale: float
    kernel: np.ndarray

    @property
    def area(self) -> float:
        """Pixels that the disc centred on a pixel covers."""
        return float(self.kernel.sum())


@lru_cache(maxsize=8)
def spot_shape(radius_px: float) -> SpotShape:
    """Return the shape of a disc; the same radius is worked out once."""
    reach = radius_px + HALF_DIAGONAL_PX
    coverage_scale = (TABLE_ENTRIES - 1) / reach**2
    distance = np.sqrt((np.arange(TABLE_ENTRIES) + 0.5) / coverage_scale)
    coverage = np.zeros(TABLE_ENTRIES)
    fine = (np.arange(FINE_POINTS) + 0.5) / FINE_POINTS - 0.5
    # An eighth of the circle stands for all of it.
    for angle in (np.arange(DIRECTIONS) + 0.5) * np.pi / 4 / DIRECTIONS:
        y = distance[:, None] * np.sin(angle) + fine
        x = distance[:, None] * np.cos(angle) + fine
        inside = y[:, :, None] ** 2 + x[:, None, :] ** 2 <= radius_px**2
        coverage += inside.mean(axis=(1, 2)) / DIRECTIONS
    side = int(np.ceil(reach))
    offset = np.arange(-side, side + 1)
    squared = offset[:, None] ** 2 + offset**2
    kernel = _look_up(coverage, squared * coverage_scale)
    overlap_scale = (TABLE_ENTRIES - 1) / (2 * reach) ** 2
    apart = np.sqrt((np.arange(TABLE_ENTRIES) + 0.5) / overlap_scale)
    overlap = np.zeros(TABLE_ENTRIES)
    for angle in (np.arange(DIRECTIONS) + 0.5) * np.pi / 4 / DIRECTIONS:
        dy = offset[:, None] - apart[:, None, None] * np.sin(angle)
        dx = offset - apart[:, None, None] * np.cos(angle)
        other = _look_up(coverage, (dy**2 + dx**2) * coverage_scale)
        overlap += (kernel * other).sum(axis=(1, 2)) / DIRECTIONS
    return SpotShape(
        float(radius_px),
        coverage.astype(np.float32),
        float(coverage_scale),
        overlap.astype(np.float32),
        float(overlap_scale),
        kernel.astype(np.float32),
    )


def _look_up(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Entries of a table at real places; 0 beyond its end."""
    entry = place.astype(int)
    return np.where(entry < len(table), table[np.minimum(entry, len(table) - 1)], 0.0)


@numba.njit(cache=True, nogil=True, fastmath=True)
def disc_sums(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Sum an image over the disc centred on each pixel.

    Parameters
    ----------
    image : (detector_y, detector_x) float32 array
    kernel : (side, side) float32 array
        `SpotShape.kernel`.

    Returns
    -------
    (detector_y, detector_x) float32 array
        What lies beyond the edge counts as 0.
    """
    height, width = image.shape
    side = kernel.shape[0]
    half = side // 2
    padded = np.zeros((height + 2 * half, width + 2 * half), np.float32)
    occupied = 0
    for y in range(height):
        for x in range(width):
            if image[y, x] != 0:
                occupied += 1
    if occupied > DENSE_SHARE * height * width:
        for y in range(height):
            row = image[y]
            for ky in range(side):
                target = padded[y + ky]
                for kx in range(side):
                    weight = kernel[ky, kx]
                    if weight != 0:
                        for x in range(width):
                            target[x + kx] += weight * row[x]
    else:
        for y in range(height):
            for x in range(width):
                value = image[y, x]
                if value != 0:
                    for ky in range(side):
                        for kx in range(side):
                            padded[y + ky, x + kx] += value * kernel[ky, kx]
    return padded[half : half + height, half : half + width].copy()


@numba.njit(cache=True, nogil=True)
def add_disc(image: np.ndarray, y: float, x: float, amplitude: float, shape: SpotShape) -> None:
    """Add a disc of some height at a sub-pixel position to an image."""
    height, width = image.shape
    coverage, scale = shape.coverage, shape.coverage_scale
    reach = shape.radius + HALF_DIAGONAL_PX
    for row in range(max(0, int(np.ceil(y - reach))), min(height, int(y + reach) + 1)):
        for column in range(max(0, int(np.ceil(x - reach))), min(width, int(x + reach) + 1)):
            squared = (row - y) ** 2 + (column - x) ** 2
            entry = int(squared * scale)
            if entry < len(coverage):
                image[row, column] += amplitude * coverage[entry]
