"""Three passes over the patterns for one low-rank basis that serves every number of components.

The patterns are weighted for counting noise, multiplied by a random matrix and by their own
transpose (first pass), the result again by both (second pass), projected on the space that this
spans (third pass), and decomposed. The same passes make the basis of the training half for the
held-out evidence.

After the first pass alone, counting noise tilts the basis away from the signal: on 24×24 positions
of five grains the fit of five components had a held-out deviance 11 above that of a fit to the
patterns themselves, where the fifth component lowers it by 67. After the second it is equal.

The random directions and the bases are in single precision in the passes: any basis serves, and
what is measured against it is summed in double precision.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from orimap.tasks.factorise.kernels.products import add_transposed, products, sum_of_squares
from orimap.tasks.factorise.weighting import Weighting
from orimap.tasks.patterns.rows import Rows
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.blocks import (
    Block,
    Progress,
    broadcast,
    map_blocks,
    silent,
    submit,
    sum_blocks,
)

GRAM_PASSES = 2
# Every group of patterns has a sum as large as the basis, and these are added up one after the
# other: groups are large enough that this takes a tenth of the time, but feed a few workers.
PATTERNS_A_SUM, FEWEST_A_SUM = 4096, 1024
FEWEST_SUMS, SOME_SUMS, MOST_SUMS = 4, 8, 1024
# Largest product of two different columns after the first round of making them orthonormal.
CLOSE = 0.01


@dataclass(frozen=True)
class Sketch:
    """Weighted patterns as ``left.T @ diag(values) @ right``, in the order of falling values.

    Parameters
    ----------
    left : (l, positions) array
    values : (l,) array
    right : (l, valid pixels) array
        0 where a pixel is not fitted.
    excluded : (l, other valid pixels) array
        ``left @ V`` over the valid pixels that are not fitted, V weighted along positions only:
        what is needed to give every component its direct beam.
    row_factor : (positions,) array
    squares : float
        Sum of squares of the weighted patterns (all of them, not of the low-rank ones).
    """

    left: np.ndarray
    values: np.ndarray
    right: np.ndarray
    excluded: np.ndarray
    row_factor: np.ndarray
    squares: float

    def truncated(self, rank: int) -> "Sketch":
        """Return the leading directions only."""
        return replace(
            self,
            left=self.left[:rank],
            values=self.values[:rank],
            right=self.right[:rank],
            excluded=self.excluded[:rank],
        )


def sketch_patterns(
    client: Any,
    patterns: PatternSource,
    weighting: Weighting,
    rank: int,
    *,
    seed: int,
    held_out: bool,
    progress: Progress = silent,
) -> list[Sketch]:
    """Sketch the patterns and, if asked, the training half of their counts, in three passes.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    weighting : Weighting
    rank : int
    seed : int
        Of the random directions and of the thinning.
    held_out : bool
        Whether to thin the counts; only for Poisson counts.
    progress : callable

    Returns
    -------
    list of Sketch
        That of all counts, then that of the training half where ``held_out``.

    References
    ----------
    Halko, Martinsson & Tropp (2011), doi:10.1137/090771806.
    """
    rank = min(rank, int(np.count_nonzero(weighting.fitted)))
    # One after the other: the sums of a pass are the largest thing in memory.
    halves = (None, seed) if held_out else (None,)
    return [
        _sketch(client, patterns, weighting, rank, seed, half, _part(progress, i, len(halves)))
        for i, half in enumerate(halves)
    ]


def _sketch(
    client: Any,
    patterns: PatternSource,
    weighting: Weighting,
    rank: int,
    seed: int,
    half: int | None,
    progress: Progress,
) -> Sketch:
    """Sketch all counts or, with the seed of its draw, the training half of them.

    Sums and bases stay with the workers until the patterns are projected.
    """
    steps = GRAM_PASSES + 1
    (shared,) = broadcast(client, weighting)
    basis = submit(client, "directions", _directions, len(weighting.pixel), rank, seed)
    for before in range(GRAM_PASSES):
        total = sum_blocks(
            client,
            _gram,
            patterns.blocks(),
            patterns,
            shared,
            submit(client, "weight basis", Weighting.on_pixels, shared, basis),
            half,
            name="gram",
            groups=sums(patterns.positions),
            progress=_part(progress, before, steps),
        )
        basis = submit(client, "orthonormal basis", orthonormal, total)
        del total
    results = map_blocks(
        client,
        _project,
        patterns.groups(),
        patterns,
        shared,
        submit(client, "weight basis", Weighting.on_pixels, shared, basis),
        half,
        name="project",
        progress=_part(progress, GRAM_PASSES, steps),
    )
    coordinates = np.zeros((patterns.positions, rank))
    factor = np.zeros(patterns.positions)
    cross = np.zeros((rank, np.count_nonzero(~weighting.fitted)))
    squares = 0.0
    for numbers, *found in results:
        coordinates[numbers], factor[numbers] = found[:2]
        cross += found[2]
        squares += found[3]
    return _decompose(basis.result(), coordinates, factor, cross, squares)


def _directions(pixels: int, rank: int, seed: int) -> np.ndarray:
    """Draw random directions (pixels, rank)."""
    return np.random.default_rng(seed).standard_normal((pixels, rank))


def sums(positions: int, most: int = MOST_SUMS) -> int:
    """Return in how many groups so many patterns are summed."""
    groups = max(positions // PATTERNS_A_SUM, min(positions // FEWEST_A_SUM, SOME_SUMS))
    return min(max(groups, FEWEST_SUMS), most)


def orthonormal(table: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of what the columns of a tall table span.

    Two rounds of Cholesky's decomposition, four times faster than Householder's reflections, which
    take its place where the columns depend on each other.

    References
    ----------
    Fukaya et al. (2014), doi:10.1109/ScalA.2014.11.
    """
    # What comes from a worker may lie at an odd address: NumPy then multiplies in another order.
    table = np.require(table, requirements=["ALIGNED"])
    try:
        first = table @ np.linalg.inv(np.linalg.cholesky(table.T @ table)).T
        gram = first.T @ first
        # The first round has to come close for the second to be exact.
        if np.abs(gram - np.eye(len(gram))).max() < CLOSE:
            return first @ np.linalg.inv(np.linalg.cholesky(gram)).T
    except np.linalg.LinAlgError:
        pass
    return np.linalg.qr(table)[0]


def _decompose(
    basis: np.ndarray,
    coordinates: np.ndarray,
    factor: np.ndarray,
    cross: np.ndarray,
    squares: float,
) -> Sketch:
    """Turn projected patterns into singular vectors with a fixed sign."""
    left, values, turn = np.linalg.svd(coordinates, full_matrices=False)
    right = turn @ basis.T
    sign = np.where(right.sum(axis=1) < 0, -1.0, 1.0)
    # Patterns are multiplied in single precision: what lies below its step is no direction.
    least = float(np.finfo(np.float32).eps) * values.max(initial=0.0)
    held = values > least
    left, right, turn = left.T * sign[:, None], right * sign[:, None], turn * sign[:, None]
    excluded = (turn @ cross)[held] / values[held][:, None]
    return Sketch(
        np.ascontiguousarray(left[held]),
        values[held],
        np.ascontiguousarray(right[held]),
        excluded,
        factor,
        squares,
    )


def _part(progress: Progress, done: int, parts: int) -> Progress:
    """Return what reports one of several parts as progress of the whole."""
    return lambda at, of: progress(done * of + at, parts * of)


def _rows(
    patterns: PatternSource, blocks: Sequence[Block], weighting: Weighting, half: int | None
) -> Iterator[tuple[np.ndarray, Rows]]:
    """Yield numbers of positions with all their counts, or with the training half."""
    for batch in patterns.read(blocks, weighting.valid, half):
        yield batch.numbers, batch.rows if half is None else batch.train


def _gram(
    blocks: Sequence[Block],
    patterns: PatternSource,
    weighting: Weighting,
    table: np.ndarray,
    half: int | None,
) -> np.ndarray:
    """First passes: the sum of C.T @ (C @ directions) over a group of blocks.

    ``table`` are the directions, weighted along pixels.
    """
    total = np.zeros(table.shape)
    for _, rows in _rows(patterns, blocks, weighting, half):
        found = products(rows, table) * (weighting.row_factor(rows) ** 2)[:, None]
        add_transposed(rows, found.astype(rows.dtype), total)
    total *= weighting.pixel[:, None]
    return total


def _project(
    blocks: Sequence[Block],
    patterns: PatternSource,
    weighting: Weighting,
    table: np.ndarray,
    half: int | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Last pass: coordinates of every pattern of a group, and what the left-out pixels need.

    ``table`` is the basis, weighted along pixels. Returns the numbers of the positions, their
    coordinates and factors, the pixels that are left out times the coordinates, and the sum of
    squares.
    """
    left_out = np.flatnonzero(~weighting.fitted)
    numbers, coordinates, factors = [], [], []
    cross, squares = np.zeros((table.shape[1], len(left_out))), 0.0
    for batch_numbers, rows in _rows(patterns, blocks, weighting, half):
        factor = weighting.row_factor(rows)
        found = products(rows, table) * factor[:, None]
        cross += (rows[:, left_out].T @ (found * factor[:, None])).T
        squares += float(sum_of_squares(rows, weighting.pixel) @ factor**2)
        numbers.append(batch_numbers)
        coordinates.append(found)
        factors.append(factor)
    joined = (np.concatenate(part) for part in (numbers, coordinates, factors))
    return *joined, cross, squares
