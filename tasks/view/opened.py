"""One run as it is looked at: what was read of it stays in memory as long as it holds.

Nothing is read before it is asked for, but for what the first clicks need. When the results
change, all is read anew.

Tested in tests/flows/viewer/test_run_routes.py.
"""

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr

from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables
from orimap.tasks.store.groups import complete_mark, open_group
from orimap.tasks.store.open_results import (
    find_revision,
    open_revised,
    revision_store,
)
from orimap.tasks.store.whole.results import ANALYSIS, damage_of_results, in_words
from orimap.tasks.view.clustered import Clustered
from orimap.tasks.view.damage import MissingError, damaged
from orimap.tasks.view.kept import Kept, Share, bytes_of
from orimap.tasks.view.layers import (
    Layer,
    cluster_layers,
    measured_positions,
    reflection_layers,
    scan_layers,
)
from orimap.tasks.view.numbers import Numbers
from orimap.tasks.view.oriented import Oriented
from orimap.tasks.view.patterns import Patterns, require_position
from orimap.tasks.view.state import DAMAGED, GONE, State, read_state, state_key, written
from orimap.tasks.view.virtual import Approximate, Sample

T = TypeVar("T")

# Of the automatic result and revisions, so many are in memory at once.
MOST_CLUSTERED = 4
# Of exact virtual images, whichever run they are of.
IMAGES = Kept(64 * 2**20)
ANY_SIZE = 1
PARTS = ("patterns", "approximate", "sample", "numbers")


class Opened:
    """What a run holds at one moment.

    Parameters
    ----------
    folder : Path
    key : tuple
        What it was read for; see `state_key`.
    """

    def __init__(self, folder: Path, key: tuple) -> None:
        self.folder = folder
        self.key = key
        self.state: State = read_state(folder)
        self._parts = Kept(len(PARTS) * ANY_SIZE)
        self._clustered = Kept(MOST_CLUSTERED * ANY_SIZE)
        self._layers = Kept(MOST_CLUSTERED * ANY_SIZE)
        self._oriented = Kept(MOST_CLUSTERED * ANY_SIZE)
        self._whole: set[str] = set()
        self._lock = threading.Lock()
        self._warming = False
        self._closed = False
        self.images = Share(IMAGES)
        # What is worked out from the results to try edits on them.
        self.trials = Kept(ANY_SIZE)

    def close(self) -> None:
        """Let go of all that was read; who still works with it reads again what he needs."""
        self._closed = True
        for part in self._parts.values():
            if isinstance(part, (Patterns, Numbers)):
                part.close()
        for kept in (self._parts, self._clustered, self._layers, self._oriented, self.trials):
            kept.forget()
        self.images.close()

    @property
    def bytes(self) -> int:
        """Bytes of what it holds in memory by itself; blocks and images are kept for all runs."""
        return bytes_of([self._parts, self._clustered, self.trials, vars(self).get("measured")])

    @property
    def words(self) -> str:
        """How far the run is now: a run may write beside results that are complete."""
        return read_state(self.folder).words

    @property
    def version(self) -> str:
        """Changes when the automatic results do; each revision says itself when it was made."""
        return hashlib.blake2b(repr(self.key).encode(), digest_size=8).hexdigest()

    @property
    def analysis(self) -> Path:
        """The store of the results.

        Raises
        ------
        UnavailableError
            If there is none yet.
        """
        if self.state.analysis is None:
            raise UnavailableError(
                "results, or a run that has begun", self.words, "wait until there is one"
            )
        return self.state.analysis

    def require_readable(self) -> None:
        """Check that the results can be read, as far as there are any.

        Raises
        ------
        InputError
            DamagedError if they cannot, MissingError if the folder has gone.
        """
        if self.state.words == GONE:
            raise MissingError(
                "the folder of a run", f"no folder {self.folder.name} any more", "go back"
            )
        if self.state.words == DAMAGED:
            raise damaged("analysis.zarr/zarr.json cannot be read")
        if self._damaged:
            raise damaged(in_words(self._damaged))

    @cached_property
    def _damaged(self) -> dict[str, str]:
        """What is damaged in complete results; that of patterns is said where they are read."""
        if not self.state.complete:
            return {}
        found = damage_of_results(self.folder)
        return {name: what for name, what in found.items() if name.startswith(ANALYSIS)}

    @cached_property
    def results_mark(self) -> str | None:
        """Changes when the decided map does."""
        return complete_mark(self.analysis, "clusters")

    def has(self, group: str) -> bool:
        """Return whether a group of the results is there as a whole."""
        if group in self._whole:
            return True
        if self.state.analysis is None or complete_mark(self.state.analysis, group) is None:
            return False
        # What is whole stays so until all is opened anew.
        self._whole.add(group)
        return True

    def require(self, group: str) -> None:
        """Check that a group of the results is there.

        Raises
        ------
        UnavailableError
            If it is not there yet, or not kept.
        """
        if not self.has(group):
            raise UnavailableError(
                f"the group /{group} of the results",
                "results of which it was not kept"
                if self.state.complete
                else f"a run that has not made it yet ({self.words})",
                "run it with --keep fits" if self.state.complete else "wait until it is there",
            )

    def group(self, name: str) -> xr.Dataset:
        """Open a group of the results lazily; UnavailableError where it is not there."""
        self.require(name)
        return open_group(self.analysis, name)

    @cached_property
    def acquisition(self) -> xr.Dataset:
        """The group /acquisition."""
        return self.group("acquisition")

    @cached_property
    def measured(self) -> np.ndarray | None:
        """Where there is a pattern, (scan_y, scan_x); None for everywhere."""
        return measured_positions(self.acquisition)

    @cached_property
    def source(self) -> PatternSource | None:
        """What the patterns are as they were analysed, as acquired before there are clusters.

        None where they are not there. Where they are damaged, they can still be described.
        """
        return self._open_source(whole=False)

    @cached_property
    def _whole_source(self) -> PatternSource | None:
        return self._open_source(whole=True)

    def _open_source(self, *, whole: bool) -> PatternSource | None:
        if self.state.patterns is None:
            return None
        if not self.has("clusters"):
            return PatternSource.open(self.state.patterns, "raw", whole=whole)
        facts = self.group("clusters").attrs
        return PatternSource.open(
            self.state.patterns,
            facts["patterns_filter"],
            centred=bool(facts["patterns_centred"]),
            profile=facts["patterns_profile"],
            whole=whole,
        )

    @property
    def patterns(self) -> Patterns:
        """The patterns of the scan, one at a time.

        Raises
        ------
        UnavailableError
            If they are not there yet, or not any more.
        """
        return self._made("patterns", self._open_patterns)

    @property
    def required_source(self) -> PatternSource:
        """The patterns of the scan; UnavailableError without, DamagedError where some were lost."""
        if self._whole_source is None:
            raise UnavailableError(
                "the patterns of the scan",
                "they were not kept (--keep results)"
                if self.state.complete
                else f"a run that has not read them yet ({self.words})",
                "run it again with --keep fits" if self.state.complete else "wait until it has",
            )
        return self._whole_source

    def _open_patterns(self) -> Patterns:
        return Patterns(self.required_source, self.valid)

    @cached_property
    def valid(self) -> np.ndarray:
        """Pixels that were analysed, (detector_y, detector_x) bool."""
        if self.has("clusters") and self.state.analysis is not None:
            sketch = open_group(self.state.analysis, "sketch")
            if variables.detector_valid.name in sketch:
                return variables.detector_valid.read(sketch).values
        return variables.detector_mask.read(self.acquisition).values == 0

    def clusters(self, revision: str | None = None) -> Clustered:
        """Return the clusters of the automatic result, or of a revision.

        Raises
        ------
        InputError
            If there is no such revision; UnavailableError if there are no clusters yet.
        """
        self.require("clusters")
        store, outdated = self._revised(revision)
        return self._clustered.get(
            (*self._name(store), outdated),
            lambda: self._read_clusters(store, outdated),
            lambda _: ANY_SIZE,
        )

    def orientations(self, revision: str | None = None) -> Oriented | None:
        """Return the orientations of the clusters of a result; None where they were not indexed."""
        if not self.has("clusters"):
            return None
        store = self.revision(revision)
        if not self._has_orientations(store):
            return None
        stored = open_group(store or self.analysis, "orientations")
        # Clusters that were decided anew are not those that were indexed.
        if stored.attrs.get("of") != complete_mark(store or self.analysis, "clusters"):
            return None
        return self._oriented.get(
            self._name(store), lambda: Oriented(stored.load()), lambda _: ANY_SIZE
        )

    def _has_orientations(self, store: Path | None) -> bool:
        """Return whether the results, or a revision, have orientations of their own."""
        if store is None:
            return self.has("orientations")
        return complete_mark(store, "orientations") is not None

    def required_orientations(self, revision: str | None = None) -> Oriented:
        """Return the orientations of the clusters of a result; UnavailableError without."""
        found = self.orientations(revision)
        if found is None:
            raise UnavailableError(
                "clusters that were indexed",
                "clusters of which no orientation is known",
                "index the automatic result: orimap index DIR --crystal FILE.cif",
            )
        return found

    def _read_clusters(self, store: Path | None, outdated: bool) -> Clustered:
        floor = self._floor * np.count_nonzero(self.valid)
        found = Clustered(self.analysis, store, floor, alone=outdated)
        scan = variables.scan_total_intensity.read(self.acquisition).shape
        if found.scan_shape != scan:
            raise InputError(
                f"a revision of this scan of {scan[0]} x {scan[1]}",
                f"one of a scan of {found.scan_shape[0]} x {found.scan_shape[1]}: the results were "
                "replaced since",
                "choose another one, or make it anew",
            )
        return found

    @cached_property
    def _floor(self) -> float:
        """What stands for the noise of read-out in every pixel of a pattern; NaN if not known."""
        if self.source is not None:
            return self.source.floor
        facts = dict(self.group("clusters").attrs) if self.has("clusters") else {}
        # Without the patterns it is known from what was made of them.
        if "patterns_floor" in facts:
            return float(facts["patterns_floor"])
        if facts.get("patterns_filter") == "epattern":
            return 0.0
        if self.has("dark_fields"):
            return float(self.group("dark_fields").attrs.get("pedestal", 0.0))
        shift = self.acquisition.attrs.get("camera_shift")
        return np.nan if shift else 0.0

    def _require_floor(self) -> float:
        if np.isnan(self._floor):
            raise UnavailableError(
                "the intensity without electrons that was measured with the patterns",
                "they were not kept (--keep results), and it is not stored elsewhere",
                "run it again with --keep fits",
            )
        return self._floor

    @property
    def is_centred(self) -> bool:
        """Whether patterns were analysed centred, also where they were not kept."""
        if self.source is not None or not self.has("clusters"):
            return self.source is not None and self.source.centred
        return bool(self.group("clusters").attrs.get("patterns_centred", False))

    def revision(self, name: str | None) -> Path | None:
        """Return the store of a revision; InputError if there is none of that name."""
        return self._revised(name)[0]

    def _revised(self, name: str | None) -> tuple[Path | None, bool]:
        """Return the store of a revision, and whether it was made from other results."""
        if name is None:
            return None, False
        return revision_store(self.folder, name), find_revision(self.folder, name).outdated

    @staticmethod
    def _name(store: Path | None) -> tuple:
        """Return what a revision is kept by; another one may have its name later."""
        return (store, None if store is None else written(store / "zarr.json"))

    def layers(self, revision: str | None = None) -> list[Layer]:
        """Return the maps that there are."""
        store, outdated = self._revised(revision)
        there = tuple(self.has(g) for g in ("clusters", "acquisition", "baseline"))
        there += (self._has_orientations(store),)
        return self._layers.get(
            (*self._name(store), outdated, there),
            lambda: self._find_layers(revision),
            lambda _: ANY_SIZE,
        )

    def _find_layers(self, revision: str | None) -> list[Layer]:
        found: list[Layer] = []
        if self.has("clusters"):
            found += cluster_layers(self.clusters(revision), self.orientations(revision))
        if self.has("acquisition"):
            baseline = self.group("baseline") if self.has("baseline") else None
            found += scan_layers(self.acquisition, baseline)
        if self.has("reflection_maps") and self.has("clusters"):
            store, outdated = self._revised(revision)
            # What the results hold now belongs to other clusters than those of an outdated one.
            if store is not None and outdated:
                own = complete_mark(store, "reflection_maps") is not None
                maps = open_group(store, "reflection_maps") if own else None
            else:
                maps = open_revised(self.analysis, store, "reflection_maps")
            if maps is not None:
                found += reflection_layers(maps, str(self.acquisition.attrs["intensity_units"]))
        return found

    def layer(self, id_: str, revision: str | None = None) -> Layer:
        """Return one map; InputError if there is none of that name."""
        found = {layer.id: layer for layer in self.layers(revision)}
        if id_ not in found:
            raise InputError(
                f"a map that is there: {', '.join(found) or 'none yet'}",
                id_,
                "choose one of these",
            )
        return found[id_]

    @property
    def approximate(self) -> Approximate:
        """Virtual images from the sketch; UnavailableError without sketch or clusters."""
        return self._made("approximate", self._open_sketch)

    def _open_sketch(self) -> Approximate:
        # Only with the clusters is it known in which frame the patterns were analysed.
        self.require("clusters")
        return Approximate(self.group("sketch"), self._require_floor())

    @property
    def sample(self) -> Sample:
        """Patterns that approximate images are held against."""
        return self._made("sample", lambda: Sample.read(self.required_source))

    @property
    def has_sample(self) -> bool:
        """Whether the sample was read already."""
        return "sample" in self._parts

    @property
    def numbers(self) -> Numbers:
        """Maps of other numbers of patterns; UnavailableError while there are no results."""
        self.require("decision")
        self.require("clusters")
        return self._made("numbers", lambda: Numbers.of(self.analysis))

    @cached_property
    def counts(self) -> bool:
        """Whether the values are counts as they were acquired, whose noise is known."""
        raw = self.source is not None and self.source.filter == "raw"
        return raw and bool(self.group("sketch").attrs.get("counts", False))

    def analysed_pattern(self, position: tuple[int, int]) -> np.ndarray:
        """Return the pattern of one position as it was analysed; NaN where none was measured."""
        return self._if_measured(position, self.patterns.analysed(position))

    def _if_measured(self, position: tuple[int, int], image: np.ndarray) -> np.ndarray:
        return image if self.is_measured(position) else np.full_like(image, np.nan)

    def is_measured(self, position: tuple[int, int]) -> bool:
        """Return whether there is a pattern at a position of the scan."""
        return self.measured is None or bool(self.measured[position])

    def reconstructed_pattern(self, position: tuple[int, int]) -> np.ndarray:
        """Return what the decided fit makes of one position, 0 where pixels are masked.

        NaN where nothing was measured.
        """
        clusters = self.clusters()
        require_position(position, clusters.scan_shape)
        fitted = clusters.required_fit.pattern(position) - self._require_floor()
        return self._if_measured(position, np.where(self.valid, fitted, 0).astype(np.float32))

    def residual_pattern(self, position: tuple[int, int]) -> np.ndarray:
        """Return the pattern of one position less what the fit makes of it."""
        return self.analysed_pattern(position) - self.reconstructed_pattern(position)

    def where_measured(self, image: np.ndarray) -> np.ndarray:
        """Return a map with NaN where nothing was measured."""
        return image if self.measured is None else np.where(self.measured, image, np.nan)

    def warm_up(self, then: Callable[[], None] = lambda: None) -> None:
        """Begin to read what the first clicks need, once, while nobody waits for it.

        Parameters
        ----------
        then : callable
            Called when that is read.
        """
        with self._lock:
            first, self._warming = not self._warming, True
        if first:
            threading.Thread(
                target=self._warm, args=(then,), daemon=True, name="first clicks"
            ).start()

    def _warm(self, then: Callable[[], None]) -> None:
        """Read it. What cannot be read is said to whoever asks for it; nobody has asked here."""
        with suppress(Exception):
            for part in ("clusters", "approximate", "sample"):
                if self._closed:
                    return
                self.clusters() if part == "clusters" else getattr(self, part)
            then()

    def _made(self, name: str, make: Callable[[], T]) -> T:
        """Return a part, made once however many threads ask for it."""
        try:
            return self._parts.get(name, make, lambda _: ANY_SIZE)
        finally:
            if self._closed:
                self._parts.forget()


class Viewed:
    """The folder of a run, read anew whenever its results change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._opened: Opened | None = None

    def now(self) -> Opened:
        """Return what the run holds now."""
        key = state_key(self.folder)
        with self._lock:
            if self._opened is None or self._opened.key != key:
                self._let_go()
                self._opened = Opened(self.folder, key)
            return self._opened

    @property
    def bytes(self) -> int:
        """Bytes of what is in memory of it; see `Opened.bytes`."""
        opened = self._opened
        return 0 if opened is None else opened.bytes

    def close(self) -> None:
        """Let go of what was read; all is read anew when it is asked for again."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._opened = None
