"""The map of another number of patterns, from the fits as they are stored; nothing is decided anew.

``exactly`` finds the fit and the grouping, as ``orimap decide --distinct`` does, from the evidence
as it was stored. It fits the dark fields anew, which takes seconds for a large scan: until then the
strongest components of the fit with that number of components are a first look.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from orimap.tasks.decide.components.groups import by_intensity
from orimap.tasks.decide.components.merge import Merged, merge_by_look
from orimap.tasks.decide.evidence.evidence import Components, Evidence
from orimap.tasks.decide.grains.dark_fields import DarkFields
from orimap.tasks.decide.grains.stored import find_grains, read_dark_fields
from orimap.tasks.errors import InputError
from orimap.tasks.factorise.stored_fits import fit_group, on_detector, read_weighting
from orimap.tasks.maps.by_hand.exactly import exactly
from orimap.tasks.maps.labels_and_overlap import map_clusters
from orimap.tasks.maps.parts import grain_parts, parts_by_look
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.store import variables
from orimap.tasks.store.groups import complete_mark, group_attributes, open_group


@dataclass(frozen=True)
class NumberMap:
    """The map of some number of patterns.

    Parameters
    ----------
    distinct, components : int
        Of patterns, and of the components of their fit.
    label : (scan_y, scan_x) array of int16
        From 0, -1 none.
    how : str
        How it came about, in a sentence.
    quick : bool
        Whether it is a first look: the strongest component of each position.
    """

    distinct: int
    components: int
    label: np.ndarray
    how: str
    quick: bool = False

    @property
    def sizes(self) -> list[int]:
        """Positions of each cluster."""
        found = np.bincount(self.label[self.label >= 0], minlength=int(self.label.max()) + 1)
        return found.tolist()


class Numbers:
    """Maps of other numbers of patterns of one result.

    Parameters
    ----------
    analysis : Path
        The store of the results.
    split_bent, split_unconnected : bool
    regularity : float
        As the results were asked for.
    """

    def __init__(
        self, analysis: Path, *, split_bent: bool, split_unconnected: bool, regularity: float
    ) -> None:
        self._analysis = analysis
        self._split_bent, self._split = split_bent, split_unconnected
        self._regularity = regularity
        self._asking, self._working = threading.Lock(), threading.Lock()
        self._asked: dict[int, Future[NumberMap]] = {}

    @classmethod
    def of(cls, analysis: Path) -> "Numbers":
        """Return those of complete results; what was asked of them is stored with them."""
        request = group_attributes(analysis, "").get("request", {})
        return cls(
            analysis,
            split_bent=bool(request.get("split_bent", False)),
            split_unconnected=bool(request.get("split_unconnected", False)),
            regularity=float(request.get("regularity", 0.0)),
        )

    def close(self) -> None:
        """Let go of what maps were drawn of."""
        for name in ("_evidence", "_fields", "_groupings"):
            vars(self).pop(name, None)

    def get(self, number: int, wait_seconds: float) -> NumberMap:
        """Return the map of a number of patterns, or a quick look where it takes longer than that.

        The whole goes on being made.

        Raises
        ------
        InputError
            As `begin`.
        """
        try:
            return self.begin(number).result(timeout=wait_seconds)
        except NotYet:
            return self.quick(number)

    def begin(self, number: int) -> "Future[NumberMap]":
        """Begin to make the map of a number of patterns; return what will hold it.

        Raises
        ------
        InputError
            If the fits hold no such number, or were not kept.
        """
        ks = self._evidence_ks
        if not 1 <= number <= int(ks[-1]):
            raise InputError(
                f"a number of patterns from 1 to {ks[-1]}, the components of the largest fit",
                str(number),
                "choose a smaller one, or fit more: orimap run ... --k",
            )
        self._require_fits()
        with self._asking:
            if number not in self._asked:
                self._asked[number] = Future()
                # Of a process that ends nobody wants the map any more.
                threading.Thread(target=self._make, args=(number,), daemon=True).start()
            return self._asked[number]

    def _make(self, number: int) -> None:
        """Make the whole map of a number, one number at a time."""
        future = self._asked[number]
        with self._working:
            try:
                future.set_result(self.whole(number))
            except Exception as error:  # whoever asks for it gets it
                future.set_exception(error)

    def whole(self, number: int) -> NumberMap:
        """Return the map that ``orimap decide --distinct`` would draw."""
        decided = int(self._decision.attrs["fitted_k"])
        found = exactly(self._analysis, self._evidence, decided, number)
        reflections = self._merged(found.fitted_k).has_reflections
        if reflections:
            parts = grain_parts(
                self._analysis,
                found.fitted_k,
                None,
                split_bent=self._split_bent,
                component_cluster=found.component_cluster,
                # Labels need no whole patterns.
                stored=xr.Dataset(),
            )
        else:
            parts = parts_by_look(
                self._analysis, found.fitted_k, None, component_cluster=found.component_cluster
            )
        maps = map_clusters(
            parts.weights,
            parts.component_cluster,
            present=parts.present,
            sure=parts.sure,
            regularity=self._regularity,
            split=self._split,
        )
        return NumberMap(number, found.fitted_k, maps.label, found.how)

    def quick(self, number: int) -> NumberMap:
        """Return the strongest component of each position, of the fit of so many components."""
        ks = self._evidence_ks
        k = int(ks[np.argmin(np.abs(ks - number))])
        fit = open_group(self._analysis, fit_group(k))
        weights = variables.scan_weight.read(fit).values
        order = by_intensity(np.arange(k), weights.sum(axis=(0, 1), dtype=float)).astype(int)
        label = order[weights.argmax(axis=2)].astype(np.int16)
        label[weights.max(axis=2) <= 0] = -1
        components = f"{k} component{'s' * (k > 1)}"
        how = f"A first look: the strongest component of each position in the fit of {components}."
        return NumberMap(number, k, label, how, quick=True)

    @cached_property
    def _decision(self) -> xr.Dataset:
        return open_group(self._analysis, "decision").load()

    @property
    def _evidence_ks(self) -> np.ndarray:
        return self._decision["k"].values.astype(int)

    def _require_fits(self) -> None:
        """Check that all is there that a map is drawn of."""
        groups = ("sketch", "dark_fields", *(fit_group(int(k)) for k in self._evidence_ks))
        missing = [group for group in groups if complete_mark(self._analysis, group) is None]
        if missing:
            raise InputError(
                "results with all their fits",
                f"no /{', /'.join(missing)}",
                "decide again with this version (orimap decide DIR), or run it with --keep fits",
            )

    @cached_property
    def _evidence(self) -> "StoredEvidence":
        """The evidence as far as it was stored; how components are grouped is worked out anew."""
        v, stored = variables, self._decision
        ks, distinct = self._evidence_ks, v.k_distinct.read(stored).values.astype(int)
        components = [
            StoredComponents(int(n), lambda k=int(k): self._merged(k))
            for k, n in zip(ks, distinct, strict=True)
        ]
        return StoredEvidence(
            ks,
            v.k_component_loss.read(stored).values,
            v.k_component_loss_error.read(stored).values,
            1.0,
            v.k_relative_error.read(stored).values,
            None,
            components,
            drops=(
                v.k_held_out_drop.read(stored).values,
                v.k_held_out_drop_error.read(stored).values,
            ),
        )

    def _merged(self, k: int) -> Merged:
        """Return how the components of one fit are grouped, as it was when it was decided."""
        if k not in self._groupings:
            merged = find_grains(self._fields, k, split_bent=self._split_bent)[1]
            ks = self._evidence_ks.tolist()
            stored = int(variables.k_distinct.read(self._decision).values[ks.index(k)])
            if merged.distinct != stored or not self._decision.attrs.get("crystal_found", True):
                by_look = self._by_look(k)
                merged = by_look if by_look.distinct == stored else merged
            self._groupings[k] = merged
        return self._groupings[k]

    def _by_look(self, k: int) -> Merged:
        """Return the components of one fit grouped by their look, for scans without reflections."""
        fit = open_group(self._analysis, fit_group(k))
        weighting = read_weighting(open_group(self._analysis, "sketch"))
        return merge_by_look(
            variables.component_pattern.read(fit).values.astype(float),
            variables.scan_weight.read(fit).values,
            on_detector(weighting.fitted, weighting.valid) == 0,
        )

    @cached_property
    def _fields(self) -> DarkFields:
        return read_dark_fields(self._analysis)

    @cached_property
    def _groupings(self) -> dict[int, Merged]:
        return {}


class StoredComponents(Components):
    """The components of one fit, of which only their number of patterns was stored.

    Parameters
    ----------
    distinct : int
    group : callable
        Groups them anew.
    """

    def __init__(self, distinct: int, group: Callable[[], Merged]) -> None:
        object.__setattr__(self, "distinct", distinct)
        object.__setattr__(self, "_group", group)

    @property
    def merged(self) -> Merged:
        """How they are grouped, worked out when it is asked for."""
        return self._group()


@dataclass(frozen=True)
class StoredEvidence(Evidence):
    """Evidence as the decision stored it.

    Parameters
    ----------
    drops : pair of (number of k,) arrays
        How far each k lowers the held-out score, and the standard error; NaN where it was not held
        out.
    """

    drops: tuple[np.ndarray, np.ndarray] = (np.zeros(0), np.zeros(0))

    @property
    def distinct(self) -> np.ndarray:
        """Number of distinct patterns after merging, per k."""
        return np.array([c.distinct for c in self.components])

    @property
    def held_out(self) -> np.ndarray | None:
        """What was held out, as far as whether there was anything matters: its drops."""
        return self.drops[0] if np.isfinite(self.drops[0]).any() else None

    def held_out_drops(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how far each k lowers the best held-out score of all smaller k."""
        return self.drops


def colours_like(label: np.ndarray, count: int, shown: np.ndarray, colours: list[str]) -> list[str]:
    """Return colours for clusters that are those of another map where they lie alike.

    Parameters
    ----------
    label : (scan_y, scan_x) array of int
    count : int
        Of its clusters.
    shown : (scan_y, scan_x) array of int
        Another map.
    colours : list of str
        Of its clusters.
    """
    from scipy.optimize import linear_sum_assignment

    common = np.zeros((count, len(colours)), int)
    both = (label >= 0) & (shown >= 0)
    np.add.at(common, (label[both], shown[both]), 1)
    given = {
        int(new): colours[old]
        for new, old in zip(*linear_sum_assignment(-common), strict=True)
        if common[new, old] > 0
    }
    palette = cluster_colours(count + len(colours))
    free = iter(colour for colour in palette if colour not in colours)
    return [given.get(n) or next(free) for n in range(count)]
