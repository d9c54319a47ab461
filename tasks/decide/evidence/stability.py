"""How well the components of one k come back from other positions and other starts.

A fit with as many components as there are patterns finds the same ones again; one with too many
splits some pattern in two, differently every time. Each repeat fits a random three quarters of the
positions from a random start; the components are matched one to one, and the silhouette of each
matched group says how much closer its members are to each other than to the next group.

Cost: ``repeats`` fits of at most ``max_iterations`` iterations each, on three quarters of the
positions; no pass over the patterns. Random starts need more iterations than the one that the
sketch gives: four repeats took as long as two to six fits.

Valid for counts and for any other values, filtered or not: no noise model is assumed. It judges
the fit, not the crystal: where a grain bends or patterns drift, the pieces of one grain may come
back as faithfully as separate grains do, and where a start is caught in a poor minimum a right
k looks unstable. Read the smallest silhouette as a warning of components that are not there, among
two or three k that other evidence has singled out. On 28 even scans of the benchmark the largest k
with all silhouettes of .8 or more, among the six from two below the true one, was right on 22 and
within one on 25.

The resampling and the silhouettes follow NMFk (Alexandrov & Vesselinov 2014,
doi:10.1002/2013WR015037; Nebgen et al. 2021, doi:10.1088/2632-2153/aba372). Leaving out positions
instead of disturbing every value is ours: it costs nothing on the sketch and needs no noise model.
"""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.factorise.nmf import LowRank, factorise
from orimap.tasks.factorise.sketch import Sketch

# Positions of each repeat. Two repeats then share 56 % of all positions.
SHARE_OF_POSITIONS = 0.75
# Components are recognisable long before a fit has converged to five digits.
MAX_ITERATIONS = 60
# A group is stable from here on (the usual threshold of NMFk).
STABLE = 0.8


@dataclass(frozen=True)
class Stability:
    """How well the components of one k come back.

    Parameters
    ----------
    k : int
    silhouette : (k,) array
        Of each group of matched components, in falling order: 1 = always the same pattern, 0 = as
        near to another group as to its own, below 0 = nearer to another. 0 for a group whose
        components are empty.
    repeats : int
    """

    k: int
    silhouette: np.ndarray
    repeats: int

    @property
    def smallest(self) -> float:
        """Silhouette of the least stable component."""
        return float(self.silhouette.min())

    @property
    def mean(self) -> float:
        """Mean silhouette."""
        return float(self.silhouette.mean())

    @property
    def stable(self) -> bool:
        """Whether every component comes back."""
        return self.smallest >= STABLE


def stability(
    sketch: Sketch,
    k: int,
    *,
    seed: int,
    repeats: int = 4,
    max_iterations: int = MAX_ITERATIONS,
) -> Stability:
    """Fit random parts of the positions from random starts and compare the components.

    Parameters
    ----------
    sketch : Sketch
    k : int
    seed : int
        Of the positions and of the starts.
    repeats : int
        At least 2.
    max_iterations : int
        Of each fit.

    Returns
    -------
    Stability

    Raises
    ------
    InputError
        If there are fewer than two repeats, or k exceeds the rank of the sketch or the positions
        of a repeat.
    """
    positions = sketch.left.shape[1]
    part = round(SHARE_OF_POSITIONS * positions)
    most = min(len(sketch.values), part)
    if repeats < 2 or not 1 <= k <= most:
        raise InputError(
            f"at least 2 repeats, and k from 1 to {most} for this sketch of {positions} positions",
            f"{repeats} repeats of k = {k}",
            "compare fewer components, or sketch with a higher rank",
        )
    # One generator per repeat: more repeats leave the first ones as they were.
    seeds = np.random.SeedSequence([seed, k]).spawn(repeats)
    rounds = [
        _fit_part(sketch, k, part, np.random.default_rng(each), max_iterations) for each in seeds
    ]
    matched = match_components(np.stack(rounds))
    return Stability(k, np.sort(group_silhouettes(matched))[::-1], repeats)


def match_components(unit: np.ndarray) -> np.ndarray:
    """Order the components of every repeat alike, one to one.

    Parameters
    ----------
    unit : (repeats, k, m) array
        Non-negative patterns of unit norm, or zero.

    Returns
    -------
    (repeats, k, m) array
        Matched by the largest sum of cosines: with the first repeat, then once more with the
        centroids of the groups that this gives.
    """
    centres = unit[0]
    for _ in range(2):
        matched = np.stack([_in_the_order_of(centres, components) for components in unit])
        centres = _unit(matched.sum(axis=0))
    return matched


def group_silhouettes(groups: np.ndarray) -> np.ndarray:
    """Return the mean silhouette (k,) of each group of matched patterns, by cosine distance.

    Parameters
    ----------
    groups : (repeats, k, m) array
        Of unit norm, or zero; ``groups[:, j]`` is one group.

    Notes
    -----
    A single group has no other beside it: it is compared with a pattern at right angles.

    References
    ----------
    Rousseeuw (1987), doi:10.1016/0377-0427(87)90125-7.
    """
    repeats, k, size = groups.shape
    flat = groups.reshape(repeats * k, size)
    distance = 1 - np.clip(flat @ flat.T, 0, 1)
    np.fill_diagonal(distance, 0)
    # Sum of the distances of every member to the members of every group.
    to_group = distance.reshape(repeats, k, repeats, k).sum(axis=2)
    own = np.arange(k)
    inside = to_group[:, own, own] / (repeats - 1)
    to_group[:, own, own] = np.inf
    outside = np.ones_like(inside) if k == 1 else to_group.min(axis=2) / repeats
    larger = np.maximum(inside, outside)
    silhouette = np.divide(
        outside - inside, larger, out=np.zeros_like(larger), where=larger > 1e-12
    )
    return silhouette.mean(axis=0)


def _fit_part(
    sketch: Sketch, k: int, part: int, rng: np.random.Generator, max_iterations: int
) -> np.ndarray:
    """Fit k components to random positions from a random start; patterns (k, m) of unit norm."""
    chosen = rng.choice(sketch.left.shape[1], part, replace=False)
    coordinates = sketch.values[:, None] * sketch.left[:, chosen]
    # The chosen positions have singular vectors of their own, found among the few directions.
    turn, values, left = np.linalg.svd(coordinates, full_matrices=False)
    if values[0] <= 0:  # every chosen position is empty
        return np.zeros((k, sketch.right.shape[1]))
    held = max(k, np.count_nonzero(values > 1e-12 * values[0]))
    left, values = np.ascontiguousarray(left[:held]), values[:held]
    right = np.ascontiguousarray(turn.T[:held] @ sketch.right)
    squares = sketch.squares * part / sketch.left.shape[1]
    factors = factorise(
        LowRank.of(left, values, right, squares=squares, kind=np.float32),
        k,
        start=_random_start(left, values, right, k, rng),
        max_iterations=max_iterations,
    )
    return _unit(factors.patterns)


def _random_start(
    left: np.ndarray, values: np.ndarray, right: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw patterns and weights between 0 and 1, scaled so that their product has the right sum."""
    fitted = np.any(right != 0, axis=0)
    patterns = rng.random((k, right.shape[1])) * fitted
    weights = rng.random((k, left.shape[1]))
    total = max(float((left.sum(axis=1) * values) @ right.sum(axis=1)), 0.0)
    product = float(weights.sum(axis=1) @ patterns.sum(axis=1))
    scale = np.sqrt(total / product) if total > 0 and product > 0 else 1.0
    return patterns * scale, weights * scale


def _in_the_order_of(centres: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Return the components in the order in which they fit the centres best."""
    from scipy.optimize import linear_sum_assignment

    return components[linear_sum_assignment(centres @ components.T, maximize=True)[1]]


def _unit(patterns: np.ndarray) -> np.ndarray:
    """Scale patterns (k, m) to unit norm; an empty one stays zero."""
    norm = np.linalg.norm(patterns, axis=1, keepdims=True)
    return np.divide(patterns, norm, out=np.zeros_like(patterns), where=norm > 0)
