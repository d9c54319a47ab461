"""What is watched, and the request and the results of an acquisition in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orimap.flows.request.allowed import allowed_roots, under_root
from orimap.flows.request.request import Request, laid_over
from orimap.flows.request.sidecar import read_sidecar
from orimap.tasks.acquire.arrivals.find_arrivals import Arrival, find_arrivals
from orimap.tasks.acquire.arrivals.finished import PATIENCE_SECONDS, SETTLE_SECONDS

POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Watching:
    """What is watched, and how.

    Parameters
    ----------
    folder, results, state : Path
        Absolute, without links.
    options : mapping
        Fields of the request of every acquisition; a side-car comes before them.
    settle_seconds, poll_seconds, patience_seconds : float
    include : sequence of str
    newest_first : bool
    disk_floor_bytes : int
        With less than this free for results, nothing is submitted.
    group : str, optional
        Whose members may read the results; by default only the account of the watcher may.
    """

    folder: Path
    results: Path
    state: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    settle_seconds: float = SETTLE_SECONDS
    poll_seconds: float = POLL_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    include: Sequence[str] = ()
    newest_first: bool = False
    disk_floor_bytes: int = 0
    group: str | None = None

    @property
    def roots(self) -> list[Path]:
        """Folders that acquisitions may lead to by links: the watched one, and those allowed."""
        return [self.folder, *(root for root in allowed_roots() if root != self.folder)]

    def name(self, arrival: Arrival) -> str:
        """Return what the journal calls an acquisition."""
        return arrival.main.relative_to(self.folder).as_posix()

    def look(self, complain: Callable[[Path, str], None]) -> list[Arrival]:
        """Find what is in the folder, without the results."""
        return find_arrivals(
            self.folder,
            include=self.include,
            leave_out=(self.results, self.state),
            complain=complain,
        )

    def request(self, name: str, output: Path) -> Request:
        """Return the request for one acquisition.

        Raises
        ------
        InputError
            If the options, or the side-car, are at fault.
        """
        file = under_root(self.folder / name, [self.folder])
        asked = laid_over(self.options, read_sidecar(file, root=self.folder))
        return Request.read(**{**asked, "file": file, "output": output})

    def output(self, name: str, revision: int) -> Path:
        """Return the folder for the results of one revision."""
        return self.results / (name if revision == 1 else f"{name}.r{revision}")
