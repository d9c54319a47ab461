"""Group components into distinct patterns: grains apart from background, noise and copies.

A bent grain, or one whose patterns drift, takes several components with the same reflections,
neighbours in the scan: it is one distinct pattern. A pattern without reflections, or a pale one
that lies all over the scan, is background. A component that is scattered over the scan, or that is
strongest next to nowhere, is left over: it fits noise or a mixture.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from orimap.tasks.decide.components.coherence import is_coherent, spreads
from orimap.tasks.decide.components.likeness import (
    reflection_cosines,
    reflection_images,
    reflection_shares,
)
from orimap.tasks.decide.components.shares import cluster_weights, full_weights, renumbered

# Of the intensity of a component, the share that lies in reflections. Crystals have .06 or more
# where half of the electrons are background and few reach the detector's reflections; vacuum,
# amorphous support and what all patterns have in common .01 or less.
FEWEST_REFLECTIONS = 0.03
# Patterns show reflections at all where some component has this share (.35 or more in every fit to
# the simulated scans); below are Kikuchi patterns, halos and noise.
SHOWS_REFLECTIONS = 0.1
# A crystal among others has at least this share of what is usual among them.
PALEST_CRYSTAL = 0.1
# A component over more than this share of the scan that is paler than usual by this factor is what
# all patterns have in common (grains fill .42 or less of the scans with more than two).
WIDESPREAD = 0.5
PALER = 0.5
# Components of one bent or drifting grain agree by .67 or more at the best small shift, those of
# different grains by at most .57.
SAME_REFLECTIONS = 0.65
# So alike that they are one pattern wherever they are in the scan.
SAME_PATTERN = 0.9
# Reflections have moved, rather than faded, where the best shift raises the agreement by this.
MOVED = 0.05
# How far a pattern may have drifted between two components, as a share of the detector's width.
DRIFT_SHARE = 0.05
# A component is present where its weight exceeds this share of its strongest.
PRESENT = 0.3
# A distinct pattern has this share of its weight where it is the strongest one.
LEAST_HELD = 0.2
# Patterns smaller than this along an edge show no background around their reflections.
SMALLEST_DETECTOR_PX = 24


@dataclass(frozen=True)
class Merged:
    """The distinct pattern that each component belongs to.

    Parameters
    ----------
    component_cluster : (component,) array of int
        -1 for background and for what is left over.
    cosine : (component, component) array
        Of the reflections, at the best small shift.
    reflection_share : (component,) array
    has_reflections : bool
        False where no component shows reflections (Kikuchi patterns, tiny detectors): then nothing
        is background and only equal patterns are joined.
    is_background : (component,) array of bool
    moved, faded : int
        Components that were joined to another with the same reflections at other places (drift of
        the pattern), or with other intensities (bending).
    """

    component_cluster: np.ndarray
    cosine: np.ndarray
    reflection_share: np.ndarray
    has_reflections: bool
    is_background: np.ndarray
    moved: int = 0
    faded: int = 0

    @property
    def distinct(self) -> int:
        """Number of distinct patterns."""
        return int(self.component_cluster.max(initial=-1)) + 1

    @property
    def background(self) -> int:
        """Number of components that are background."""
        return int(np.count_nonzero(self.is_background))

    @property
    def left_over(self) -> int:
        """Number of components that are neither background nor part of a distinct pattern."""
        return int(np.count_nonzero(self.component_cluster < 0)) - self.background


def merge_components(
    patterns: np.ndarray, weights: np.ndarray, left_out: np.ndarray, *, split_bent: bool = False
) -> Merged:
    """Group components into distinct patterns.

    Parameters
    ----------
    patterns : (component, detector_y, detector_x) array
        Component patterns, unit sum.
    weights : (scan_y, scan_x, component) array, electrons
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.
    split_bent : bool
        Leave the components of a bent grain, whose reflections fade, apart; those of a drifting
        pattern are one all the same.

    Returns
    -------
    Merged
        Clusters are numbered by falling total intensity.
    """
    weights = weights.astype(float)
    k = len(patterns)
    total = weights.sum(axis=(0, 1))
    alive = (total > 0) & (patterns.sum(axis=(1, 2)) > 0)
    large = min(patterns.shape[1:]) >= SMALLEST_DETECTOR_PX
    share = reflection_shares(patterns * total[:, None, None], left_out) if large else np.zeros(k)
    coherent = alive & is_coherent(weights)
    usual = float(np.median(share[coherent])) if coherent.any() else 0.0
    has_reflections = bool(np.any(share[coherent] >= SHOWS_REFLECTIONS))
    if has_reflections:
        images = reflection_images(patterns, left_out)
        shift = max(1, round(DRIFT_SHARE * min(patterns.shape[1:])))
        cosine, unmoved = reflection_cosines(images, shift), reflection_cosines(images)
        linked = (cosine >= (SAME_PATTERN if split_bent else SAME_REFLECTIONS)) & neighbours(
            weights
        )
        equal = unmoved >= SAME_PATTERN
        background = alive & _is_background(share, spreads(weights), usual)
    else:
        images = np.sqrt(np.where(left_out, 0.0, np.maximum(patterns, 0)))
        cosine = unmoved = reflection_cosines(images)
        # Without reflections the background counts: only equal patterns are surely one.
        linked = equal = cosine >= 1 - 1e-3
        background = np.zeros(k, bool)
    facts = weights, share, usual if has_reflections else None
    linked, inside = linked | equal, alive & ~background
    # Copies of one pattern that share its positions at random cohere together.
    copies = join_inside(equal, inside)
    coherent = inside & (coherent | np.append(_are_patterns(copies, *facts), False)[copies])
    groups = join_inside(linked, coherent)
    groups = _join_scattered(groups, cosine, linked, inside & ~coherent)
    groups = _keep_patterns(groups, *facts)
    if not has_reflections and groups.max(initial=-1) < 0 and alive.any():
        # One pattern without reflections, noise apart, is still one.
        groups[np.argmax(total)] = 0
    moved, faded = _joined(groups, total, cosine, unmoved)
    return Merged(
        _by_intensity(groups, total), cosine, share, has_reflections, background, moved, faded
    )


def _is_background(share: np.ndarray, spread: np.ndarray, usual: float) -> np.ndarray:
    """Return which components have next to no reflections, or few and lie all over the scan."""
    pale = share < max(FEWEST_REFLECTIONS, PALEST_CRYSTAL * usual)
    return pale | ((spread > WIDESPREAD) & (share < PALER * usual))


def join_inside(linked: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Number the groups of linked components inside; -1 for the others."""
    groups = np.full(len(inside), -1)
    members = np.flatnonzero(inside)
    if len(members):
        groups[members] = connected_components(linked[np.ix_(members, members)], directed=False)[1]
    return groups


def _join_scattered(
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


def _are_patterns(
    groups: np.ndarray, weights: np.ndarray, share: np.ndarray, usual: float | None
) -> np.ndarray:
    """Return which groups cohere as a whole and are not background."""
    summed = cluster_weights(weights, groups)
    kept = is_coherent(summed)
    if usual is not None:
        total = weights.sum(axis=(0, 1))
        members = groups[:, None] == np.arange(len(kept))
        mean = (share * total) @ members / np.maximum(total @ members, 1e-300)
        kept &= ~_is_background(mean, spreads(summed), usual)
    return kept


def _keep_patterns(
    groups: np.ndarray, weights: np.ndarray, share: np.ndarray, usual: float | None
) -> np.ndarray:
    """Drop groups (-1) that do not cohere, are background, or are next to nowhere the strongest."""
    groups = renumbered(groups, _are_patterns(groups, weights, share, usual))
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


def _by_intensity(groups: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Number groups by falling intensity."""
    count = groups.max(initial=-1) + 1
    inside = groups >= 0
    strength = np.bincount(groups[inside], weights=total[inside], minlength=count)
    rank = np.full(count + 1, -1, np.int16)
    rank[np.argsort(-strength, kind="stable")] = np.arange(count)
    return rank[groups]


def _joined(
    groups: np.ndarray, total: np.ndarray, cosine: np.ndarray, unmoved: np.ndarray
) -> tuple[int, int]:
    """Count the components that joined a stronger one after a move, and with faded reflections."""
    moved = faded = 0
    for group in range(groups.max(initial=-1) + 1):
        members = np.flatnonzero(groups == group)
        members = members[np.argsort(-total[members], kind="stable")]
        for place, i in enumerate(members[1:], start=1):
            nearest = members[:place][np.argmax(cosine[i, members[:place]])]
            if cosine[i, nearest] > unmoved[i, nearest] + MOVED:
                moved += 1
            elif unmoved[i, nearest] < SAME_PATTERN:
                faded += 1
    return moved, faded
