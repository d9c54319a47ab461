"""Find the places on the detector where some crystal of the scan has a reflection.

A grain shows where its reflections are bright, and a weak one where many patterns are averaged:
places are looked for in the mean patterns of small blocks of the scan, and in the components of a
fit, which are means over whole grains.
"""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from orimap.tasks.decide.components.likeness import backgrounds
from orimap.tasks.decide.components.reflections import find_reflections
from orimap.tasks.decide.grains.lines import near_lines

# The scan is cut into about this number of blocks.
BLOCKS = 150
# Smaller blocks would say no more than single patterns.
SMALLEST_BLOCK = 3
# A place is known to about a pixel in each pattern.
PLACE_PX = 0.8
# What one significant reflection of a single pattern comes to, in logarithms of significance.
LEAST_HEIGHT = 0.1
# Nearer to the edges than this share of the radius a disc is not there to be seen.
INSIDE = 0.5
# Maxima nearer than this share of the radius are one place.
ONE_PLACE = 0.9


def find_places(
    patterns: Iterable[np.ndarray],
    left_out: np.ndarray,
    radius_px: float,
    dispersion: float,
    odd: np.ndarray | None = None,
) -> np.ndarray:
    """Find the places of reflections in a number of patterns.

    Parameters
    ----------
    patterns : iterable of (pattern, detector_y, detector_x) arrays
        Sums of patterns, in the unit of the intensities.
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.
    radius_px : float
        Of a disc.
    dispersion : float
        Variance of an intensity over its mean: 1 for counts.
    odd : (detector_y, detector_x) array of bool, optional
        As in `near_lines`.

    Returns
    -------
    (place, 2) array of int
        Row and column.
    """
    height = np.zeros(left_out.shape)
    total = np.zeros(left_out.shape)
    for images in patterns:
        # In units in which the noise is that of counts.
        counts = np.maximum(images, 0) / dispersion
        total += counts.sum(axis=0)
        found = find_reflections(counts, backgrounds(counts, left_out), left_out, radius_px)
        height += np.where(found.is_place, found.height, 0.0).sum(axis=0)
    height[near_lines(total, left_out, radius_px, odd)] = 0.0
    edge = max(1, round(INSIDE * radius_px))
    inside = np.pad(np.ones(np.array(height.shape) - 2 * edge, bool), edge)
    height[~inside] = 0.0
    smooth = ndimage.gaussian_filter(height, PLACE_PX)
    size = 2 * max(1, round(ONE_PLACE * radius_px)) + 1
    largest = ndimage.maximum_filter(smooth, size)
    return np.argwhere((smooth == largest) & (smooth > LEAST_HEIGHT))


def block_sums(scan: np.ndarray, scan_shape: tuple[int, int]) -> np.ndarray:
    """Add up the rows of a table over small blocks of the scan.

    Parameters
    ----------
    scan : (positions, columns) array
    scan_shape : pair of int

    Returns
    -------
    (block, columns) array
    """
    rows, columns = scan_shape
    size = max(SMALLEST_BLOCK, round(np.sqrt(rows * columns / BLOCKS)))
    down, across = (-(-length // size) for length in scan_shape)
    y, x = np.divmod(np.arange(rows * columns), columns)
    block = (y // size) * across + x // size
    sums = np.zeros((down * across, scan.shape[1]))
    np.add.at(sums, block, scan)
    return sums
