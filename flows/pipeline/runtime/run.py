"""One run under way: what was asked, where things are, which numbers of components are tried."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.flows.request.request import Request
from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store.run_folder import RunFolder
from orimap.tasks.stream.memory import Workload

# No range of k is widened beyond this.
LARGEST_K = 60


@dataclass
class Run:
    """One run under way: what was asked, where things are, which k are looked at.

    There is no acquisition where only its stored patterns and fits are looked at again.
    """

    request: Request
    acquisition: Acquisition | None
    folder: RunFolder
    ks: list[int]
    client: Any = None
    runner: StepRunner | None = None
    counts: bool = False
    centred: bool = False
    marks: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reused: set[str] = field(default_factory=set)
    # More components than the patterns span directions cannot be fitted; the sketch tells.
    most_k: int = LARGEST_K
    # How much it will hold; known once there are workers.
    load: Workload | None = None

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

    def missing_ks(self, step: str, group_of: Callable[[int], str]) -> list[int]:
        """Return the k whose group of this step has to be made."""
        missing = [
            k for k in self.ks if not self.can_reuse(step, group_of(k), self.marks[f"{step}{k}"])
        ]
        if missing:
            self.reused.discard(step)
        return missing

    @property
    def sketch_groups(self) -> list[str]:
        """The sketch of all counts and, where the values are counts, of the training half."""
        return ["sketch", "sketch_training"] if self.counts else ["sketch"]

    @property
    def store(self) -> Path:
        """The pattern store."""
        return self.folder.patterns(self.marks["ingest"])

    @property
    def patterns(self) -> PatternSource:
        """How workers read the patterns, filtered and centred."""
        return PatternSource.open(
            self.store,
            self.request.filter,
            centred=self.centred,
            profile=self.request.epattern_profile,
        )
