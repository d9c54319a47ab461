"""Find the reflections of one pattern: what stands out, again once that is taken away."""

from typing import NamedTuple

import numba
import numpy as np

from orimap.tasks.patterns.reflections.spots.background import (
    Cells,
    background_of_cells,
    bin_cells,
    cell_side,
    spread_cells,
)
from orimap.tasks.patterns.reflections.spots.excess import (
    Excess,
    climb,
    expect_disc,
    stands_out,
    stands_out_at,
    stands_out_between,
    surface_of,
)
from orimap.tasks.patterns.reflections.spots.maxima import prominent_maxima
from orimap.tasks.patterns.reflections.spots.position import Pattern, disc_height, place_disc
from orimap.tasks.patterns.reflections.spots.shape import (
    HALF_DIAGONAL_PX,
    SpotShape,
    add_disc,
    disc_sums,
    spot_shape,
)

# Patterns are looked through twice: the second time without the reflections found, and with the
# background beside them. A third pass, measured, finds nothing more that is real.
PASSES = 2
# Cells in which something stands out by this share of the prominence asked for are left out of the
# first estimate of the background.
CLOSED_SHARE = 0.7
# So are the direct beam's surroundings, within this many radii of the largest sum near the centre.
BEAM_DISC_RADII = 2.0
# Rounds of that first estimate.
CLOSING_ROUNDS = 2
# Maxima this prominent, as a share of the prominence asked for, are looked at: they have it if they
# still stand out by it once the higher ones are taken away.
HILLOCK_SHARE = 0.3
# Placing a disc moves those of its neighbours whose rims it may touch.
TOUCHING_DISC_RADII = 2.5
# Nearer than this, two reflections are one.
CLOSEST_DISC_RADII = 0.75
# In the end, with the background known, a reflection needs this share of the prominence.
KEPT_SHARE = 0.9
# Expectation maximisation for the final heights starts near its end.
HEIGHT_ROUNDS = 4
# Room for a first grid of positions about a pixel, beside the disc itself.
GRID_ROOM_PX = 2


class Detector(NamedTuple):
    """What all patterns of a detector share; a tuple, which compiled loops can take.

    Parameters
    ----------
    valid : (detector_y, detector_x) array of bool
    areas : (detector_y, detector_x) float32 array, pixels
        `disc_sums` of ``valid``.
    whole : (detector_y, detector_x) array of bool
        Whether discs centred nearby lie on valid pixels entirely.
    cell_pixels : (cell_y, cell_x) array
        `bin_cells` of ``valid``.
    cell : int, pixels
        Side of a cell.
    shape : SpotShape
    """

    valid: np.ndarray
    areas: np.ndarray
    whole: np.ndarray
    cell_pixels: np.ndarray
    cell: int
    shape: SpotShape

    @classmethod
    def of(cls, valid: np.ndarray, radius_px: float) -> "Detector":
        """Prepare a detector for discs of a radius; ``valid`` as in `Detector`."""
        shape = spot_shape(radius_px)
        valid = np.ascontiguousarray(valid, dtype=bool)
        areas = disc_sums(valid.astype(np.float32), shape.kernel)
        cell = cell_side(shape.radius)
        return cls(valid, areas, _whole_discs(areas, shape), bin_cells(valid, cell), cell, shape)


class Search(NamedTuple):
    """What is looked for in a pattern; a tuple, which compiled loops can take.

    Parameters
    ----------
    counts : bool
        Poisson counts; otherwise grey levels.
    least : float
        Prominence asked for, in standard deviations for counts, otherwise in grey levels.
    noise : float
        Standard deviation of a pixel; used for grey levels.
    most : int
        The number of reflections that are looked for in each pass.
    """

    counts: bool
    least: float
    noise: float
    most: int


class Beam(NamedTuple):
    """Where the direct beam is expected; a tuple, which compiled loops can take.

    Parameters
    ----------
    y, x, reach : float, pixels
        The rings of the background lie about the largest disc sum within this reach.
    """

    y: float
    x: float
    reach: float


def _whole_discs(areas: np.ndarray, shape: SpotShape) -> np.ndarray:
    """Where discs centred within the room of a first grid lie on valid pixels entirely."""
    from scipy import ndimage

    side = 2 * (shape.kernel.shape[0] // 2 + GRID_ROOM_PX) + 1
    complete = (areas >= areas.max() * 0.999).astype(np.uint8)
    return ndimage.minimum_filter(complete, side, mode="constant").astype(bool)


@numba.njit(cache=True, nogil=True)
def find_spots(
    image: np.ndarray, detector: Detector, search: Search, beam: Beam
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions and heights of the reflections, background and disc sums.

    Parameters
    ----------
    image : (detector_y, detector_x) float32 array
        Counts or grey levels, 0 where not valid.
    detector : Detector
    search : Search
    beam : Beam

    Returns
    -------
    spots : (spots, 3) array
        y, x, and height per pixel above the background.
    background : (detector_y, detector_x) float32 array, per pixel
    sums : (detector_y, detector_x) float32 array
        `disc_sums` of the image.
    """
    shape, cell = detector.shape, detector.cell
    height, width = image.shape
    sums = disc_sums(image, shape.kernel)
    centre_y, centre_x = _largest_near(sums, beam)
    cells = Cells(
        bin_cells(image, cell), detector.cell_pixels, cell, centre_y, centre_x, shape.radius
    )
    closed = _close_first(cells, sums, detector, search)
    level = background_of_cells(cells, closed, False)
    background = spread_cells(level, cell, height, width)
    spots = np.empty((0, 3))
    model = np.zeros(image.shape, np.float32)
    for _ in range(PASSES):
        pattern = _pattern(image, background, detector, search)
        known = len(spots)
        spots = _look_through(pattern, sums, detector.areas, search, model, spots)
        if len(spots) == known:
            break
        _place_again(pattern, model, spots, known)
        spots = spots[np.argsort(-spots[:, 2], kind="mergesort")]
        spots = spots[_kept(spots, detector.valid, CLOSEST_DISC_RADII * shape.radius)]
        model[:] = 0
        for spot in spots:
            add_disc(model, spot[0], spot[1], spot[2], shape)
        # Those whose nearest corner may still be covered.
        reach = shape.radius + HALF_DIAGONAL_PX * (1 + cell)
        closed = _cells_around(spots, cells.pixels, cell, reach)
        level = background_of_cells(cells, closed, True)
        background = spread_cells(level, cell, height, width)
    pattern = _pattern(image, background, detector, search)
    _refine_heights(pattern, model, spots)
    kept = _still_standing(pattern, model, spots, KEPT_SHARE * search.least)
    return spots[kept], background, sums


@numba.njit(cache=True, nogil=True)
def _pattern(
    image: np.ndarray, background: np.ndarray, detector: Detector, search: Search
) -> Pattern:
    """Return a pattern in which discs can be placed."""
    return Pattern(
        image,
        detector.valid,
        detector.whole,
        background,
        search.counts,
        search.noise,
        detector.shape,
    )


@numba.njit(cache=True, nogil=True)
def _close_first(cells: Cells, sums: np.ndarray, detector: Detector, search: Search) -> np.ndarray:
    """Which cells are left out of the first background: what stands out, and the direct beam."""
    cell, areas = detector.cell, detector.areas
    height, width = sums.shape
    # The direct beam would make the innermost ring.
    beam = np.array([[cells.centre_y, cells.centre_x, 0.0]])
    closed = _cells_around(beam, cells.pixels, cell, BEAM_DISC_RADII * cells.disc_radius)
    for _ in range(CLOSING_ROUNDS):
        level = background_of_cells(cells, closed, False)
        for i in range(closed.shape[0]):
            y = min(i * cell + cell // 2, height - 1)
            for j in range(closed.shape[1]):
                x = min(j * cell + cell // 2, width - 1)
                expected = level[i, j] * areas[y, x]
                rise = stands_out(sums[y, x], expected, areas[y, x], search.counts)
                closed[i, j] |= rise >= CLOSED_SHARE * search.least
    return closed


@numba.njit(cache=True, nogil=True)
def _look_through(
    pattern: Pattern,
    sums: np.ndarray,
    areas: np.ndarray,
    search: Search,
    model: np.ndarray,
    spots: np.ndarray,
) -> np.ndarray:
    """Return the known spots and, after them, what stands out beside them, the highest first.

    New discs are added to ``model``, and their neighbours see them there.
    """
    shape, least, width = pattern.shape, search.least, sums.shape[1]
    closest = CLOSEST_DISC_RADII * shape.radius
    excess = Excess(sums, pattern.background * areas, areas, search.counts)
    for y, x, amplitude in spots:
        expect_disc(excess, (y, x, amplitude), shape)
    pixels, _ = prominent_maxima(surface_of(excess, least), HILLOCK_SHARE * least)
    for pixel in pixels[: search.most]:
        y, x = climb(pixel // width, pixel % width, excess)
        rise = stands_out_at(excess, y, x)
        if rise < least or not pattern.valid[y, x] or _is_near(y, x, spots, closest):
            continue
        amplitude = (sums[y, x] - excess.expected[y, x]) / areas[y, x]
        add_disc(model, y, x, amplitude, shape)
        spot = place_disc(pattern, model, y, x, amplitude)
        expect_disc(excess, spot, shape)
        spots = np.concatenate((spots, np.array([spot])))
    return spots


@numba.njit(cache=True, nogil=True)
def _place_again(pattern: Pattern, model: np.ndarray, spots: np.ndarray, known: int) -> None:
    """Place again, in place, the spots that touch one found after them.

    Those that came later were not there when their neighbours were placed; the first ``known``
    were all there.
    """
    touching = TOUCHING_DISC_RADII * pattern.shape.radius
    for entry in range(len(spots)):
        y, x, amplitude = spots[entry]
        if _is_near(y, x, spots[max(known, entry + 1) :], touching):
            spots[entry] = place_disc(pattern, model, y, x, amplitude)


@numba.njit(cache=True, nogil=True)
def _refine_heights(pattern: Pattern, model: np.ndarray, spots: np.ndarray) -> None:
    """Measure the heights of all spots, in place, with the background known in the end."""
    for _ in range(HEIGHT_ROUNDS):
        for spot in spots:
            add_disc(model, spot[0], spot[1], -spot[2], pattern.shape)
            spot[2] = disc_height(pattern, model, spot[0], spot[1], spot[2])
            add_disc(model, spot[0], spot[1], spot[2], pattern.shape)


@numba.njit(cache=True, nogil=True)
def _still_standing(
    pattern: Pattern, model: np.ndarray, spots: np.ndarray, least: float
) -> np.ndarray:
    """Which spots still stand out by enough; the others leave the model, the weakest first."""
    kept = np.ones(len(spots), np.bool_)
    for entry in range(len(spots) - 1, -1, -1):
        y, x, amplitude = spots[entry]
        add_disc(model, y, x, -amplitude, pattern.shape)
        rise = stands_out_between(pattern, model, y, x)
        kept[entry] = amplitude > 0 and rise >= least
        if kept[entry]:
            add_disc(model, y, x, amplitude, pattern.shape)
    return kept


@numba.njit(cache=True, nogil=True)
def _largest_near(sums: np.ndarray, beam: Beam) -> tuple[float, float]:
    """Position of the largest disc sum within a distance; the middle of it if all are 0."""
    y, x, reach = beam
    largest, best_y, best_x = 0.0, y, x
    for row in range(max(0, int(y - reach)), min(sums.shape[0], int(y + reach) + 2)):
        for column in range(max(0, int(x - reach)), min(sums.shape[1], int(x + reach) + 2)):
            near = (row - y) ** 2 + (column - x) ** 2 <= reach * reach
            if near and sums[row, column] > largest:
                largest, best_y, best_x = sums[row, column], float(row), float(column)
    return best_y, best_x


@numba.njit(cache=True, nogil=True)
def _is_near(y: float, x: float, spots: np.ndarray, reach: float) -> bool:
    """Whether any of some spots lies within reach of a position."""
    for entry in range(len(spots)):
        if (spots[entry, 0] - y) ** 2 + (spots[entry, 1] - x) ** 2 < reach * reach:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _kept(spots: np.ndarray, valid: np.ndarray, closest: float) -> np.ndarray:
    """Which spots are positive, on valid pixels, and no copy of a brighter one."""
    kept = np.zeros(len(spots), np.bool_)
    for entry in range(len(spots)):
        y, x, amplitude = spots[entry]
        free = amplitude > 0 and valid[int(y + 0.5), int(x + 0.5)]
        kept[entry] = free and not _is_near(y, x, spots[:entry][kept[:entry]], closest)
    return kept


@numba.njit(cache=True, nogil=True)
def _cells_around(
    spots: np.ndarray, cell_pixels: np.ndarray, cell: int, reach: float
) -> np.ndarray:
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
