"""Find components of one fit that show the same pattern, and those that are strongest nowhere.

A fit with more components than there are patterns cuts a grain in pieces, which look alike and lie
side by side, or gives what all patterns share (the inelastic background) a component of its own,
which is the strongest nowhere. What is left is the number of patterns, whatever k was.

Two components are redundant where they agree in pattern *and* in map. In pattern: by the cosine of
their reflections; where it is undecided, or no reflections stand out, by two of the three image
metrics. In map: by the correlation of blurred maps, since the pieces of one grain exclude each
other position by position (their maps correlate negatively) but fill the same neighbourhood.

The number of what is left rises with k up to the number of patterns and then stays: where it
settles is the answer, better than what any single fit says.

Cost: about nothing beside the metrics and the cosines themselves.

Valid for any values, counts or not, filtered or not, as long as the pieces of a grain are
neighbours. Two grains of nearly one orientation side by side are joined if their reflections agree
by the thresholds below; an amorphous region that fills positions alone leads there, and is told
from a crystal only by its lack of reflections, not here.

The rule of agreeing in both is pyxem's practice (correlations of .4 in each); thresholds and blur
were chosen on the even scans 0 to 46 of the benchmark, at the true k and three beyond. On all 40
even scans the number that is left is right in 37 to 39 of the fits with one to three components too
many, and settles at the true number on every one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from orimap.tasks.decide.components.merge import join_inside

# On those scans the pieces of one grain agree by .64 or more in three quarters of all pairs, by .9
# in a quarter; different grains by .49 or less in 95 % of all pairs, by .68 at most at the true k.
# That was measured with the brightness of reflections; by their places, which are compared now, the
# count is right on 36 of the 40 odd scans of the benchmark.
# (What joins components to one pattern is SAME_REFLECTIONS in merge.py.)
REDUNDANT_REFLECTIONS = 0.65
# From here on, or where nothing is known of reflections, two of the three metrics decide.
UNDECIDED = 0.5
# Pieces of one grain reach these in a third (SSIM), half (MDSI) or three quarters (GMSD) of all
# pairs, different grains in fewer than 5 %, whichever it is.
ALIKE_SSIM = 0.9
ALIKE_GMSD = 0.15
ALIKE_MDSI = 0.35
# Maps are blurred over this share of the side of the square that a component would fill if all were
# equal, so that halves of a large grain with a sharp border between them are neighbours as well.
BLUR_SHARE = 0.35
# Correlation of the blurred maps: with a blur of two positions (about half as wide as this) pieces
# of one grain had .25 or more in 95 % of all pairs, different grains .12 or less in 95 %.
SAME_PLACE = 0.3
# Share of a component's weight that lies where it is the strongest: background .1 or less, grains
# .17 or more at the true k.
LEADS_SOMEWHERE = 0.1
# Fits with up to this many components more show whether the number has settled: with many more,
# fits of two or three patterns cut them in pieces that are no longer alike. 3 to 8 give the same
# within one scan of 40.
BEYOND = 4


@dataclass(frozen=True)
class Redundancy:
    """The components of one fit that repeat each other.

    Parameters
    ----------
    pairs : (number of pairs, 2) array of int
        Redundant components, the smaller number first.
    group : (component,) array of int
        Components of one pattern share a number, from 0; -1 for a component that is strongest
        nowhere.
    """

    pairs: np.ndarray
    group: np.ndarray

    @property
    def count(self) -> int:
        """Number of patterns that are left: the vote of this evidence."""
        return int(self.group.max(initial=-1)) + 1


@dataclass(frozen=True)
class Plateau:
    """Where the number of patterns settles as k grows.

    Parameters
    ----------
    count : int or None
        The number that most of the fits with as many components, or a few more, hold; None where
        no number is held by two of them.
    fits : int
        How many of them hold it.
    share : float
        Their share: 1 where all agree.
    runner_up : int or None
        The next such number.
    """

    count: int | None
    fits: int
    share: float
    runner_up: int | None


def plateau(ks: np.ndarray, counts: np.ndarray) -> Plateau:
    """Find where the number of patterns settles.

    Parameters
    ----------
    ks : (number of k,) array of int
    counts : (number of k,) array of int
        Of ``Redundancy.count``, per k.
    """
    ks, counts = np.asarray(ks), np.asarray(counts)
    ranked = []
    for count in np.unique(counts):
        near = (ks >= count) & (ks <= count + BEYOND)
        fits = int(np.count_nonzero(counts[near] == count))
        if fits >= 2:
            ranked.append((fits, fits / int(np.count_nonzero(near)), -int(count)))
    if not ranked:
        return Plateau(None, 0, 0.0, None)
    # The larger share of equals, then the smaller number: beyond it a fit may be of noise.
    ranked.sort(reverse=True)
    fits, share, negative = ranked[0]
    return Plateau(-negative, fits, share, -ranked[1][2] if len(ranked) > 1 else None)


def redundant_pairs(
    cosine: np.ndarray, metrics: Mapping[str, np.ndarray], weights: np.ndarray
) -> Redundancy:
    """Find the components that repeat each other, and those that are strongest nowhere.

    Parameters
    ----------
    cosine : (component, component) array
        Of the reflections, see ``likeness.reflection_cosines``; all zero off the diagonal where
        there are none.
    metrics : dict of (component, component) arrays
        "ssim", "gmsd" and "mdsi" of ``metrics.pair_metrics``.
    weights : (scan_y, scan_x, component) array
        Of component patterns of unit sum, so that they can be compared.

    Returns
    -------
    Redundancy
        Redundancy is passed on: where a agrees with b and b with c, all three are one pattern.
    """
    alike = alike_in_pattern(cosine, metrics)
    redundant = alike & (map_correlations(weights) >= SAME_PLACE)
    np.fill_diagonal(redundant, False)
    group = join_inside(redundant, leading_shares(weights) >= LEADS_SOMEWHERE)
    return Redundancy(np.argwhere(np.triu(redundant)), group)


def alike_in_pattern(cosine: np.ndarray, metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which components agree in pattern (component, component); each with itself.

    Parameters
    ----------
    cosine, metrics
        As for ``redundant_pairs``. A metric that is NaN agrees with nothing; MDSI depends on the
        order of the two, and the poorer agreement counts.
    """
    ssim, gmsd, mdsi = (np.asarray(metrics[name]) for name in ("ssim", "gmsd", "mdsi"))
    votes = (ssim >= ALIKE_SSIM).astype(int) + (gmsd <= ALIKE_GMSD)
    votes += np.maximum(mdsi, mdsi.T) <= ALIKE_MDSI
    without = ~np.any(np.where(np.eye(len(cosine), dtype=bool), 0, cosine) > 0)
    undecided = (cosine >= UNDECIDED) | without
    alike = (cosine >= REDUNDANT_REFLECTIONS) | (undecided & (votes >= 2))
    np.fill_diagonal(alike, True)
    return alike


def map_correlations(weights: np.ndarray) -> np.ndarray:
    """Return how the blurred maps of all pairs correlate over the scan.

    Parameters
    ----------
    weights : (scan_y, scan_x, component) array

    Returns
    -------
    (component, component) array
        Pearson's correlation coefficient, -1 to 1; 0 for a map that is empty or even.
    """
    height, width, count = weights.shape
    sigma = BLUR_SHARE * np.sqrt(height * width / count)
    blurred = ndimage.gaussian_filter(weights.astype(float), (sigma, sigma, 0), mode="constant")
    maps = blurred.reshape(-1, count)
    maps = maps - maps.mean(axis=0)
    norm = np.linalg.norm(maps, axis=0)
    # What is the same everywhere is in no place; its blurred map only shows the border of the scan.
    varies = (np.ptp(weights, axis=(0, 1)) > 0) & (norm > 0)
    unit = np.divide(maps, norm, out=np.zeros_like(maps), where=varies)
    return np.clip(unit.T @ unit, -1, 1)


def leading_shares(weights: np.ndarray) -> np.ndarray:
    """Return the share of each component's weight that lies where it is the strongest.

    Parameters
    ----------
    weights : (scan_y, scan_x, component) array
        Of component patterns of unit sum.

    Returns
    -------
    (component,) array
        Near 1 for a grain with sharp boundaries, 0 for background below other components and for
        an empty component.
    """
    flat = weights.reshape(-1, weights.shape[-1]).astype(float)
    leads = (flat == flat.max(axis=1, keepdims=True)) & (flat > 0)
    total = flat.sum(axis=0)
    return np.divide((flat * leads).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
