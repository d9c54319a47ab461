"""Where each distinct pattern is, and where patterns overlap."""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.decide.components.shares import cluster_weights, full_weights, renumbered
from orimap.tasks.maps.connected import split_unconnected, spread_to_pieces
from orimap.tasks.maps.regularity import regularise
from orimap.tasks.maps.uncertainty import CountingNoise, ratio_error

# Below this share of a full position nothing is there; where it is sure, this is enough: a crystal
# that hardly diffracts where it is bent, or thin.
LEAST_SHARE = 0.1
LEAST_SURE_SHARE = 0.03
# A second pattern counts where its share is this many standard errors above nothing: the largest of
# several shares that are all noise is often two above, hardly ever three.
CERTAIN = 3.0
OVERLAP_LEVELS = (75, 80, 85, 90, 95)


@dataclass(frozen=True)
class Maps:
    """Clusters over the scan.

    Parameters
    ----------
    component_cluster : (component,) array of int16
        Renumbered: clusters that own no position are gone. Where clusters were split into pieces,
        that of the largest piece.
    parent : (cluster,) array of int16
        The cluster whose components this one has: itself, but for further pieces of a split one.
    label : (scan_y, scan_x) array of int16
        Cluster with the largest share (or what regularity made of it), -1 where there is none.
    share, share_error : (scan_y, scan_x, cluster) arrays of float32
        With the standard error from counting noise, NaN where the noise is not known.
    size : (cluster,) array of int
    overlap_ratio, ratio_error : (scan_y, scan_x) arrays of float32
        The smaller share over the larger, of the label and the strongest other cluster.
    second_label : (scan_y, scan_x) array of int16
    overlap_level : (scan_y, scan_x) array of int16
    without_position : int
        Number of clusters that were dropped because none of them is the strongest anywhere.
    within_error : int
        Positions whose second share is large enough, but within its error of nothing.
    moved : int
        Positions that regularity gave to another cluster.
    """

    component_cluster: np.ndarray
    parent: np.ndarray
    label: np.ndarray
    share: np.ndarray
    share_error: np.ndarray
    size: np.ndarray
    overlap_ratio: np.ndarray
    ratio_error: np.ndarray
    second_label: np.ndarray
    overlap_level: np.ndarray
    without_position: int
    within_error: int = 0
    moved: int = 0


def map_clusters(
    weights: np.ndarray,
    component_cluster: np.ndarray,
    *,
    noise: CountingNoise | None = None,
    present: np.ndarray | None = None,
    sure: np.ndarray | None = None,
    regularity: float = 0.0,
    split: bool = False,
) -> Maps:
    """Label every position with the cluster that fills most of it.

    Parameters
    ----------
    weights : (scan_y, scan_x, component) array, electrons
        For component patterns of unit sum.
    component_cluster : (component,) array of int
        -1 for background, which takes no part.
    noise : CountingNoise, optional
        Gives shares their standard errors; without it no overlap is doubted.
    present : (scan_y, scan_x) array of bool, optional
        Where some pattern is at all; elsewhere there is no label. By default everywhere.
    sure : (scan_y, scan_x) array of bool, optional
        Where it is so sure that a small share is enough. By default nowhere.
    regularity : float
        How much neighbouring positions count (``regularity.regularise``).
    split : bool
        Whether parts of a cluster that are not connected become clusters of their own.
    """
    scan_shape = weights.shape[:2]
    every = weights.reshape(-1, weights.shape[-1])
    members, flat, full = _clusters_with_positions(every, component_cluster)
    share = flat / full if flat.shape[1] else flat
    strongest = _strongest(share, scan_shape, present, sure)
    label = regularise(strongest, share.reshape(*scan_shape, -1), regularity)
    moved = int(np.count_nonzero(label != strongest))
    parent = np.arange(len(full), dtype=np.int16)
    owner = None
    if split:
        owner, parent = split_unconnected(label, len(full))
    first, second, other = _label_and_strongest_other(share, label.ravel())
    weaker, stronger = np.minimum(first, second), np.maximum(first, second)
    numbers = np.stack([np.maximum(label.ravel(), 0), np.maximum(other, 0)])
    numbers = np.where(first < second, numbers, numbers[::-1])  # the weaker one, the stronger one
    error, of_weaker, of_ratio = _errors(every, members, full, noise, numbers, (weaker, stronger))
    # A second pattern below the least share is as absent as a first one would be.
    there = weaker >= LEAST_SHARE
    # Where the noise is not known its error is NaN, and nothing is doubted.
    certain = there & ~(weaker < CERTAIN * of_weaker)
    ratio = np.divide(weaker, stronger, out=np.zeros_like(stronger), where=certain)
    level = np.zeros(len(ratio), np.int16)
    for threshold in OVERLAP_LEVELS:
        level[ratio >= threshold / 100] = threshold
    share, error = (values.reshape(*scan_shape, -1) for values in (share, error))
    other = np.where(ratio > 0, other, -1).reshape(scan_shape)
    if owner is not None:
        share, error = (spread_to_pieces(values, owner, len(parent)) for values in (share, error))
        label, other = _piece_of(label, owner), _piece_of(other, owner)
    return Maps(
        members,
        parent,
        label.astype(np.int16),
        share.astype(np.float32),
        error.astype(np.float32),
        np.bincount(label[label >= 0], minlength=len(parent)),
        ratio.reshape(scan_shape).astype(np.float32),
        of_ratio.reshape(scan_shape).astype(np.float32),
        other.astype(np.int16),
        level.reshape(scan_shape),
        int(component_cluster.max(initial=-1)) + 1 - len(full),
        int(np.count_nonzero(there & ~certain)),
        moved,
    )


def strongest_cluster(
    weights: np.ndarray,
    component_cluster: np.ndarray,
    *,
    present: np.ndarray | None = None,
    sure: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """Return the labels of ``map_clusters`` before any regularity, and the number of clusters."""
    every = weights.reshape(-1, weights.shape[-1])
    _, flat, full = _clusters_with_positions(every, component_cluster)
    share = flat / full if flat.shape[1] else flat
    return _strongest(share, weights.shape[:2], present, sure), len(full)


def _strongest(
    share: np.ndarray,
    scan_shape: tuple[int, ...],
    present: np.ndarray | None,
    sure: np.ndarray | None,
) -> np.ndarray:
    """Return the number of the largest share (scan_y, scan_x), -1 where nothing is."""
    strongest = _largest(share)
    if sure is not None:
        strongest = np.where(sure.ravel(), _largest(share, LEAST_SURE_SHARE), strongest)
    strongest = strongest.reshape(scan_shape)
    if present is not None:
        strongest = np.where(present, strongest, -1).astype(np.int16)
    return strongest


def _clusters_with_positions(
    weights: np.ndarray, component_cluster: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drop clusters without a position; return members, cluster weights, full weights."""
    flat = cluster_weights(weights.astype(float), component_cluster)
    members = component_cluster.astype(np.int16).copy()
    while True:
        full = full_weights(flat) if flat.shape[1] else np.zeros(0)
        label = _largest(flat / full if flat.shape[1] else flat)
        size = np.bincount(label[label >= 0], minlength=flat.shape[1])
        if np.all(size > 0):
            return members, flat, full
        members = renumbered(members, size > 0).astype(np.int16)
        flat = flat[:, size > 0]


def _errors(
    weights: np.ndarray,
    members: np.ndarray,
    full: np.ndarray,
    noise: CountingNoise | None,
    pair: np.ndarray,
    shares: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the errors of all shares, of the weaker share of a pair, and of the pair's ratio.

    ``pair`` (2, positions) holds the numbers of the weaker and of the stronger cluster, ``shares``
    their shares. All are NaN where the noise is not known.
    """
    count = len(weights)
    error = np.full((count, len(full)), np.nan, np.float32)
    of_weaker, of_ratio = np.full(count, np.nan), np.full(count, np.nan)
    if noise is None or not len(full):
        return error, of_weaker, of_ratio
    for part, covariance in noise.blocks(weights, members):
        covariance = covariance / full[:, None] / full
        variance = np.maximum(np.einsum("nii->ni", covariance), 0)
        error[part] = np.sqrt(variance)
        at, (weaker, stronger) = np.arange(len(variance)), pair[:, part]
        of_weaker[part] = np.sqrt(variance[at, weaker])
        of_ratio[part] = ratio_error(
            shares[1][part],
            shares[0][part],
            variance[at, stronger],
            variance[at, weaker],
            covariance[at, stronger, weaker],
        )
    return error, of_weaker, of_ratio


def _largest(share: np.ndarray, least: float = LEAST_SHARE) -> np.ndarray:
    """Return the number of the largest share (positions,), -1 where none is large enough."""
    if share.shape[1] == 0:
        return np.full(len(share), -1, np.int16)
    return np.where(share.max(axis=1) >= least, share.argmax(axis=1), -1).astype(np.int16)


def _label_and_strongest_other(
    share: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of the label, the largest of the other shares, and whose that is."""
    nothing = np.zeros(len(share))
    if share.shape[1] == 0:
        return nothing, nothing, np.full(len(share), -1)
    own = np.maximum(label, 0)[:, None]
    first = np.where(label >= 0, np.take_along_axis(share, own, axis=1)[:, 0], 0)
    if share.shape[1] == 1:
        return first, nothing, np.full(len(share), -1)
    rest = share.copy()
    np.put_along_axis(rest, own, -np.inf, axis=1)
    other = rest.argmax(axis=1)
    second = np.where(label >= 0, np.take_along_axis(rest, other[:, None], axis=1)[:, 0], 0)
    return first, second, other


def _piece_of(label: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return the piece that each label stands for; -1 stays."""
    piece = np.take_along_axis(owner, np.maximum(label, 0)[..., None].astype(np.intp), axis=2)
    return np.where(label >= 0, piece[..., 0], -1)
