"""One pass over the patterns: exact weights, loss and held-out deviance of every k at once.

With the component patterns fixed, the positions are independent. Their weights solve a
non-negative least-squares problem in the weighting of the fit, against the patterns themselves
rather than their sketch. The mean absolute error over all pixels follows from the pixels that
are not zero: where a count is 0 the error is the model itself, and the model's sum over all pixels
is a product of sums.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import scipy.sparse as sp

from orimap.tasks.factorise import descend
from orimap.tasks.patterns import PatternSource
from orimap.tasks.rows import Rows
from orimap.tasks.sketch import Weighting
from orimap.tasks.streaming import Block, Progress, broadcast, map_blocks, silent

# Sweeps of the non-negative least squares; it stops before where nothing moves any more.
SWEEPS = 10
MAX_ROUNDS = 60
# Largest change of a weight, relative to the largest weight, that counts as none.
STILL = 1e-9
# Models of so many pixels, for every k, stay in a core's first-level cache.
PIXELS_AT_ONCE = 128
# A model that predicts fewer electrons than this is taken to predict it: a logarithm of zero would
# let a single stray electron decide.
FEWEST_ELECTRONS = 1e-4
# Above this many non-zero pixels the loss is taken from a sample of positions: it costs their
# number times the sum of all k.
LOSS_ENTRIES = 400_000_000


@dataclass(frozen=True)
class Stack:
    """The components of every k, one under another, ready for the pass.

    Parameters
    ----------
    bounds : (number of k + 1,) array of int
        Components ``bounds[i]:bounds[i + 1]`` belong to the i-th k.
    images : (valid pixels, components) array
        Component patterns in the unit of the counts.
    """

    bounds: np.ndarray
    images: np.ndarray

    @classmethod
    def of(cls, images: Sequence[np.ndarray]) -> "Stack":
        """Stack the component images (k, valid pixels) of several k."""
        sizes = [len(part) for part in images]
        return cls(
            np.concatenate([[0], np.cumsum(sizes)]),
            np.ascontiguousarray(np.concatenate(images).T),
        )


@dataclass(frozen=True)
class ExactPass:
    """What the pass over the patterns gives; arrays are along k and scan position.

    Parameters
    ----------
    weights : list of (positions, k) arrays
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


def solve_weights(numerator: np.ndarray, gram: np.ndarray, l1: float = 0.0) -> np.ndarray:
    """Return the non-negative least-squares weights (k, positions).

    Parameters
    ----------
    numerator : (k, positions) array
        Component patterns times patterns.
    gram : (k, k) array
        Component patterns times component patterns.
    l1 : float
        Weight of an added L1 norm, relative to the mean numerator of each position: a mean over
        all of them would make a position's weights depend on which others are solved with it.
    """
    if l1:
        numerator = numerator - l1 * np.abs(numerator).mean(axis=0)
    diagonal = np.maximum(np.diag(gram), 1e-300)[:, None]
    weights = np.where(np.diag(gram)[:, None] > 0, np.maximum(numerator, 0) / diagonal, 0.0)
    weights /= len(gram)
    for _ in range(MAX_ROUNDS):
        before = weights.copy()
        descend(weights, numerator, gram, 0.0, SWEEPS)
        if np.abs(weights - before).max(initial=0) <= STILL * weights.max(initial=0):
            break
    return weights


@numba.njit(cache=True, fastmath=True, nogil=True)
def models_at(pixels, row_weights, images, bounds, models):  # noqa: ANN001, ANN201
    """Write what every k predicts at some pixels of one position into ``models`` (pixels, k)."""
    count_k = len(bounds) - 1
    whole = len(pixels) - len(pixels) % 4
    # Four pixels at once: one sum would wait for itself at every addition.
    for first in range(0, whole, 4):
        a, b = images[pixels[first]], images[pixels[first + 1]]
        c, d = images[pixels[first + 2]], images[pixels[first + 3]]
        for i in range(count_k):
            at_a = at_b = at_c = at_d = 0.0
            for component in range(bounds[i], bounds[i + 1]):
                weight = row_weights[component]
                at_a += weight * a[component]
                at_b += weight * b[component]
                at_c += weight * c[component]
                at_d += weight * d[component]
            models[first, i], models[first + 1, i] = at_a, at_b
            models[first + 2, i], models[first + 3, i] = at_c, at_d
    for last in range(whole, len(pixels)):
        for i in range(count_k):
            at_last = 0.0
            for component in range(bounds[i], bounds[i + 1]):
                at_last += row_weights[component] * images[pixels[last], component]
            models[last, i] = at_last


@numba.njit(cache=True, fastmath=True, nogil=True)
def absolute_errors(indptr, indices, data, weights, images, sums, bounds):  # noqa: ANN001, ANN201
    """Sum |count - model| over all pixels of every row and every k, from the non-zero counts.

    ``weights`` (rows, components), ``images`` (pixels, components), ``sums`` (components,) the sum
    of each image over all pixels. Returns (number of k, rows).
    """
    count_k = len(bounds) - 1
    loss = np.zeros((count_k, len(indptr) - 1))
    models = np.empty((PIXELS_AT_ONCE, count_k))
    for row in range(len(indptr) - 1):
        for i in range(count_k):
            for c in range(bounds[i], bounds[i + 1]):
                loss[i, row] += weights[row, c] * sums[c]
        for start in range(indptr[row], indptr[row + 1], PIXELS_AT_ONCE):
            stop = min(start + PIXELS_AT_ONCE, indptr[row + 1])
            models_at(indices[start:stop], weights[row], images, bounds, models)
            for entry in range(start, stop):
                for i in range(count_k):
                    model = models[entry - start, i]
                    loss[i, row] += abs(data[entry] - model) - model
    return loss


@numba.njit(cache=True, fastmath=True, nogil=True)
def poisson_deviances(indptr, indices, data, weights, images, sums, bounds, fitted, least):  # noqa: ANN001, ANN201
    """Sum model - count * log(model) over the fitted pixels of every row and every k.

    As ``absolute_errors``, with ``sums`` over the fitted pixels; ``least`` is the smallest model a
    count is held against.
    """
    count_k = len(bounds) - 1
    deviance = np.zeros((count_k, len(indptr) - 1))
    models = np.empty((PIXELS_AT_ONCE, count_k))
    for row in range(len(indptr) - 1):
        for i in range(count_k):
            for c in range(bounds[i], bounds[i + 1]):
                deviance[i, row] += weights[row, c] * sums[c]
        for start in range(indptr[row], indptr[row + 1], PIXELS_AT_ONCE):
            stop = min(start + PIXELS_AT_ONCE, indptr[row + 1])
            models_at(indices[start:stop], weights[row], images, bounds, models)
            for entry in range(start, stop):
                if not fitted[indices[entry]] or data[entry] == 0:
                    continue
                for i in range(count_k):
                    model = max(models[entry - start, i], least)
                    deviance[i, row] -= data[entry] * np.log(model)
    return deviance


def exact_pass(
    client: Any,
    patterns: PatternSource,
    weighting: Weighting,
    images: Sequence[Sequence[np.ndarray]],
    *,
    seed: int,
    l1_weights: float = 0.0,
    entries: float = 0.0,
    progress: Progress = silent,
) -> ExactPass:
    """Solve every position for every k and score what is left, in one pass.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    weighting : Weighting
    images : one or two sequences of (k, valid pixels) arrays
        The component images of all counts, in order of k, then those of the training half if there
        are any: then the pass draws the same halves again and scores the test half.
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
    stacks = [Stack.of(part) for part in images]
    share = min(1.0, LOSS_ENTRIES / entries) if entries > 0 else 1.0
    shared = broadcast(client, weighting, stacks)
    blocks = patterns.blocks()
    count_k = len(images[0])
    bounds = stacks[0].bounds
    weights = np.zeros((patterns.positions, bounds[-1]), np.float32)
    loss = np.full((count_k, patterns.positions), np.nan)
    residual = np.zeros((count_k, patterns.positions))
    deviance = np.full((count_k, patterns.positions), np.nan) if len(images) > 1 else None
    results = map_blocks(
        client, _solve_block, blocks, patterns, *shared, seed, l1_weights, share, progress=progress
    )
    for block, pieces in zip(blocks, results, strict=True):
        for piece, part in zip(patterns.batches(block), pieces, strict=True):
            where = patterns.position_numbers(piece)
            weights[where] = part[0]
            residual[:, where] = part[1]
            loss[:, where] = part[2]
            if deviance is not None:
                deviance[:, where] = part[3]
    each = [weights[:, a:b] for a, b in itertools.pairwise(bounds)]
    return ExactPass(each, loss, residual, deviance)


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


def _solve_block(
    block: Block,
    patterns: PatternSource,
    weighting: Weighting,
    stacks: list[Stack],
    seed: int,
    l1_weights: float,
    share: float,
) -> list[tuple]:
    """Solve and score the patterns of one block on a worker."""
    grams = [_grams(stack, weighting) for stack in stacks]
    pieces = []
    for piece in patterns.batches(block):
        rows = patterns.rows(piece, weighting.valid)
        weights, residual = _solve(rows, weighting, stacks[0], grams[0], l1_weights)
        chosen = sampled(patterns.position_numbers(piece), share, seed)
        loss = np.full((len(residual), len(weights)), np.nan)
        counts = sp.csr_matrix(rows[np.flatnonzero(chosen)])
        images = stacks[0].images
        loss[:, chosen] = absolute_errors(
            counts.indptr,
            counts.indices,
            counts.data,
            weights[chosen],
            images,
            images.sum(axis=0),
            stacks[0].bounds,
        )
        result: tuple = (weights.astype(np.float32), residual, loss)
        if len(stacks) > 1:
            train, test = patterns.halves(piece, weighting.valid, seed, rows)
            weights, _ = _solve(train, weighting, stacks[1], grams[1], l1_weights)
            counts = sp.csr_matrix(test)
            images = stacks[1].images
            deviance = poisson_deviances(
                counts.indptr,
                counts.indices,
                counts.data,
                weights,
                images,
                weighting.fitted @ images,
                stacks[1].bounds,
                weighting.fitted,
                FEWEST_ELECTRONS,
            )
            result = (*result, deviance)
        pieces.append(result)
    return pieces


def _grams(stack: Stack, weighting: Weighting) -> list[np.ndarray]:
    """Return the weighted component patterns times themselves, per k."""
    weighted = stack.images * weighting.pixel[:, None]
    return [weighted[:, a:b].T @ weighted[:, a:b] for a, b in itertools.pairwise(stack.bounds)]


def _solve(
    rows: Rows, weighting: Weighting, stack: Stack, grams: list[np.ndarray], l1_weights: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (rows, components) in counts and squared weighted residuals (k, rows)."""
    factor = weighting.row_factor(rows)
    weighted = weighting.apply(rows, factor)
    # Patterns and components both carry the pixel weights: the images need no weighted copy.
    twice = weighted @ sp.diags_array(weighting.pixel)
    numerators = np.ascontiguousarray(np.asarray(twice @ stack.images).T)
    squared = weighted.multiply(weighted) if sp.issparse(weighted) else weighted * weighted
    total = np.asarray(squared.sum(axis=1)).ravel()
    scale = np.divide(1.0, factor, out=np.zeros_like(factor), where=factor > 0)
    weights = np.empty_like(numerators)
    residual = np.empty((len(grams), rows.shape[0]))
    for i, gram in enumerate(grams):
        part = slice(stack.bounds[i], stack.bounds[i + 1])
        solved = solve_weights(numerators[part], gram, l1_weights)
        fitted = np.einsum("ij,ij->j", solved, gram @ solved)
        crossed = np.einsum("ij,ij->j", solved, numerators[part])
        residual[i] = np.maximum(total - 2 * crossed + fitted, 0)
        weights[part] = solved * scale
    return np.ascontiguousarray(weights.T), residual
