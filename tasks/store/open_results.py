"""Open the results in the folder of a run, or a revision that somebody made of them."""

from pathlib import Path

import xarray as xr

from orimap.tasks.errors import InputError
from orimap.tasks.store.groups import open_group
from orimap.tasks.store.variables import DETECTOR

# Beside the results: a store for each revision, with the groups that differ.
REVISIONS = "revisions"


def revision_store(folder: Path, revision: str) -> Path:
    """Return where a revision of this name lies, whether it is there or not."""
    return folder / REVISIONS / f"{revision}.zarr"


def open_results(folder: Path, revision: str | None = None) -> xr.DataTree:
    """Open the results of a run, lazily.

    Parameters
    ----------
    folder : Path
        That the run has filled.
    revision : str, optional
        Its groups stand in place of those of the automatic result.

    Returns
    -------
    DataTree
        ``analysis.zarr``, with the groups of the revision. Scan and detector coordinates are
        calibrated where the acquisition is.

    Raises
    ------
    InputError
        If the folder holds no complete results, or no such revision.
    """
    tree = _opened(folder / "analysis.zarr")
    if tree.attrs.get("status") != "complete":
        raise InputError(
            "a folder with the results of a run",
            f"no complete analysis.zarr in {folder}",
            "name the folder that orimap.run or orimap run --output has filled",
        )
    _place_detector(tree, folder / "patterns.zarr")
    if revision is None:
        return tree
    revised = _opened(revision_store(folder, revision))
    if not revised.children:
        there = sorted(store.stem for store in (folder / REVISIONS).glob("*.zarr"))
        raise InputError(
            f"a revision {revision!r} of the results in {folder}",
            f"revisions there: {', '.join(there)}" if there else "no revisions there",
            "name one of them, or make it with orimap edit",
        )
    for name, group in revised.children.items():
        tree[name] = group
    tree.attrs.update(revised.attrs)
    return tree


def _place_detector(tree: xr.DataTree, patterns: Path) -> None:
    """Add the detector's coordinates to results of versions that left them with the patterns."""
    if all(name in tree.coords for name in DETECTOR):
        return
    try:
        raw = open_group(patterns, "raw")
    except FileNotFoundError:  # somebody has removed the patterns: pixels are only numbered
        return
    for name in DETECTOR:
        if name in raw.coords:
            tree.coords[name] = raw[name].load()


def _opened(store: Path) -> xr.DataTree:
    """Open a store, empty where there is none."""
    try:
        return xr.open_datatree(store, engine="zarr", consolidated=False)
    except FileNotFoundError:  # what Zarr raises for a folder without a store is one of its kind
        return xr.DataTree()
