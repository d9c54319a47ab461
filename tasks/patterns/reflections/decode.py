"""Draw clean patterns from registered reflections: flat discs at their sub-pixel positions.

The result is sparse, and stays so: one scratch pattern is drawn and gathered at a time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse as sp

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.rows import SparseRows

PROFILES = ("disc", "gaussian")

# Lines across a pixel on which a disc's exact extent is measured. The area that a disc covers of
# one pixel is then right to .03 (where the edge runs along the lines), the whole disc to 1 %.
LINES_A_PIXEL = 16
# A pixel that a disc covers less than this is left dark: it is within the error above, and
# rounding must not make entries.
SMALLEST_COVERAGE = 1e-3
# A Gaussian ends where it has fallen to this share of its height, or no pattern would be sparse.
GAUSSIAN_END = 0.01


@dataclass(frozen=True)
class Decoder:
    """How patterns are drawn from reflections.

    Parameters
    ----------
    shape : pair of int
        Rows and columns of the patterns drawn.
    lengths : Lengths
        In detector pixels; reflections get ``disc_radius``, the direct beam
        ``direct_disc_radius``, which is half as much again (the paper's choice for drawing: the
        beam itself is no wider than the reflections).
    profile : {"disc", "gaussian"}
        Flat discs with anti-aliased edges, or Gaussians that have half their height at the same
        radius.
    scale : float
        Drawn pixels per detector pixel: a position p is drawn at ``(p + .5) * scale - .5``.

    Raises
    ------
    InputError
        If the profile is not known or the scale is not positive.

    References
    ----------
    Folastre et al. (2024), Sci. Rep. 14, doi:10.1038/s41598-024-63060-5.
    """

    shape: tuple[int, int]
    lengths: Lengths
    profile: str = "disc"
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.profile not in PROFILES:
            raise InputError(
                f"a profile of the reflections: {' or '.join(PROFILES)}",
                f"{self.profile!r}",
                "choose one of them",
            )
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError("a positive scale", f"{self.scale}", "give 1 for the detector's size")


class Drawing(NamedTuple):
    """What is drawn for each reflection; a tuple, which compiled loops can take.

    Parameters
    ----------
    offsets : (n + 1,) array of int
        Pattern i has the entries ``offsets[i]:offsets[i + 1]``.
    y, x : (entries,) arrays, drawn pixels
    radius, reach : (entries,) arrays, drawn pixels
        Of the disc, and how far from its centre anything is drawn.
    height : (entries,) array
    gaussian : bool
        Whether Gaussians are drawn, not discs.
    """

    offsets: np.ndarray
    y: np.ndarray
    x: np.ndarray
    radius: np.ndarray
    reach: np.ndarray
    height: np.ndarray
    gaussian: bool


def decode_rows(
    found: Reflections, decoder: Decoder, valid: np.ndarray, shift: np.ndarray | None = None
) -> sp.csr_matrix:
    """Draw every pattern as a sparse row of its valid pixels.

    Parameters
    ----------
    found : Reflections
        Of n patterns. The height of a disc is the intensity; one of 0 or less draws nothing.
        Where discs overlap, the largest value counts. What lies outside is cut.
    decoder : Decoder
    valid : (detector_y, detector_x) array of bool
        Pixels that become columns, in running order; of the shape that is drawn.
    shift : (n, 2) array, detector pixels, optional
        Added to every position (y, x) of a pattern, for instance to centre its direct beam.

    Returns
    -------
    (n, count of valid pixels) float64 matrix
        Columns sorted, no entry of 0.

    Raises
    ------
    InputError
        If ``valid`` or ``shift`` has another shape, or a shift is not finite.
    """
    if valid.shape != tuple(decoder.shape):
        raise InputError(
            f"a mask of the shape that is drawn, {tuple(decoder.shape)}",
            f"one of {valid.shape}",
            "use the mask of the patterns that are drawn",
        )
    drawing = _plan(found, decoder, shift)
    column = np.full(valid.shape, -1, np.int32)
    column[valid] = np.arange(np.count_nonzero(valid))
    largest = _pixels_at_most(drawing, decoder.shape)
    # Room for the most there can be. Memory is filled from the front, so that what is not needed
    # is never touched.
    ends = np.concatenate([[0], np.cumsum(largest)])[found.offsets]
    room = int(np.minimum(np.diff(ends), valid.size).sum())
    indptr = np.zeros(len(drawing.offsets), np.int64)
    drawn = SparseRows(indptr, np.empty(room, np.int32), np.empty(room))
    _draw_rows(drawing, column, drawn)
    filled = slice(0, indptr[-1])
    shape = (len(found), int(np.count_nonzero(valid)))
    rows = sp.csr_matrix((drawn.data[filled], drawn.indices[filled], indptr), shape=shape)
    rows.has_sorted_indices = True
    return rows


def decode_images(
    found: Reflections, decoder: Decoder, shift: np.ndarray | None = None
) -> np.ndarray:
    """Draw every pattern as an image (n, detector_y, detector_x), float32; see ``decode_rows``."""
    images = np.zeros((len(found), *decoder.shape), np.float32)
    _draw_images(_plan(found, decoder, shift), images)
    return images


def _plan(found: Reflections, decoder: Decoder, shift: np.ndarray | None) -> Drawing:
    """Return where each entry is drawn, how large and how high."""
    y, x = found.y.astype(np.float64), found.x.astype(np.float64)
    if shift is not None:
        shift = np.asarray(shift, np.float64)
        if shift.shape != (len(found), 2) or not np.isfinite(shift).all():
            raise InputError(
                f"a finite shift (y, x) for each of the {len(found)} patterns",
                f"an array of shape {shift.shape} with "
                f"{np.count_nonzero(~np.isfinite(shift))} values that are not finite",
                "leave patterns without a measured shift where they are (0)",
            )
        moved = np.repeat(shift, found.counts, axis=0)
        y, x = y + moved[:, 0], x + moved[:, 1]
    lengths = decoder.lengths
    radius = np.where(found.is_direct, lengths.direct_disc_radius, lengths.disc_radius)
    scale = decoder.scale
    radius = radius * scale
    return Drawing(
        found.offsets,
        (y + 0.5) * scale - 0.5,
        (x + 0.5) * scale - 0.5,
        radius,
        radius * _reach(decoder.profile),
        found.intensity,
        decoder.profile == "gaussian",
    )


def _reach(profile: str) -> float:
    """Return how far a reflection is drawn, in units of its radius."""
    return 1.0 if profile == "disc" else float(np.sqrt(np.log2(1 / GAUSSIAN_END)))


def _pixels_at_most(drawing: Drawing, shape: tuple[int, int]) -> np.ndarray:
    """Return how many pixels lie in the frame and in the square about each entry."""

    def along(centre: np.ndarray, size: int) -> np.ndarray:
        first = np.maximum(np.ceil(centre - drawing.reach - 0.5), 0)
        last = np.minimum(np.floor(centre + drawing.reach + 0.5), size - 1)
        return np.maximum(last - first + 1, 0).astype(np.int64)

    return along(drawing.y, shape[0]) * along(drawing.x, shape[1])


@numba.njit(cache=True, nogil=True)
def _draw_disc(image: np.ndarray, y: float, x: float, radius: float, height: float) -> None:
    """Raise an image to a flat disc: height times the share of each pixel that it covers."""
    first = max(0, int(np.ceil(x - radius - 0.5)))
    last = min(image.shape[1] - 1, int(np.floor(x + radius + 0.5)))
    half = np.empty(LINES_A_PIXEL)
    for row in range(
        max(0, int(np.ceil(y - radius - 0.5))),
        min(image.shape[0] - 1, int(np.floor(y + radius + 0.5))) + 1,
    ):
        for line in range(LINES_A_PIXEL):
            away = row - 0.5 + (line + 0.5) / LINES_A_PIXEL - y
            half[line] = np.sqrt(max(0.0, radius * radius - away * away))
        for col in range(first, last + 1):
            if (abs(row - y) + 0.5) ** 2 + (abs(col - x) + 0.5) ** 2 <= radius * radius:
                covered = 1.0
            else:
                covered = 0.0
                for line in range(LINES_A_PIXEL):
                    left = max(x - half[line], col - 0.5)
                    right = min(x + half[line], col + 0.5)
                    covered += max(0.0, right - left) / LINES_A_PIXEL
            if covered >= SMALLEST_COVERAGE:
                image[row, col] = max(image[row, col], covered * height)


@numba.njit(cache=True, nogil=True)
def _draw_gaussian(
    image: np.ndarray, y: float, x: float, radius: float, reach: float, height: float
) -> None:
    """Raise an image to a Gaussian that has half its height at ``radius``."""
    for row in range(max(0, int(np.ceil(y - reach))), min(image.shape[0], int(y + reach) + 1)):
        for col in range(max(0, int(np.ceil(x - reach))), min(image.shape[1], int(x + reach) + 1)):
            square = (row - y) ** 2 + (col - x) ** 2
            if square <= reach * reach:
                value = height * 0.5 ** (square / (radius * radius))
                image[row, col] = max(image[row, col], value)


@numba.njit(cache=True, nogil=True)
def _draw(image: np.ndarray, drawing: Drawing, n: int) -> None:
    """Draw the entries of one pattern."""
    y, x, radius, height = drawing.y, drawing.x, drawing.radius, drawing.height
    for entry in range(drawing.offsets[n], drawing.offsets[n + 1]):
        if not height[entry] > 0:
            continue
        if drawing.gaussian:
            reach = drawing.reach[entry]
            _draw_gaussian(image, y[entry], x[entry], radius[entry], reach, height[entry])
        else:
            _draw_disc(image, y[entry], x[entry], radius[entry], height[entry])


@numba.njit(cache=True, nogil=True)
def _draw_images(drawing: Drawing, images: np.ndarray) -> None:
    """Draw every pattern on its image."""
    for n in range(len(drawing.offsets) - 1):
        _draw(images[n], drawing, n)


@numba.njit(cache=True, nogil=True)
def _draw_rows(drawing: Drawing, column: np.ndarray, rows: SparseRows) -> None:
    """Draw every pattern on one scratch image and gather its valid pixels, in running order."""
    image = np.zeros(column.shape)
    entry = 0
    for n in range(len(drawing.offsets) - 1):
        _draw(image, drawing, n)
        for row in range(image.shape[0]):
            for col in range(image.shape[1]):
                if image[row, col] > 0:
                    if column[row, col] >= 0:
                        rows.indices[entry] = column[row, col]
                        rows.data[entry] = image[row, col]
                        entry += 1
                    image[row, col] = 0
        rows.indptr[n + 1] = entry
