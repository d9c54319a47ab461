"""Estimate what a pattern would be without its reflections: the inelastic background.

A rolling ball under single electrons rests on empty pixels and finds nothing. So the background is
the mean of what lies beside the reflections: first along rings about the direct beam, because it
falls off steeply from there and nearly alike in all directions, then its local departure from the
rings, as far as enough electrons speak for it.
"""

from typing import NamedTuple

import numba
import numpy as np

# Rings are as wide as this share of their radius: wide enough to hold electrons, narrow enough
# that a background falling as its third power is straight within one.
RING_GROWTH = 0.12
NARROWEST_RING_PX = 2
# The departure from the rings is a mean over a square reaching this many disc radii to each side,
# then over a smaller one, just wider than a disc and the rim that is left out with it. Each time
# what was known before speaks as loudly as so many electrons (or grey levels): few in the wide
# square, which follows what is not round; more in the near one, where a reflection too weak to be
# found would else be taken for background.
WIDE_DISC_RADII = 5.0
WIDE_PRIOR = 10.0
NEAR_DISC_RADII = 2.5
NEAR_PRIOR = 50.0
# A ring in which nothing was counted still has this many electrons: nowhere is a lone electron
# infinitely surprising.
LEAST_RING_ELECTRONS = 0.5


class Cells(NamedTuple):
    """A pattern in square cells about its direct beam; a tuple, which compiled loops can take.

    Parameters
    ----------
    sums, pixels : (cell_y, cell_x) arrays
        `bin_cells` of the pattern and of its valid pixels.
    side : int, pixels
        Side of a cell.
    centre_y, centre_x : float, pixels
        The direct beam, about which the rings lie.
    disc_radius : float, pixels
    """

    sums: np.ndarray
    pixels: np.ndarray
    side: int
    centre_y: float
    centre_x: float
    disc_radius: float


def cell_side(disc_radius: float) -> int:
    """Side of the cells in pixels: as large as leaves the rim of a disc and what lies beside."""
    return max(2, min(3, round(disc_radius)), round(disc_radius / 2))


@numba.njit(cache=True, nogil=True)
def bin_cells(image: np.ndarray, cell: int) -> np.ndarray:
    """Sum an image over square cells of so many pixels a side, (cell_y, cell_x)."""
    height, width = image.shape
    columns = (width + cell - 1) // cell
    sums = np.zeros(((height + cell - 1) // cell, columns))
    for y in range(height):
        row = sums[y // cell]
        for column in range(columns):
            start = column * cell
            for x in range(start, min(start + cell, width)):
                row[column] += image[y, x]
    return sums


@numba.njit(cache=True, nogil=True)
def background_of_cells(cells: Cells, closed: np.ndarray, near: bool) -> np.ndarray:
    """Estimate the background per pixel at each cell.

    Parameters
    ----------
    cells : Cells
    closed : (cell_y, cell_x) array of bool
        Cells that hold a reflection and are left out. Where nothing is open, everything counts.
    near : bool
        Follow the counts closely; only where all that can be seen of the reflections is closed.

    Returns
    -------
    (cell_y, cell_x) float64 array, per pixel
    """
    cell, disc_radius = cells.side, cells.disc_radius
    rows, columns = cells.sums.shape
    if not (cells.pixels.ravel()[~closed.ravel()] > 0).any():
        closed = cells.pixels == 0
    middle = (cell - 1) / 2
    radius = np.empty(cells.sums.shape)
    for i in range(rows):
        for j in range(columns):
            dy = i * cell + middle - cells.centre_y
            dx = j * cell + middle - cells.centre_x
            radius[i, j] = np.sqrt(dy * dy + dx * dx)
    ring = _ring_profile(cells, closed, radius)
    level = np.empty(cells.sums.shape)
    for i in range(rows):
        for j in range(columns):
            whole = int(radius[i, j])
            part = radius[i, j] - whole
            level[i, j] = (1 - part) * ring[whole] + part * ring[whole + 1]
    _correct_locally(level, cells, closed, WIDE_DISC_RADII * disc_radius / cell, WIDE_PRIOR)
    if near:
        _correct_locally(level, cells, closed, NEAR_DISC_RADII * disc_radius / cell, NEAR_PRIOR)
    return level


@numba.njit(cache=True, nogil=True)
def _correct_locally(
    level: np.ndarray, cells: Cells, closed: np.ndarray, half_side: float, prior: float
) -> None:
    """Scale a background, in place, to what was counted in a square about each cell."""
    sums, pixels = cells.sums, cells.pixels
    rows, columns = sums.shape
    # Sums over everything above and to the left: four of them give any square.
    counted = np.zeros((rows + 1, columns + 1))
    predicted = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        row_counted = row_predicted = 0.0
        for j in range(columns):
            if not closed[i, j]:
                row_counted += sums[i, j]
                row_predicted += pixels[i, j] * level[i, j]
            counted[i + 1, j + 1] = counted[i, j + 1] + row_counted
            predicted[i + 1, j + 1] = predicted[i, j + 1] + row_predicted
    half = max(1, int(half_side + 0.5))
    for i in range(rows):
        top, bottom = max(i - half, 0), min(i + half + 1, rows)
        for j in range(columns):
            left, right = max(j - half, 0), min(j + half + 1, columns)
            n = counted[bottom, right] - counted[top, right]
            n += counted[top, left] - counted[bottom, left]
            m = predicted[bottom, right] - predicted[top, right]
            m += predicted[top, left] - predicted[bottom, left]
            level[i, j] *= (n + prior) / (m + prior)


@numba.njit(cache=True, nogil=True)
def _ring_profile(cells: Cells, closed: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Mean per pixel at every whole distance from the direct beam, by rings, linear between."""
    sums, pixels = cells.sums, cells.pixels
    furthest = int(radius.max()) + 2
    ring_of = np.empty(furthest + 1, np.int64)
    rings, start = 0, 0
    while start <= furthest:
        stop = start + max(NARROWEST_RING_PX, int(RING_GROWTH * start))
        for whole in range(start, min(stop, furthest + 1)):
            ring_of[whole] = rings
        rings += 1
        start = stop
    total, size, place = np.zeros(rings), np.zeros(rings), np.zeros(rings)
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            if not closed[i, j]:
                ring = ring_of[int(radius[i, j])]
                total[ring] += sums[i, j]
                size[ring] += pixels[i, j]
                place[ring] += pixels[i, j] * radius[i, j]
    profile = np.zeros(furthest + 1)
    before = -1
    written = 0
    for ring in range(rings):
        if size[ring] == 0:
            continue
        value = max(total[ring], LEAST_RING_ELECTRONS) / size[ring]
        here = place[ring] / size[ring]
        if before < 0:
            value_before, here_before = value, -1.0
        before = ring
        while written <= furthest and written <= here:
            part = (written - here_before) / (here - here_before)
            profile[written] = (1 - part) * value_before + part * value
            written += 1
        value_before, here_before = value, here
    if before >= 0:
        profile[written:] = value_before
    return profile


@numba.njit(cache=True, nogil=True)
def spread_cells(level: np.ndarray, cell: int, height: int, width: int) -> np.ndarray:
    """Interpolate linearly from cells to pixels, (detector_y, detector_x) float32."""
    rows, columns = level.shape
    out = np.empty((height, width), np.float32)
    left = np.empty(width, np.int64)
    right = np.empty(width, np.int64)
    part = np.empty(width, np.float32)
    for x in range(width):
        place = min(max((x - (cell - 1) / 2) / cell, 0.0), columns - 1.0)
        left[x] = int(place)
        right[x] = min(left[x] + 1, columns - 1)
        part[x] = place - left[x]
    between = np.empty(columns, np.float32)
    for y in range(height):
        place = min(max((y - (cell - 1) / 2) / cell, 0.0), rows - 1.0)
        top = int(place)
        bottom = min(top + 1, rows - 1)
        for j in range(columns):
            between[j] = level[top, j] + (place - top) * (level[bottom, j] - level[top, j])
        for x in range(width):
            out[y, x] = between[left[x]] + part[x] * (between[right[x]] - between[left[x]])
    return out
