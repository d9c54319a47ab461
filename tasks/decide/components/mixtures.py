"""Tell patterns that are mixtures of two others: the overlap of two grains, fitted as a third.

Diffraction is not additive where crystals lie above each other: the beam is diffracted twice, and
each crystal is thinner there than beside. A factorisation then describes the overlap by a component
of its own. It has the reflections of both, and none besides.
"""

from typing import NamedTuple

import numpy as np

from orimap.tasks.decide.components.reflections import Reflections

# Two patterns explain a third that has no more than this part of its reflections besides, by the
# logarithm of their significance; each of the two must explain a tenth that the other does not.
EXPLAINED = 0.85
EACH_EXPLAINS = 0.1
# Of fewer reflections, two patterns explain all by chance.
FEWEST_EXPLAINED = 3


class Mixture(NamedTuple):
    """A group that two others explain.

    Parameters
    ----------
    group, first, second : int
    explained : float
        The part of its reflections that the two have.
    """

    group: int
    first: int
    second: int
    explained: float


def find_mixture(
    groups: np.ndarray,
    reflections: Reflections,
    beside: np.ndarray,
    total: np.ndarray,
    least: float,
) -> Mixture | None:
    """Find the group that two others explain best; None where there is none.

    Parameters
    ----------
    groups : (component,) array of int
        -1 for none.
    reflections : Reflections
        Of the components.
    beside : (component, component) array of bool
        Which are present at the same or at adjacent positions.
    total : (component,) array
        Intensity of each.
    least : float
        Significance from which on a place counts.
    """
    count = int(groups.max(initial=-1)) + 1
    if count < 3:
        return None
    member = groups == np.arange(count)[:, None]
    own, around = reflections.height, reflections.height_around
    counted = reflections.surer_than(least)
    size = member @ total
    near = member @ beside @ member.T
    best = None
    for g in range(count):
        places = counted[member[g]].any(axis=0)
        height = own[member[g]].max(axis=0)[places]
        if height.size < FEWEST_EXPLAINED:
            continue
        others = [h for h in range(count) if h != g and near[g, h]]
        have = {h: np.minimum(around[member[h]].max(axis=0)[places], height) for h in others}
        for at, one in enumerate(others):
            for other in others[at + 1 :]:
                alone = max(have[one].sum(), have[other].sum()) / height.sum()
                both = float(np.maximum(have[one], have[other]).sum() / height.sum())
                if (
                    both >= EXPLAINED
                    and alone < both - EACH_EXPLAINS
                    and size[g] < max(size[one], size[other])
                    and (best is None or both > best.explained)
                ):
                    best = Mixture(g, one, other, both)
    return best
