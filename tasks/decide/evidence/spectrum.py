"""How many directions of the patterns stand out from counting noise: bi-whitening.

Positions and pixels are scaled so that the variance of the counts, which for a Poisson law is
their mean, averages 1 along every position and every pixel. The singular values of pure noise then
end near ``sqrt(positions) + sqrt(pixels)``, whatever the mean looks like, and what lies clearly
above is signal (Landa, Zhang & Kluger 2022, arXiv:2103.13840).

The scaling is found by Sinkhorn's iteration on a non-negative low-rank model of the mean, and the
singular values from the sketch: neither needs a pass over the patterns. Both choices are ours; the
source scales the counts themselves and decomposes all of them.

Cost: ``O((n + m) (k + l^2))`` for n positions, m pixels, k components and l sketched directions:
a fraction of one fit.

Valid for raw electron counts, and for a camera whose noise is proportional to what it gives once
its read-out is added (`orimap.tasks.acquire.ingest.sample.Sample.shift`): there the variance is the
gain times the mean, and everything is scaled by its root. Any filter, stretch or shift by parts of
a pixel changes the variance; a point spread shares noise between pixels, whose singular values then
reach beyond the edge. The count is that of linearly independent patterns, not of grains:
background, bending, drift and thickness each add to it, and a pattern too dim to stand out is
missing from it. The sketch holds no more than its l directions, so the count is a lower bound where
all stand out.

Directions that bending and drift add are weaker than those of the grains themselves. The largest
step down among the values therefore often tells the two apart where the rank cannot. On the 40 even
scans of the benchmark the step came at the number of grains on 38, the rank on 14 (11 of the 12
without bending and drift); the misses have 500 electrons a pattern, where no step stands out, and
bending by 1.4 degrees. The first value is the mean pattern and says nothing about their number, so
that a single bent grain has its step too far down.
"""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.factorise.sketch import Sketch
from orimap.tasks.factorise.weighting import Weighting

# Positions and pixels that expect fewer counts than this are left out: a few single electrons
# there are spikes of large variance that reach above the edge (the norm of a sparse random matrix
# keeps to the edge where its rows and columns sum to more than a few log of their number).
FEWEST_COUNTS = 20.0
# Sinkhorn's iteration stops when no scale changes by more than this share; the edge is as good.
STILL = 1e-6
# The largest square of pure noise is distributed about its end after Tracy and Widom's law for
# real matrices (Johnstone 2001, doi:10.1214/aos/1009210544); it exceeds this once in a thousand.
TRACY_WIDOM_999 = 3.27
MAX_ROUNDS = 1000


@dataclass(frozen=True)
class BiWhitened:
    """Singular values of the counts, scaled to unit variance.

    Parameters
    ----------
    rank : int
        Number of values above the edge.
    values : (l,) array
        In falling order.
    edge : float
        Where the values of pure noise end, but for one case in a thousand.
    capped : bool
        Whether every direction of the sketch lies above the edge: the rank is then at least this.
    positions, pixels : int
        How many were kept.
    """

    rank: int
    values: np.ndarray
    edge: float
    capped: bool
    positions: int
    pixels: int

    @property
    def gap(self) -> tuple[int, float]:
        """How many values stand before the largest step down, and the ratio across it.

        What is below the edge counts as the edge. From the second value on; the rank itself, and
        infinity, where fewer than two values stand out.
        """
        if self.rank < 2:
            return self.rank, np.inf
        above = np.maximum(self.values, self.edge)[1:]
        # Beyond the last direction of a capped sketch nothing is known.
        ratio = above[: self.rank - 1] / np.append(above[1:], above[-1])[: self.rank - 1]
        return int(np.argmax(ratio)) + 2, float(ratio.max())


def bi_whitened_rank(
    sketch: Sketch,
    weighting: Weighting,
    weights: np.ndarray,
    patterns: np.ndarray,
    dispersion: float = 1.0,
) -> BiWhitened:
    """Count the directions of the sketch that stand out from the noise of counting.

    Parameters
    ----------
    sketch : Sketch
    weighting : Weighting
        That the sketch was made with.
    weights : (positions, k) array, non-negative
    patterns : (k, valid pixels) array, non-negative
        Factors whose product is the expected intensity: those of the fit with the most components.
    dispersion : float
        Variance of an intensity over its mean: 1 for counts.

    Returns
    -------
    BiWhitened
        Rank 0, and edge 0, where no position or no pixel expects enough counts.

    Raises
    ------
    InputError
        If the factors do not fit the sketch.
    """
    shapes = (sketch.left.shape[1], weights.shape[1]), (weights.shape[1], len(weighting.pixel))
    if (weights.shape, patterns.shape) != shapes:
        raise InputError(
            f"weights and patterns of shapes {shapes[0]} and {shapes[1]}",
            f"{weights.shape} and {patterns.shape}",
            "take the factors of a fit to this sketch, on its valid pixels",
        )
    fitted = weighting.fitted & (weighting.pixel > 0)
    weights = weights / dispersion
    rows, columns = enough_counts(weights, patterns, sketch.row_factor > 0, fitted)
    if not (rows.any() and columns.any()):
        return BiWhitened(0, np.zeros(len(sketch.values)), 0.0, False, 0, 0)
    u, v = unit_variance_scales(weights[rows], patterns[:, columns])
    left = sketch.left[:, rows] * (sketch.values[:, None] * np.sqrt(u) / sketch.row_factor[rows])
    right = sketch.right[:, columns] * (np.sqrt(v) / weighting.pixel[columns])
    inner, outer = (np.asarray(np.linalg.qr(side.T, mode="r")) for side in (left, right))
    values = np.linalg.svd(inner @ outer.T, compute_uv=False) / dispersion
    edge = noise_edge(len(u), len(v))
    rank = int(np.count_nonzero(values > edge))
    return BiWhitened(rank, values, edge, rank == len(sketch.values), len(u), len(v))


def noise_edge(positions: int, pixels: int) -> float:
    """Return what the singular values of noise of unit variance hardly ever exceed."""
    root_n, root_m = np.sqrt(positions), np.sqrt(pixels)
    spread = (root_n + root_m) * np.cbrt(1 / root_n + 1 / root_m)
    return float(np.sqrt((root_n + root_m) ** 2 + TRACY_WIDOM_999 * spread))


def enough_counts(
    weights: np.ndarray, patterns: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which positions and pixels expect enough counts, among those that are asked for.

    Parameters
    ----------
    weights : (n, k) array
    patterns : (k, m) array
    rows : (n,) array of bool
    columns : (m,) array of bool

    Returns
    -------
    (n,) and (m,) arrays of bool
        Leaving out pixels takes counts from positions and the other way round, so it is repeated
        until nothing more is left out.
    """
    while True:
        per_row = weights @ patterns[:, columns].sum(axis=1)
        kept_rows = rows & (per_row >= FEWEST_COUNTS)
        per_column = weights[kept_rows].sum(axis=0) @ patterns
        kept_columns = columns & (per_column >= FEWEST_COUNTS)
        if np.array_equal(kept_rows, rows) and np.array_equal(kept_columns, columns):
            return rows, columns
        rows, columns = kept_rows, kept_columns


def unit_variance_scales(
    weights: np.ndarray, patterns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scales that make the expected counts average 1 along every position and pixel.

    Parameters
    ----------
    weights : (n, k) array
    patterns : (k, m) array
        No row of their product and no column is 0.

    Returns
    -------
    u : (n,) array
    v : (m,) array
        ``diag(u) @ weights @ patterns @ diag(v)`` has the mean 1 along each row and column; the
        standard deviation of the counts is scaled by their roots.

    References
    ----------
    Sinkhorn & Knopp (1967), doi:10.2140/pjm.1967.21.343.
    """
    n, m = len(weights), patterns.shape[1]
    v = np.ones(m)
    u = m / (weights @ (patterns @ v))
    for _ in range(MAX_ROUNDS):
        v = n / ((u @ weights) @ patterns)
        before, u = u, m / (weights @ (patterns @ v))
        if np.max(np.abs(u / before - 1)) <= STILL:
            break
    return u, v
