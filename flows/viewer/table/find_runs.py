"""Find the folders of runs below a folder, quickly and again and again.

A folder that has not changed since it was looked at is not listed again. Links are not followed:
what is found lies where it seems to lie.
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What a run leaves in its folder, whatever became of it.
RESULTS, UNFINISHED, OUTCOME, RECORD = "analysis.zarr", ".unfinished", "outcome.json", "run.json"
MARKS = {RESULTS, UNFINISHED, OUTCOME, RECORD}
# What is read of a run folder, and written to.
PARTS = (RESULTS, "patterns.zarr", UNFINISHED, "revisions", ".lock")
# Folders that a run makes in its own, and hidden ones: no other run is looked for in them.
INSIDE = (".", "figures", "revisions", "exports")
# Folders of days, sessions and samples; not the whole tree of a disk.
DEEPEST, MOST_FOLDERS = 8, 50_000
# A change within the same moment as the look before it would not show in the time of the folder.
SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class _Listing:
    """What a folder held when it was listed."""

    changed: int
    settled: bool
    marks: frozenset[str]
    folders: tuple[str, ...]


class RunFinder:
    """Finds runs below a folder.

    Parameters
    ----------
    root : Path
        Absolute, without links.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incomplete = ""
        self._listings: dict[str, _Listing] = {}

    def find(self) -> dict[str, frozenset[str]]:
        """Return the marks of every run folder by its path below the root, in their order.

        What is missing where the walk was not whole is said in ``incomplete``.
        """
        self.incomplete = ""
        seen: dict[str, _Listing] = {}
        found = dict(self._walk("", 0, seen))
        if not seen:
            self.incomplete = f"{self.root} cannot be listed now"
        self._listings = seen  # what has gone is forgotten
        return found

    def _walk(
        self, below: str, depth: int, seen: dict[str, _Listing]
    ) -> Iterator[tuple[str, frozenset[str]]]:
        if len(seen) >= MOST_FOLDERS:
            self.incomplete = f"only the first {MOST_FOLDERS:,} folders were looked through"
            return
        listing = self._listing(below)
        if listing is None:
            return
        seen[below] = listing
        if listing.marks and below:
            yield below, listing.marks
        if depth < DEEPEST:
            for name in listing.folders:
                yield from self._walk(f"{below}/{name}" if below else name, depth + 1, seen)

    def _listing(self, below: str) -> _Listing | None:
        """Return what a folder holds; None where it cannot be listed, or is no folder any more."""
        folder = self.root / below
        try:
            facts = folder.lstat()
            known = self._listings.get(below)
            if known is not None and known.settled and known.changed == facts.st_mtime_ns:
                return known
            if not stat.S_ISDIR(facts.st_mode):
                return None
            now = time.time()
            with os.scandir(folder) as entries:
                there = {each.name: each.is_dir(follow_symlinks=False) for each in entries
                         if not each.is_symlink()}  # fmt: skip
        except OSError:
            return None
        folders = sorted(
            name
            for name, is_folder in there.items()
            if is_folder and not name.startswith(INSIDE) and not name.endswith(".zarr")
        )
        settled = now - facts.st_mtime > SETTLED_SECONDS
        return _Listing(facts.st_mtime_ns, settled, frozenset(MARKS & there.keys()), tuple(folders))


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run."""
    return any((folder / mark).exists() for mark in MARKS)


def link_in(folder: Path) -> str:
    """Return which part of a run folder is a link, empty where none is.

    It may lead to results that lie elsewhere, and that nobody has asked to be shown.
    """
    return next((name for name in PARTS if (folder / name).is_symlink()), "")
