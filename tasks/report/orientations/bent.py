"""Grains that bend: how far each is turned inside, from the turns of its parts and their shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orimap.tasks.report.results import Results

# Parts of a straight grain that was factorised into several are up to 0.03 degrees apart.
LEAST_SPAN_DEG = 0.1


@dataclass(frozen=True)
class BentGrain:
    """One grain that bends.

    Parameters
    ----------
    cluster : int
        Counted from 0.
    parts : (n,) int array
        Components whose orientation is known.
    turn : (n,) array, degrees
        How far each is turned from the grain as a whole, about the axis.
    axis : (3,) array
        Unit vector in the sample's frame: about it the two parts that are furthest apart differ.
    """

    cluster: int
    parts: np.ndarray
    turn: np.ndarray
    axis: np.ndarray

    @property
    def span(self) -> float:
        """The turn from one end to the other, in degrees."""
        return float(np.ptp(self.turn))


def bent_grains(turn: np.ndarray, owner: np.ndarray) -> list[BentGrain]:
    """Return the grains whose parts are turned against each other.

    Parameters
    ----------
    turn : (component, 3) array, degrees
        Rotation vectors in the sample's frame, from the orientation of the cluster; NaN where it is
        not known.
    owner : (component,) int array
        The cluster of each, -1 none.
    """
    found = []
    is_known = np.isfinite(turn).all(axis=1)
    for cluster in np.unique(owner[is_known & (owner >= 0)]):
        parts = np.flatnonzero((owner == cluster) & is_known)
        apart = turn[parts][:, None] - turn[parts]
        length = np.linalg.norm(apart, axis=2)
        ends = np.unravel_index(length.argmax(), length.shape)
        if length[ends] < LEAST_SPAN_DEG:
            continue
        axis = apart[ends] / length[ends]
        axis = axis * np.sign(axis[np.abs(axis).argmax()])
        found.append(BentGrain(int(cluster), parts, turn[parts] @ axis, axis))
    return found


def local_turn(grains: list[BentGrain], weight: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how far every position is turned about the axis of its grain, (scan_y, scan_x).

    The mean over the parts of the grain, weighted by what each contributes there; in degrees, NaN
    outside of bent grains.

    Parameters
    ----------
    grains : list of BentGrain
    weight : (scan_y, scan_x, component) array
    labels : (scan_y, scan_x) int array
    """
    found = np.full(labels.shape, np.nan)
    for grain in grains:
        own = weight[..., grain.parts].astype(float)
        total = own.sum(axis=-1)
        here = (labels == grain.cluster) & (total > 0)
        found[here] = own[here] @ grain.turn / total[here]
    return found


def bent_of(results: Results) -> list[BentGrain]:
    """Return the bent grains of stored results; none where nothing is known of their parts."""
    turn = results.values("orientations", "component_turn")
    owner = results.values("clusters", "component_cluster")
    if turn is None or owner is None or len(turn) != len(owner):
        return []
    return bent_grains(turn, owner)
