"""Where clusters touch, and by what turn their crystals differ there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orimap.tasks.index.crystals.read_cif import Crystal
from orimap.tasks.index.crystals.symmetry import laue_turns

# Sigma 3: the twin of cubic crystals.
SIGMA3_DEG, SIGMA3_AXIS = 60.0, (1, 1, 1)


@dataclass(frozen=True)
class Boundaries:
    """Boundaries between clusters of a scan.

    Parameters
    ----------
    cluster : (n, 2) int array
        The lower number first.
    length : (n,) int array
        Pairs of neighbouring positions across each.
    angle : (n,) array, degrees
        Smallest misorientation; NaN unless both are indexed and of one crystal.
    axis : (n, 3) array
        Of that turn, in direct-lattice indices, the largest 1.
    from_sigma3 : (n,) array, degrees
        How far from Sigma 3; NaN where the crystal is not cubic.
    """

    cluster: np.ndarray
    length: np.ndarray
    angle: np.ndarray
    axis: np.ndarray
    from_sigma3: np.ndarray


def find_boundaries(
    labels: np.ndarray, rotation: np.ndarray, phase: np.ndarray, crystals: list[Crystal]
) -> Boundaries:
    """Return where clusters touch, the longest boundaries first.

    Parameters
    ----------
    labels : (scan_y, scan_x) int array
        Cluster of each position, -1 none.
    rotation : (cluster, 3, 3) array
        From the crystal's frame into the sample's, NaN where a cluster is not indexed.
    phase : (cluster,) int array
        Number of the crystal.
    crystals : list of Crystal
    """
    pairs = [
        np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1),
        np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1),
    ]
    both = np.sort(np.concatenate(pairs), axis=1)
    both = both[(both[:, 0] >= 0) & (both[:, 0] != both[:, 1])]
    cluster, length = np.unique(both, axis=0, return_counts=True)
    order = np.argsort(-length, kind="stable")
    cluster, length = cluster[order].reshape(-1, 2), length[order]
    angle, from_sigma3 = np.full((2, len(cluster)), np.nan)
    axis = np.full((len(cluster), 3), np.nan)
    for n, (first, second) in enumerate(cluster):
        known = np.isfinite(rotation[[first, second]]).all()
        if not known or phase[first] != phase[second] or phase[first] < 0:
            continue
        crystal = crystals[phase[first]]
        turns = laue_turns(crystal)
        between = rotation[first].T @ rotation[second]
        angle[n], turned = smallest_turn(between, turns)
        axis[n] = direct_indices(crystal, turned)
        if is_cubic(turns):
            from_sigma3[n] = away_from_sigma3(between, turns)
    return Boundaries(cluster, length, angle, axis, from_sigma3)


def smallest_turn(between: np.ndarray, turns: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the smallest angle in degrees of a turn and its equivalents, and their unit axis.

    Parameters
    ----------
    between : (3, 3) array
        From the second crystal's frame into the first's.
    turns : (n, 3, 3) array
        `laue_turns`.
    """
    from scipy.spatial.transform import Rotation

    all_of_them = turns @ between
    best = all_of_them[np.argmax(np.trace(all_of_them, axis1=1, axis2=2))]
    vector = Rotation.from_matrix(best).as_rotvec()
    size = float(np.linalg.norm(vector))
    return float(np.degrees(size)), vector / size if size > 1e-9 else np.array([0.0, 0.0, 1.0])


def away_from_sigma3(between: np.ndarray, turns: np.ndarray) -> float:
    """Return by how many degrees a turn and its equivalents differ at least from Sigma 3."""
    from scipy.spatial.transform import Rotation

    axis = np.array(SIGMA3_AXIS) / np.sqrt(3)
    twin = Rotation.from_rotvec(np.radians(SIGMA3_DEG) * axis).as_matrix()
    # Both crystals may be turned: trace of a between b twin^T.
    left = turns @ between
    right = turns @ twin.T
    trace = np.einsum("aij,bji->ab", left, right).max()
    return float(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))))


def direct_indices(crystal: Crystal, direction: np.ndarray) -> np.ndarray:
    """Return directions of the Cartesian frame in direct-lattice indices, the largest 1."""
    indices = direction @ np.linalg.inv(crystal.axes).T
    scaled: np.ndarray = indices / np.abs(indices).max(axis=-1, keepdims=True)
    return scaled


def is_cubic(turns: np.ndarray) -> bool:
    """Whether there are threefold axes in four directions, as hexagonal crystals have not."""
    traces = np.trace(turns, axis1=1, axis2=2)
    return int((np.abs(traces) < 1e-3).sum()) == 8
