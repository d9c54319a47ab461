"""Decide: which crystal, which orientation, and how sure that is.

A pattern is compared with the best orientation of every crystal and with the next best ones. What
the best explains more than any other orientation says how reliable it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from orimap.tasks.index.crystals.symmetry import as_quaternions, misorientation_deg
from orimap.tasks.index.measure import Measured
from orimap.tasks.index.orientations.compare import OUTLIER, Comparison, misfits, residuals
from orimap.tasks.index.orientations.fit_scan import Phase, Scan
from orimap.tasks.index.orientations.match import about_beam
from orimap.tasks.index.orientations.refine import Candidates
from orimap.tasks.index.orientations.rows import Rows

# Orientations nearer than this are one.
DIFFERENT_DEG = 3.0
# From this reliability on no orientation is off by more than 3 degrees. On 80 random scans of ten
# crystals, 960 patterns, the lowest such limit was 0.04; on 80 others 860 of 960 patterns were
# above this one, 92 % of those with eight reflections or more, and none of them was off
# (tests/benchmarks/indexing/reliability.py, even and odd scans of seeds 0 to 3).
RELIABLE = 0.06
# None of the crystals explains a pattern that is like the best orientation by less than this
# (cosine of amplitudes).
LEAST_SCORE = 0.65
# With fewer reflections an orientation has no three angles.
FEWEST_SPOTS = 3
# Candidates may have come to rest a little beside where they belong: one reflection too strong on a
# sphere that passes between two of them is enough. So many of the best of each pattern start again
# from tilts in so many directions, by about half the spacing of the zone directions.
LOOKED_AROUND, TILTS, TILT_DEG = 10, 6, 2.0
# Of the reflections brighter than this share of the brightest, in amplitude, so many must be
# explained for an orientation to be reliable: four may lie in one row and its neighbour.
FEWEST_EXPLAINED, BRIGHT_SHARE = 5, 0.12


@dataclass(frozen=True)
class Indexed(Rows):
    """What was found for n patterns.

    Parameters
    ----------
    phase : (n,) int array
        Number of the crystal, -1 where none of them explains the pattern.
    rotation : (n, 3, 3) array
        From the crystal's Cartesian frame into the sample's; NaN without a crystal.
    score : (n,) array
        Cosine of measured and predicted amplitudes of the best candidate, of whatever crystal.
    reliability : (n,) array
        (best - best different orientation) / best, by what is explained; 0 to 1.
    margin : (n,) array
        The same against the best of all other crystals; 1 where there is one crystal.
    ambiguous : (n,) array of bool
        Whether the pattern turned by half about the beam explains nearly as much.
    indexed : (n,) array of bool
        Whether there is a crystal and the orientation is reliable.
    other_rotation : (n, 3, 3) array
        The best different candidate, NaN where there is none.
    other_phase : (n,) int array
    other_score : (n,) array
    shift : (n, 2) array, pixels
        Fitted place of the direct beam (row, column) from the measured one.
    """

    phase: np.ndarray
    rotation: np.ndarray
    score: np.ndarray
    reliability: np.ndarray
    margin: np.ndarray
    ambiguous: np.ndarray
    indexed: np.ndarray
    other_rotation: np.ndarray
    other_phase: np.ndarray
    other_score: np.ndarray
    shift: np.ndarray

    def turned(self, angle_deg: float) -> Indexed:
        """Return the same in a sample's frame that is turned about the beam by minus an angle."""
        turn = about_beam(np.radians(angle_deg))
        return replace(
            self, rotation=turn @ self.rotation, other_rotation=turn @ self.other_rotation
        )

    @property
    def quaternion(self) -> np.ndarray:
        """Unit quaternions, scalar first, from the crystal's frame into the sample's; or NaN."""
        return _quaternions(self.rotation)

    @property
    def other_quaternion(self) -> np.ndarray:
        """The same of the best different candidates."""
        return _quaternions(self.other_rotation)


def _quaternions(rotation: np.ndarray) -> np.ndarray:
    known = np.isfinite(rotation).all(axis=(1, 2))
    result = np.full((len(rotation), 4), np.nan)
    if known.any():
        result[known] = as_quaternions(rotation[known])
    return result


@dataclass(frozen=True)
class Costs(Rows):
    """What speaks against m candidates, as half logarithms of odds.

    Parameters
    ----------
    spots : (m, spots) array
        Misfit of each found reflection, those included that the candidate does not predict.
    others : (m,) array
        Of all predicted reflections that were not found.
    largest_other : (m,) array
        Of the one of them that counts most.
    nothing : (m,) array
        Of all found reflections, if nothing were predicted.
    bright : (m,) int array
        How many bright found reflections are explained by more than half.
    """

    spots: np.ndarray
    others: np.ndarray
    largest_other: np.ndarray
    nothing: np.ndarray
    bright: np.ndarray

    @classmethod
    def of(cls, compared: Comparison) -> Costs:
        """Count misfits in their errors, outliers less (Cauchy), as in the refinement."""
        spots, others = misfits(compared)
        alone, _, _, _ = residuals(compared, np.zeros(len(spots)))
        nothing = np.log1p((alone / OUTLIER) ** 2)
        measured = compared.spot_measured
        is_bright = measured > BRIGHT_SHARE * measured.max(axis=1, initial=0)[:, None]
        return cls(
            spots,
            others.sum(axis=1),
            others.max(axis=1, initial=0),
            nothing.sum(axis=1),
            (is_bright & (spots < nothing / 2)).sum(axis=1),
        )

    @property
    def explained(self) -> np.ndarray:
        """Which share of a pattern is explained, (m,): 1 all, 0 or less nothing."""
        return 1 - (self.spots.sum(axis=1) + self.others) / np.maximum(self.nothing, 1e-9)

    def lead(self, best: int, others: np.ndarray) -> float:
        """Return by what share one candidate explains more than any of some others.

        What a single reflection says is left out: a strong one that begins or ends just there, or
        was taken from a neighbouring grain, must not decide.
        """
        if not len(others):
            return 1.0
        apart = self.spots[others] - self.spots[best]
        total = apart.sum(axis=1) + self.others[others] - self.others[best]
        single = np.maximum(apart.max(axis=1, initial=0), self.largest_other[others])
        gained = self.nothing[best] - self.spots[best].sum() - self.others[best]
        return float(np.clip((total - single) / max(gained, 1e-9), 0, 1).min())


def decide_orientations(measured: Measured, scan: Scan) -> Indexed:
    """Decide for every pattern.

    Parameters
    ----------
    measured : Measured
    scan : Scan
        As `fit_scan` returns it for the same.
    """
    count = len(measured)
    costs, candidates = [], []
    half = np.diag([-1.0, -1, 1])
    for refinement, each in zip(scan.refinements, scan.candidates, strict=True):
        around = _around(each.take(_best_of_each(each, count, LOOKED_AROUND)))
        each = Candidates.join([each, refinement.run(around, scan.rocking, 6, widen=2.0)])
        # What the best are turned by half about the beam, always.
        top = each.take(_best_of_each(each, count, 1))
        turned = Candidates.of(top.pattern, half @ top.rotation)
        each = Candidates.join([each, refinement.run(turned, scan.rocking, 4)])
        chosen = refinement.choose(each, scan.rocking.reach)
        costs.append(Costs.of(refinement.compare(each, scan.rocking, *chosen)))
        candidates.append(each)
    numbers = [np.full(len(each.pattern), i) for i, each in enumerate(candidates)]
    phase, cost = np.concatenate(numbers), Costs.join(costs)
    every = Candidates.join(candidates)
    rows = [
        _decide(
            every, phase, cost, np.flatnonzero(every.pattern == n), scan.phases, measured.counts[n]
        )
        for n in range(count)
    ]
    columns = [np.array(each) for each in zip(*rows, strict=True)]
    return Indexed(*columns)


def merge(first: Indexed, second: Indexed, turns: list[np.ndarray]) -> Indexed:
    """Merge what two patterns of each cluster say.

    Where both have one orientation, the more reliable counts. Where they differ, it counts by what
    it is more reliable than the other, which becomes the second candidate.

    Parameters
    ----------
    first, second : Indexed
        Of n patterns each.
    turns : list of arrays
        `laue_turns` of every crystal.
    """
    better = second.reliability > first.reliability
    better = np.where(first.phase < 0, second.phase >= 0, better & (second.phase >= 0))
    both = first.replaced(second, better)
    for n in np.flatnonzero((first.phase >= 0) & (second.phase >= 0)):
        same = first.phase[n] == second.phase[n] and (
            misorientation_deg(first.rotation[n], second.rotation[n], turns[first.phase[n]])
            <= DIFFERENT_DEG
        )
        if not same:
            worse = first if better[n] else second
            lost = worse.reliability[n]
            both.reliability[n] = max(both.reliability[n] - lost, 0.0)
            both.other_rotation[n] = worse.rotation[n]
            both.other_phase[n] = worse.phase[n]
            both.other_score[n] = worse.score[n]
    return replace(both, indexed=(both.phase >= 0) & (both.reliability >= RELIABLE))


def _best_of_each(candidates: Candidates, patterns: int, most: int) -> np.ndarray:
    """Return the best candidates of each pattern, so many at most."""
    order = np.lexsort([-candidates.score, candidates.pattern])
    counts = np.bincount(candidates.pattern, minlength=patterns)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    best: np.ndarray = order[rank < most]
    return best


def _around(candidates: Candidates) -> Candidates:
    """Return what candidates are tilted by a little, in directions all around."""
    from scipy.spatial.transform import Rotation

    angle = np.arange(TILTS) * (2 * np.pi / TILTS)
    tilts = np.radians(TILT_DEG) * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    turned = Rotation.from_rotvec(tilts).as_matrix() @ candidates.rotation[:, None]
    return Candidates.of(np.repeat(candidates.pattern, TILTS), turned.reshape(-1, 3, 3))


def _decide(
    every: Candidates,
    phase: np.ndarray,
    cost: Costs,
    own: np.ndarray,
    phases: list[Phase],
    spots: int,
) -> tuple:
    """Decide for one pattern, of which ``own`` are the candidates; the fields of `Indexed`."""
    nothing = np.full((3, 3), np.nan)
    if not len(own) or spots < 1:
        return (-1, nothing, 0.0, 0.0, 0.0, False, False, nothing, -1, 0.0, np.zeros(2))
    merit = cost.explained
    order = own[np.argsort(-merit[own], kind="stable")]
    best = order[0]
    turns = phases[phase[best]].turns
    apart = misorientation_deg(every.rotation[best], every.rotation[order], turns)
    same_crystal = phase[order] == phase[best]
    different = order[same_crystal & (apart > DIFFERENT_DEG)]
    reliability = cost.lead(best, different)
    if cost.bright[best] < FEWEST_EXPLAINED:
        reliability = min(reliability, 0.5 * RELIABLE)
    margin = cost.lead(best, order[~same_crystal])
    half = np.diag([-1.0, -1, 1]) @ every.rotation[best]
    from_half = misorientation_deg(half, every.rotation[order], turns)
    is_half = (from_half < 2 * DIFFERENT_DEG) & (apart > DIFFERENT_DEG) & same_crystal
    ambiguous = cost.lead(best, order[is_half]) < RELIABLE
    is_known = every.score[best] >= LEAST_SCORE and spots >= FEWEST_SPOTS
    second = different[0] if len(different) else -1
    return (
        int(phase[best]) if is_known else -1,
        every.rotation[best] if is_known else nothing,
        float(every.score[best]),
        reliability,
        margin,
        ambiguous,
        bool(is_known and reliability >= RELIABLE),
        every.rotation[second] if second >= 0 else nothing,
        int(phase[second]) if second >= 0 else -1,
        float(every.score[second]) if second >= 0 else 0.0,
        every.shift[best],
    )
