"""Measure how large reflections are: a direct beam that saturates or is spread looks wider.

In precession patterns stretched to 8 bits the direct beam measured 6.2 px where reflections
measured 3.4 px: half of those that one sees are lost to a search for discs of the former size.
"""

import numpy as np
from scipy.spatial import cKDTree

from orimap.tasks.patterns.beam.position import falling_radius, radial_profile
from orimap.tasks.patterns.reflections.encode import Encoder, encode_patterns
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections

# So many patterns, spread over the scan, show the reflections of every larger grain.
SAMPLE_PATTERNS = 64
# Of the brightest reflections that stand alone, at most so many are averaged, at least so many are
# needed.
MOST, FEWEST = 200, 10
# Alone: no other within so many radii of the direct beam, nor the edge.
ALONE_RADII = 3.5
REACH_RADII = 2.5
# Two radii that agree so well are one; that of the direct beam is known better.
AGREE = 0.15


def sample_positions(scan_shape: tuple[int, int]) -> np.ndarray:
    """Return the running numbers of positions spread evenly over the scan."""
    side = int(SAMPLE_PATTERNS**0.5)
    rows, columns = (np.unique(np.linspace(0, n - 1, side).round().astype(int)) for n in scan_shape)
    return (rows[:, None] * scan_shape[1] + columns).ravel()


def reflection_radius(
    patterns: np.ndarray, beam: np.ndarray, valid: np.ndarray, direct_radius: float, *, counts: bool
) -> float:
    """Return the half-maximum radius of the discs of reflections.

    Parameters
    ----------
    patterns : (patterns, detector_y, detector_x) array
        A sample of the scan.
    beam : (patterns, 2) array, pixels
        Where the direct beam is.
    valid : (detector_y, detector_x) array of bool
    direct_radius : float, pixels
        Half-maximum radius of the direct beam; returned where the reflections agree with it, or
        too few stand alone.
    counts : bool
        Whether the values are counts of electrons.
    """
    found = encode_patterns(patterns, Encoder(Lengths.of_disc(direct_radius), valid, counts), beam)
    chosen = _standing_alone(found, valid.shape, direct_radius)
    if len(chosen) < FEWEST:
        return direct_radius
    profile = radial_profile(
        np.where(valid, patterns, 0)[found.pattern_numbers[chosen]],
        np.stack([found.y[chosen], found.x[chosen]], axis=1),
        REACH_RADII * direct_radius,
    )
    radius = falling_radius(profile, direct_radius)
    return radius if abs(radius - direct_radius) > AGREE * direct_radius else direct_radius


def _standing_alone(found: Reflections, shape: tuple[int, int], radius: float) -> np.ndarray:
    """Return the brightest entries that have no neighbour and lie off the edge."""
    if not len(found.y):
        return np.zeros(0, int)
    # Patterns lie so far apart in the third direction that none is another's neighbour.
    apart = found.pattern_numbers * 10.0 * max(shape)
    places = np.stack([found.y, found.x, apart], axis=1)
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    edge = np.minimum.reduce([found.y, found.x, shape[0] - 1 - found.y, shape[1] - 1 - found.x])
    alone = (nearest > ALONE_RADII * radius) & (edge > REACH_RADII * radius) & ~found.is_direct
    entries = np.flatnonzero(alone)
    return entries[np.argsort(-found.intensity[entries], kind="stable")][:MOST]
