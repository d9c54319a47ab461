"""Groups of components: which hold together over the scan, which are neighbours, which remain."""

import numpy as np
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from orimap.tasks.decide.components.coherence import is_coherent
from orimap.tasks.decide.components.shares import cluster_weights, full_weights, renumbered

# A component is present where its weight exceeds this share of its strongest.
PRESENT = 0.3
# A distinct pattern has this share of its weight where it is the strongest one.
LEAST_HELD = 0.2


def holds_together(
    weights: np.ndarray, equal: np.ndarray, inside: np.ndarray, apart: int = 1
) -> np.ndarray:
    """Return which components inside cohere, by themselves or together with equal ones.

    Copies of one pattern that share its positions at random cohere together. ``apart`` as in
    ``coherence.neighbour_correlation``.
    """
    copies = join_inside(equal, inside)
    together = np.append(is_coherent(cluster_weights(weights, copies), apart), False)
    return inside & (is_coherent(weights, apart) | together[copies])


def join_inside(linked: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Number the groups of linked components inside; -1 for the others."""
    groups = np.full(len(inside), -1)
    members = np.flatnonzero(inside)
    if len(members):
        groups[members] = connected_components(linked[np.ix_(members, members)], directed=False)[1]
    return groups


def join_scattered(
    groups: np.ndarray, cosine: np.ndarray, linked: np.ndarray, scattered: np.ndarray
) -> np.ndarray:
    """Give scattered components to the coherent one that each is most like, or group them.

    A small grain may have shattered into pieces that hold together only as a whole. Pieces never
    link two coherent components: noise is a little like everything.
    """
    groups = groups.copy()
    placed = np.flatnonzero(groups >= 0)
    rest = []
    for i in np.flatnonzero(scattered):
        like = placed[linked[i, placed]]
        if len(like):
            groups[i] = groups[like[np.argmax(cosine[i, like])]]
        else:
            rest.append(i)
    pieces = np.zeros(len(groups), bool)
    pieces[rest] = True
    own = join_inside(linked, pieces)
    groups[rest] = groups.max(initial=-1) + 1 + own[rest]
    return groups


def keep_patterns(
    groups: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray | None = None,
    side: int = 1,
) -> np.ndarray:
    """Drop groups (-1) that do not cohere, or are next to nowhere the strongest.

    Where ``means`` of the weights over squares of a side are given, to cohere in them is enough.
    """
    coherent = is_coherent(cluster_weights(weights, groups))
    if means is not None:
        coherent |= is_coherent(cluster_weights(means, groups), side)
    groups = renumbered(groups, coherent)
    while groups.max(initial=-1) > 0:
        flat = cluster_weights(weights.reshape(-1, weights.shape[-1]), groups)
        strongest = (flat / full_weights(flat)).argmax(axis=1)
        held = np.array([flat[strongest == g, g].sum() for g in range(flat.shape[1])])
        held /= flat.sum(axis=0)
        if held.min() >= LEAST_HELD:
            break
        # One at a time: what it leaves free may be enough for another.
        groups = renumbered(groups, np.arange(len(held)) != held.argmin())
    return groups


def neighbours(weights: np.ndarray) -> np.ndarray:
    """Return which components are present at the same or at adjacent scan positions.

    Parameters
    ----------
    weights : (scan_y, scan_x, component) array

    Returns
    -------
    (component, component) array of bool
    """
    k = weights.shape[-1]
    every = weights.reshape(-1, k)
    # Of the hundredth strongest position rather than of an outlier, but where a component is in
    # fewer positions than that.
    strongest = np.quantile(every, 0.99, axis=0)
    strongest = np.where(strongest > 0, strongest, every.max(axis=0, initial=0))
    present = (weights > PRESENT * strongest) & (strongest > 0)
    widened = ndimage.binary_dilation(present, np.ones((3, 3, 1), bool))
    flat, wide = present.reshape(-1, k).astype(float), widened.reshape(-1, k).astype(float)
    return flat.T @ wide > 0


def at_least_one(groups: np.ndarray, total: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Return the groups; where there is none, the strongest component is one."""
    if groups.max(initial=-1) < 0 and alive.any():
        groups = groups.copy()
        groups[np.argmax(total)] = 0
    return groups


def by_intensity(groups: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Number groups by falling intensity."""
    count = groups.max(initial=-1) + 1
    inside = groups >= 0
    strength = np.bincount(groups[inside], weights=total[inside], minlength=count)
    rank = np.full(count + 1, -1, np.int16)
    rank[np.argsort(-strength, kind="stable")] = np.arange(count)
    return rank[groups]
