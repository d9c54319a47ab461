"""How well each number of components predicts values that its fit never saw, without a noise model.

Positions and pixels are each cut in two halves, which makes four blocks. The components are fitted
to one block; their patterns are taken to the other pixels, their weights to the other positions,
each by non-negative least squares, and the product of both predicts the block that no step saw
(bi-cross-validation; Owen & Perry 2009, doi:10.1214/08-AOAS227). Every block is predicted in turn.
Components that describe noise do not help there. The patterns are non-negative here, and fitted
by the same descent as everywhere else; the source uses singular vectors and least squares.

Cost: one pass over the patterns for a bounded sample of them, then four fits of each k, of a
quarter of the sample, and two products of its size.

Valid where the noise of one position or pixel says nothing of the noise of another, whatever its
distribution: raw values of a detector that does not count, for instance. Not after a mean over
neighbours in the scan, not after a filter or an interpolation that mixes pixels: there noise
is shared between the blocks, and every further component seems to help. Where a camera spreads
electrons over pixels, squares of pixels that are larger than the spread take their place. A pattern
must show in both halves of the positions and of the pixels: a grain of a few positions may be
missed. Each fit sees a quarter of the values, so that dim patterns are missed where held-out
counts, which need counts, would find them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.factorise.kernels.least_squares import solve_weights
from orimap.tasks.factorise.nmf import LowRank, factorise

# Directions of a block that its fits see, beyond the largest k: noise that a component could chase
# must stay in, or every k beyond the rank would look alike.
OVERSAMPLING = 10
MAX_ITERATIONS = 100
HALVES = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True)
class CrossValidation:
    """How well every k predicts what its fits did not see.

    Parameters
    ----------
    ks : (number of k,) array of int
        Rising.
    error : (number of k, positions) array
        Mean over the pixels of the squared error of each position, in the unit of the rows squared.
    """

    ks: np.ndarray
    error: np.ndarray


def bi_cross_validate(rows: np.ndarray, ks: Sequence[int], *, seed: int) -> CrossValidation:
    """Predict every quarter of the values from the other three, with every k.

    Parameters
    ----------
    rows : (n, m) array
        Patterns of some positions, weighted if need be, on some pixels; about 1500 positions and
        4096 pixels are plenty. Choose or sum pixels, but do not blur.
    ks : sequence of int
        Rising; at most half the number of positions and of pixels.
    seed : int
        Of the halves.

    Returns
    -------
    CrossValidation

    Raises
    ------
    InputError
        If values are not finite, or the ks do not rise or exceed what half the rows can hold.

    References
    ----------
    Owen & Perry (2009), doi:10.1214/08-AOAS227.
    """
    values = np.asarray(rows, float)
    numbers = np.asarray(ks, int)
    _check(values, numbers)
    rng = np.random.default_rng(seed)
    tall, wide = (_halves(size, rng) for size in values.shape)
    error = np.zeros((len(numbers), len(values)))
    for i, j in HALVES:
        held_rows, held_columns = tall[i], wide[j]
        predictions = predict_block(
            values[np.ix_(tall[1 - i], wide[1 - j])],
            values[np.ix_(held_rows, wide[1 - j])],
            values[np.ix_(tall[1 - i], held_columns)],
            numbers,
        )
        truth = values[np.ix_(held_rows, held_columns)]
        for at, (weights, patterns) in enumerate(predictions):
            error[at, held_rows] += ((truth - weights.T @ patterns) ** 2).sum(axis=1)
    return CrossValidation(numbers, error / values.shape[1])


def predict_block(
    block: np.ndarray, beside: np.ndarray, below: np.ndarray, ks: Sequence[int] | np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fit a block with every k and predict the block that shares neither its rows nor columns.

    Parameters
    ----------
    block : (n, m) array
        Fitted.
    beside : (other n, m) array
        Its pixels at the positions to predict: gives their weights.
    below : (n, other m) array
        Its positions at the pixels to predict: gives their patterns.
    ks : sequence of int

    Returns
    -------
    list of pairs of (k, other n) and (k, other m) arrays
        Weights and patterns; ``weights.T @ patterns`` is predicted.
    """
    left, values, right = _truncated(block, max(ks) + OVERSAMPLING)
    squares = float(np.vdot(block, block))
    if squares == 0:
        return [(np.zeros((k, len(beside))), np.zeros((k, below.shape[1]))) for k in ks]
    patterns = LowRank.of(left, values, right, squares=squares)
    predicted = []
    for k in ks:
        factors = factorise(patterns, k, max_iterations=MAX_ITERATIONS)
        fitted, weights = factors.patterns, factors.weights
        predicted.append(
            (
                solve_weights(fitted @ beside.T, fitted @ fitted.T),
                solve_weights(weights @ below, weights @ weights.T),
            )
        )
    return predicted


def _truncated(block: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the leading singular vectors, one a row, and values of a block."""
    rank = min(rank, *block.shape)
    if rank < min(block.shape) // 4:
        from sklearn.utils.extmath import randomized_svd

        left, values, right = randomized_svd(block, rank, n_iter=4, random_state=0)
    else:
        left, values, right = np.linalg.svd(block, full_matrices=False)
    return np.ascontiguousarray(left.T[:rank]), values[:rank], np.ascontiguousarray(right[:rank])


def _halves(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut the numbers below ``size`` in two halves at random, each in order."""
    shuffled = rng.permutation(size)
    return np.sort(shuffled[: size // 2]), np.sort(shuffled[size // 2 :])


def _check(values: np.ndarray, numbers: np.ndarray) -> None:
    """Report what cannot be cross-validated."""
    if values.ndim != 2 or not np.all(np.isfinite(values)):
        raise InputError(
            "finite values of shape (positions, pixels)",
            f"shape {values.shape}, {np.count_nonzero(~np.isfinite(values))} not finite",
            "leave masked pixels out",
        )
    most = min(values.shape) // 2
    rising = numbers.ndim == 1 and len(numbers) > 0 and bool(np.all(np.diff(numbers) > 0))
    if not rising or numbers[0] < 1 or numbers[-1] > most:
        raise InputError(
            f"rising numbers of components between 1 and {most}, half of {values.shape}",
            f"{numbers.tolist()}",
            "try fewer components, or give more positions or pixels",
        )
