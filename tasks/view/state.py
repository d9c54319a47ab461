"""How far a run is, and where what it has made so far lies; asked at every click.

Complete results are looked at, also while another run or decision is under way in the same folder;
before there are any, what a run has finished of its stores.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orimap.tasks.errors import UnavailableError
from orimap.tasks.store.groups import complete_mark, group_attributes
from orimap.tasks.store.locks import holder
from orimap.tasks.store.run_folder import RunFolder, settle

# The groups of an unfinished store in the order in which they are completed, and what a run does
# until each is there.
STEPS = (
    ("acquisition", "ingest"),
    ("analysed", "centre and filter"),
    ("sketch", "sketch"),
    ("decision", "fit and decide"),
    ("clusters", "clusters"),
    ("baseline", "baseline"),
    ("", "report"),
)
COMPLETE, EMPTY, INCOMPLETE = "complete", "no results", "incomplete"
DAMAGED, GONE = "damaged", "gone"
NOWHERE = (0, 0)


@dataclass(frozen=True)
class State:
    """Where the stores of a run are, and how far it is.

    Parameters
    ----------
    analysis : Path or None
        The store of the complete results, else of what is there so far.
    patterns : Path or None
        The store of its patterns, once they are all there.
    complete : bool
        Whether there are complete results.
    words : str
        "complete", "running: STEP", "stopped: STEP", "no results", "incomplete", "damaged", "gone".
    """

    analysis: Path | None
    patterns: Path | None
    complete: bool
    words: str


def read_state(folder: Path) -> State:
    """Return how far the run of a folder is."""
    run = RunFolder(folder)
    if run.is_moving:
        with suppress(UnavailableError):
            settle(folder)
        if run.is_moving:
            return State(None, None, False, f"stopped: {STEPS[-1][1]}")
    unfinished = _step(run.analysis) if run.unfinished.is_dir() else None
    writing = holder(folder / ".lock") is not None
    under_way = ""
    if unfinished is not None:
        under_way = f"{'running' if writing else 'stopped'}: {unfinished}"
    complete = _is_complete(run.published_analysis)
    if complete:
        words = under_way if writing and under_way else COMPLETE
        return State(run.published_analysis, _patterns(run.published_analysis, folder), True, words)
    if not under_way:
        # In its first moments a run has no store yet.
        if writing:
            return State(None, None, False, f"running: {STEPS[0][1]}")
        if not folder.is_dir():
            return State(None, None, False, GONE)
        if not run.published_analysis.exists():
            return State(None, None, False, EMPTY)
        return State(None, None, False, DAMAGED if complete is None else INCOMPLETE)
    analysis = run.analysis if run.analysis.is_dir() else None
    patterns = None
    if analysis is not None:
        patterns = _patterns(analysis, run.unfinished) or _patterns(analysis, folder)
    return State(analysis, patterns, False, under_way)


def state_key(folder: Path) -> tuple:
    """Return what changes when other results are to be looked at: at most a dozen file times.

    Complete results stay those that are looked at, whatever a further run has made so far.
    """
    run = RunFolder(folder)
    marks = [
        run.published_analysis,
        run.published_analysis / "clusters",
        folder / "patterns.zarr" / "raw",
    ]
    complete = tuple(written(place / "zarr.json") for place in marks)
    if complete[0] != NOWHERE:
        return complete
    unfinished = [run.unfinished / "patterns.zarr" / "raw", *(run.analysis / g for g, _ in STEPS)]
    return (*complete, *(written(place / "zarr.json") for place in unfinished))


def written(path: Path) -> tuple[int, int]:
    """Return which file this is and when it was written; zeros where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return NOWHERE
    return found.st_ino, found.st_mtime_ns


def _is_complete(analysis: Path) -> bool | None:
    """Return whether a store holds complete results; None where it cannot be read."""
    try:
        return group_attributes(analysis, "").get("status") == "complete"
    except Exception:  # whatever is in the file instead
        return None


def _step(analysis: Path) -> str:
    """Return what a run does that has completed some groups of its store."""
    for group, step in STEPS:
        if complete_mark(analysis, group) is None:
            return step
    return STEPS[-1][1]


def _patterns(analysis: Path, folder: Path) -> Path | None:
    """Return the store in a folder if it has the patterns that were analysed."""
    store = folder / "patterns.zarr"
    mark = complete_mark(store, "raw")
    return store if mark is not None and mark == complete_mark(analysis, "acquisition") else None
