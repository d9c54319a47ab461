"""Notice what lies on top of a pattern: reflections that only a part of its components have.

Precipitates, or a second phase in the same orientation, have the reflections of the grain around
them, and more. A tilt takes reflections away as well as it adds some; what lies on top only adds.
"""

from itertools import permutations

import numpy as np
from scipy import ndimage

from orimap.tasks.decide.components.likeness import SIGNIFICANT
from orimap.tasks.decide.components.reflections import Reflections

# A component lacks a reflection of another that should stand out from it by so many standard
# deviations, and has less than this part of what is expected.
SHOULD_STAND_OUT = 12.0
LACKING = 0.15
# It lies on top of another where at least this number of its reflections, and this part of them,
# are lacking there, and next to none the other way round.
FEWEST_ON_TOP = 4
PART_ON_TOP = 0.3
PART_LACKED = 0.12
# To compare brightness takes reflections that both have; to say that none is lacking, some more.
FEWEST_COMMON = 2
FEWEST_COMPARED = 3


def lies_on_top(
    groups: np.ndarray, reflections: Reflections, least: float, part: float
) -> np.ndarray:
    """Return which components have reflections that another of their group lacks.

    Parameters
    ----------
    groups : (component,) array of int
        -1 for none.
    reflections : Reflections
        Of the components.
    least : float
        Significance from which on a place counts.
    part : float
        A reflection is that of another group, and not on top, where it has this part of the
        logarithm of its significance there: the component is then a mixture.

    Returns
    -------
    (component,) array of bool
    """
    own, around = reflections.height, reflections.height_around
    places = reflections.surer_than(least)
    near = _largest_near(reflections.excess), _largest_near(reflections.significance)
    found = np.zeros(len(groups), bool)

    def compare(one: int, other: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which reflections of one component another lacks, and which it would show."""
        at = places[one]
        excess, there, sure = reflections.excess[one][at], *(image[other][at] for image in near)
        common = sure >= SIGNIFICANT
        if np.count_nonzero(common) < FEWEST_COMMON:
            nothing = np.zeros(len(excess), bool)
            return nothing, nothing
        expected = np.median(there[common] / excess[common]) * excess
        would_show = expected >= SHOULD_STAND_OUT * reflections.noise[other][at]
        return would_show & (there < LACKING * expected), would_show

    for group in range(int(groups.max(initial=-1)) + 1):
        members = np.flatnonzero(groups == group).tolist()
        others = around[(groups >= 0) & (groups != group)].max(axis=0, initial=0.0)
        for one, other in permutations(members, 2):
            lacking, shown = compare(one, other)
            back, compared = compare(other, one)
            if compared.sum() < FEWEST_COMPARED or back.sum() > PART_LACKED * compared.sum():
                continue
            new = others[places[one]] < part * own[one][places[one]]
            count = np.count_nonzero(lacking & new)
            found[one] |= count >= max(FEWEST_ON_TOP, PART_ON_TOP * shown.sum())
    return found


def _largest_near(images: np.ndarray) -> np.ndarray:
    """Return the largest value of each image within a pixel."""
    return ndimage.maximum_filter(images, size=(1, 3, 3))
