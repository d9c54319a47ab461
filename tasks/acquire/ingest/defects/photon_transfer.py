"""How the noise of pixels grows with their brightness: the photon transfer curve of a scan.

What a pattern differs by from the mean of its two neighbours in the scan is noise, together with
what bends within three positions. The variance of a pixel's own noise, and that of what it shares
with the pixels around it, are gathered in groups of like brightness. Pixels are ordered by what
lies *around* them, in one half of the positions, and measured in the other: neither their own noise
nor a pattern that the camera itself adds then decides which group they come to lie in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

# Electrons of one pixel are seen in others up to this far away.
REACH = 2
# Noise that whole rows or columns share is measured between pixels so far apart.
FAR = (6, 9)
# The brightest group has this many pixels, each next one more by this factor.
SMALLEST_GROUP = 32
GROWTH = 1.25
FEWEST_GROUPS = 6
# Brighter than this part of the largest value pixels may be saturated.
LINEAR_PART = 0.7
# Fewer patterns between two others tell nothing.
FEWEST = 8
TINY = float(np.finfo(np.float32).tiny)
# Neighbours are compared where patterns are bright, this part of the pixels; this part of the
# patterns is kept, those that change least.
BRIGHT_PART = 0.1
STILL_PART = 0.6


@dataclass(frozen=True)
class PhotonTransfer:
    """Noise over brightness; all arrays are (group,), errors are standard errors.

    Parameters
    ----------
    mean : array
        Brightness of the pixels, in units of intensity.
    variance, variance_error : arrays
        Of the noise of single pixels.
    whole, whole_error : arrays
        Together with what they share with the pixels around them: what stays of the variance when
        many pixels are summed.
    third, third_error : arrays
        Third central moment of the noise of single pixels.
    striped : float
        Covariance that whole rows and columns of pixels share within the reach.
    """

    mean: np.ndarray
    variance: np.ndarray
    variance_error: np.ndarray
    whole: np.ndarray
    whole_error: np.ndarray
    third: np.ndarray
    third_error: np.ndarray
    striped: float

    @property
    def variables(self) -> "dict[str, xr.DataArray]":
        """What is stored of it."""
        from orimap.tasks.store import variables as v

        stored = {
            v.brightness_mean: self.mean,
            v.brightness_variance: self.variance,
            v.brightness_variance_error: self.variance_error,
            v.brightness_whole_variance: self.whole,
            v.brightness_whole_variance_error: self.whole_error,
        }
        return {one.name: one.array(values.astype(np.float32)) for one, values in stored.items()}


def photon_transfer(
    before: np.ndarray, patterns: np.ndarray, after: np.ndarray, measured: np.ndarray
) -> PhotonTransfer | None:
    """Work out the photon transfer curve of some patterns.

    Parameters
    ----------
    before, patterns, after : (pattern, part, part_y, part_x) arrays
        Parts of patterns, and the same of their two neighbours in the scan.
    measured : (part, part_y, part_x) array of bool
        False for pixels that are not believed.

    Returns
    -------
    PhotonTransfer or None
        None for too few patterns or pixels.
    """
    if len(patterns) < FEWEST or min(patterns.shape[2:]) < 2 * REACH + 2:
        return None
    change = after - before
    # Independent of the noise of the patterns themselves: nothing is chosen by what is measured.
    still = _still(change, np.abs(patterns).mean(axis=0))
    if np.count_nonzero(still) < FEWEST // 2 or not measured.any():
        return None
    noise = (patterns - (before + after) / 2)[still] / np.sqrt(1.5)
    mean = ((before + patterns + after) / 3)[still]
    largest = np.maximum(np.maximum(before, patterns), after).max(axis=0)
    linear = measured & (largest < LINEAR_PART * largest[measured].max(initial=0))
    usable = _box(linear.astype(np.float32)) == (2 * REACH + 1) ** 2
    core = (..., slice(REACH, -REACH), slice(REACH, -REACH))
    around = _box(mean) - mean[core]
    shared = _box(noise)
    striped = _striped(noise, linear)
    mean, noise, shared, around = (
        one[:, usable] for one in (mean[core], noise[core], shared, around)
    )
    groups = []
    for half in range(2):
        order = np.argsort(around[half::2].sum(axis=0), kind="stable")
        own, together, level = noise[1 - half :: 2], shared[1 - half :: 2], mean[1 - half :: 2]
        for group in _groups(order):
            moments = (
                (own[:, group] ** 2).mean(axis=0),
                (own[:, group] * together[:, group]).mean(axis=0),
                # Of a pattern and two halves, 3/2 and 3/4: the second and third moment.
                (own[:, group] ** 3).mean(axis=0) * 1.5**1.5 / 0.75,
            )
            root = np.sqrt(len(group))
            groups.append(
                [level[:, group].mean()]
                + [value for one in moments for value in (one.mean(), one.std() / root)]
            )
    if len(groups) < FEWEST_GROUPS:
        return None
    table = np.array(groups)
    return PhotonTransfer(*table[np.argsort(table[:, 0], kind="stable")].T, striped)


def _still(change: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return which patterns (pattern,) have like neighbours: no grain ends between these."""
    bright = mean >= np.quantile(mean, 1 - BRIGHT_PART)
    # Reflections change as a whole.
    inside = bright[..., REACH:-REACH, REACH:-REACH]
    summed = _box(change)[:, inside] if inside.any() else change[:, bright]
    squares = summed.astype(np.float64) ** 2
    usual = np.median(squares, axis=0)
    usual = np.maximum(usual, max(float(np.median(usual)), TINY))
    total = (squares / usual).mean(axis=1)
    return total <= np.quantile(total, STILL_PART)


def _box(images: np.ndarray) -> np.ndarray:
    """Sum images (..., y, x) within the reach of each pixel that is as far from all edges."""
    size = 2 * REACH + 1
    rows, columns = (length - 2 * REACH for length in images.shape[-2:])
    along = np.add.reduce([images[..., step : rows + step, :] for step in range(size)])
    return np.add.reduce([along[..., step : columns + step] for step in range(size)])


def _striped(noise: np.ndarray, linear: np.ndarray) -> float:
    """Return the covariance that rows and columns share, with the pixels within the reach."""
    total = 0.0
    quiet = np.where(linear, noise, 0.0)
    for axis in (-2, -1):
        if noise.shape[axis] <= 2 * FAR[1]:
            continue
        covariance = []
        for step in range(FAR[0], FAR[1] + 1):
            first = np.take(quiet, range(step, noise.shape[axis]), axis)
            second = np.take(quiet, range(noise.shape[axis] - step), axis)
            # Few pixels are bright: the median of the detector's pixels is that of the dim ones.
            covariance.append(np.median((first * second).mean(axis=0)))
        total += 2 * REACH * max(float(np.mean(covariance)), 0.0)
    return total


def _groups(order: np.ndarray) -> Iterator[np.ndarray]:
    """Cut an order of brightness in groups, small ones where it is bright."""
    end, size = len(order), float(SMALLEST_GROUP)
    while end >= SMALLEST_GROUP:
        # What is left would be too small a group of its own.
        start = end - int(size) if end - int(size) >= SMALLEST_GROUP else 0
        yield order[start:end]
        end, size = start, size * GROWTH
