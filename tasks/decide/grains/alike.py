"""Compare the patterns of grains: the places of their reflections, and where they lie.

Where a reflection is says which crystal it belongs to; how bright it is says thickness and tilt as
well. So patterns are compared by the logarithms of how sure their reflections are.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

# A mixture has this part of its reflections in common with two patterns together,
IN_BOTH = 0.7
# no more than this part with one of them,
IN_ONE = 0.7
# and the two are less alike than this.
UNLIKE = 0.3


def places_alike(one: np.ndarray, other: np.ndarray) -> float:
    """Return how far two patterns have their reflections in common, 0 to 1.

    Parameters
    ----------
    one, other : (place,) arrays
        Logarithms of significance.

    Returns
    -------
    float
        The mean of their cosine and of the part of the poorer one that the richer one has too: a
        tilt takes reflections away, which lowers the cosine alone.
    """
    size = np.linalg.norm(one) * np.linalg.norm(other)
    poorer = min(one.sum(), other.sum())
    if size == 0 or poorer == 0:
        return 0.0
    return float(0.5 * (one @ other / size + np.minimum(one, other).sum() / poorer))


def mixing(one: np.ndarray, other: np.ndarray) -> float:
    """Return which part of the smaller of two maps the other one fills too.

    Parameters
    ----------
    one, other : (positions,) arrays
        Shares of positions.
    """
    smaller = min(one.sum(), other.sum())
    return float(np.minimum(one, other).sum() / smaller) if smaller > 0 else 0.0


def is_mixture(one: np.ndarray, others: Sequence[np.ndarray]) -> bool:
    """Return whether a pattern has the reflections of two others that have little in common.

    Parameters
    ----------
    one : (place,) array
        Logarithms of significance.
    others : sequence of (place,) arrays
        Those that it may be a mixture of.
    """
    total = one.sum()

    def part_in(other: np.ndarray) -> float:
        return float(np.minimum(one, other).sum() / total)

    if total == 0:
        return False
    candidates = [other for other in others if part_in(other) <= IN_ONE]
    return any(
        part_in(np.maximum(first, second)) >= IN_BOTH and places_alike(first, second) < UNLIKE
        for first, second in combinations(candidates, 2)
    )
