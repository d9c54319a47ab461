"""Non-negative matrix factorisation on the sketch: full-size factors, low-rank arithmetic.

The patterns V (n positions, m pixels) are known through V ~ P Q, with P = U S (n, l) and Q (l, m)
orthonormal rows. Hierarchical alternating least squares needs only V's products with the factors,
and through the sketch they cost O((n + m) l k) instead of O(n m k).

Both factors are cut into tiles of columns. A tile is multiplied, descended on and multiplied again
while it is in cache, so that an iteration takes from memory every number once. Factors have the
precision of the sketch: single is enough for the components, while sums over tiles, and with them
the error that decides when to stop, are in double.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import DTypeLike

from orimap.tasks.factorise.kernels.least_squares import Problem, sweep

# Columns of a tile: 48 directions and 20 components of each in single precision are 180 kB.
TILE = 512
# An iteration solves every component of one factor so often for one product with the patterns.
SWEEPS = 2
# A fit is settled when over CHECK_EVERY iterations its squared error changes by less than this
# share of the patterns' squares. Noise that no fit explains belongs to these squares, so the
# criterion does not tighten where the sketch has dropped it. To stop at a fifth of what one
# direction of noise holds saved a third of the iterations, and gave 7 patterns instead of 5
# for one of the eight scans that are decided right.
TOLERANCE = 1e-5
CHECK_EVERY = 5
# Norms of a component in both factors that differ by more than this are made equal.
FAR_APART = 2.0**16
MAX_ITERATIONS = 400


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


@dataclass(frozen=True)
class LowRank:
    """Patterns ``left.T @ diag(values) @ right`` in tiles, made ready for fits of every k.

    Parameters
    ----------
    positions : (tiles, l, TILE) array
        ``diag(values) @ left``.
    pixels : (tiles, l, TILE) array
        ``right``.
    shape : pair of int
        Positions and pixels, without those that fill the last tile.
    total : float
        Sum of squares of the low-rank patterns.
    squares : float
        Sum of squares of the patterns themselves.
    mean : float
        Mean of the low-rank patterns, at least 0.
    """

    positions: np.ndarray
    pixels: np.ndarray
    shape: tuple[int, int]
    total: float
    squares: float
    mean: float

    @classmethod
    def of(
        cls,
        left: np.ndarray,
        values: np.ndarray,
        right: np.ndarray,
        *,
        squares: float | None = None,
        kind: DTypeLike = np.float64,
    ) -> "LowRank":
        """Make ready a singular value decomposition, in the precision ``kind``.

        Parameters
        ----------
        left, values, right : (l, n), (l,), (l, m) arrays
        squares : float, optional
            By default that of the low-rank patterns: they have no noise beside them.
        kind : dtype
        """
        total = float(np.square(values, dtype=float).sum())
        mean = float((left.sum(axis=1) * values) @ right.sum(axis=1)) if right.size else 0.0
        shape = left.shape[1], right.shape[1]
        return cls(
            in_tiles(left, kind) * values[:, None].astype(kind),
            in_tiles(right, kind),
            shape,
            total,
            squares or total,
            max(mean, 0.0) / max(1, shape[0] * shape[1]),
        )

    @property
    def rank(self) -> int:
        """How many directions there are."""
        return self.pixels.shape[1]


class Products(NamedTuple):
    """What the other half needs of a factor; a tuple, which compiled loops can take.

    Parameters
    ----------
    mixed : (k, l) array
        ``factor @ basis.T``.
    gram : (k, k) array
        ``factor @ factor.T``.
    """

    mixed: np.ndarray
    gram: np.ndarray


@dataclass
class Half:
    """One factor and the basis that stands for the patterns along its columns, in tiles.

    Parameters
    ----------
    factor : (tiles, k, TILE) array
    basis : (tiles, l, TILE) array
    columns : int
        Without those that fill the last tile.
    l1 : float
        Relative weight of an L1 penalty on the factor.
    products : Products
        Of the factor as it is, in double precision.
    """

    factor: np.ndarray
    basis: np.ndarray
    columns: int
    l1: float
    products: Products

    @classmethod
    def of(cls, factor: np.ndarray, basis: np.ndarray, l1: float) -> "Half":
        """Cut a factor (k, columns) into tiles beside its basis (tiles, l, TILE)."""
        k, rank = len(factor), basis.shape[1]
        # What another worker sent may lie at an odd address, where each product copies it first.
        basis = np.require(basis, requirements=["ALIGNED"])
        products = Products(np.zeros((k, rank)), np.zeros((k, k)))
        half = cls(in_tiles(factor, basis.dtype), basis, factor.shape[1], l1, products)
        half._visit(Products(np.zeros((k, rank)), np.zeros((k, k))), 0.0, sweeps=0)
        return half

    def improve(self, other: "Half") -> None:
        """Descend towards the best factor for the other one as it is."""
        penalty = 0.0
        if self.l1:
            mix = other.products.mixed.astype(self.basis.dtype)
            sizes = (np.abs(mix @ tile).sum(axis=1, dtype=float) for tile in self.basis)
            # Columns that only fill a tile add nothing.
            penalty = self.l1 * float(np.sum(sum(sizes))) / (len(mix) * self.columns)
        self._visit(other.products, penalty, SWEEPS)

    def scale(self, scale: np.ndarray) -> None:
        """Multiply each component by a number."""
        self.factor *= scale.astype(self.factor.dtype)[:, None]
        mixed, gram = self.products
        mixed *= scale[:, None]
        gram *= scale[:, None] * scale

    def whole(self) -> np.ndarray:
        """Return the factor (k, columns)."""
        return from_tiles(self.factor, self.columns)

    def _visit(self, other: Products, penalty: float, sweeps: int) -> None:
        """Descend on every tile and sum its products anew."""
        other = Products(*(part.astype(self.basis.dtype) for part in other))
        improve_tiles(self.factor, self.basis, other, penalty, sweeps, self.products)


def in_tiles(matrix: np.ndarray, kind: DTypeLike) -> np.ndarray:
    """Cut a matrix (rows, columns) into tiles (tiles, rows, TILE); the last is filled with 0."""
    rows, columns = matrix.shape
    tiles = np.zeros((-(-columns // TILE), rows, TILE), kind)
    for number, tile in enumerate(tiles):
        part = matrix[:, number * TILE : (number + 1) * TILE]
        tile[:, : part.shape[1]] = part
    return tiles


def from_tiles(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Put tiles (tiles, rows, TILE) together again, as a new array (rows, columns)."""
    joined = tiles.transpose(1, 0, 2).reshape(tiles.shape[1], -1)
    return joined[:, :columns].copy()


@numba.njit(cache=True, fastmath=True, nogil=True)
def improve_tiles(
    factor: np.ndarray,
    basis: np.ndarray,
    other: Products,
    penalty: float,
    sweeps: int,
    products: Products,
) -> None:
    """Improve ``factor`` in place towards ``min |V - other.T @ factor|^2, factor >= 0``, by tiles.

    ``other.mixed @ basis`` is ``other @ V``; ``penalty`` is the weight of an added L1 norm.
    ``products`` receives those of the improved factor: all that the other half and the error need.
    """
    mixed, own = products
    k, width = factor.shape[1], np.uintp(factor.shape[2])
    numerator = np.empty((k, factor.shape[2]), factor.dtype)
    rest = np.empty(factor.shape[2], factor.dtype)
    in_mixed, in_own = np.empty(mixed.shape, factor.dtype), np.empty(own.shape, factor.dtype)
    penalty = factor.dtype.type(penalty)
    mixed[:], own[:] = 0, 0
    for tile in range(len(factor)):
        if sweeps > 0:
            np.dot(other.mixed, basis[tile], numerator)
            if penalty != 0:
                numerator -= penalty
            problem = Problem(factor[tile], numerator, other.gram)
            for _ in range(sweeps):
                sweep(problem, np.uintp(0), width, rest, False)
        np.dot(factor[tile], basis[tile].T, in_mixed)
        np.dot(factor[tile], factor[tile].T, in_own)
        mixed += in_mixed
        own += in_own


def nndsvd(patterns: LowRank, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Start k components from the leading singular vectors, without drawing numbers.

    Parameters
    ----------
    patterns : LowRank
    k : int
        At most its rank.

    Returns
    -------
    patterns : (k, m) array
    weights : (k, n) array

    References
    ----------
    Boutsidis & Gallopoulos (2008), doi:10.1016/j.patcog.2007.09.010. Their variant "a": zeros are
    filled with the mean, since a descent that starts at zero may stay there.
    """
    # Positions carry the singular value.
    weights = from_tiles(patterns.positions[:, :k], patterns.shape[0])
    images = from_tiles(patterns.pixels[:, :k], patterns.shape[1])
    for u, v in zip(weights, images, strict=True):
        halves = [
            (np.maximum(sign * u, 0), np.maximum(sign * v, 0)) for sign in (u.dtype.type(1), -1)
        ]
        held = [np.linalg.norm(a) * np.linalg.norm(b) for a, b in halves]
        # The sign of a singular vector is arbitrary: take the half that holds more.
        larger = int(held[1] > held[0])
        for whole, half in zip((u, v), halves[larger], strict=True):
            whole[:] = np.sqrt(held[larger]) * half / max(np.linalg.norm(half), 1e-30)
    for factor in (images, weights):
        factor[factor == 0] = patterns.mean
    return images, weights


def factorise(
    patterns: LowRank,
    k: int,
    *,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    l1_patterns: float = 0.0,
    l1_weights: float = 0.0,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Factors:
    """Fit k non-negative components to low-rank patterns.

    Parameters
    ----------
    patterns : LowRank
    k : int
    start : pair of (k, m) and (k, n) arrays, optional
        Patterns and weights to start from; NNDSVD otherwise.
    l1_patterns, l1_weights : float
        Weights of L1 penalties, relative to the size of the products they compete with (0 none;
        at 1 a component that explains an average entry is put to zero).
    tolerance : float
        Stop when the squared error changes by less than this share of the patterns' squares over a
        few iterations.
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
    if k > patterns.rank:
        raise ValueError(
            f"a fit of {k} components needs a sketch of rank {k}; it has {patterns.rank}"
        )
    first_images, first_weights = start or nndsvd(patterns, k)
    weights = Half.of(first_weights, patterns.positions, l1_weights)
    images = Half.of(first_images, patterns.pixels, l1_patterns)
    last_error = np.inf
    iterations, converged = 0, False
    while iterations < max_iterations and not converged:
        iterations += 1
        weights.improve(images)
        if l1_patterns or l1_weights or are_apart(images, weights):
            balance(images, weights)
        images.improve(weights)
        if iterations % CHECK_EVERY == 0 or iterations == max_iterations:
            crossed = float(np.vdot(weights.products.mixed, images.products.mixed))
            fitted = float(np.vdot(weights.products.gram, images.products.gram))
            error = max(patterns.total - 2 * crossed + fitted, 0.0)
            # A penalty may raise the squared error on the way: it is then not settled either.
            converged = abs(last_error - error) <= tolerance * patterns.squares
            last_error = error
    relative = float(np.sqrt(last_error / patterns.total))
    return Factors(images.whole(), weights.whole(), iterations, converged, relative)


def are_apart(images: Half, weights: Half) -> bool:
    """Return whether some component is far larger in one factor than in the other.

    One that is hardly needed may drift there, until single precision overflows.
    """
    norm_images, norm_weights = (np.diag(half.products.gram) for half in (images, weights))
    larger = np.maximum(norm_images, norm_weights)
    smaller = np.minimum(norm_images, norm_weights)
    return bool(np.any((smaller > 0) & (larger > FAR_APART**2 * smaller)))


def balance(images: Half, weights: Half) -> None:
    """Give each component the same norm in both factors; their product is unchanged.

    A penalty would otherwise shrink the one and let the other grow without end.
    """
    norm_images, norm_weights = (np.sqrt(np.diag(half.products.gram)) for half in (images, weights))
    held = (norm_images > 0) & (norm_weights > 0)
    scale = np.ones(len(held))
    scale[held] = np.sqrt(norm_weights[held] / norm_images[held])
    images.scale(scale)
    weights.scale(1 / scale)
