"""One run under way, and what its steps hand on to each other.

A step takes what the step before has returned: `Prepared` patterns, then their `Fitted` numbers of
components, then what was `Decided`. None of them changes once it is made.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.flows.request.request import Request
from orimap.tasks.decide.components.reflections import USUAL_RADIUS_PX
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import group_attributes
from orimap.tasks.store.run_folder import RunFolder

# No range of k is widened beyond this.
LARGEST_K = 100


@dataclass(frozen=True)
class Run:
    """One run under way: what was asked, where its results go, and what computes them.

    Parameters
    ----------
    request : Request
    folder : RunFolder
    runner : StepRunner
    client : distributed.Client
    helpers : concurrent.futures.Executor
        What is better done by another process: figures, k-means, the knee.
    notes : list of str
        What the report must say; steps add to it.
    reused : set of str
        Steps whose groups were there already; steps add to it.
    """

    request: Request
    folder: RunFolder
    runner: StepRunner
    client: Any
    helpers: Executor
    notes: list[str] = field(default_factory=list)
    reused: set[str] = field(default_factory=set)

    def note(self, text: str) -> None:
        """Record something the report must say, and show it."""
        self.notes.append(text)
        self.runner.note(text)

    def can_reuse(self, step: str, group: str, mark: str) -> bool:
        """Return whether a complete group with this fingerprint serves again."""
        again = not self.request.restart and self.folder.reuse(group, mark)
        if again:
            self.reused.add(step)
        return again

    def missing(
        self,
        step: str,
        ks: Iterable[int],
        group_of: Callable[[int], str],
        mark_of: Callable[[int], str],
    ) -> list[int]:
        """Return the k whose group of this step has to be made."""
        missing = [k for k in ks if not self.can_reuse(step, group_of(k), mark_of(k))]
        if missing:
            self.reused.discard(step)
        return missing


@dataclass(frozen=True)
class Ingested:
    """Patterns as they were acquired.

    Parameters
    ----------
    store : Path
        The pattern store.
    fingerprint : str
        Of its group ``raw``.
    counts : bool
        Whether the values are analysed as Poisson counts.
    """

    store: Path
    fingerprint: str
    counts: bool


@dataclass(frozen=True)
class Prepared:
    """Patterns as they are analysed: ingested, centred, filtered.

    Parameters
    ----------
    ingested : Ingested
    centred : bool
    filter, profile : str
        What patterns were filtered with; for ePattern, what it draws for a reflection.
    fingerprint : str
    """

    ingested: Ingested
    centred: bool
    filter: str
    profile: str
    fingerprint: str

    @property
    def counts(self) -> bool:
        """Whether the values are analysed as Poisson counts."""
        return self.ingested.counts

    @property
    def store(self) -> Path:
        """The pattern store."""
        return self.ingested.store

    @property
    def disc_radius_px(self) -> float:
        """Radius of the discs of reflections: that of the direct beam, where one was found."""
        beam = group_attributes(self.store, "beam")
        return float(beam["disc_radius_px"]) if beam["found"] else USUAL_RADIUS_PX

    @property
    def beam_position(self) -> tuple[float, float] | None:
        """Row and column of the direct beam in the mean pattern; None where none was found."""
        beam = group_attributes(self.store, "beam")
        return (float(beam["reference_y"]), float(beam["reference_x"])) if beam["found"] else None

    @property
    def patterns(self) -> PatternSource:
        """How workers read the patterns."""
        return PatternSource.open(
            self.store, self.filter, centred=self.centred, profile=self.profile
        )

    @property
    def sketch_groups(self) -> list[str]:
        """The sketch of all counts and, where the values are counts, of the training half."""
        return ["sketch", "sketch_training"] if self.counts else ["sketch"]


@dataclass(frozen=True)
class Fitted:
    """The sketch of the patterns, and the fits of every number of components.

    Parameters
    ----------
    prepared : Prepared
    ks : tuple of int
        Numbers of components, ascending.
    most_k : int
        More components than the patterns span dimensions cannot be fitted.
    sketch : str
        Fingerprint of the sketch.
    l1 : (float, float)
        Penalties of the fits.
    """

    prepared: Prepared
    ks: tuple[int, ...]
    most_k: int
    sketch: str
    l1: tuple[float, float]

    def fit_fingerprint(self, k: int) -> str:
        """Return the fingerprint of the fit of ``k`` components to the sketch."""
        return fingerprint(sketch=self.sketch, l1=self.l1, k=k)

    def score_fingerprint(self, k: int) -> str:
        """Return the fingerprint of the exact weights and losses of that fit."""
        return fingerprint(fit=self.fit_fingerprint(k), counts=self.prepared.counts)


@dataclass(frozen=True)
class Decided:
    """Which fit is used, and what follows for the range of k.

    Parameters
    ----------
    fitted : Fitted
    fitted_k : int
        Number of components of the fit that is used.
    has_reflections : bool
        Whether its patterns were told apart by their reflections.
    crystal_found : bool
        Without reflections, a single pattern is that of vacuum, of an amorphous film or of noise.
    countable : bool
        Whether there are enough positions for a number of patterns to mean something.
    settled_k : int or None
        From where on the number of distinct patterns no longer changes; not with older
        strategies.
    fingerprint : str
    directions : int
        How many directions of the patterns stand out from noise; 0 where that is not known.
    most_distinct : int
        The number of distinct patterns that the largest fit holds.
    component_cluster : tuple of int or None
        The pattern of each component where somebody asked for another grouping than the usual one.
    """

    fitted: Fitted
    fitted_k: int
    has_reflections: bool
    crystal_found: bool
    countable: bool
    settled_k: int | None
    fingerprint: str
    directions: int = 0
    most_distinct: int = 0
    component_cluster: tuple[int, ...] | None = None
