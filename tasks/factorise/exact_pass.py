"""One pass over the patterns for each half: exact weights, loss and held-out deviance of every k.

With the component patterns fixed, the positions are independent. Their weights solve a
non-negative least-squares problem in the weighting of the fit, against the patterns themselves
rather than their sketch. What the fits then predict is held against all pixels
(``orimap.tasks.factorise.kernels.predictions``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from orimap.tasks.factorise.kernels.least_squares import solve_weights
from orimap.tasks.factorise.kernels.predictions import Stack, absolute_errors, poisson_deviances
from orimap.tasks.factorise.kernels.products import products, sum_of_squares
from orimap.tasks.factorise.weighting import Weighting
from orimap.tasks.patterns.rows import Rows
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.blocks import Block, Progress, broadcast, map_blocks, silent, submit

# Rows of the table that are in double precision at once.
PIXELS_AT_ONCE = 2**14
# Above this many non-zero pixels the loss is taken from a sample of positions: two minutes of one
# core for 19 fits.
LOSS_ENTRIES = 2_000_000_000


@dataclass(frozen=True)
class ExactPass:
    """What the pass over the patterns gives; arrays are along k and scan position.

    Parameters
    ----------
    weights : list of (positions, k) float32 arrays
        In the unit of the counts, for the component images as they were given.
    loss : (number of k, positions) array
        Sum over the valid pixels of the absolute error, NaN where a position was not sampled.
    residual : (number of k, positions) array
        Sum of squares of the weighted residual over the fitted pixels.
    deviance : (number of k, positions) array or None
        Half the Poisson deviance of the held-out half, up to a constant of the data.
    """

    weights: list[np.ndarray]
    loss: np.ndarray
    residual: np.ndarray
    deviance: np.ndarray | None

    def take(self, fits: Sequence[int]) -> "ExactPass":
        """Return what it gives of some of the fits, by their places among all."""
        which = list(fits)
        deviance = None if self.deviance is None else self.deviance[which]
        weights = [self.weights[fit] for fit in which]
        return ExactPass(weights, self.loss[which], self.residual[which], deviance)


@dataclass(frozen=True)
class Prepared:
    """A stack, with what follows from it alone.

    Parameters
    ----------
    stack : Stack
    grams : list of (k, k) arrays
        The weighted components of every fit times themselves.
    sums, fitted_sums : (columns,) arrays
        Of the table over all pixels, and over those that are fitted.
    """

    stack: Stack
    grams: list[np.ndarray]
    sums: np.ndarray
    fitted_sums: np.ndarray

    @classmethod
    def read(cls, stack_of: Callable[[int], Stack], half: int, weighting: Weighting) -> "Prepared":
        """Read and prepare the stack of all counts (0) or of the training half (1)."""
        return cls.of(stack_of(half), weighting)

    @classmethod
    def of(cls, stack: Stack, weighting: Weighting) -> "Prepared":
        """Prepare a stack, in double precision."""
        grams = [np.zeros((k, k)) for k in stack.ks]
        for at in range(0, len(stack.table), PIXELS_AT_ONCE):
            part = slice(at, at + PIXELS_AT_ONCE)
            weighted = stack.table[part] * weighting.pixel[part, None]
            for number, gram in enumerate(grams):
                own = np.ascontiguousarray(weighted[:, stack.columns(number)])
                gram += own.T @ own
        return cls(stack, grams, stack.sums(), stack.sums(weighting.fitted))


def exact_pass(
    client: Any,
    patterns: PatternSource,
    weighting: Weighting,
    stack_of: Callable[[int], Stack],
    ks: Sequence[int],
    *,
    held_out: bool,
    seed: int,
    l1_weights: float = 0.0,
    entries: float = 0.0,
    progress: Progress = silent,
) -> ExactPass:
    """Solve every position for every fit and score what is left.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    weighting : Weighting
    stack_of : callable
        Called on a worker: returns the components of all counts for 0, of the training half for 1.
        What it reads from a store never comes to this process: the tables are the largest thing
        of all.
    ks : sequence of int
        Number of components of every fit, as in the stacks.
    held_out : bool
        Whether a second pass draws the halves again and scores the test half.
    seed : int
        Of the thinning and of the sample for the loss.
    l1_weights : float
        Relative weight of the L1 penalty on scan weights.
    entries : float
        Expected number of non-zero values in all patterns: decides whether the loss is sampled.
    progress : callable

    Returns
    -------
    ExactPass
    """
    share = min(1.0, LOSS_ENTRIES / entries) if entries > 0 else 1.0
    (shared,) = broadcast(client, weighting)
    groups, passes = patterns.groups(), 1 + held_out
    prepared = submit(client, "read fits", Prepared.read, stack_of, 0, shared)
    weights = [np.zeros((patterns.positions, k), np.float32) for k in ks]
    loss = np.full((len(ks), patterns.positions), np.nan)
    residual = np.zeros((len(ks), patterns.positions))
    for numbers, found, left, distance in map_blocks(
        client,
        _solve_and_score,
        groups,
        patterns,
        shared,
        prepared,
        seed,
        l1_weights,
        share,
        name="exact pass",
        progress=lambda done, of: progress(done, passes * of),
    ):
        for one, part in zip(weights, found, strict=True):
            one[numbers] = part
        residual[:, numbers] = left
        loss[:, numbers] = distance
    if not held_out:
        return ExactPass(weights, loss, residual, None)
    prepared.release()
    prepared = submit(client, "read fits", Prepared.read, stack_of, 1, shared)
    deviance = np.full((len(ks), patterns.positions), np.nan)
    for numbers, part in map_blocks(
        client,
        _hold_out,
        groups,
        patterns,
        shared,
        prepared,
        seed,
        l1_weights,
        name="hold out",
        progress=lambda done, of: progress(of + done, passes * of),
    ):
        deviance[:, numbers] = part
    return ExactPass(weights, loss, residual, deviance)


def sampled(positions: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return which positions are in a sample of about this share, keyed by position and seed."""
    if share >= 1:
        return np.ones(len(positions), bool)
    # The mixing function of SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195): a
    # plain linear scramble picks whole columns of a scan for some seeds.
    start = np.random.default_rng(seed).integers(2**64, dtype=np.uint64)
    mixed = start + (positions.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed < np.uint64(share * 2**64)


def _solve_and_score(
    blocks: Sequence[Block],
    patterns: PatternSource,
    weighting: Weighting,
    prepared: Prepared,
    seed: int,
    l1_weights: float,
    share: float,
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, np.ndarray]:
    """Solve a group of blocks for all counts, on a worker: weights, residual and loss."""
    stack = prepared.stack
    numbers, weights, residuals, losses = [], [], [], []
    for batch in patterns.read(blocks, weighting.valid):
        solved, residual = _solve(batch.rows, weighting, prepared, l1_weights)
        loss = np.full(residual.shape, np.nan)
        chosen = np.flatnonzero(sampled(batch.numbers, share, seed))
        loss[:, chosen] = absolute_errors(batch.rows[chosen], solved[chosen], stack, prepared.sums)
        numbers.append(batch.numbers)
        weights.append([solved[:, stack.columns(i)] for i in range(len(stack.ks))])
        residuals.append(residual)
        losses.append(loss)
    return (
        np.concatenate(numbers),
        [np.concatenate(one) for one in zip(*weights, strict=True)],
        np.concatenate(residuals, axis=1),
        np.concatenate(losses, axis=1),
    )


def _hold_out(
    blocks: Sequence[Block],
    patterns: PatternSource,
    weighting: Weighting,
    prepared: Prepared,
    seed: int,
    l1_weights: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Solve a group of blocks for the training half, on a worker; score the test half."""
    numbers, deviances = [], []
    for batch in patterns.read(blocks, weighting.valid, seed):
        solved, _ = _solve(batch.train, weighting, prepared, l1_weights)
        numbers.append(batch.numbers)
        deviances.append(
            poisson_deviances(
                batch.test, solved, prepared.stack, weighting.fitted, prepared.fitted_sums
            )
        )
    return np.concatenate(numbers), np.concatenate(deviances, axis=1)


def _solve(
    rows: Rows, weighting: Weighting, prepared: Prepared, l1_weights: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (rows, columns) in counts and squared weighted residuals (fits, rows)."""
    stack, grams = prepared.stack, prepared.grams
    factor = weighting.row_factor(rows)
    # Patterns and components both carry the pixel weights: the table needs no weighted copy.
    numerators = products(_on_pixels(rows, weighting.pixel**2), stack.table)
    total = sum_of_squares(rows, weighting.pixel) * factor**2
    scale = np.divide(1.0, factor, out=np.zeros_like(factor), where=factor > 0)
    weights = np.zeros(numerators.shape, np.float32)
    residual = np.empty((len(grams), rows.shape[0]))
    for number, gram in enumerate(grams):
        columns = stack.columns(number)
        numerator = (numerators[:, columns] * factor[:, None]).T
        solved = solve_weights(numerator, gram, l1_weights)
        fitted = np.einsum("ij,ij->j", solved, gram @ solved)
        crossed = np.einsum("ij,ij->j", solved, numerator)
        residual[number] = np.maximum(total - 2 * crossed + fitted, 0)
        weights[:, columns] = (solved * scale).T
    return weights, residual


def _on_pixels(rows: Rows, pixel: np.ndarray) -> Rows:
    """Return rows weighted along pixels, in their own precision."""
    if not sp.issparse(rows):
        return rows * pixel.astype(rows.dtype)
    data = rows.data * pixel.astype(rows.dtype)[rows.indices]
    return sp.csr_matrix((data, rows.indices, rows.indptr), shape=rows.shape)
