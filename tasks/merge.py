"""Tell background from crystals, and join the components that belong to one crystal.

A bent grain, or one whose patterns drift, takes several components with the same reflections,
neighbours in the scan. A pattern without reflections is background: vacuum, support, amorphous.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from orimap.tasks.reflections import (
    reflection_cosines,
    reflection_images,
    reflection_shares,
)

# On the simulated scans crystals hold .46 or more of their intensity in reflections, background
# and left-over noise .20 or less (one of them .38).
CRYSTAL_SHARE = 0.3
# Components of one bent or drifting grain agree by .67 or more at the best small shift, those of
# different grains by at most .57.
SAME_REFLECTIONS = 0.65
# So alike that they are one pattern wherever they are in the scan.
SAME_PATTERN = 0.9
# How far a pattern may have drifted between two components, as a share of the detector's width.
DRIFT_SHARE = 0.05
# A component is present where its weight exceeds this share of its strongest.
PRESENT = 0.3
# Patterns smaller than this along an edge show no background around their reflections.
SMALLEST_DETECTOR_PX = 24


@dataclass(frozen=True)
class Merged:
    """Which component belongs to which distinct pattern.

    Parameters
    ----------
    component_cluster : (component,) array of int
        -1 for background.
    cosine : (component, component) array
        Of the reflections, at the best small shift.
    reflection_share : (component,) array
    has_reflections : bool
        False where no component shows reflections (Kikuchi patterns, tiny detectors): then nothing
        is background and only equal patterns are joined.
    """

    component_cluster: np.ndarray
    cosine: np.ndarray
    reflection_share: np.ndarray
    has_reflections: bool

    @property
    def distinct(self) -> int:
        """Number of distinct patterns."""
        return int(self.component_cluster.max(initial=-1)) + 1

    @property
    def background(self) -> int:
        """Number of components that are background."""
        return int(np.count_nonzero(self.component_cluster < 0))


def merge_components(patterns: np.ndarray, weights: np.ndarray, left_out: np.ndarray) -> Merged:
    """Group components into distinct patterns.

    Parameters
    ----------
    patterns : (component, detector_y, detector_x) array
        Component patterns, unit sum.
    weights : (scan_y, scan_x, component) array, electrons
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.

    Returns
    -------
    Merged
        Clusters are numbered by falling total intensity.
    """
    k = len(patterns)
    total = weights.sum(axis=(0, 1)).astype(float)
    alive = (total > 0) & (patterns.sum(axis=(1, 2)) > 0)
    large = min(patterns.shape[1:]) >= SMALLEST_DETECTOR_PX
    share = reflection_shares(patterns * total[:, None, None], left_out) if large else np.zeros(k)
    has_reflections = bool(np.any(share[alive] >= CRYSTAL_SHARE))
    if has_reflections:
        crystal = alive & (share >= CRYSTAL_SHARE)
        images = reflection_images(patterns, left_out)
        shift = max(1, round(DRIFT_SHARE * min(patterns.shape[1:])))
        cosine = reflection_cosines(images, shift)
        linked = (cosine >= SAME_REFLECTIONS) & neighbours(weights)
        linked |= reflection_cosines(images) >= SAME_PATTERN
    else:
        crystal = alive
        images = np.sqrt(np.where(left_out, 0.0, np.maximum(patterns, 0)))
        cosine = reflection_cosines(images)
        # Without reflections the background counts: only equal patterns are surely one.
        linked = cosine >= 1 - 1e-3
    return Merged(_number(linked, crystal, total), cosine, share, has_reflections)


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


def _number(linked: np.ndarray, crystal: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Number the groups of linked crystals by falling intensity; -1 for the rest."""
    from scipy.sparse.csgraph import connected_components

    inside = np.flatnonzero(crystal)
    groups = np.full(len(crystal), -1, np.int16)
    if len(inside):
        count, label = connected_components(linked[np.ix_(inside, inside)], directed=False)
        strength = np.bincount(label, weights=total[inside], minlength=count)
        rank = np.empty(count, int)
        rank[np.argsort(-strength, kind="stable")] = np.arange(count)
        groups[inside] = rank[label]
    return groups
