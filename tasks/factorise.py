"""Non-negative matrix factorisation on the sketch: full-size factors, low-rank arithmetic.

The patterns V (n positions, m pixels) are known through V ~ P Q, with P = U S (n, l) and Q (l, m)
orthonormal rows. Hierarchical alternating least squares needs only V's products with the factors,
and through the sketch they cost O((n + m) l k) instead of O(n m k).

All factors are held one component a row, so that the compiled kernel runs along contiguous
pixels or positions in SIMD lanes. They have the precision of the sketch: single is enough for the
components (and half the time), while the error that decides when to stop is summed in double.
"""

from dataclasses import dataclass

import numba
import numpy as np

# 512 positions of 20 components in double precision fit a core's first-level cache twice.
LANES = 512
# The squared error must change by less than this share of the patterns' squares over CHECK_EVERY
# iterations to stop. Noise that no fit explains belongs to these squares, so the criterion does not
# tighten where the sketch has dropped it.
TOLERANCE = 1e-5
CHECK_EVERY = 5
MAX_ITERATIONS = 400
# Smaller values of a factor are zero: far below what single precision resolves beside others.
SMALLEST = 1e-30


@dataclass(frozen=True)
class Factors:
    """A factorisation V ~ weights.T @ patterns.

    Parameters
    ----------
    patterns : (k, m) array
        Component patterns, non-negative.
    weights : (k, n) array
        Weights of every scan position, non-negative.
    iterations : int
    converged : bool
    relative_error : float
        ``|PQ - weights.T @ patterns| / |PQ|`` (Frobenius), on the low-rank patterns.
    """

    patterns: np.ndarray
    weights: np.ndarray
    iterations: int
    converged: bool
    relative_error: float


@numba.njit(cache=True, fastmath=True, nogil=True)
def descend(factor, numerator, gram, penalty, sweeps):  # noqa: ANN001, ANN201
    """Improve ``factor`` (k, size) in place towards ``min |V - other.T @ factor|^2, factor >= 0``.

    ``numerator`` (k, size) is ``other @ V``, ``gram`` (k, k) is ``other @ other.T``. Each sweep
    solves every component in turn, exactly and in closed form (Cichocki & Phan 2009,
    doi:10.1587/transfun.E92.A.708); ``penalty`` is the weight of an added L1 norm.
    """
    k, size = np.uintp(factor.shape[0]), factor.shape[1]
    rest = np.empty(LANES, factor.dtype)
    # Constants in the precision of the factor: one in double would make the loops double.
    kind = factor.dtype.type
    least, zero, penalty = kind(SMALLEST), kind(0), kind(penalty)
    for first in range(0, size, LANES):
        start, width = np.uintp(first), np.uintp(min(LANES, size - first))
        for _ in range(sweeps):
            for j in range(k):
                own = gram[j, j]
                if own <= 0:
                    continue
                for i in range(width):
                    rest[i] = numerator[j, start + i] - penalty + own * factor[j, start + i]
                subtract_products(rest, gram[j], factor, start, width)
                for i in range(width):
                    # Noise of subtraction would otherwise decay into slow denormal numbers.
                    value = rest[i] / own
                    factor[j, start + i] = value if value > least else zero


@numba.njit(cache=True, fastmath=True, nogil=True)
def subtract_products(rest, scales, factor, start, width):  # noqa: ANN001, ANN201
    """Subtract each row of some columns of ``factor``, times its scale; four rows at a time."""
    k, four = np.uintp(factor.shape[0]), np.uintp(4)
    a = np.uintp(0)
    while a + four <= k:
        b, c, d = a + np.uintp(1), a + np.uintp(2), a + np.uintp(3)
        for i in range(width):
            at = start + i
            rest[i] -= (
                scales[a] * factor[a, at]
                + scales[b] * factor[b, at]
                + scales[c] * factor[c, at]
                + scales[d] * factor[d, at]
            )
        a += four
    while a < k:
        for i in range(width):
            rest[i] -= scales[a] * factor[a, start + i]
        a += np.uintp(1)


@numba.njit(cache=True, fastmath=True, nogil=True)
def inner_product(a, b):  # noqa: ANN001, ANN201
    """Return the sum of the products of two matrices' entries, in double precision."""
    total = 0.0
    for row in range(np.uintp(a.shape[0])):
        for column in range(np.uintp(a.shape[1])):
            total += np.float64(a[row, column]) * np.float64(b[row, column])
    return total


def nndsvd(
    left: np.ndarray, values: np.ndarray, right: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Start k components from the leading singular vectors, without drawing numbers.

    Parameters
    ----------
    left : (l, n) array
        Left singular vectors, one a row.
    values : (l,) array
    right : (l, m) array
        Right singular vectors, one a row.
    k : int
        At most l.

    Returns
    -------
    patterns : (k, m) array
    weights : (k, n) array

    References
    ----------
    Boutsidis & Gallopoulos (2008), doi:10.1016/j.patcog.2007.09.010. Their variant "a": zeros are
    filled with the mean, since a descent that starts at zero may stay there.
    """
    patterns = np.empty((k, right.shape[1]), right.dtype)
    weights = np.empty((k, left.shape[1]), left.dtype)
    for j in range(k):
        u, v = left[j], right[j]
        u_plus, v_plus = np.maximum(u, 0), np.maximum(v, 0)
        u_minus, v_minus = u_plus - u, v_plus - v
        plus = np.linalg.norm(u_plus) * np.linalg.norm(v_plus)
        minus = np.linalg.norm(u_minus) * np.linalg.norm(v_minus)
        # The sign of a singular vector is arbitrary: take the half that holds more.
        u, v, held = (u_plus, v_plus, plus) if plus >= minus else (u_minus, v_minus, minus)
        scale = np.sqrt(values[j] * held)
        weights[j] = scale * u / max(np.linalg.norm(u), 1e-300)
        patterns[j] = scale * v / max(np.linalg.norm(v), 1e-300)
    mean = max(float((left.sum(axis=1) * values) @ right.sum(axis=1)), 0.0)
    mean /= left.shape[1] * right.shape[1]
    patterns[patterns == 0] = mean
    weights[weights == 0] = mean
    return patterns, weights


def factorise(
    left: np.ndarray,
    values: np.ndarray,
    right: np.ndarray,
    k: int,
    *,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    l1_patterns: float = 0.0,
    l1_weights: float = 0.0,
    squares: float | None = None,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Factors:
    """Fit k non-negative components to the low-rank patterns ``left.T @ diag(values) @ right``.

    Parameters
    ----------
    left, values, right : (l, n), (l,), (l, m) arrays
        Singular value decomposition of the (weighted) patterns; left and right in the precision
        to compute with.
    k : int
    start : pair of (k, m) and (k, n) arrays, optional
        Patterns and weights to start from; NNDSVD otherwise.
    l1_patterns, l1_weights : float
        Weights of L1 penalties, relative to the size of the products they compete with (0 none;
        at 1 a component that explains an average entry is put to zero).
    squares : float, optional
        Sum of squares of the patterns themselves; by default that of the low-rank ones.
    tolerance : float
        Stop when the squared error changes by less than this share of ``squares`` over a few
        iterations.
    max_iterations : int

    Returns
    -------
    Factors

    Raises
    ------
    ValueError
        If k exceeds the rank of the sketch.

    References
    ----------
    Cichocki & Phan (2009), doi:10.1587/transfun.E92.A.708; repeated sweeps for one product:
    Gillis & Glineur (2012), doi:10.1162/NECO_a_00256.
    """
    if k > len(values):
        raise ValueError(
            f"a fit of {k} components needs a sketch of rank {k}; it has {len(values)}"
        )
    patterns, weights = start or nndsvd(left, values, right, k)
    patterns, weights = patterns.copy(), weights.copy()
    scaled_left = values[:, None].astype(left.dtype) * left
    total = float(np.square(values, dtype=float).sum())
    squares = squares or total
    last_error = np.inf
    iterations, converged = 0, False
    while iterations < max_iterations and not converged:
        iterations += 1
        numerator = (patterns @ right.T) @ scaled_left
        penalty = l1_weights * float(np.abs(numerator).mean())
        descend(weights, numerator, patterns @ patterns.T, penalty, 2)
        balance(patterns, weights)
        numerator = (weights @ scaled_left.T) @ right
        penalty = l1_patterns * float(np.abs(numerator).mean())
        gram = weights @ weights.T
        descend(patterns, numerator, gram, penalty, 2)
        if iterations % CHECK_EVERY == 0 or iterations == max_iterations:
            fitted = inner_product(gram, patterns @ patterns.T)
            error = max(total - 2 * inner_product(numerator, patterns) + fitted, 0.0)
            # A penalty may raise the squared error on the way: it is then not settled either.
            converged = abs(last_error - error) <= tolerance * squares
            last_error = error
    return Factors(patterns, weights, iterations, converged, float(np.sqrt(last_error / total)))


def balance(patterns: np.ndarray, weights: np.ndarray) -> None:
    """Give each component the same norm in both factors, in place; their product is unchanged."""
    norm_patterns = np.linalg.norm(patterns, axis=1)
    norm_weights = np.linalg.norm(weights, axis=1)
    held = (norm_patterns > 0) & (norm_weights > 0)
    scale = np.sqrt(norm_weights[held] / norm_patterns[held])
    patterns[held] *= scale[:, None]
    weights[held] /= scale[:, None]
