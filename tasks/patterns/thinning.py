"""Split the counts of patterns in two independent halves, keyed by scan position.

Chunks and workers therefore change nothing: every position has random bits of its own.
"""

import numba
import numpy as np
import scipy.sparse as sp

from orimap.tasks.patterns.rows import Rows

# Of more electrons than this the number that stays is drawn at once, not by a coin for each.
MOST_COINS = 4096
# Nor is more than this drawn from: whole numbers of 64 bits end soon after.
LARGEST = 2**62


def thin(counts: Rows, positions: np.ndarray, seed: int) -> Rows:
    """Keep every electron with probability one half (binomial thinning of Poisson counts).

    Parameters
    ----------
    counts : (positions, pixels) rows, electrons
        Whole numbers.
    positions : (positions,) array of int
        Running number of each position: the draw is keyed by it and by ``seed``.
    seed : int

    Returns
    -------
    (positions, pixels) rows
        Independent of ``counts - returned``, with the same mean, where counts are Poisson.

    References
    ----------
    Neufeld et al. (2023), arXiv:2301.07276.
    """
    numbers = np.asarray(positions, np.uint64)
    if sp.issparse(counts):
        data = np.empty_like(counts.data)
        halve(counts.indptr, counts.data, numbers, _key(seed), data)
        _halve_large(counts.indptr, counts.data, numbers, seed, data)
        return sp.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)
    # Zeros draw nothing: a dense row and a sparse one consume the same numbers.
    flat = np.ascontiguousarray(counts)
    indptr = np.arange(len(flat) + 1) * flat.shape[1]
    kept = np.empty_like(flat)
    halve(indptr, flat.ravel(), numbers, _key(seed), kept.ravel())
    _halve_large(indptr, flat.ravel(), numbers, seed, kept.ravel())
    return kept


def _halve_large(
    indptr: np.ndarray, data: np.ndarray, numbers: np.ndarray, seed: int, kept: np.ndarray
) -> None:
    """Write how many stay of every entry of more than ``MOST_COINS`` electrons."""
    large = np.flatnonzero(data > MOST_COINS)
    rows = np.searchsorted(indptr, large, side="right") - 1
    for row in np.unique(rows):
        own = large[rows == row]
        draw = np.random.default_rng([seed, int(numbers[row])])
        kept[own] = draw.binomial(np.minimum(data[own], LARGEST).astype(np.int64), 0.5)


def _key(seed: int) -> np.uint64:
    """Return 64 well mixed bits of a seed."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]


@numba.njit(cache=True, nogil=True)
def mix(state: np.uint64) -> np.uint64:
    """Scramble 64 bits: SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def ones(bits: np.uint64) -> np.int64:
    """Count the bits that are set: in pairs, in fours, in eights, and all together."""
    two, four, eight = (
        np.uint64(0x5555555555555555),
        np.uint64(0x3333333333333333),
        np.uint64(0x0F0F0F0F0F0F0F0F),
    )
    bits -= (bits >> np.uint64(1)) & two
    bits = (bits & four) + ((bits >> np.uint64(2)) & four)
    bits = (bits + (bits >> np.uint64(4))) & eight
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True, nogil=True)
def halve(
    indptr: np.ndarray, data: np.ndarray, numbers: np.ndarray, key: np.uint64, kept: np.ndarray
) -> None:
    """Toss a coin for every electron; write how many of each entry stay.

    Each row has a stream of random bits of its own, made from ``key`` and the row's number; of an
    entry of n electrons stay as many as are set among the next n bits. Entries of more than
    ``MOST_COINS`` are left out (0).
    """
    one, golden = np.uint64(1), np.uint64(0x9E3779B97F4A7C15)
    for row in range(len(indptr) - 1):
        state = mix(key + mix(numbers[row] + one) * golden)
        bits, left = np.uint64(0), 0
        for entry in range(np.uintp(indptr[row]), np.uintp(indptr[row + 1])):
            stay = np.int64(0)
            electrons = np.int64(data[entry]) if data[entry] <= MOST_COINS else np.int64(0)
            while electrons > 0:
                if left == 0:
                    state += golden
                    bits, left = mix(state), 64
                drawn = min(electrons, left)
                if drawn == 64:
                    stay += ones(bits)
                    bits = np.uint64(0)
                else:
                    stay += ones(bits & ((one << np.uint64(drawn)) - one))
                    bits >>= np.uint64(drawn)
                left -= drawn
                electrons -= drawn
            kept[entry] = stay
