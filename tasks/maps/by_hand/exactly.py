"""Find the fit and the grouping that give exactly as many distinct patterns as were asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from orimap.tasks.decide.candidates import clear_drops, settled_candidates
from orimap.tasks.decide.components.groups import by_intensity
from orimap.tasks.decide.components.merge import Merged, look_likeness
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.grains.dark_fields import DarkFields
from orimap.tasks.decide.grains.fit import GrainFit, fit_grains
from orimap.tasks.decide.grains.group import ONE_GRAIN, grain_likeness
from orimap.tasks.decide.grains.presence import is_present, is_sure
from orimap.tasks.decide.grains.stored import read_dark_fields
from orimap.tasks.errors import LateInputError
from orimap.tasks.factorise.stored_fits import fit_group, on_detector, read_weighting
from orimap.tasks.maps.by_hand.regroup import Change, Likeness, regroup
from orimap.tasks.maps.labels_and_overlap import strongest_cluster
from orimap.tasks.store import variables
from orimap.tasks.store.groups import open_group

# Patterns that come of what the grouping left out say less than those that it joined.
BROUGHT_BACK_COSTS = 10


@dataclass(frozen=True)
class Exactly:
    """A grouping that was asked for.

    Parameters
    ----------
    fitted_k : int
        Number of components of its fit.
    component_cluster : (component,) array of int
        Of the components of the grains, without their background, or of the fit itself where
        there are no reflections; numbered by falling intensity, -1 for none.
    by_itself : bool
        Whether the fit has this number of patterns without any change.
    how : str
        How it came about, in a sentence.
    """

    fitted_k: int
    component_cluster: np.ndarray
    by_itself: bool
    how: str


def exactly(store: Path, evidence: Evidence, decided: int, number: int) -> Exactly:
    """Return the best grouping with exactly some number of patterns on the map.

    Fits that have this number by themselves come first, the best supported of them before others;
    then the fit that is nearest to it, regrouped in the order of the evidence.

    Parameters
    ----------
    store : Path
        ``analysis.zarr``, with dark fields.
    evidence : Evidence
    decided : int
        Number of components of the fit that the evidence speaks for.
    number : int

    Raises
    ------
    LateInputError
        If no fit can be grouped so.
    """
    fields = read_dark_fields(store)
    holding = _best_first(evidence, decided, number)
    for i in holding:
        fit = _FitGroups(store, int(evidence.ks[i]), evidence.components[i].merged, fields)
        if fit.placed(fit.groups) == number:
            return Exactly(fit.k, fit.groups, True, _by_itself(fit.k, number, len(holding)))
    for i in _nearest_first(evidence, decided, number):
        fit = _FitGroups(store, int(evidence.ks[i]), evidence.components[i].merged, fields)
        steps = regroup(fit.groups, number, fit.strength, fit.likeness, fit.placed)
        if steps:
            groups = by_intensity(steps[-1].groups, fit.strength).astype(int)
            return Exactly(fit.k, groups, False, _regrouped(fit, number, steps))
    raise LateInputError(
        f"{number} patterns that are each the strongest somewhere in the scan",
        f"no fit of {evidence.ks[0]} to {evidence.ks[-1]} components that can be grouped so",
        f"ask for another number than --distinct {number}, or widen --k",
    )


def every_component(store: Path, k: int, *, has_reflections: bool) -> np.ndarray:
    """Return a grouping in which each component of a fit that is there at all is a pattern."""
    if has_reflections:
        strength = fit_grains(read_dark_fields(store), k).weights.sum(axis=0)
    else:
        fit = open_group(store, fit_group(k))
        strength = variables.scan_weight.read(fit).values.sum(axis=(0, 1), dtype=float)
    groups = np.where(strength > 0, np.arange(len(strength)), -1)
    return by_intensity(groups, strength).astype(int)


class _FitGroups:
    """One fit: how its components are grouped, and how they could be."""

    def __init__(self, store: Path, k: int, merged: Merged, fields: DarkFields) -> None:
        self.store, self.k, self.merged, self.fields = store, k, merged, fields
        self.groups = merged.component_cluster.astype(int)

    @cached_property
    def grains(self) -> GrainFit:
        return fit_grains(self.fields, self.k)

    @cached_property
    def weights(self) -> np.ndarray:
        """(scan_y, scan_x, component)."""
        if self.merged.has_reflections:
            return self.grains.weights.reshape(*self.fields.scan_shape, -1)
        return variables.scan_weight.read(open_group(self.store, fit_group(self.k))).values

    @property
    def strength(self) -> np.ndarray:
        return self.weights.sum(axis=(0, 1), dtype=float)

    @cached_property
    def likeness(self) -> Likeness:
        if self.merged.has_reflections:
            return grain_likeness(self.grains, self.fields)
        weighting = read_weighting(open_group(self.store, "sketch"))
        left_out = on_detector(weighting.fitted, weighting.valid) == 0
        fit = open_group(self.store, fit_group(self.k))
        patterns = variables.component_pattern.read(fit).values.astype(float)
        return look_likeness(patterns, self.strength, left_out)

    def placed(self, groups: np.ndarray) -> int:
        """Return how many patterns the map has; -1 where one of them is surely at no position."""
        present = sure = None
        if self.merged.has_reflections:
            present = is_present(self.grains, self.fields, groups)
            sure = is_sure(self.grains, self.fields, groups)
        label, count = strongest_cluster(self.weights, groups, present=present, sure=sure)
        return count if len(np.unique(label[label >= 0])) == count else -1


def _best_first(evidence: Evidence, decided: int, number: int) -> list[int]:
    """Return the fits that hold a number, the best supported one first."""
    holding = np.flatnonzero(evidence.distinct == number).tolist()
    named = {c.fit for c in settled_candidates(evidence) if c.distinct == number}
    clear = clear_drops(evidence)

    def order(i: int) -> tuple:
        k = int(evidence.ks[i])
        return k != decided, i not in named, not clear[i], abs(k - decided)

    return sorted(holding, key=order)


def _nearest_first(evidence: Evidence, decided: int, number: int) -> Iterator[int]:
    """Return the fits that could be regrouped, the least that has to be changed first."""
    clear = clear_drops(evidence)

    def order(i: int) -> tuple:
        merged, k = evidence.components[i].merged, int(evidence.ks[i])
        more = number - merged.distinct
        brought_back = max(0, more - merged.joined)
        return abs(more) + BROUGHT_BACK_COSTS * brought_back, not clear[i], abs(k - decided)

    enough = [
        i for i, c in enumerate(evidence.components) if len(c.merged.component_cluster) >= number
    ]
    yield from sorted(enough, key=order)


def _by_itself(k: int, number: int, holding: int) -> str:
    """Say that a fit has a number of patterns as it is."""
    of = f", the best supported of the {holding} fits that do" if holding > 1 else ""
    return f"The fit of {k} component{'s' * (k > 1)} holds {number} by itself{of}."


def _regrouped(fit: _FitGroups, number: int, steps: list[Change]) -> str:
    """Say what was changed in the grouping of a fit."""
    said = []
    for what, one, more in (
        (
            "joined",
            "the most alike pair of patterns was joined",
            "the most alike patterns were joined",
        ),
        ("undone", "the least sure merge was undone", "the least sure merges were undone"),
    ):
        values = [f"{step.likeness:.2f}" for step in steps if step.what == what]
        if values:
            said.append(f"{one if len(values) == 1 else more} (likeness {', '.join(values)})")
    back = sum(step.what == "brought back" for step in steps)
    if back:
        said.append(
            "the strongest component that belongs to no pattern became one"
            if back == 1
            else f"the {back} strongest components that belong to no pattern became patterns"
        )
    usual = f"; {ONE_GRAIN:g} makes one grain" if fit.merged.has_reflections else ""
    return (
        f"No fit holds exactly {number}: in the fit of {fit.k} components, which holds "
        f"{fit.merged.distinct}, {', '.join(said)}{usual}."
    )
