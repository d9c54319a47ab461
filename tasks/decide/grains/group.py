"""Group the components of dark fields into grains.

A grain that is bent or of varying thickness takes several components. They have reflections at the
same places, and they fade into each other over the scan: each of the two alone may be chance, both
together are one crystal. What is nowhere alone, but always together with others, is not a pattern
of its own: it is the overlap of two grains, whose diffraction is not the sum of both, or noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations

import numpy as np
from scipy import ndimage

from orimap.tasks.decide.components.coherence import is_coherent
from orimap.tasks.decide.components.groups import (
    by_intensity,
    holds_together,
    join_inside,
    join_scattered,
    keep_patterns,
    neighbours,
)
from orimap.tasks.decide.components.likeness import SIGNIFICANT
from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.components.shares import cluster_weights, full_weights, renumbered
from orimap.tasks.decide.grains.alike import is_mixture, mixing, places_alike
from orimap.tasks.decide.grains.dark_fields import DarkFields
from orimap.tasks.decide.grains.fit import GrainFit
from orimap.tasks.decide.grains.on_top import Pattern, lies_on_top
from orimap.tasks.decide.grains.presence import PRESENT, CertainWeights, certain_weights

# A component has this number of reflections, each at least so many standard deviations above the
# background.
FEWEST_REFLECTIONS = 2
SURE = 6.0
# Two components with a single reflection each have two together: they are one bent grain where each
# reflection is as sure as this, and the two fade into each other by this part.
SURE_ALONE = 30.0
FADING = 0.3
# Two groups are one grain where their likeness reaches this.
ONE_GRAIN = 0.6
# In that the likeness of places is at least this, and that of the maps counts by this much.
LEAST_ALIKE = 0.25
MIXING_COUNTS = 0.6
# A part of a grain that has less than this part of the logarithms of significance of the rest.
FRAGMENT = 0.5
# A position filled twice over says no more than one that is full.
MOST_SHARE = 1.2
# A grain is alone where its share is this part of the two largest.
ALONE = 0.75
# It has at least this number of such positions, and this share of its own.
FEWEST_ALONE = 4
LEAST_ALONE = 0.08
# A group is looked at in single positions where it is so many standard deviations strong there, in
# the median; small grains would vanish in means over squares, weak ones vanish without.
SINGLE_POSITIONS = 6.0
# Of the second share, what is less than so many standard deviations may be noise.
CERTAIN = 1.0
# A reflection is its own where others have less than this part of its height; a group that lies on
# top of others has this part of its own.
NOT_OTHERS = 0.3
OWN_PART = 0.6
# A part of a group is what fills this share of the scan, or more.
LEAST_PART = 0.03
# Two components may mix where the larger one fills this part of the positions of the other.
BESIDE = 0.15
# Components whose places agree like this are copies of one pattern, wherever they are; one that is
# scattered over the scan belongs to a neighbour that it is like by less.
EQUAL = 0.9
SCATTERED = 0.45


def group_grains(fit: GrainFit, fields: DarkFields, *, split_bent: bool = False) -> Merged:
    """Group components into grains.

    Parameters
    ----------
    fit : GrainFit
    fields : DarkFields
    split_bent : bool
        Leave the components of a bent grain apart, and join only those that are equal.
    """
    k = fit.weights.shape[1]
    if k == 0:
        return Merged(np.zeros(0, np.int16), True, np.zeros(0, bool))
    every = certain_weights(fit, fields)
    weights = every[0].weights.reshape(*fields.scan_shape, k)
    seen = _Seen.of(fit, fields)
    cosine, beside = seen.cosines(), neighbours(weights)
    equal = cosine >= EQUAL
    sure = np.count_nonzero(seen.significance >= SURE, axis=1) >= FEWEST_REFLECTIONS
    halves = _halves(seen, fit.share, is_coherent(weights) & ~sure)
    sure[[i for pair in halves for i in pair]] = True
    alive = sure & (fit.weights.max(axis=0) > 0)
    coherent = np.zeros(k, bool)
    for one in every:
        held = one.weights.reshape(*fields.scan_shape, k)
        coherent |= holds_together(held, equal, alive, one.side)
    least_joined = most_apart = np.nan
    if split_bent:
        groups = join_inside(seen.equal() & equal, coherent)
    else:
        groups, least_joined, most_apart = _join_alike(
            seen, fit.share, coherent & ~_mixtures(seen, fit.share, coherent, every), halves
        )
    linked = ((cosine >= SCATTERED) & beside) | equal
    groups = join_scattered(groups, cosine, linked, alive & ~coherent)
    groups = _without_scatter(groups, coherent, every, fields.scan_shape)
    before = groups
    groups = keep_patterns(groups, weights, every[1].weights.reshape(weights.shape), every[1].side)
    groups = _drop_never_alone(groups, every)
    on_top = _on_top(groups, seen) + _own_among_dropped(before, groups, seen)
    groups = by_intensity(groups, fit.weights.sum(axis=0))
    return Merged(
        groups,
        True,
        ~alive,
        on_top,
        least_joined,
        most_apart,
        _weakest(groups, every),
        _ends_alike(groups, seen, fit.share),
        split_bent,
    )


def grain_likeness(
    fit: GrainFit, fields: DarkFields
) -> Callable[[Sequence[int], Sequence[int]], float]:
    """Return what tells how alike two groups of components are, by places and maps.

    Two are one grain from ``ONE_GRAIN`` on, where ``group_grains`` does not hear other reasons.
    """
    seen = _Seen.of(fit, fields)

    def likeness(one: Sequence[int], other: Sequence[int]) -> float:
        heights = [seen.height(list(members)) for members in (one, other)]
        fills = [
            np.minimum(fit.share[:, list(members)].sum(axis=1), MOST_SHARE)
            for members in (one, other)
        ]
        return places_alike(*heights) + MIXING_COUNTS * mixing(*fills)

    return likeness


@dataclass(frozen=True)
class _Seen:
    """The reflections of components, and how surely they are there.

    Parameters
    ----------
    excess, variance : (component, place) arrays
        Intensity over the whole scan, without background, and its variance.
    """

    excess: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, fit: GrainFit, fields: DarkFields) -> "_Seen":
        """Sum the reflections of every component over the scan."""
        filled = np.maximum(fit.share.sum(axis=1, keepdims=True), 1e-9)
        excess = fit.reflections * fit.weights.sum(axis=0)[:, None]
        return cls(excess, fields.noise(fit.share / filled))

    @property
    def significance(self) -> np.ndarray:
        """Of each reflection, in standard deviations, (component, place)."""
        return self.excess / np.sqrt(self.variance)

    def pattern(self, members: list[int]) -> Pattern:
        """Return what some components are together."""
        excess, variance = self.excess[members].sum(axis=0), self.variance[members].sum(axis=0)
        return Pattern(excess, np.sqrt(variance))

    def height(self, members: list[int]) -> np.ndarray:
        """Return the logarithm of the significance of what some components are together.

        0 where it is not significant. What is surely there weighs about alike, however bright.
        """
        together = self.pattern(members)
        sure = together.excess / together.noise
        return np.where(sure >= SIGNIFICANT, np.log1p(np.maximum(sure, 0) / SIGNIFICANT), 0.0)

    def equal(self) -> np.ndarray:
        """Return which components are equally bright in all their reflections."""
        bright = np.sqrt(np.maximum(self.excess, 0))
        norm = np.linalg.norm(bright, axis=1, keepdims=True)
        unit = bright / np.where(norm > 0, norm, 1.0)
        return unit @ unit.T >= EQUAL

    @cached_property
    def heights(self) -> np.ndarray:
        """The height of every component by itself, (component, place)."""
        return np.stack([self.height([i]) for i in range(len(self.excess))])

    def cosines(self) -> np.ndarray:
        """Return the cosine of the heights of every pair of components."""
        norm = np.linalg.norm(self.heights, axis=1, keepdims=True)
        unit = self.heights / np.where(norm > 0, norm, 1.0)
        return unit @ unit.T


def _without_scatter(
    groups: np.ndarray,
    coherent: np.ndarray,
    every: tuple[CertainWeights, ...],
    scan_shape: tuple[int, int],
) -> np.ndarray:
    """Leave out (-1) scattered components of a group that holds together without them only."""
    holds = np.zeros(int(groups.max(initial=-1)) + 1, bool)
    for one in every:
        own = cluster_weights(one.weights, groups).reshape(*scan_shape, -1)
        holds |= is_coherent(own, one.side)
    grain = np.isin(groups, groups[coherent])
    return np.where(grain & ~coherent & ~np.append(holds, True)[groups], -1, groups)


def _on_top(groups: np.ndarray, seen: _Seen) -> int:
    """Count the components that lie on top of another one of their group."""
    found = np.zeros(len(groups), bool)
    for group in range(int(groups.max(initial=-1)) + 1):
        for one, other in permutations(np.flatnonzero(groups == group).tolist(), 2):
            found[one] |= lies_on_top(seen.pattern([one]), seen.pattern([other]))
    return int(np.count_nonzero(found))


def _own_among_dropped(before: np.ndarray, after: np.ndarray, seen: _Seen) -> int:
    """Count the groups that were dropped though most of their reflections are no other's.

    What lies on top of a crystal that is whole below is alone nowhere, and yet no mixture.
    """
    dropped = set(before[(before >= 0) & (after < 0)].tolist())
    kept = [np.flatnonzero(after == i).tolist() for i in range(int(after.max(initial=-1)) + 1)]
    if not dropped or not kept:
        return 0
    others = np.max([seen.height(members) for members in kept], axis=0)
    found = 0
    for group in dropped:
        members = np.flatnonzero(before == group).tolist()
        height, pattern = seen.height(members), seen.pattern(members)
        own = others < NOT_OTHERS * height
        surely = own & (pattern.excess >= SURE * pattern.noise)
        part = height[own].sum() / max(float(height.sum()), 1e-300)
        found += int(part >= OWN_PART and np.count_nonzero(surely) > FEWEST_REFLECTIONS)
    return found


def _ends_alike(groups: np.ndarray, seen: _Seen, share: np.ndarray) -> float:
    """Return how far the two least alike parts of any one group have reflections in common."""
    parts = np.bincount(share.argmax(axis=1), minlength=len(groups)) >= LEAST_PART * len(share)
    least = 1.0
    for group in range(int(groups.max(initial=-1)) + 1):
        for one, other in combinations(seen.heights[(groups == group) & parts], 2):
            least = min(least, places_alike(one, other))
    return least


def _weakest(groups: np.ndarray, every: tuple[CertainWeights, ...]) -> float:
    """Return how strong the weakest group is, in standard deviations of single positions.

    In the median of the positions where it is the strongest, and there is any for sure.
    """
    if groups.max(initial=-1) < 0:
        return 0.0
    single, near = (one.of_clusters(groups) for one in every)
    there = (near.sureness >= PRESENT).any(axis=1)
    label = (single.weights / full_weights(single.weights)).argmax(axis=1)
    own = np.take_along_axis(single.sureness, label[:, None], axis=1)[:, 0]
    medians = [
        np.median(own[there & (label == i)]) if np.any(there & (label == i)) else 0.0
        for i in range(single.weights.shape[1])
    ]
    return float(min(medians))


def _halves(seen: _Seen, share: np.ndarray, single: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of components with a single reflection each that are one bent grain.

    Far from any zone axis a crystal may have one bright reflection only, and where it is bent a
    little, another one instead. Those that fade into each other the most are paired first.
    """
    surely = seen.significance >= SURE_ALONE
    alone = np.flatnonzero(single & (np.count_nonzero(surely, axis=1) == 1)).tolist()
    maps, place = np.minimum(share, MOST_SHARE), surely.argmax(axis=1)
    pairs = [
        (mixing(maps[:, one], maps[:, other]), one, other)
        for one, other in combinations(alone, 2)
        if place[one] != place[other]
    ]
    found: list[tuple[int, int]] = []
    for fading, one, other in sorted(pairs, reverse=True):
        if fading >= FADING and not any({one, other} & set(pair) for pair in found):
            found.append((one, other))
    return found


def _join_alike(
    seen: _Seen, share: np.ndarray, inside: np.ndarray, halves: list[tuple[int, int]]
) -> tuple[np.ndarray, float, float]:
    """Join components to groups, the most alike first; -1 for those that are not inside.

    Halves belong together from the start. With the least likeness of what was joined, and the
    largest of what stayed apart.
    """
    members = [list(pair) for pair in halves if inside[list(pair)].all()]
    paired = [i for pair in members for i in pair]
    members += [[i] for i in np.flatnonzero(inside).tolist() if i not in paired]
    extent = [list(group) for group in members]
    heights = [seen.height(group) for group in members]
    fills = [np.minimum(share[:, group].sum(axis=1), MOST_SHARE) for group in members]

    def likeness(one: int, other: int) -> float:
        alike = places_alike(heights[one], heights[other])
        if alike < LEAST_ALIKE:
            return 0.0
        return alike + MIXING_COUNTS * mixing(fills[one], fills[other])

    pairs = {
        (one, other): likeness(one, other) for other in range(len(members)) for one in range(other)
    }
    least_joined = np.nan
    while pairs:
        one, other = max(pairs, key=lambda pair: pairs[pair])
        if pairs[one, other] < ONE_GRAIN:
            break
        least_joined = np.fmin(least_joined, pairs[one, other])
        sure = heights[one].sum(), heights[other].sum()
        # What has few of the reflections may belong to several: it says nothing of the extent.
        if sure[0] < FRAGMENT * sure[1]:
            extent[one] = extent[other]
        elif sure[1] >= FRAGMENT * sure[0]:
            extent[one] = extent[one] + extent[other]
        members[one] += members[other]
        heights[one] = seen.height(members[one])
        fills[one] = np.minimum(share[:, extent[one]].sum(axis=1), MOST_SHARE)
        members[other] = []
        for pair in [pair for pair in pairs if other in pair]:
            del pairs[pair]
        for pair in [pair for pair in pairs if one in pair]:
            pairs[pair] = likeness(*pair)
    groups = np.full(len(inside), -1)
    for number, group in enumerate(group for group in members if group):
        groups[group] = number
    return groups, float(least_joined), max(pairs.values(), default=np.nan)


def _mixtures(
    seen: _Seen, share: np.ndarray, inside: np.ndarray, every: tuple[CertainWeights, ...]
) -> np.ndarray:
    """Return which components inside are alone nowhere and two others together, (component,).

    Joined to one of the two, such a component would make both alike.
    """
    found = np.zeros(len(inside), bool)
    never = inside & (_ever_alone(np.arange(len(inside)), every) < 1)
    if not never.any():
        return found
    maps = np.minimum(share, MOST_SHARE)
    for one in np.flatnonzero(never):
        larger = inside & (maps.sum(axis=0) > maps[:, one].sum())
        others = [i for i in np.flatnonzero(larger) if mixing(maps[:, one], maps[:, i]) >= BESIDE]
        found[one] = is_mixture(seen.heights[one], [*seen.heights[others]])
    return found


def _drop_never_alone(groups: np.ndarray, every: tuple[CertainWeights, ...]) -> np.ndarray:
    """Drop groups (-1), one after the other, that are alone nowhere."""
    while groups.max(initial=-1) > 0:
        alone = _ever_alone(groups, every)
        if np.all(alone >= 1):
            break
        groups = renumbered(groups, np.arange(len(alone)) != alone.argmin())
    return groups


def _ever_alone(groups: np.ndarray, every: tuple[CertainWeights, ...]) -> np.ndarray:
    """Return how often each group is alone, as a part of what is needed, (group,)."""
    (alone, sure), (mean, _) = (_alone(groups, one) for one in every)
    return np.where(sure >= SINGLE_POSITIONS, alone, mean)


def _alone(groups: np.ndarray, certain: CertainWeights) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each group is alone, as a part of what is needed, and its sureness.

    The sureness, also (group,), is the median of the weight where the group is the strongest, in
    standard deviations.
    """
    count = int(groups.max()) + 1
    own = cluster_weights(certain.weights, groups)
    full = full_weights(own)
    share, error = own / full, np.sqrt(cluster_weights(certain.variance, groups)) / full
    label = share.argmax(axis=1)
    at = np.arange(len(label))
    first, spread = share[at, label], error[at, label]
    share[at, label] = -np.inf
    other = share.argmax(axis=1)
    second, unsure = np.maximum(share[at, other], 0.0), error[at, other]
    # As far as noise can tell: the second share is what is certain of it.
    alone = (1 - ALONE) * first >= ALONE * (second - CERTAIN * unsure)
    held = np.bincount(label[alone & (first >= PRESENT * spread)], minlength=count)
    needed = np.maximum(FEWEST_ALONE, LEAST_ALONE * np.bincount(label, minlength=count))
    with np.errstate(over="ignore"):  # beyond all numbers: as sure as can be
        sureness = first / np.maximum(spread, 1e-300)
    return held / needed, np.nan_to_num(ndimage.median(sureness, label, np.arange(count)), nan=0.0)
