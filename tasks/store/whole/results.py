"""Whether the results in the folder of a run are whole: both of their stores."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orimap.tasks.store.whole.damage import DamagedError, damage
from orimap.tasks.store.whole.metadata import groups_below, read_metadata
from orimap.tasks.store.whole.seal import COMPLETE, recorded, seal

ANALYSIS, PATTERNS = "analysis.zarr", "patterns.zarr"
# Beside the results: a store for each revision, with the groups that differ.
REVISIONS = "revisions"
# The checksums of a store up to this size are compared whenever it is used: some tens of
# milliseconds. Of a larger one chunks are counted, and Zarr compares the checksums of what is read.
QUICK_BYTES = 64 * 2**20


def complete_groups(store: Path) -> list[str]:
    """Return the groups of a store that are marked complete, but for its root."""
    return [group for group in groups_below(store) if group and mark_of(store / group) is not None]


def seal_groups(analysis: Path) -> None:
    """Seal complete results anew, whose groups or root have changed; the patterns have not."""
    known = _recorded_root(analysis)
    kept = {"patterns": known["patterns"]} if "patterns" in known else {}
    seal(analysis, "", groups=complete_groups(analysis), **kept)


def mark_of(node: Path) -> str | None:
    """Return the mark with which a group was completed; None where it is not whole."""
    try:
        mark = read_metadata(node)["attributes"].get(COMPLETE)
    except FileNotFoundError:
        return None
    return mark if isinstance(mark, str) else None


def damage_of_results(folder: Path, *, sums: bool | None = None) -> dict[str, str]:
    """Return what is damaged in the results of a run, by the group.

    Parameters
    ----------
    folder : Path
    sums : bool, optional
        Whether all checksums are compared; by default those of a store that is not large.

    Returns
    -------
    dict
        By names like ``analysis.zarr/fits/k03``, what was found, in half a sentence. A pattern
        store that is not there at all was removed by somebody: it is not damaged.
    """
    analysis = folder / ANALYSIS
    known = _recorded_root(analysis)
    found = damage_of_store(analysis, known.get("groups", ()), sums=sums)
    patterns = folder / PATTERNS
    if os.path.isdir(patterns):
        found |= damage_of_store(patterns, known.get("patterns", ()), sums=sums)
    return found


def recorded_patterns(analysis: Path) -> list[str]:
    """Return which groups of the pattern store belong to complete results."""
    return list(_recorded_root(analysis).get("patterns", ()))


def recorded_groups(store: Path) -> list[str]:
    """Return which groups belong to a store that is complete."""
    return list(_recorded_root(store).get("groups", ()))


def _recorded_root(analysis: Path) -> dict[str, Any]:
    try:
        return recorded(read_metadata(analysis)["attributes"]) or {}
    except FileNotFoundError:
        return {}


def damage_of_store(
    store: Path, wanted: Sequence[str] = (), *, sums: bool | None = None
) -> dict[str, str]:
    """Return what is damaged in a store, by the group; groups that are ``wanted`` must be there."""
    if not os.path.isdir(store):
        return {}
    if sums is None:
        sums = is_small(store)
    there = list(groups_below(store))
    names = [*there, *(group for group in wanted if group not in there)]
    found = {}
    for group in names:
        if group not in there:
            what: str | None = "it is not there"
        else:
            what = damage(store, group, sums=sums)
        if what is not None:
            found[f"{store.name}/{group}".rstrip("/")] = what
    return found


def require_whole_results(
    folder: Path, *, sums: bool | None = None, but: Sequence[str] = ()
) -> None:
    """Check that nothing in the results of a run is damaged, before they are used.

    Parameters
    ----------
    folder : Path
    sums : bool, optional
        As in `damage_of_results`.
    but : sequence of str
        Groups of ``analysis.zarr`` that are made anew, whatever is in them.

    Raises
    ------
    DamagedError
        Which names the groups.
    """
    anew = {f"{ANALYSIS}/{group}" for group in but}
    damaged = damage_of_results(folder, sums=sums)
    found = {name: what for name, what in damaged.items() if name not in anew}
    if found:
        raise DamagedError(f"undamaged results in {folder}", in_words(found))


def in_words(found: dict[str, str], most: int = 3) -> str:
    """Return what is damaged in one line."""
    some = "; ".join(f"{name} is damaged ({what})" for name, what in list(found.items())[:most])
    return some + (f"; and {len(found) - most} more groups" if len(found) > most else "")


def is_small(store: Path) -> bool:
    """Return whether a store is small enough to compare all of its checksums at every use."""
    left, folders = QUICK_BYTES, [store]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    left -= entry.stat(follow_symlinks=False).st_size
        if left < 0:
            return False
    return True
