"""How noisy patterns are: the noise standard deviation (NSD) that filters are compared by.

The paper gives it in words only, as the dispersion of the pixels about their mean. Over a whole
pattern that measures how bright the reflections are more than how noisy the pattern is, so it is
reported three ways: over the whole pattern, in the corners, and from details too fine for a
reflection, taken where there is none.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from orimap.tasks.patterns.corners import outside_inscribed_circle
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.blocks import Block, Progress, broadcast, map_blocks, silent
from orimap.tasks.stream.sizes import BATCH_BYTES

# Side of the cells whose noise is compared, as a share of the detector's: reflections and their
# distances grow with the pattern, and a cell must often be free of them. Below the least side a
# cell has too few details for a variance.
CELLS_A_SIDE = 12
LEAST_CELL_PX = 8
# Cells belong to the background up to so many standard deviations above the mean of those that do.
CELL_DEVIATIONS = 3.0
# The mean noise of a cluster is taken from a sample of its positions where it has more than these:
# patterns of one cluster differ by a tenth, so that the mean is good to one part in 150.
MOST_POSITIONS = 256
# Counts give equal cells, and rounding must not decide which of them belong: the variance of equal
# cells is a difference that leaves 1e-8 of their size.
SAME = 1e-6


class Noise(NamedTuple):
    """Noise standard deviations, in the unit of the patterns; one value a pattern or a cluster.

    Parameters
    ----------
    whole : array
        Of all pixels about their mean: the paper's.
    corner : array
        The same outside the inscribed circle; NaN where no two pixels are valid there.
    robust : array
        Of the finest details where there is no reflection; NaN where no four pixels are valid.
    """

    whole: np.ndarray
    corner: np.ndarray
    robust: np.ndarray


def noise_deviations(images: np.ndarray, valid: np.ndarray) -> Noise:
    """Measure the noise of each pattern in three ways.

    Parameters
    ----------
    images : (n, detector_y, detector_x) array
        Finite.
    valid : (detector_y, detector_x) array of bool
        Pixels to look at.

    Returns
    -------
    Noise of (n,) float64 arrays

    References
    ----------
    Cao et al. (2025), Digital Discovery, doi:10.1039/d5dd00071h: whole. Folastre et al. (2024),
    Sci. Rep. 14, doi:10.1038/s41598-024-63060-5: corner.
    """
    return Noise(
        _deviation(images, valid),
        _deviation(images, valid & outside_inscribed_circle(valid.shape)),
        robust_deviation(images, valid),
    )


def _deviation(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the chosen pixels of each image about their mean."""
    if np.count_nonzero(chosen) < 2:
        return np.full(len(images), np.nan)
    return images[:, chosen].std(axis=1, dtype=np.float64)


def robust_deviation(images: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Measure the noise of each pattern from its finest details, away from reflections.

    A detail is half the difference between the two diagonals of 2x2 pixels (the diagonal Haar
    wavelet): 0 for any slope, and for white noise as spread as the noise itself. The patterns are
    divided into cells; what is returned is the root mean square of the details over the cells
    that belong to the background.

    The background begins as the quieter half of the cells, and takes in every cell whose mean
    square lies within three standard deviations of the mean of those it has, until there is
    nothing to take in. The usual median of the details' magnitude will not do on counts: with
    less than one electron in four pixels it is 0, and up to several it jumps between multiples of
    one half. A mean square is the variance whatever the distribution.

    Parameters
    ----------
    images : (n, detector_y, detector_x) array
    valid : (detector_y, detector_x) array of bool

    Returns
    -------
    (n,) float64 array
        Within 4 % on average for white noise, Gaussian or counts, of .05 electrons a pixel or
        more on 96x96 pixels. Exactly 0 where half of the cells hold no detail at all: patterns
        drawn from a list of reflections, or counts with less than one electron in a cell.

    References
    ----------
    Donoho & Johnstone (1994), Biometrika 81, 425-455, doi:10.1093/biomet/81.3.425: noise from the
    finest wavelet. Cells in place of a median are ours.
    """
    squares, cells = _cell_squares(images, valid)
    if not cells:
        return np.full(len(images), np.nan)
    return np.sqrt(_background_mean(squares))


def _cell_squares(images: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the mean square of the details (n, cell) of each cell, and how many cells there are.

    Cells of which half is not valid are left out.
    """
    shape = [length // 2 for length in valid.shape]
    if min(shape) == 0:
        return np.empty((len(images), 0)), 0
    even = np.s_[..., : 2 * shape[0], : 2 * shape[1]]
    quads = images[even].reshape(-1, shape[0], 2, shape[1], 2).astype(np.float64)
    used = valid[even].reshape(shape[0], 2, shape[1], 2).all(axis=(1, 3))
    detail = quads[:, :, 0, :, 0] - quads[:, :, 0, :, 1]
    detail -= quads[:, :, 1, :, 0] - quads[:, :, 1, :, 1]
    detail /= 2
    square = np.where(used, detail**2, 0)
    starts = [_cell_starts(length) for length in shape]
    total = np.add.reduceat(np.add.reduceat(square, starts[0], axis=1), starts[1], axis=2)
    whole, some = (
        np.add.reduceat(np.add.reduceat(kind.astype(int), starts[0], axis=0), starts[1], axis=1)
        for kind in (np.ones_like(used), used)
    )
    kept = (2 * some >= whole) & (some > 0)
    return total[:, kept] / some[kept], int(np.count_nonzero(kept))


def _cell_starts(details: int) -> np.ndarray:
    """Return where the cells along an axis of so many details begin."""
    side = max(LEAST_CELL_PX // 2, details // CELLS_A_SIDE)
    return np.linspace(0, details, max(1, details // side) + 1).astype(int)[:-1]


def _background_mean(squares: np.ndarray) -> np.ndarray:
    """Return the mean (n,) over the cells of each image that belong to the background."""
    ordered = np.sort(squares, axis=1)
    cells = ordered.shape[1]
    counts = np.arange(1, cells + 1)
    mean = np.cumsum(ordered, axis=1) / counts
    variance = np.maximum(np.cumsum(ordered**2, axis=1) / counts - mean**2, 0)
    limit = mean + CELL_DEVIATIONS * np.sqrt(variance)
    rows = np.arange(len(ordered))
    last = np.full(len(ordered), (cells + 1) // 2 - 1)
    # Each round takes in one cell at least, or ends.
    while True:
        reach = limit[rows, last, None] * (1 + SAME)
        within = np.count_nonzero(ordered <= reach, axis=1) - 1
        if np.all(within <= last):
            return mean[rows, last]
        last = np.maximum(last, within)


def cluster_noise(
    client: Any,
    patterns: PatternSource,
    label: np.ndarray,
    count: int,
    valid: np.ndarray,
    *,
    progress: Progress = silent,
) -> Noise:
    """Return the mean noise of the patterns of each cluster, in one pass.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
        Filtered and centred as they were analysed.
    label : (scan_y, scan_x) array of int
        -1 for no cluster.
    count : int
        Number of clusters.
    valid : (detector_y, detector_x) array of bool
        Pixels to look at.

    Returns
    -------
    Noise of (cluster,) float64 arrays
        NaN for a cluster without a position; from a sample of `MOST_POSITIONS` where it has more.
    """
    label = sampled_labels(label, count)
    shared = broadcast(client, label, valid)
    total = np.zeros((len(Noise._fields), count))
    for part in map_blocks(
        client,
        _noise_of_blocks,
        patterns.groups(),
        patterns,
        *shared,
        count,
        name="noise",
        progress=progress,
    ):
        total += part
    size = np.bincount(label[label >= 0].ravel(), minlength=count)
    with np.errstate(invalid="ignore"):
        return Noise(*(total / size))


def sampled_labels(label: np.ndarray, count: int) -> np.ndarray:
    """Return the labels of the positions that are looked at, -1 at all others."""
    kept = np.full(label.size, -1)
    rng = np.random.default_rng(0)
    for cluster in range(count):
        there = np.flatnonzero(label == cluster)
        kept[rng.permutation(there)[:MOST_POSITIONS]] = cluster
    return kept.reshape(label.shape)


def _noise_of_blocks(
    blocks: Sequence[Block],
    patterns: PatternSource,
    label: np.ndarray,
    valid: np.ndarray,
    count: int,
) -> np.ndarray:
    """Add up the noise (kind, cluster) of some blocks' patterns, on a worker."""
    total = np.zeros((len(Noise._fields), count))
    at_once = max(1, BATCH_BYTES // (8 * valid.size))
    blocks = [block for block in blocks if np.any(label[block.slices] >= 0)]
    for batch in patterns.read(blocks, valid):
        inside = label.ravel()[batch.numbers]
        there = np.flatnonzero(inside >= 0)
        for start in range(0, len(there), at_once):
            chosen = there[start : start + at_once]
            rows = batch.rows[chosen]
            images = np.zeros((len(chosen), *valid.shape), rows.dtype)
            images[:, valid] = rows.toarray() if sp.issparse(rows) else rows
            for kind, values in enumerate(noise_deviations(images, valid)):
                total[kind] += np.bincount(inside[chosen], values, minlength=count)
    return total
