"""Non-negative least squares for many columns that share one matrix, by coordinate descent.

``min |V - other.T @ factor|^2, factor >= 0`` needs of V only the products ``other @ V``
(numerator), and of the matrix only ``other @ other.T`` (gram). Factors are held one component a
row, so that the compiled loops run along contiguous columns in SIMD lanes.
"""

from typing import NamedTuple

import numba
import numpy as np

# Columns that are swept side by side: 20 components of each stay in first-level cache.
LANES = 64
# A few sweeps tell which components take part; components that are nearly alike would then pass
# weight on to each other for hundreds more, where solving for those that take part ends it.
SWEEPS_BEFORE = 12
MAX_SWEEPS = 600
# Largest change of a value in a sweep, relative to the largest of its neighbours, that counts as
# none. Sweeps alone then come within 1e-8 of the smallest squared error, with the rest solved
# within 1e-12 (2,048 positions, 2 to 20 components).
STILL = 1e-6
# Components take part in so many choices before a column is swept to its end instead.
CHOICES = 10
# Components that differ by less than this share of their squares cannot be told apart.
ALIKE = 1e-10
# Smaller values of a factor are zero: far below what single precision resolves beside others.
SMALLEST = 1e-30


class Problem(NamedTuple):
    """Columns to solve, in place; a tuple, which compiled loops can take.

    Parameters
    ----------
    factor : (k, columns) array
        The solution as known so far.
    numerator : (k, columns) array
        ``other @ V``.
    gram : (k, k) array
        ``other @ other.T``.
    """

    factor: np.ndarray
    numerator: np.ndarray
    gram: np.ndarray


class Room(NamedTuple):
    """Where one column of k components is solved; a tuple, which compiled loops can take.

    Parameters
    ----------
    triangle : (k, k) array
        Cholesky's factor.
    solution : (k,) array
    chosen : (k,) array of bool
        Which components take part.
    order : (k,) array of unsigned int
        The components that take part, one after another.
    """

    triangle: np.ndarray
    solution: np.ndarray
    chosen: np.ndarray
    order: np.ndarray


def solve_weights(numerator: np.ndarray, gram: np.ndarray, l1: float = 0.0) -> np.ndarray:
    """Return the non-negative least-squares weights (k, columns) in double precision.

    Parameters
    ----------
    numerator : (k, columns) array
        Component patterns times patterns; a column is a scan position.
    gram : (k, k) array
        Component patterns times component patterns.
    l1 : float
        Weight of an added L1 norm, relative to the mean numerator of each column: a mean over
        all of them would make a position's weights depend on which others are solved with it.

    References
    ----------
    Franc, Hlavac & Navara (2005), doi:10.1007/11556121_50: the descent converges to the solution.
    """
    numerator = np.ascontiguousarray(numerator, float)
    if l1:
        numerator = numerator - l1 * np.abs(numerator).mean(axis=0)
    diagonal = np.maximum(np.diag(gram), 1e-300)[:, None]
    weights = np.where(np.diag(gram)[:, None] > 0, np.maximum(numerator, 0) / diagonal, 0.0)
    weights /= len(gram)
    settle(Problem(weights, numerator, np.ascontiguousarray(gram, float)), STILL, MAX_SWEEPS)
    return weights


@numba.njit(cache=True, fastmath=True, nogil=True)
def settle(problem: Problem, still: float, most: int) -> None:
    """Bring every column to its solution: by sweeps, and solved for what takes part by then."""
    k, size = problem.factor.shape
    rest = np.empty(LANES, problem.factor.dtype)
    room = Room(np.empty((k, k)), np.empty(k), np.empty(k, np.bool_), np.empty(k, np.uintp))
    for first in range(0, size, LANES):
        start, width = np.uintp(first), np.uintp(min(LANES, size - first))
        for done in range(1, most + 1):
            change, largest = sweep(problem, start, width, rest, True)
            if change <= still * largest:
                break
            if done == SWEEPS_BEFORE:
                solved = 0
                for column in range(start, start + width):
                    solved += solve_chosen(problem, column, still, room)
                if solved == width:
                    break


@numba.njit(cache=True, fastmath=True, nogil=True)
def solve_chosen(problem: Problem, column: int, still: float, room: Room) -> bool:
    """Solve one column for the components that take part, as the column is before; True if done.

    Those that come out negative leave, those that would lower the error join, all at once, until
    there are none (Kim & Park 2011, doi:10.1137/110821172). Where that does not end, or components
    are too much alike, the column stays as it was.
    """
    factor, numerator, gram = problem
    triangle, solution, chosen, order = room
    k = len(gram)
    for j in range(k):
        chosen[j] = factor[j, column] > 0
    for _ in range(CHOICES):
        count = 0
        for j in range(k):
            if chosen[j]:
                order[count] = j
                count += 1
        if not solve_symmetric(gram, numerator, column, order[:count], triangle, solution):
            return False
        changed, largest = False, 0.0
        for a in range(count):
            largest = max(largest, solution[a])
            if solution[a] <= 0:
                chosen[order[a]] = False
                changed = True
        if changed:
            continue
        for j in range(k):
            if chosen[j] or gram[j, j] <= 0:
                continue
            gain = numerator[j, column]
            for a in range(count):
                gain -= gram[j, order[a]] * solution[a]
            if gain > still * largest * gram[j, j]:
                chosen[j] = True
                changed = True
        if not changed:
            for j in range(k):
                factor[j, column] = 0
            for a in range(count):
                factor[order[a], column] = solution[a]
            return True
    return False


@numba.njit(cache=True, fastmath=True, nogil=True)
def solve_symmetric(
    gram: np.ndarray,
    numerator: np.ndarray,
    column: int,
    order: np.ndarray,
    triangle: np.ndarray,
    solution: np.ndarray,
) -> bool:
    """Solve for some components (Cholesky); False where they are too much alike.

    Bare arrays, as in ``leave_to``. ``triangle`` and ``solution`` are those of the `Room`.
    """
    for a in range(len(order)):
        for b in range(a + 1):
            value = gram[order[a], order[b]]
            for c in range(b):
                value -= triangle[a, c] * triangle[b, c]
            if b < a:
                triangle[a, b] = value / triangle[b, b]
            elif value <= ALIKE * gram[order[a], order[a]]:
                return False
            else:
                triangle[a, a] = np.sqrt(value)
        value = numerator[order[a], column]
        for c in range(a):
            value -= triangle[a, c] * solution[c]
        solution[a] = value / triangle[a, a]
    for a in range(len(order) - 1, -1, -1):
        for c in range(a + 1, len(order)):
            solution[a] -= triangle[c, a] * solution[c]
        solution[a] /= triangle[a, a]
    return True


# What is compiled into its caller comes out the same whether its own code was just made or is in
# the cache: by calls, a first fit after installation differed from later ones in the last bits.
INLINED = numba.njit(cache=True, fastmath=True, nogil=True, forceinline=True)


@INLINED
def sweep(
    problem: Problem, start: np.uintp, width: np.uintp, rest: np.ndarray, watched: bool
) -> tuple[float, float]:
    """Solve every component of some columns in turn, in place and in closed form.

    Cichocki & Phan (2009), doi:10.1587/transfun.E92.A.708. ``rest`` is room for ``width`` numbers.
    Returns the largest change of a value and the largest value where these are watched (which
    takes as long as solving), otherwise zeros.
    """
    factor, numerator, gram = problem
    # Constants in the precision of the factor: one in double would make the loops double.
    least, zero = factor.dtype.type(SMALLEST), factor.dtype.type(0)
    change = largest = zero
    for j in range(np.uintp(factor.shape[0])):
        own = gram[j, j]
        if own <= 0:
            continue
        leave_to(j, factor, numerator, gram, start, width, rest)
        for i in range(width):
            # Noise of subtraction would otherwise decay into slow denormal numbers.
            value = rest[i] / own
            value = value if value > least else zero
            if watched:
                change = max(change, abs(value - factor[j, start + i]))
                largest = max(largest, value)
            factor[j, start + i] = value
    return change, largest


@INLINED
def leave_to(
    j: np.uintp,
    factor: np.ndarray,
    numerator: np.ndarray,
    gram: np.ndarray,
    start: np.uintp,
    width: np.uintp,
    rest: np.ndarray,
) -> None:
    """Write into ``rest`` what the other components leave to component j to explain.

    Bare arrays: to take a tuple apart this often costs more than what is done with it.
    """
    for i in range(width):
        rest[i] = numerator[j, start + i] + gram[j, j] * factor[j, start + i]
    subtract_products(rest, gram[j], factor, start, width)


@INLINED
def subtract_products(
    rest: np.ndarray, scales: np.ndarray, factor: np.ndarray, start: np.uintp, width: np.uintp
) -> None:
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
