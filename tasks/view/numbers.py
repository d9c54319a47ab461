"""The map of another number of patterns, from the fits as they are stored; nothing is decided anew.

``exactly`` finds the fit and the grouping, as ``orimap decide --distinct`` does, from the evidence
as it was stored. It fits the dark fields anew, which takes seconds for a large scan: until then it
is said how far it is. A map that groups otherwise than the whole one would only mislead.
"""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from orimap.tasks.decide.components.merge import Merged, merge_by_look
from orimap.tasks.decide.evidence.evidence import Components, Evidence
from orimap.tasks.decide.grains.dark_fields import DarkFields
from orimap.tasks.decide.grains.stored import find_grains, read_dark_fields
from orimap.tasks.errors import InputError
from orimap.tasks.factorise.stored_fits import fit_group, on_detector, read_weighting
from orimap.tasks.maps.by_hand.exactly import exactly
from orimap.tasks.maps.labels_and_overlap import map_clusters
from orimap.tasks.maps.parts import grain_parts, parts_by_look
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
    """

    distinct: int
    components: int
    label: np.ndarray
    how: str

    @property
    def sizes(self) -> list[int]:
        """Positions of each cluster."""
        found = np.bincount(self.label[self.label >= 0], minlength=int(self.label.max()) + 1)
        return found.tolist()


@dataclass
class Drawing:
    """How far the map of some number of patterns is.

    Parameters
    ----------
    distinct : int
    doing : str
        What is done now, in a sentence.
    done, total : int
        Parts: fits that are grouped, and the map itself. How many fits are needed is known only
        when the right one is found; the total is that of all.
    """

    distinct: int
    total: int
    doing: str = "Another map is drawn first"
    done: int = 0

    def begin(self, doing: str) -> None:
        """Begin another part."""
        self.done, self.doing = min(self.done + 1, self.total - 1), doing


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
        self._drawings: dict[int, Drawing] = {}
        self._now: Drawing | None = None

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

    def get(self, number: int, wait_seconds: float) -> NumberMap | Drawing:
        """Return the map of a number of patterns, or how far it is where it takes longer than that.

        Raises
        ------
        InputError
            As `begin`.
        """
        try:
            return self.begin(number).result(timeout=wait_seconds)
        except NotYet:
            return self._drawings[number]

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
                # Every fit may have to be grouped; then comes the map.
                self._drawings[number] = Drawing(number, len(ks) + 1)
                # Of a process that ends nobody wants the map any more.
                threading.Thread(target=self._make, args=(number,), daemon=True).start()
            return self._asked[number]

    def _make(self, number: int) -> None:
        """Make the whole map of a number, one number at a time."""
        future = self._asked[number]
        with self._working:
            self._now = self._drawings[number]
            self._now.doing = "Looking for the fit that holds this number"
            try:
                future.set_result(self.whole(number))
            except Exception as error:  # whoever asks for it gets it
                future.set_exception(error)

    def whole(self, number: int) -> NumberMap:
        """Return the map that ``orimap decide --distinct`` would draw."""
        decided = int(self._decision.attrs["fitted_k"])
        found = exactly(self._analysis, self._evidence, decided, number)
        if self._now is not None:
            self._now.begin(f"Drawing the map of the fit with {found.fitted_k} components")
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
            if self._now is not None:
                self._now.begin(f"Grouping the components of the fit with {k}")
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


def numbered_like(
    label: np.ndarray, count: int, shown: np.ndarray, shown_count: int
) -> tuple[np.ndarray, list[int]]:
    """Number clusters as those of another map with which they have most positions in common.

    Parameters
    ----------
    label : (scan_y, scan_x) array of int
    count : int
        Of its clusters.
    shown : (scan_y, scan_x) array of int
        Another map.
    shown_count : int
        Of its clusters.

    Returns
    -------
    label : (scan_y, scan_x) array of int16
        With these numbers; those of clusters that lie like none go on after ``shown_count``.
    numbers : list of int
        The number of each cluster.
    """
    from scipy.optimize import linear_sum_assignment

    common = np.zeros((count, shown_count), int)
    both = (label >= 0) & (shown >= 0)
    np.add.at(common, (label[both], shown[both]), 1)
    alike = {
        int(new): int(old)
        for new, old in zip(*linear_sum_assignment(-common), strict=True)
        if common[new, old] > 0
    }
    free = itertools.count(shown_count)
    numbers = [alike[n] if n in alike else next(free) for n in range(count)]
    return np.append(numbers, -1).astype(np.int16)[label], numbers
