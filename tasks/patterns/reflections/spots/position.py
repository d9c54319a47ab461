"""Where the centre of a disc lies, from the few electrons that made it.

A centroid weighs an electron by its distance from a guess. The likelihood asks of every electron
how much more probable the disc makes it than the background does: inside the disc all speak alike,
outside none, and the rim decides. With hard rims the likelihood is a plateau with steep sides, of
which the mean is a better estimate than the maximum.
"""

import numba
import numpy as np

from orimap.tasks.patterns.reflections.spots.shape import HALF_DIAGONAL_PX, add_disc

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


@numba.njit(cache=True, nogil=True)
def place_disc(image, valid, whole, background, model, y, x, amplitude, counts, noise, shape):  # noqa: ANN001, ANN201
    """Refine the position and height of one disc among others.

    Parameters
    ----------
    image : (detector_y, detector_x) float32 array
    valid : (detector_y, detector_x) array of bool
    whole : (detector_y, detector_x) array of bool
        Whether discs centred nearby lie on valid pixels entirely.
    background : (detector_y, detector_x) float32 array, per pixel
    model : (detector_y, detector_x) float32 array
        The sum of all discs as known so far, this one included; it is moved along.
    y, x, amplitude : float
        As known so far.
    counts : bool
        Poisson counts; otherwise values with Gaussian noise.
    noise : float
        Its standard deviation per pixel; used for other than counts.
    shape : SpotShape

    Returns
    -------
    y, x, amplitude : float
    """
    height, width = image.shape
    coverage, scale, radius = shape.coverage, shape.coverage_scale, shape.radius
    entries = len(coverage)
    add_disc(model, y, x, -amplitude, shape)
    step = max(FIRST_STEP_PX, FIRST_STEP_DISC_RADII * radius)
    likelihood = np.empty((GRID_POINTS, GRID_POINTS))
    gain, loss = np.empty(entries, np.float32), np.empty(entries, np.float32)
    half = GRID_POINTS // 2
    for number in range(ROUNDS):
        amplitude = disc_height(image, valid, background, model, y, x, amplitude, counts, shape)
        row, column = int(y + 0.5), int(x + 0.5)
        clear = whole[row, column]
        level = max(background[row, column], amplitude / SHARPEST_CONTRAST, 1e-6)
        spread = noise * noise + (UNEVENNESS * amplitude) ** 2 + 1e-12
        for entry in range(entries):
            share = coverage[entry]
            if not counts:
                gain[entry] = amplitude / spread * share
                loss[entry] = 0.5 * amplitude * amplitude / spread * share * share
            else:
                # What a disc that lies on valid pixels entirely predicts is the same everywhere.
                loss[entry] = 0.0 if clear else amplitude * share
                if entry and share == coverage[entry - 1]:
                    gain[entry] = gain[entry - 1]
                else:
                    gain[entry] = np.log(1 + amplitude / level * share)
        likelihood[:] = 0
        corner = half * step * np.sqrt(2.0)
        away = radius + HALF_DIAGONAL_PX + corner
        near = max(0.0, radius - HALF_DIAGONAL_PX - corner)
        squared_away, squared_near = away * away, near * near
        for py in range(max(0, int(np.ceil(y - away))), min(height, int(y + away) + 1)):
            for px in range(max(0, int(np.ceil(x - away))), min(width, int(x + away) + 1)):
                value = image[py, px]
                if not valid[py, px] or (clear and counts and value == 0):
                    continue
                squared = (py - y) ** 2 + (px - x) ** 2
                # Where every point of the grid finds the disc, or none, nothing is decided.
                if squared > squared_away or squared < squared_near:
                    continue
                entry = int(squared * scale)
                here = amplitude * coverage[entry] if entry < entries else 0.0
                others = max(model[py, px], 0.0)
                if counts:
                    # The electrons that are not a neighbour's.
                    value *= (level + here) / (level + here + others)
                else:
                    value -= background[py, px] + others
                for i in range(GRID_POINTS):
                    square_y = (py - y - (i - half) * step) ** 2
                    for j in range(GRID_POINTS):
                        dx = px - x - (j - half) * step
                        entry = int((square_y + dx * dx) * scale)
                        if entry < entries:
                            likelihood[i, j] += value * gain[entry] - loss[entry]
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
        variance = 0.5 * max(square / total - sum_y * sum_y - sum_x * sum_x, 0.0)
        y = min(max(y + sum_y * step, 0.0), height - 1.0)
        x = min(max(x + sum_x * step, 0.0), width - 1.0)
        before = step
        step = min(max(STEP_DEVIATIONS * np.sqrt(variance) * step, 0.15 * step), 1.5 * step)
        step = max(step, FINEST_STEP_PX)
        if number > 0 and step > RESOLVED_SHARE * before:
            break
    amplitude = disc_height(image, valid, background, model, y, x, amplitude, counts, shape)
    add_disc(model, y, x, amplitude, shape)
    return y, x, amplitude


@numba.njit(cache=True, nogil=True)
def disc_height(image, valid, background, others, y, x, before, counts, shape):  # noqa: ANN001, ANN201
    """Height per pixel of a disc at a known position, above background and other discs.

    For counts one step of expectation maximisation from the height known ``before``, towards the
    most likely one; otherwise the least-squares height.
    """
    height, width = image.shape
    coverage, scale = shape.coverage, shape.coverage_scale
    reach = shape.radius + HALF_DIAGONAL_PX
    own = size = 0.0
    for row in range(max(0, int(np.ceil(y - reach))), min(height, int(y + reach) + 1)):
        for column in range(max(0, int(np.ceil(x - reach))), min(width, int(x + reach) + 1)):
            entry = int(((row - y) ** 2 + (column - x) ** 2) * scale)
            if entry >= len(coverage) or not valid[row, column]:
                continue
            share = coverage[entry]
            below = background[row, column] + max(others[row, column], 0.0)
            if counts:
                here = before * share
                if here > 0:
                    own += image[row, column] * here / (below + here)
                size += share
            else:
                own += (image[row, column] - below) * share
                size += share * share
    return own / size if size > 0 else 0.0
