"""The distinct pattern that each component belongs to; where there are no reflections, by its look.

Components that show reflections are grouped as grains (``orimap.tasks.decide.grains``). Kikuchi
patterns, halos, noise and tiny detectors show none that could be told from background: then only
components that are equal as a whole are surely one pattern, and nothing is background.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orimap.tasks.decide.components.groups import (
    at_least_one,
    by_intensity,
    holds_together,
    join_inside,
    join_scattered,
    keep_patterns,
)
from orimap.tasks.decide.components.likeness import reflection_cosines

# So alike that two components are one pattern wherever they are in the scan.
SAME_LOOK = 1 - 1e-3


@dataclass(frozen=True)
class Merged:
    """The distinct pattern that each component belongs to.

    Parameters
    ----------
    component_cluster : (component,) array of int
        Numbered by falling intensity; -1 for background and for what is left over.
    has_reflections : bool
        Whether components were told apart by their reflections.
    is_background : (component,) array of bool
        Components without reflections.
    on_top : int
        Components with reflections that others of their pattern lack: precipitates, or a second
        phase in the same orientation.
    least_joined, most_apart : float
        The least likeness of what was joined, and the largest of what was left apart; the nearer
        they are, the less clear the grouping. NaN where nothing was.
    weakest : float
        How strong the weakest pattern is where it is the strongest, in the median, in standard
        deviations of single positions.
    ends_alike : float
        How far the least alike parts of one pattern have reflections in common, 0 to 1.
    split_bent : bool
        Whether parts of a bent grain were left apart, as asked for.
    """

    component_cluster: np.ndarray
    has_reflections: bool
    is_background: np.ndarray
    on_top: int = 0
    least_joined: float = np.nan
    most_apart: float = np.nan
    weakest: float = np.inf
    ends_alike: float = 1.0
    split_bent: bool = False

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

    @property
    def joined(self) -> int:
        """Number of components that share their distinct pattern with a stronger one."""
        return int(np.count_nonzero(self.component_cluster >= 0)) - self.distinct


def merge_by_look(patterns: np.ndarray, weights: np.ndarray, left_out: np.ndarray) -> Merged:
    """Join components that are equal as a whole.

    Parameters
    ----------
    patterns : (component, detector_y, detector_x) array
        Component patterns, unit sum.
    weights : (scan_y, scan_x, component) array, electrons
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.
    """
    weights = weights.astype(float)
    total = weights.sum(axis=(0, 1))
    alive = (total > 0) & (patterns.sum(axis=(1, 2)) > 0)
    cosine = reflection_cosines(np.sqrt(np.where(left_out, 0.0, np.maximum(patterns, 0))))
    equal = cosine >= SAME_LOOK
    coherent = holds_together(weights, equal, alive)
    groups = join_scattered(join_inside(equal, coherent), cosine, equal, alive & ~coherent)
    groups = at_least_one(keep_patterns(groups, weights), total, alive)
    return Merged(by_intensity(groups, total), False, np.zeros(len(patterns), bool))


def look_likeness(
    patterns: np.ndarray, strength: np.ndarray, left_out: np.ndarray
) -> Callable[[Sequence[int], Sequence[int]], float]:
    """Return what tells how alike two groups of components are as a whole, 0 to 1.

    Parameters
    ----------
    patterns : (component, detector_y, detector_x) array
        Component patterns, unit sum.
    strength : (component,) array
        What each weighs in a group.
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.
    """

    def likeness(one: Sequence[int], other: Sequence[int]) -> float:
        images = [
            np.tensordot(strength[list(members)], patterns[list(members)], axes=1)
            for members in (one, other)
        ]
        roots = np.sqrt(np.where(left_out, 0.0, np.maximum(np.stack(images), 0)))
        return float(reflection_cosines(roots)[0, 1])

    return likeness
