"""Measure a camera from the patterns themselves: gain, offset and read-out noise.

Patterns at neighbouring positions are nearly the same, so that their differences show the noise of
every pixel. It grows with the mean by the gain (photon transfer; Janesick 2007,
doi:10.1117/3.725073). Where it is dim, single electrons make the values lean to one side, which
read-out noise does not: how much they lean tells how many electrons there are, and so where zero
lies.

Valid where the dimmest pixels count fewer than some tens of electrons a pattern, and where values
are linear in them: a gamma, or a stretch of the contrast, gives a gain that depends on brightness.
The gain is that of single pixels; what the point spread shares among neighbours lowers it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# Pixels of like brightness are pooled into so many groups, of at least this many pixels.
GROUPS = 40
SMALLEST_GROUP = 16
# The dimmest part of the pixels, which tells the offset.
DIM_PART = 0.2
# Fewer pairs of patterns tell nothing.
FEWEST_PAIRS = 8
# Brighter than this part of the largest value pixels may be saturated.
LINEAR_PART = 0.7
# Neither is a gain known to worse than this part of it.
GAIN_ERROR = 0.5
# Rounds of leaving out groups that change between neighbours by more than noise.
ROUNDS = 6
FAR_OFF = 3.0
FEWEST_GROUPS = 6
# Pairs that differ by more than this times the usual lie in two grains.
MOST_CHANGE = 1.2


@dataclass(frozen=True)
class Camera:
    """What a value stands for; errors are standard errors.

    Parameters
    ----------
    gain, gain_error : float
        Units of intensity per electron.
    offset, offset_error : float
        Value without electrons.
    read_noise, read_noise_error : float
        Standard deviation without electrons, in units of intensity.
    """

    gain: float
    gain_error: float
    offset: float
    offset_error: float
    read_noise: float
    read_noise_error: float

    @property
    def attributes(self) -> dict[str, float]:
        """The same, named as they are stored."""
        return {f"camera_{name}": float(value) for name, value in vars(self).items()}


def measure_camera(first: np.ndarray, second: np.ndarray) -> Camera | None:
    """Measure a camera from pairs of patterns that lie beside each other in the scan.

    Parameters
    ----------
    first, second : (pair, pixel) arrays
        Some pixels of the detector, as acquired.

    Returns
    -------
    Camera or None
        None where the patterns do not tell.
    """
    if len(first) < FEWEST_PAIRS:
        return None
    a, b = (np.nan_to_num(one.astype(np.float64), posinf=0, neginf=0) for one in (first, second))
    # Powers of values that are far from 0 would lose their digits.
    zero = float(np.median(a))
    a, b = a - zero, b - zero
    largest = np.maximum(a, b).max(axis=0)
    linear = largest < LINEAR_PART * largest.max(initial=0)
    if np.count_nonzero(linear) < 4 * SMALLEST_GROUP:
        return None
    a, b = a[:, linear], b[:, linear]
    kept = _alike(a, b)
    if np.count_nonzero(kept) < FEWEST_PAIRS:
        return None
    a, b = a[kept], b[kept]
    line = _line(a, b)
    if line is None:
        return None
    (intercept, gain), covariance = line
    gain_error = float(np.sqrt(covariance[1, 1]))
    if not gain > 0 or gain_error > GAIN_ERROR * gain:
        return None
    level, noise, leaning, number = _dim_moments(a, b)
    leaning_error = np.sqrt(6 * noise**3 / number) + gain * noise / np.sqrt(number)
    electrons = max(leaning / gain**3, 0.0)
    offset = level - gain * electrons
    offset_error = float(np.hypot(leaning_error / gain**2, 2 * electrons * gain_error))
    read_variance = max(float(intercept + gain * offset), 0.0)
    of_variance = float(np.sqrt(max(covariance[0, 0], 0.0))) + gain * offset_error
    read_noise = float(np.sqrt(read_variance))
    return Camera(
        float(gain),
        gain_error,
        offset + zero,
        offset_error,
        read_noise,
        min(of_variance / max(2 * read_noise, 1e-300), float(np.sqrt(of_variance))),
    )


def _dim_moments(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float, int]:
    """Return mean, variance and third moment of the values of dim pixels, and their number.

    Of the same values that tell which pixels are dim, the lowest would be below their own mean.
    """
    moments = []
    for order, x, y in _ordered_by_others(a, b):
        dim = order[: max(SMALLEST_GROUP, int(DIM_PART * order.size))]
        values = np.concatenate([x, y])[:, dim]
        mean, n = values.mean(axis=0), len(values)
        left = values - mean
        # Of so few values of a pixel, moments about their own mean come out too small.
        variance = (left**2).mean() * n / (n - 1)
        leaning = (left**3).mean() * n**2 / ((n - 1) * (n - 2))
        moments.append((mean.mean(), variance, leaning, values.size))
    level, noise, leaning, number = np.mean(moments, axis=0)
    return float(level), float(noise), float(leaning), int(2 * number)


def _ordered_by_others(
    a: np.ndarray, b: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the order of brightness of the pixels in one half of the pairs, and the other half."""
    for half in range(2):
        order = np.argsort((a + b)[half::2].sum(axis=0), kind="stable")
        yield order, a[1 - half :: 2], b[1 - half :: 2]


def _alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return which pairs (pair,) differ by noise: no grain ends between the two."""
    usual = np.maximum(np.median((a - b) ** 2, axis=0), 1e-300)
    usual = np.maximum(usual, usual.mean())
    change = ((a - b) ** 2 / usual).mean(axis=1)
    return change <= MOST_CHANGE * np.median(change)


def _line(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Fit intercept and slope of the variance over the mean, with their covariance.

    In an order of brightness by the same pairs, noise would spread the means and level the slope.
    Groups of pixels that change between neighbours by more than noise are left out.
    """
    mean, variance, error = [], [], []
    for order, x, y in _ordered_by_others(a, b):
        groups = int(min(GROUPS, order.size // SMALLEST_GROUP))
        cuts = np.linspace(0, order.size, groups + 1).astype(int)
        middle, squares = ((x + y) / 2).mean(axis=0), ((x - y) ** 2 / 2).mean(axis=0)
        for low, high in pairwise(cuts):
            own = order[low:high]
            mean.append(middle[own].mean())
            variance.append(squares[own].mean())
            error.append(squares[own].std() / np.sqrt(own.size))
    m, v, e = np.array(mean), np.array(variance), np.array(error)
    kept = (v > 0) & (e > 0)
    for _ in range(ROUNDS):
        if np.count_nonzero(kept) < FEWEST_GROUPS:
            return None
        # Errors that follow from the scatter of few squares are themselves uncertain.
        weight = 1 / np.maximum(e[kept], 0.5 * np.median(e[kept] / v[kept]) * v[kept])
        design = np.stack([np.ones(kept.sum()), m[kept]], axis=1) * weight[:, None]
        normal = design.T @ design
        if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e14:
            return None
        covariance = np.linalg.inv(normal)
        found = covariance @ (design.T @ (v[kept] * weight))
        now = (v > 0) & (e > 0) & (v - found[0] - found[1] * m < FAR_OFF * e)
        if np.array_equal(now, kept):
            break
        kept = now
    return found, covariance
