"""Shares: how much of a position each cluster fills, from the weights of its components."""

import numpy as np

# A position filled by one cluster alone has its 90th percentile weight: above lies noise, below
# lie borders (Cao et al. compare raw weights; grains differ several-fold in how they scatter).
FULL_PERCENTILE = 90


def cluster_weights(weights: np.ndarray, component_cluster: np.ndarray) -> np.ndarray:
    """Add up component weights (..., component) to cluster weights (..., cluster)."""
    count = int(component_cluster.max(initial=-1)) + 1
    members = component_cluster[:, None] == np.arange(count)
    return weights @ members.astype(weights.dtype)


def renumbered(groups: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Number groups without those that are not kept, without gaps; -1 for the others.

    Parameters
    ----------
    groups : (component,) array of int
        -1 for none.
    kept : (group,) array of bool
    """
    number = np.full(len(kept) + 1, -1)
    number[np.flatnonzero(kept)] = np.arange(np.count_nonzero(kept))
    return number[groups]


def full_weights(weights: np.ndarray) -> np.ndarray:
    """Return the weight of a position that one cluster fills alone.

    Parameters
    ----------
    weights : (positions, cluster) array, electrons

    Returns
    -------
    (cluster,) array
        90th percentile where the cluster has the largest share; inf where it has none. Whether a
        share is the largest depends on the scale: the answer is found by repetition.
    """
    # From the strongest position of each: started from bare weights, what a strong cluster leaks
    # would outshine a weak one everywhere, and that would be lost for good.
    full = np.where(weights.max(axis=0, initial=0) > 0, weights.max(axis=0, initial=0), np.inf)
    for _ in range(3):
        label = (weights / full).argmax(axis=1)
        # Empty positions belong to nobody.
        owned = [weights[(label == c) & (weights[:, c] > 0), c] for c in range(weights.shape[1])]
        full = np.array([np.percentile(w, FULL_PERCENTILE) if len(w) else np.inf for w in owned])
    return full
