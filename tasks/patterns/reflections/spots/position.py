"""Where the centre of a disc lies, from the few electrons that made it.

A centroid weighs an electron by its distance from a guess. The likelihood asks of every electron
how much more probable the disc makes it than the background does: inside the disc all speak alike,
outside none, and the rim decides. With hard rims the likelihood is a plateau with steep sides, of
which the mean is a better estimate than the maximum.
"""

from typing import NamedTuple

import numba
import numpy as np

from orimap.tasks.patterns.reflections.spots.shape import HALF_DIAGONAL_PX, SpotShape, add_disc

# The likelihood is evaluated on a square grid of so many points a side, three times, each time
# about the mean found before and as wide as the spread found before asks.
GRID_POINTS = 7
ROUNDS = 3
# Spacing of the first grid: maxima of disc sums lie within 3/8 of a radius, but at least a pixel.
FIRST_STEP_DISC_RADII = 0.125
FIRST_STEP_PX = 0.35
# Spacing of the later ones, in standard deviations: the grid then reaches 2.4 of them.
STEP_DEVIATIONS = 0.8
# A grid whose successor would be no finer than this share of it has found the mean.
RESOLVED_SHARE = 0.6
# Positions are not known better than this on real discs, whose rims are not sharp.
FINEST_STEP_PX = 0.02
# A disc counts as at most this many times as bright as its background: real discs have tails, and
# one electron a little outside must not be called impossible.
SHARPEST_CONTRAST = 50.0
# Grey levels: a disc departs from flatness by this share of its height.
UNEVENNESS = 0.15


class Pattern(NamedTuple):
    """A pattern in which discs are placed; a tuple, which compiled loops can take.

    Parameters
    ----------
    image : (detector_y, detector_x) float32 array
    valid : (detector_y, detector_x) array of bool
    whole : (detector_y, detector_x) array of bool
        Whether discs centred nearby lie on valid pixels entirely.
    background : (detector_y, detector_x) float32 array, per pixel
    counts : bool
        Poisson counts; otherwise values with Gaussian noise.
    noise : float
        Its standard deviation per pixel; used for other than counts.
    shape : SpotShape
    """

    image: np.ndarray
    valid: np.ndarray
    whole: np.ndarray
    background: np.ndarray
    counts: bool
    noise: float
    shape: SpotShape


class Evidence(NamedTuple):
    """What a value says for a disc of known height: ``value * gain - loss``.

    Parameters
    ----------
    gain, loss : (TABLE_ENTRIES,) float32 arrays
        By the squared distance from the disc's centre, as in `SpotShape.coverage`.
    level : float, per pixel
        The background at the disc's centre, as far as it matters beside the disc.
    clear : bool
        Whether the disc lies on valid pixels entirely; pixels without counts then say nothing.
    """

    gain: np.ndarray
    loss: np.ndarray
    level: float
    clear: bool


@numba.njit(cache=True, nogil=True)
def place_disc(
    pattern: Pattern, model: np.ndarray, y: float, x: float, amplitude: float
) -> tuple[float, float, float]:
    """Refine the position and height of one disc among others.

    Parameters
    ----------
    pattern : Pattern
    model : (detector_y, detector_x) float32 array
        The sum of all discs as known so far, this one included; it is moved along.
    y, x, amplitude : float
        As known so far.

    Returns
    -------
    y, x, amplitude : float
    """
    height, width = pattern.image.shape
    shape = pattern.shape
    add_disc(model, y, x, -amplitude, shape)
    step = max(FIRST_STEP_PX, FIRST_STEP_DISC_RADII * shape.radius)
    for number in range(ROUNDS):
        amplitude = disc_height(pattern, model, y, x, amplitude)
        likelihood = _likelihood(pattern, model, y, x, amplitude, step)
        mean_y, mean_x, variance = _moments(likelihood)
        y = min(max(y + mean_y * step, 0.0), height - 1.0)
        x = min(max(x + mean_x * step, 0.0), width - 1.0)
        before = step
        step = min(max(STEP_DEVIATIONS * np.sqrt(variance) * step, 0.15 * step), 1.5 * step)
        step = max(step, FINEST_STEP_PX)
        if number > 0 and step > RESOLVED_SHARE * before:
            break
    amplitude = disc_height(pattern, model, y, x, amplitude)
    add_disc(model, y, x, amplitude, shape)
    return y, x, amplitude


@numba.njit(cache=True, nogil=True)
def _evidence(pattern: Pattern, y: float, x: float, amplitude: float) -> Evidence:
    """Tabulate what values say for a disc, by their squared distance from its centre."""
    coverage = pattern.shape.coverage
    gain, loss = np.empty(len(coverage), np.float32), np.empty(len(coverage), np.float32)
    row, column = int(y + 0.5), int(x + 0.5)
    clear = pattern.whole[row, column]
    level = max(pattern.background[row, column], amplitude / SHARPEST_CONTRAST, 1e-6)
    spread = pattern.noise * pattern.noise + (UNEVENNESS * amplitude) ** 2 + 1e-12
    for entry in range(len(coverage)):
        share = coverage[entry]
        if not pattern.counts:
            gain[entry] = amplitude / spread * share
            loss[entry] = 0.5 * amplitude * amplitude / spread * share * share
        else:
            # What a disc that lies on valid pixels entirely predicts is the same everywhere.
            loss[entry] = 0.0 if clear else amplitude * share
            if entry and share == coverage[entry - 1]:
                gain[entry] = gain[entry - 1]
            else:
                gain[entry] = np.log(1 + amplitude / level * share)
    return Evidence(gain, loss, level, clear)


@numba.njit(cache=True, nogil=True)
def _likelihood(
    pattern: Pattern, model: np.ndarray, y: float, x: float, amplitude: float, step: float
) -> np.ndarray:
    """Return the log-likelihood of a disc on a grid about a position, up to a constant.

    ``model`` is the sum of all other discs, ``step`` the spacing of the grid in pixels.
    """
    image, counts, shape = pattern.image, pattern.counts, pattern.shape
    height, width = image.shape
    coverage, scale = shape.coverage, shape.coverage_scale
    evidence = _evidence(pattern, y, x, amplitude)
    level = evidence.level
    likelihood = np.zeros((GRID_POINTS, GRID_POINTS))
    corner = GRID_POINTS // 2 * step * np.sqrt(2.0)
    away = shape.radius + HALF_DIAGONAL_PX + corner
    near = max(0.0, shape.radius - HALF_DIAGONAL_PX - corner)
    squared_away, squared_near = away * away, near * near
    for py in range(max(0, int(np.ceil(y - away))), min(height, int(y + away) + 1)):
        for px in range(max(0, int(np.ceil(x - away))), min(width, int(x + away) + 1)):
            value = image[py, px]
            if not pattern.valid[py, px] or (evidence.clear and counts and value == 0):
                continue
            squared = (py - y) ** 2 + (px - x) ** 2
            # Where every point of the grid finds the disc, or none, nothing is decided.
            if squared > squared_away or squared < squared_near:
                continue
            entry = int(squared * scale)
            here = amplitude * coverage[entry] if entry < len(coverage) else 0.0
            others = max(model[py, px], 0.0)
            if counts:
                # The electrons that are not a neighbour's.
                value *= (level + here) / (level + here + others)
            else:
                value -= pattern.background[py, px] + others
            _add_pixel(likelihood, evidence, value, py - y, px - x, step, scale)
    return likelihood


@numba.njit(cache=True, nogil=True)
def _add_pixel(
    likelihood: np.ndarray,
    evidence: Evidence,
    value: float,
    dy: float,
    dx: float,
    step: float,
    scale: float,
) -> None:
    """Add what one pixel says, ``(dy, dx)`` from the middle of the grid, for each point of it."""
    half = GRID_POINTS // 2
    gain, loss = evidence.gain, evidence.loss
    for i in range(GRID_POINTS):
        square_y = (dy - (i - half) * step) ** 2
        for j in range(GRID_POINTS):
            along_x = dx - (j - half) * step
            entry = int((square_y + along_x * along_x) * scale)
            if entry < len(gain):
                likelihood[i, j] += value * gain[entry] - loss[entry]


@numba.njit(cache=True, nogil=True)
def _moments(likelihood: np.ndarray) -> tuple[float, float, float]:
    """Return mean y, mean x and the variance along an axis of a likelihood, in grid steps."""
    half = GRID_POINTS // 2
    highest = likelihood.max()
    total = sum_y = sum_x = square = 0.0
    for i in range(GRID_POINTS):
        for j in range(GRID_POINTS):
            weight = np.exp(likelihood[i, j] - highest)
            total += weight
            sum_y += weight * (i - half)
            sum_x += weight * (j - half)
            square += weight * ((i - half) ** 2 + (j - half) ** 2)
    sum_y /= total
    sum_x /= total
    return sum_y, sum_x, 0.5 * max(square / total - sum_y * sum_y - sum_x * sum_x, 0.0)


@numba.njit(cache=True, nogil=True)
def disc_height(pattern: Pattern, others: np.ndarray, y: float, x: float, before: float) -> float:
    """Height per pixel of a disc at a known position, above background and other discs.

    For counts one step of expectation maximisation from the height known ``before``, towards the
    most likely one; otherwise the least-squares height.
    """
    image, shape = pattern.image, pattern.shape
    height, width = image.shape
    coverage, scale = shape.coverage, shape.coverage_scale
    reach = shape.radius + HALF_DIAGONAL_PX
    own = size = 0.0
    for row in range(max(0, int(np.ceil(y - reach))), min(height, int(y + reach) + 1)):
        for column in range(max(0, int(np.ceil(x - reach))), min(width, int(x + reach) + 1)):
            entry = int(((row - y) ** 2 + (column - x) ** 2) * scale)
            if entry >= len(coverage) or not pattern.valid[row, column]:
                continue
            share = coverage[entry]
            below = pattern.background[row, column] + max(others[row, column], 0.0)
            if pattern.counts:
                here = before * share
                if here > 0:
                    own += image[row, column] * here / (below + here)
                size += share
            else:
                own += (image[row, column] - below) * share
                size += share * share
    return own / size if size > 0 else 0.0
