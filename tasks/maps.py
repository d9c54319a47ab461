"""Where each distinct pattern is, and where patterns overlap."""

from dataclasses import dataclass

import numpy as np

# A position filled by one cluster alone has its 90th percentile weight: above lies noise, below
# lie borders (Cao et al. compare raw weights; grains differ several-fold in how they scatter).
FULL_PERCENTILE = 90
# Below this share of a full position nothing is there.
LEAST_SHARE = 0.1
OVERLAP_LEVELS = (75, 80, 85, 90, 95)


@dataclass(frozen=True)
class Maps:
    """Clusters over the scan.

    Parameters
    ----------
    component_cluster : (component,) array of int16
        Renumbered: clusters that own no position are gone.
    label : (scan_y, scan_x) array of int16
        Cluster with the largest share, -1 where there is none.
    share : (scan_y, scan_x, cluster) array of float32
    size : (cluster,) array of int
    overlap_ratio : (scan_y, scan_x) array of float32
    second_label : (scan_y, scan_x) array of int16
    overlap_level : (scan_y, scan_x) array of int16
    without_position : int
        Clusters that were dropped because they are strongest nowhere.
    """

    component_cluster: np.ndarray
    label: np.ndarray
    share: np.ndarray
    size: np.ndarray
    overlap_ratio: np.ndarray
    second_label: np.ndarray
    overlap_level: np.ndarray
    without_position: int


def cluster_weights(weights: np.ndarray, component_cluster: np.ndarray) -> np.ndarray:
    """Add up component weights (..., component) to cluster weights (..., cluster)."""
    count = int(component_cluster.max(initial=-1)) + 1
    members = component_cluster[:, None] == np.arange(count)
    return weights @ members.astype(weights.dtype)


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


def map_clusters(weights: np.ndarray, component_cluster: np.ndarray) -> Maps:
    """Label every position with the cluster that fills most of it.

    Parameters
    ----------
    weights : (scan_y, scan_x, component) array, electrons
        For component patterns of unit sum.
    component_cluster : (component,) array of int
        -1 for background, which takes no part.
    """
    scan_shape = weights.shape[:2]
    flat = cluster_weights(weights.reshape(-1, weights.shape[-1]).astype(float), component_cluster)
    asked = flat.shape[1]
    members = component_cluster.astype(np.int16).copy()
    while True:
        share = flat / full_weights(flat) if flat.shape[1] else flat
        label = _largest(share)
        size = np.bincount(label[label >= 0], minlength=share.shape[1])
        if np.all(size > 0):
            break
        kept = np.flatnonzero(size)
        number = np.full(len(size) + 1, -1, np.int16)
        number[kept] = np.arange(len(kept))
        members = number[members]
        flat = flat[:, kept]
    first, second, other = _two_largest(share)
    ratio = np.divide(second, first, out=np.zeros_like(first), where=first >= LEAST_SHARE)
    # A second pattern below the least share is as absent as a first one would be.
    ratio[second < LEAST_SHARE] = 0
    level = np.zeros(len(ratio), np.int16)
    for threshold in OVERLAP_LEVELS:
        level[ratio >= threshold / 100] = threshold
    return Maps(
        members,
        label.reshape(scan_shape),
        share.reshape(*scan_shape, -1).astype(np.float32),
        size,
        ratio.reshape(scan_shape).astype(np.float32),
        np.where(ratio > 0, other, -1).astype(np.int16).reshape(scan_shape),
        level.reshape(scan_shape),
        asked - flat.shape[1],
    )


def _largest(share: np.ndarray) -> np.ndarray:
    """Return the number of the largest share (positions,), -1 where none is large enough."""
    if share.shape[1] == 0:
        return np.full(len(share), -1, np.int16)
    return np.where(share.max(axis=1) >= LEAST_SHARE, share.argmax(axis=1), -1).astype(np.int16)


def _two_largest(share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the largest and the second largest share, and whose the second is."""
    if share.shape[1] < 2:
        first = share[:, 0] if share.shape[1] else np.zeros(len(share))
        return first, np.zeros(len(share)), np.full(len(share), -1)
    order = np.argsort(-share, axis=1, kind="stable")[:, :2]
    values = np.take_along_axis(share, order, axis=1)
    return values[:, 0], values[:, 1], order[:, 1]
