"""Group components into distinct patterns: grains apart from background, noise and copies.

A grain that is bent, of varying thickness, or whose patterns drift takes several components with
reflections at the same places, neighbours in the scan: it is one distinct pattern. A pattern
without reflections, or a pale one that lies all over the scan, is background. A component that is
scattered over the scan, or that is strongest next to nowhere, is left over: it fits noise or a
mixture.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from orimap.tasks.decide.components.coherence import is_coherent, spreads
from orimap.tasks.decide.components.likeness import (
    backgrounds,
    reflection_cosines,
    reflection_images,
    reflection_shares,
)
from orimap.tasks.decide.components.mixtures import find_mixture
from orimap.tasks.decide.components.on_top import lies_on_top
from orimap.tasks.decide.components.reflections import (
    USUAL_RADIUS_PX,
    find_reflections,
    own_places,
    place_images,
)
from orimap.tasks.decide.components.shares import cluster_weights, full_weights, renumbered

# Of the intensity of a component, the share that lies in bright reflections. Crystals mostly have
# .06 or more where half of the electrons are background and few reach the detector's reflections;
# vacuum, amorphous support and what all patterns have in common .01 or less.
FEWEST_REFLECTIONS = 0.03
OF_BACKGROUND = 0.01
# A crystal that diffracts so weakly that it has less shows by this number of reflections of its
# own, each at least so many standard deviations above the background: a grain that a component
# shares with the background of the whole scan.
FEWEST_PLACES = 3
SURE = 8.0
# It is no crystal where it fills more than this share of the scan: what it then shows of a grain is
# a trace of it in the background.
COMPACT = 0.25
# A crystal among others has at least this share of what is usual among them, or shows in that way.
PALEST_CRYSTAL = 0.1
# A reflection is a component's own where no other has this part of the logarithm of its
# significance.
OTHERS_HAVE = 0.6
# Patterns show reflections at all where some component has this share (.35 or more in every fit to
# the simulated scans), or that number; below are Kikuchi patterns, halos and noise.
SHOWS_REFLECTIONS = 0.1
# A component over more than this share of the scan that is paler than usual by this factor is what
# all patterns have in common (grains fill .42 or less of the scans with more than two).
WIDESPREAD = 0.5
PALER = 0.5
# Components of one grain, bent, drifting or of varying thickness, agree in the places of their
# reflections by .5 or more at the best small shift with at least one neighbour, those of different
# grains by .4 or less: Bloch-wave scans of gold, silicon and spinel with discs of 2 to 3 pixels.
SAME_REFLECTIONS = 0.45
# A component that touches two grains, and is like both, holds reflections of both: it joins the
# one that it is most like. Along a bent grain those beyond the next one are alike by .4 or so;
# different grains by .2 or so.
ALONG_A_GRAIN = 0.3
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
        Of the places of reflections, at the best small shift.
    reflection_share : (component,) array
    has_reflections : bool
        False where no component shows reflections (Kikuchi patterns, tiny detectors): then nothing
        is background and only equal patterns are joined.
    is_background : (component,) array of bool
    moved, faded : int
        Components that were joined to another with the same reflections at other places (drift of
        the pattern), or with other intensities (bending).
    on_top : int
        Components with reflections that others of their pattern lack: precipitates, or a second
        phase in the same orientation.
    """

    component_cluster: np.ndarray
    cosine: np.ndarray
    reflection_share: np.ndarray
    has_reflections: bool
    is_background: np.ndarray
    moved: int = 0
    faded: int = 0
    on_top: int = 0

    @property
    def distinct(self) -> int:
        """Number of distinct patterns."""
        return int(self.component_cluster.max(initial=-1)) + 1

    @property
    def background(self) -> int:
        """Number of components that are background."""
        return int(np.count_nonzero(self.is_background))

    @property
    def hiding(self) -> int:
        """Number of background components with more reflections than vacuum or support have."""
        return int(np.count_nonzero(self.is_background & (self.reflection_share > OF_BACKGROUND)))

    @property
    def left_over(self) -> int:
        """Number of components that are neither background nor part of a distinct pattern."""
        return int(np.count_nonzero(self.component_cluster < 0)) - self.background


def merge_components(
    patterns: np.ndarray,
    weights: np.ndarray,
    left_out: np.ndarray,
    *,
    radius_px: float = USUAL_RADIUS_PX,
    split_bent: bool = False,
) -> Merged:
    """Group components into distinct patterns.

    Parameters
    ----------
    patterns : (component, detector_y, detector_x) array
        Component patterns, unit sum.
    weights : (scan_y, scan_x, component) array, electrons
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.
    radius_px : float
        Of the discs of reflections.
    split_bent : bool
        Leave the components of a bent grain, whose reflections fade, apart; those of a drifting
        pattern are one all the same.

    Returns
    -------
    Merged
        Clusters are numbered by falling total intensity.
    """
    weights = weights.astype(float)
    total = weights.sum(axis=(0, 1))
    alive = (total > 0) & (patterns.sum(axis=(1, 2)) > 0)
    if min(patterns.shape[1:]) < SMALLEST_DETECTOR_PX:
        return _without_reflections(patterns, weights, left_out, alive, np.zeros(len(patterns)))
    counts = patterns * total[:, None, None]
    background = backgrounds(counts, left_out)
    share = reflection_shares(counts, background, left_out)
    found = find_reflections(counts, background, left_out, radius_px)
    places = np.count_nonzero(found.surer_than(SURE), axis=(1, 2))
    coherent = alive & is_coherent(weights)
    shows = (share >= SHOWS_REFLECTIONS) | (places >= FEWEST_PLACES)
    if not np.any(shows[coherent]):
        return _without_reflections(patterns, weights, left_out, alive, share)
    shift = max(1, round(DRIFT_SHARE * min(patterns.shape[1:])))
    images, at = reflection_images(patterns, left_out), place_images(found)
    cosine, unmoved = reflection_cosines(at, shift), reflection_cosines(at)
    bright = reflection_cosines(images)
    equal, alike = bright >= SAME_PATTERN, cosine >= SAME_REFLECTIONS
    if split_bent:
        alike = reflection_cosines(images, shift) >= SAME_PATTERN
    own = own_places(found, SURE, OTHERS_HAVE)
    pale = _is_background(share, own, spreads(weights), coherent)
    beside = neighbours(weights)
    linked, inside = (alike & beside) | equal, alive & ~pale
    coherent = _holds_together(weights, equal, inside)
    groups = join_along_grains(cosine, linked, coherent)
    groups = _join_scattered(groups, cosine, linked, inside & ~coherent)
    groups = _keep_patterns(groups, weights)
    while (mixture := find_mixture(groups, found, beside, total, SURE)) is not None:
        groups = renumbered(groups, np.arange(groups.max() + 1) != mixture.group)
    groups = _at_least_one(groups, total, alive)
    moved, faded = _joined(groups, total, cosine, unmoved, bright)
    on_top = int(np.count_nonzero(lies_on_top(groups, found, SURE, OTHERS_HAVE)))
    return Merged(
        _by_intensity(groups, total), cosine, share, True, alive & pale, moved, faded, on_top
    )


def _without_reflections(
    patterns: np.ndarray,
    weights: np.ndarray,
    left_out: np.ndarray,
    alive: np.ndarray,
    share: np.ndarray,
) -> Merged:
    """Group components by what they look like as a whole: only equal patterns are surely one."""
    total = weights.sum(axis=(0, 1))
    cosine = reflection_cosines(np.sqrt(np.where(left_out, 0.0, np.maximum(patterns, 0))))
    equal = cosine >= 1 - 1e-3
    coherent = _holds_together(weights, equal, alive)
    groups = _join_scattered(join_inside(equal, coherent), cosine, equal, alive & ~coherent)
    groups = _keep_patterns(groups, weights)
    groups = _at_least_one(groups, total, alive)
    nothing = np.zeros(len(patterns), bool)
    moved, faded = _joined(groups, total, cosine, cosine, cosine)
    return Merged(_by_intensity(groups, total), cosine, share, False, nothing, moved, faded)


def _is_background(
    share: np.ndarray, own: np.ndarray, spread: np.ndarray, coherent: np.ndarray
) -> np.ndarray:
    """Return which components have next to no reflections, or few and lie all over the scan.

    All parameters have one value a component: share of bright reflections, number of places that no
    other has, share of the scan that it fills, whether it holds together.
    """
    bright = coherent & (share >= FEWEST_REFLECTIONS)
    usual = float(np.median(share[bright])) if bright.any() else 0.0
    pale = share < max(FEWEST_REFLECTIONS, PALEST_CRYSTAL * usual)
    common = (spread > WIDESPREAD) & (share < PALER * usual)
    return common | (pale & ((own < FEWEST_PLACES) | (spread > COMPACT)))


def _holds_together(weights: np.ndarray, equal: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return which components inside cohere, by themselves or together with equal ones.

    Copies of one pattern that share its positions at random cohere together.
    """
    copies = join_inside(equal, inside)
    together = np.append(is_coherent(cluster_weights(weights, copies)), False)
    return inside & (is_coherent(weights) | together[copies])


def join_along_grains(cosine: np.ndarray, linked: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Number the groups of linked components inside, the most alike joined first; -1 for others.

    Parameters
    ----------
    cosine : (component, component) array
    linked : (component, component) array of bool
    inside : (component,) array of bool

    Returns
    -------
    (component,) array of int
        Two groups are joined by a link where each end is alike, on average, to what the other end
        has joined directly: along a bent grain they are, through a mixture of two grains not.
    """
    groups = np.where(inside, np.arange(len(inside)), -1)
    joined: list[set[int]] = [set() for _ in inside]

    def belongs(one: int, other: int) -> bool:
        partners = [*(joined[other] - {one})]
        return not partners or float(np.mean(cosine[one, partners])) >= ALONG_A_GRAIN

    first, second = np.nonzero(np.triu(linked & inside[:, None] & inside, 1))
    for link in np.argsort(-cosine[first, second], kind="stable"):
        one, other = int(first[link]), int(second[link])
        if groups[one] != groups[other]:
            if not (belongs(one, other) and belongs(other, one)):
                continue
            groups[groups == groups[other]] = groups[one]
        joined[one].add(other)
        joined[other].add(one)
    numbers = np.unique(groups[inside], return_inverse=True)[1]
    groups[inside] = numbers
    return groups


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


def _keep_patterns(groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Drop groups (-1) that do not cohere, or are next to nowhere the strongest."""
    groups = renumbered(groups, is_coherent(cluster_weights(weights, groups)))
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


def _at_least_one(groups: np.ndarray, total: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Return the groups; where there is none, the strongest component is one."""
    if groups.max(initial=-1) < 0 and alive.any():
        groups = groups.copy()
        groups[np.argmax(total)] = 0
    return groups


def _by_intensity(groups: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Number groups by falling intensity."""
    count = groups.max(initial=-1) + 1
    inside = groups >= 0
    strength = np.bincount(groups[inside], weights=total[inside], minlength=count)
    rank = np.full(count + 1, -1, np.int16)
    rank[np.argsort(-strength, kind="stable")] = np.arange(count)
    return rank[groups]


def _joined(
    groups: np.ndarray,
    total: np.ndarray,
    cosine: np.ndarray,
    unmoved: np.ndarray,
    bright: np.ndarray,
) -> tuple[int, int]:
    """Count the components that joined a stronger one after a move, and with faded reflections.

    ``cosine`` and ``unmoved`` compare places, at the best shift and without one; ``bright``
    compares intensities.
    """
    moved = faded = 0
    for group in range(groups.max(initial=-1) + 1):
        members = np.flatnonzero(groups == group)
        members = members[np.argsort(-total[members], kind="stable")]
        for place, i in enumerate(members[1:], start=1):
            nearest = members[:place][np.argmax(cosine[i, members[:place]])]
            if cosine[i, nearest] > unmoved[i, nearest] + MOVED:
                moved += 1
            elif bright[i, nearest] < SAME_PATTERN:
                faded += 1
    return moved, faded
