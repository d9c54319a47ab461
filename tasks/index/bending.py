"""Say how far the parts of a grain are turned from the grain as a whole.

A grain that bends is factorised into components of its ends, which make up one cluster. Each is
refined from the orientation of the cluster, with the curve and the camera of the scan.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orimap.tasks.index.index_results import Patterns, Setup
from orimap.tasks.index.orientations.decide import DIFFERENT_DEG, LEAST_SCORE, Indexed
from orimap.tasks.index.orientations.fit_scan import Scan
from orimap.tasks.index.orientations.match import about_beam
from orimap.tasks.index.orientations.refine import Candidates, Refinement

# Rounds of refinement, from a curve that is this much wider: the ends are some tenths of a degree
# to a few degrees from the middle.
ROUNDS, WIDEN = 8, 2.0


def component_turns(
    components: Patterns, cluster: np.ndarray, indexed: Indexed, scan: Scan, setup: Setup
) -> np.ndarray:
    """Return by what turn each component's orientation follows from that of its cluster.

    Parameters
    ----------
    components : Patterns
        Of n components; see `component_images`.
    cluster : (n,) int array
        Which each belongs to, -1 none.
    indexed : Indexed
        Of the clusters, in the sample's frame.
    scan : Scan
    setup : Setup

    Returns
    -------
    (n, 3) array, degrees
        Rotation vectors in the sample's frame. NaN where a cluster is not reliable or has no other
        component, and where the component's own orientation is not found within
        `DIFFERENT_DEG`.
    """
    turns = np.full((len(cluster), 3), np.nan)
    known = (cluster >= 0) & np.append(indexed.indexed, False)[cluster]
    shared = np.bincount(cluster[known], minlength=len(indexed.indexed)) > 1
    which = np.flatnonzero(known & np.append(shared, False)[cluster])
    if not len(which):
        return turns
    own = replace(
        components, images=components.images[which], positions=components.positions[which]
    )
    measured = own.measure()
    if setup.flip:
        measured = measured.flipped()
    to_detector = about_beam(np.radians(setup.rotation_deg))
    start = to_detector @ indexed.rotation[cluster[which]]
    phase = indexed.phase[cluster[which]]
    for number in np.unique(phase):
        some = np.flatnonzero((phase == number) & (measured.counts > 0))
        refinement = Refinement(measured, scan.phases[number].reflections, scan.camera)
        found = refinement.run(Candidates.of(some, start[some]), scan.rocking, ROUNDS, WIDEN)
        turn = _rotation_vectors(found.rotation @ np.swapaxes(start[some], 1, 2)) @ to_detector
        near = np.linalg.norm(turn, axis=1) < DIFFERENT_DEG
        is_found = near & (found.score >= LEAST_SCORE)
        turns[which[some]] = np.where(is_found[:, None], turn, np.nan)
    return turns


def component_images(pattern: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean patterns of components, and over how many positions.

    Parameters
    ----------
    pattern : (component, detector_y, detector_x) array
        Unit sum.
    weight : (scan_y, scan_x, component) array, electrons

    Returns
    -------
    images : (component, detector_y, detector_x) array, electrons
        Over the positions where a component is the strongest, as if it were there alone.
    positions : (component,) int array
    """
    count = len(pattern)
    strongest = weight.argmax(axis=2)
    positions = np.maximum(np.bincount(strongest.ravel(), minlength=count), 1)
    electrons = weight.sum(axis=(0, 1), dtype=float) / positions
    return pattern * electrons[:, None, None], positions


def _rotation_vectors(rotation: np.ndarray) -> np.ndarray:
    """Return rotation vectors in degrees."""
    from scipy.spatial.transform import Rotation

    vectors: np.ndarray = np.degrees(Rotation.from_matrix(rotation).as_rotvec())
    return vectors
