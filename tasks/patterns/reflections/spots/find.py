"""Find the reflections of one pattern: what stands out, again once that is taken away.

The surface in which maxima are looked for says how far the sum over a disc exceeds what is expected
there. For counts that is the likelihood ratio in standard deviations, so that the noise is alike
beside the direct beam and in the corners; for grey levels it is the difference.
"""

import numba
import numpy as np

from orimap.tasks.patterns.reflections.spots.background import (
    background_of_cells,
    bin_cells,
    spread_cells,
)
from orimap.tasks.patterns.reflections.spots.maxima import prominent_maxima
from orimap.tasks.patterns.reflections.spots.position import disc_height, place_disc
from orimap.tasks.patterns.reflections.spots.shape import HALF_DIAGONAL_PX, add_disc, disc_sums

# Patterns are looked through twice: the second time without the reflections found, and with the
# background beside them. A third pass, measured, finds nothing more that is real.
PASSES = 2
# Cells in which something stands out by this share of the prominence asked for are left out of the
# first estimate of the background.
CLOSED_SHARE = 0.7
# So does the direct beam's surroundings, of so many radii about the largest sum near the centre.
BEAM_DISC_RADII = 2.0
# Rounds of that first estimate.
CLOSING_ROUNDS = 2
# Discs that are taken away are not known better than this share of their height, and have tails
# of the other share, which reach so many radii. Counted discs are those of a convergent beam; the
# cameras and the precession behind grey levels leave rounded ones with a wide skirt.
DISC_MISFIT, TAIL_SHARE = 0.1, 0.02
GREY_DISC_MISFIT, GREY_TAIL_SHARE = 0.3, 0.1
TAIL_DISC_RADII = 4.0
# Maxima this prominent, as a share of the prominence asked for, are looked at: they have it if they
# still stand out by it once the higher ones are taken away.
HILLOCK_SHARE = 0.3
# Placing a disc moves those of its neighbours whose rims it may touch.
TOUCHING_DISC_RADII = 2.5
# Nearer than this, two reflections are one.
CLOSEST_DISC_RADII = 0.75
# In the end, with the background known, a reflection needs this share of the prominence.
KEPT_SHARE = 0.9
# Nowhere is less than this expected in a disc.
LEAST_EXPECTED = 1e-3
# Expectation maximisation for the final heights starts near its end.
HEIGHT_ROUNDS = 4


@numba.njit(cache=True, nogil=True)
def find_spots(
    image: np.ndarray,
    valid: np.ndarray,
    areas: np.ndarray,
    whole: np.ndarray,
    cell_pixels: np.ndarray,
    cell: int,
    shape: tuple,
    counts: bool,
    least: float,
    noise: float,
    beam_y: float,
    beam_x: float,
    beam_reach: float,
    most: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions and heights of the reflections, background and disc sums.

    Parameters
    ----------
    image : (detector_y, detector_x) float32 array
        Counts or grey levels, 0 where not valid.
    valid : (detector_y, detector_x) array of bool
    areas : (detector_y, detector_x) float32 array, pixels
        `disc_sums` of ``valid``.
    whole : (detector_y, detector_x) array of bool
        Whether discs centred nearby lie on valid pixels entirely.
    cell_pixels : (cell_y, cell_x) array
        `bin_cells` of ``valid``, in cells of so many pixels a side:
    cell : int
    shape : SpotShape
    counts : bool
    least : float
        Prominence asked for, in standard deviations for counts, otherwise in grey levels.
    noise : float
        Standard deviation of a pixel; used for grey levels.
    beam_y, beam_x, beam_reach : float, pixels
        The rings of the background lie about the largest disc sum within this reach.
    most : int
        So many reflections are looked for in each pass.

    Returns
    -------
    spots : (spots, 3) array
        y, x, and height per pixel above the background.
    background : (detector_y, detector_x) float32 array, per pixel
    sums : (detector_y, detector_x) float32 array
    """
    height, width = image.shape
    sums = disc_sums(image, shape.kernel)
    centre_y, centre_x = _largest_near(sums, beam_y, beam_x, beam_reach)
    cell_sums = bin_cells(image, cell)
    # The direct beam would make the innermost ring.
    beam = np.array([[centre_y, centre_x, 0.0]])
    closed = _cells_around(beam, cell_pixels, cell, BEAM_DISC_RADII * shape.radius)
    for _ in range(CLOSING_ROUNDS):
        level = background_of_cells(
            cell_sums, cell_pixels, closed, cell, centre_y, centre_x, shape.radius, False
        )
        for i in range(closed.shape[0]):
            y = min(i * cell + cell // 2, height - 1)
            for j in range(closed.shape[1]):
                x = min(j * cell + cell // 2, width - 1)
                rise = stands_out(sums[y, x], level[i, j] * areas[y, x], areas[y, x], counts)
                closed[i, j] |= rise >= CLOSED_SHARE * least
    closest, touching = CLOSEST_DISC_RADII * shape.radius, TOUCHING_DISC_RADII * shape.radius
    spots = np.empty((0, 3))
    model = np.zeros(image.shape, np.float32)
    for number in range(PASSES + 1):
        level = background_of_cells(
            cell_sums, cell_pixels, closed, cell, centre_y, centre_x, shape.radius, number > 0
        )
        background = spread_cells(level, cell, height, width)
        if number == PASSES:
            break
        expected = background * areas
        for y, x, amplitude in spots:
            _expect_disc(expected, areas, (y, x, amplitude), counts, shape)
        surface = _surface(sums, expected, areas, counts, least)
        pixels, _ = prominent_maxima(surface, HILLOCK_SHARE * least)
        known = len(spots)
        for pixel in pixels[:most]:
            y, x = _climb(pixel // width, pixel % width, sums, expected, areas, counts)
            rise = stands_out(sums[y, x], expected[y, x], areas[y, x], counts)
            if rise < least or not valid[y, x] or _is_near(y, x, spots, closest):
                continue
            amplitude = (sums[y, x] - expected[y, x]) / areas[y, x]
            add_disc(model, y, x, amplitude, shape)
            spot = place_disc(
                image, valid, whole, background, model, y, x, amplitude, counts, noise, shape
            )
            _expect_disc(expected, areas, spot, counts, shape)
            spots = np.concatenate((spots, np.array([spot])))
        if len(spots) == known:
            break
        # Those that came later were not there when their neighbours were placed.
        for entry in range(len(spots)):
            if _is_near(spots[entry, 0], spots[entry, 1], spots[max(known, entry + 1) :], touching):
                y, x, amplitude = spots[entry]
                spots[entry] = place_disc(
                    image, valid, whole, background, model, y, x, amplitude, counts, noise, shape
                )
        spots = spots[np.argsort(-spots[:, 2], kind="mergesort")]
        spots = spots[_kept(spots, valid, closest)]
        model[:] = 0
        for spot in spots:
            add_disc(model, spot[0], spot[1], spot[2], shape)
        # Those whose nearest corner may still be covered.
        closed = _cells_around(
            spots, cell_pixels, cell, shape.radius + HALF_DIAGONAL_PX * (1 + cell)
        )
    for _ in range(HEIGHT_ROUNDS):
        for spot in spots:
            add_disc(model, spot[0], spot[1], -spot[2], shape)
            spot[2] = disc_height(
                image, valid, background, model, spot[0], spot[1], spot[2], counts, shape
            )
            add_disc(model, spot[0], spot[1], spot[2], shape)
    kept = np.ones(len(spots), np.bool_)
    for entry in range(len(spots) - 1, -1, -1):
        y, x, amplitude = spots[entry]
        add_disc(model, y, x, -amplitude, shape)
        rise = _rise_at(image, valid, background, model, y, x, counts, shape)
        kept[entry] = amplitude > 0 and rise >= KEPT_SHARE * least
        if kept[entry]:
            add_disc(model, y, x, amplitude, shape)
    return spots[kept], background, sums


@numba.njit(cache=True, nogil=True)
def _rise_at(image, valid, background, others, y, x, counts, shape):  # noqa: ANN001, ANN202
    """Return by how much a disc at a sub-pixel position stands out from background and others."""
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
                below = background[row, column] + (1 + DISC_MISFIT) * max(others[row, column], 0.0)
                expected += share * below
                area += share
    return stands_out(total, expected, area, counts)


@numba.njit(cache=True, nogil=True)
def stands_out(total, expected, area, counts):  # noqa: ANN001, ANN201
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
def _largest_near(sums, y, x, reach):  # noqa: ANN001, ANN202
    """Position of the largest disc sum within a distance; the middle of it if all are 0."""
    largest, best_y, best_x = 0.0, y, x
    for row in range(max(0, int(y - reach)), min(sums.shape[0], int(y + reach) + 2)):
        for column in range(max(0, int(x - reach)), min(sums.shape[1], int(x + reach) + 2)):
            near = (row - y) ** 2 + (column - x) ** 2 <= reach * reach
            if near and sums[row, column] > largest:
                largest, best_y, best_x = sums[row, column], float(row), float(column)
    return best_y, best_x


@numba.njit(cache=True, nogil=True)
def _surface(sums, expected, areas, counts, ground):  # noqa: ANN001, ANN202
    """What stands out at every pixel; less than ``ground`` is ground, which parts hills: 0."""
    surface = np.zeros(sums.shape, np.float32)
    for y in range(sums.shape[0]):
        for x in range(sums.shape[1]):
            excess = sums[y, x] - expected[y, x]
            # The likelihood ratio never exceeds the excess over the root of what is expected.
            if excess > 0 and (not counts or excess * excess >= ground * ground * expected[y, x]):
                rise = stands_out(sums[y, x], expected[y, x], areas[y, x], counts)
                if rise >= ground:
                    surface[y, x] = rise
    return surface


@numba.njit(cache=True, nogil=True)
def _expect_disc(expected, areas, spot, counts, shape):  # noqa: ANN001, ANN202
    """Add to the expected disc sums what a disc, its misfit and its tails account for."""
    y, x, amplitude = spot
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
def _climb(y, x, sums, expected, areas, counts):  # noqa: ANN001, ANN202
    """Walk from a maximum to where most stands out now that other discs are taken away."""
    height, width = sums.shape
    best = stands_out(sums[y, x], expected[y, x], areas[y, x], counts)
    while True:
        next_y, next_x = y, x
        for row in range(max(y - 1, 1), min(y + 2, height - 1)):
            for column in range(max(x - 1, 1), min(x + 2, width - 1)):
                rise = stands_out(
                    sums[row, column], expected[row, column], areas[row, column], counts
                )
                if rise > best:
                    best, next_y, next_x = rise, row, column
        if next_y == y and next_x == x:
            return y, x
        y, x = next_y, next_x


@numba.njit(cache=True, nogil=True)
def _is_near(y, x, spots, reach):  # noqa: ANN001, ANN202
    """Whether any of some spots lies within reach of a position."""
    for entry in range(len(spots)):
        if (spots[entry, 0] - y) ** 2 + (spots[entry, 1] - x) ** 2 < reach * reach:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _kept(spots, valid, closest):  # noqa: ANN001, ANN202
    """Which spots are positive, on valid pixels, and no copy of a brighter one."""
    kept = np.zeros(len(spots), np.bool_)
    for entry in range(len(spots)):
        y, x, amplitude = spots[entry]
        free = amplitude > 0 and valid[int(y + 0.5), int(x + 0.5)]
        kept[entry] = free and not _is_near(y, x, spots[:entry][kept[:entry]], closest)
    return kept


@numba.njit(cache=True, nogil=True)
def _cells_around(spots, cell_pixels, cell, reach):  # noqa: ANN001, ANN202
    """Which cells have their centres within reach of a spot, or no valid pixels."""
    closed = cell_pixels == 0
    middle = (cell - 1) / 2
    for spot in spots:
        for i in range(
            max(0, int((spot[0] - reach - middle) / cell)),
            min(closed.shape[0], int((spot[0] + reach - middle) / cell) + 2),
        ):
            for j in range(
                max(0, int((spot[1] - reach - middle) / cell)),
                min(closed.shape[1], int((spot[1] + reach - middle) / cell) + 2),
            ):
                dy, dx = i * cell + middle - spot[0], j * cell + middle - spot[1]
                if dy * dy + dx * dx <= reach * reach:
                    closed[i, j] = True
    return closed
