"""Find what particles have lit in several pixels of a single pattern: tracks of cosmic rays, blobs.

A pattern holds no more electrons than the beam brings: what a reflection has, the direct beam has
lost. Pixels that are far brighter than in all patterns around, and together brighter than nearly
all of these as a whole, were not lit by the beam. That needs the direct beam on the detector:
behind a beam stop, patterns may well differ by so much.
"""

import numpy as np
from numba.extending import register_jitable
from skimage.filters import apply_hysteresis_threshold

# Where a crystal bends, a reflection may be so much brighter than one position away.
POSITION_RATIO = 3.0
# What neighbours would be expected to have exceeds what they have by less than this, in standard
# deviations, and in units of intensity per electron.
DEVIATIONS = 3.0
# There is no telling with fewer patterns around.
FEWEST_AROUND = 2
# Of the intensity, at least so much is in the direct beam where it is on the detector.
LEAST_IN_BEAM = 0.2
# Patterns are looked at whose bright pixels hold so many times what is usual around them.
STANDS_OUT = 1.5
# Of all pixels, what one particle lights at most: what is brighter as a whole is no track.
MOST_LIT = 0.05
# Of the patterns around, which may be hit themselves.
BRIGHTER_THAN = 0.75
PASSES = 4


def find_tracks(
    patterns: np.ndarray,
    bright: np.ndarray,
    used: np.ndarray,
    beam: np.ndarray,
    noise: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Find what no beam can have lit in single patterns of a block.

    Parameters
    ----------
    patterns : (scan_y, scan_x, detector_y, detector_x) array
    bright : (value,) array of int
        Places of bright values in the flattened patterns, in ascending order.
    used, beam : (detector_y, detector_x) arrays of bool
        Pixels that are looked at, and those of the direct beam.
    noise : pair of float
        Units of intensity per electron, and standard deviation of what is dim.

    Returns
    -------
    place : (pixel, 4) array of int
        Scan row and column, detector row and column.
    instead : (pixel,) array
        Median of the same pixel in the patterns around.
    """
    kind, cleaned = patterns.dtype, {}
    places, instead = [np.zeros((0, 4), np.int64)], [np.zeros(0, kind)]
    sums = _sums(patterns, bright)
    found = np.zeros(sums.shape, bool)
    # What is beside a brighter hit may be told only when that is known.
    for _ in range(PASSES):
        ahead = np.argwhere(_stands_out(sums) & ~found)
        for y, x in ahead[np.argsort(-sums[tuple(ahead.T)], kind="stable")].tolist():
            around = [cleaned.get(at, patterns[at]) for at in _around(y, x, sums.shape)]
            lit, middle = _lit_by_no_beam(patterns[y, x], np.stack(around), used, beam, noise)
            if not lit.any():
                continue
            found[y, x] = True
            middle = (np.rint(middle) if kind.kind in "iu" else middle).astype(kind)
            sums[y, x] -= patterns[y, x][lit].sum(dtype=np.float64)
            cleaned[y, x] = patterns[y, x].copy()
            cleaned[y, x][lit] = middle
            pixels = np.argwhere(lit)
            places.append(np.column_stack([np.full_like(pixels, (y, x)), pixels]))
            instead.append(middle)
        if not found[tuple(ahead.T)].any():
            break
    return np.concatenate(places), np.concatenate(instead)


def _lit_by_no_beam(
    pattern: np.ndarray,
    around: np.ndarray,
    used: np.ndarray,
    beam: np.ndarray,
    noise: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Return which pixels of a pattern no beam has lit, and what is usual for them."""
    one, others = pattern.astype(np.float64), around.astype(np.float64)
    for values in (one, others):
        values[~np.isfinite(values)] = 0
        values[..., ~used] = 0
    totals, none = others.sum(axis=(1, 2)), np.zeros(one.shape, bool)
    in_beam = others[:, beam].sum(axis=1)
    if np.median(in_beam) < LEAST_IN_BEAM * np.median(totals):
        return none, np.zeros(0)
    largest = np.maximum(others.max(axis=0), 0)
    lit = apply_hysteresis_threshold(one / above_chance(largest, *noise), 1.0, POSITION_RATIO)
    brighter = (one - largest)[lit & ~beam].sum() > np.quantile(totals, BRIGHTER_THAN)
    if not brighter or np.count_nonzero(lit) > MOST_LIT * np.count_nonzero(used):
        return none, np.zeros(0)
    return lit, np.median(others[:, lit], axis=0)


@register_jitable  # called as it is, and from compiled code
def above_chance(value: np.ndarray, gain: float, dim: float) -> np.ndarray:
    """Return what a pixel hardly exceeds by chance where others have a value, or an array."""
    return value + DEVIATIONS * (np.sqrt(gain * value + dim * dim) + gain)


def _sums(patterns: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Return what the bright values of every position add up to: (scan_y, scan_x) array."""
    rows, columns, *detector = patterns.shape
    values = patterns.ravel()[bright].astype(np.float64)
    values[~np.isfinite(values)] = 0
    number = bright // int(np.prod(detector))
    sums = np.bincount(number, values, minlength=rows * columns)
    return sums.astype(np.float64).reshape(rows, columns)  # of nothing they are whole numbers


def _stands_out(sums: np.ndarray) -> np.ndarray:
    """Return the positions whose bright values add up to far more than is usual around them."""
    padded = np.pad(sums, 1, constant_values=np.nan)
    rows, columns = sums.shape
    around = np.stack(
        [
            padded[i : i + rows, j : j + columns]
            for i in range(3)
            for j in range(3)
            if i != 1 or j != 1
        ]
    )
    known = np.count_nonzero(np.isfinite(around), axis=0)
    usual = np.nanmedian(np.where(known > 0, around, 0), axis=0)
    return (sums > STANDS_OUT * usual) & (known >= FEWEST_AROUND)


def _around(y: int, x: int, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the positions beside one in the scan."""
    return [
        (i, j)
        for i in range(max(0, y - 1), min(shape[0], y + 2))
        for j in range(max(0, x - 1), min(shape[1], x + 2))
        if (i, j) != (y, x)
    ]
