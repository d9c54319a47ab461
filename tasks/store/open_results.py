"""Open the results in the folder of a run, or a revision that somebody made of them.

A revision lies beside the results, in ``revisions/NAME.zarr``: the groups that differ, and in its
attributes what was changed and which clusters it was made from.
"""

import re
import shutil
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from orimap.tasks.errors import InputError, is_out_of_reach, shown, tell, words_of
from orimap.tasks.store.groups import complete_mark, group_attributes, open_group
from orimap.tasks.store.run_folder import settle
from orimap.tasks.store.variables import DETECTOR
from orimap.tasks.store.whole.damage import DamagedError
from orimap.tasks.store.whole.results import (
    REVISIONS,
    damage_of_store,
    in_words,
    require_whole_results,
)
from orimap.tasks.store.whole.seal import recorded

# A name is part of the names of files.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LONGEST_NAME, LONGEST_TITLE = 64, 80
# What a title without a single letter of a name is called.
NAMELESS = "revision"


@dataclass(frozen=True)
class Revision:
    """What is known of a revision without opening what it holds.

    Parameters
    ----------
    name : str
    patterns : int
        Number of its clusters.
    edits : list of str
        What was changed, in sentences.
    steps : list of dict
        What was changed, edit after edit, as it was asked for.
    made : str
        When.
    outdated : bool
        Whether the automatic result is no longer the one that it was made from.
    title : str
        What people call it; the name where nothing else was given.
    """

    name: str
    patterns: int
    edits: list[str]
    steps: list[dict[str, Any]]
    made: str
    outdated: bool
    title: str = ""

    @property
    def standing(self) -> str:
        """Say that it is outdated, in a sentence; empty where it is not."""
        if not self.outdated:
            return ""
        return (
            f"Revision {self.title or self.name} is outdated: it was made from an earlier decision "
            "than the one that stands now."
        )


def revision_store(folder: Path, revision: str) -> Path:
    """Return where a revision of this name lies, whether it is there or not."""
    return folder / REVISIONS / f"{revision}.zarr"


def find_revision(folder: Path, revision: str) -> Revision:
    """Return what is known of a revision.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    store = revision_store(folder, revision)
    try:
        if not (isinstance(revision, str) and NAME.fullmatch(revision)):
            raise FileNotFoundError(store)
        facts = group_attributes(store, "")
    except FileNotFoundError:
        there = revision_names(folder)
        raise InputError(
            f"a revision {revision!r} of the results in {folder}",
            f"revisions there: {', '.join(there)}" if there else "no revisions there",
            "give one of them, or make it with orimap edit",
        ) from None
    return Revision(
        revision,
        int(facts.get("decided_k", 0)),
        list(facts.get("edits", ())),
        list(facts.get("steps", ())),
        str(facts.get("made", "")),
        "of" in facts and facts["of"] != complete_mark(folder / "analysis.zarr", "clusters"),
        # Earlier versions knew only names.
        str(facts.get("title") or revision),
    )


def title_as_given(given: str) -> str:
    """Return a title of a revision, with single spaces.

    Raises
    ------
    InputError
        If it is empty or too long, or holds what nobody sees: control characters, or those that
        turn the direction of writing.
    """
    title = re.sub(" +", " ", given).strip()
    if not title or len(title) > LONGEST_TITLE or not title.isprintable():
        raise InputError(
            f"a title of 1 to {LONGEST_TITLE} letters for the revision, without control characters",
            shown(given),
            "give a short title, for instance Checked by Anna",
        )
    return title


def name_of_title(title: str, taken: Collection[str] = ()) -> str:
    """Return a name of files for a title: its letters, digits, dots and dashes.

    Parameters
    ----------
    title : str
    taken : collection of str
        Names that others have; one of these gets a number behind it.
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", plain).strip("-_.")[:LONGEST_NAME].strip("-_.")
    name = wanted = name or NAMELESS
    others = {each.lower() for each in taken}  # some disks do not tell capitals
    number = 1
    while name.lower() in others:
        number += 1
        ending = f"-{number}"
        name = f"{wanted[: LONGEST_NAME - len(ending)]}{ending}"
    return name


def revision_names(folder: Path) -> list[str]:
    """Return the names of the revisions of some results."""
    return sorted(store.stem for store in (folder / REVISIONS).glob("*.zarr"))


def delete_revision(folder: Path, revision: str) -> None:
    """Remove a revision, and its page.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    find_revision(folder, revision)
    shutil.rmtree(revision_store(folder, revision))
    delete_page(folder, revision)


def delete_page(folder: Path, revision: str) -> None:
    """Remove the page of a revision, if there is one."""
    page, figures = revision_page(folder, revision)
    page.unlink(missing_ok=True)
    shutil.rmtree(figures, ignore_errors=True)


def revision_page(folder: Path, revision: str) -> tuple[Path, Path]:
    """Return where the page of a revision is written, and the folder of its figures."""
    return folder / f"report-{revision}.html", folder / f"figures-{revision}"


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
        The attribute ``revision_outdated`` says whether a revision was made from an earlier
        decision, of which there is a warning as well.

    Raises
    ------
    InputError
        If the folder holds no complete results, or no such revision.
    """
    settle(folder)
    require_whole_results(folder)
    tree = _opened(folder / "analysis.zarr")
    if tree.attrs.get("status") != "complete":
        raise InputError(
            "a folder with the results of a run",
            f"no complete analysis.zarr in {folder}",
            "give the folder that orimap.run or orimap run --output has filled",
        )
    _place_detector(tree, folder / "patterns.zarr")
    if revision is None:
        return tree
    found = find_revision(folder, revision)
    require_whole_revision(folder, revision)
    revised = _opened(revision_store(folder, revision))
    for name, group in revised.children.items():
        try:
            tree[name] = group
        except ValueError as error:  # axes of other lengths than those of the results
            raise InputError(
                f"results of the scan that revision {revision!r} was made from",
                f"those of another scan in {folder}",
                f"remove it with orimap edit {folder} --delete {revision}, and make it anew",
            ) from error
    tree.attrs = {**tree.attrs, **revised.attrs, "revision_outdated": found.outdated}
    if found.outdated:
        tell(found.standing)
    return tree


def require_whole_revision(folder: Path, revision: str) -> None:
    """Check that nothing of a revision is damaged.

    Raises
    ------
    DamagedError
        Which names the groups.
    """
    found = damage_of_revision(folder, revision)
    if found:
        raise DamagedError(
            f"revision {revision!r} of the results in {folder}, undamaged",
            in_words(found),
            f"remove it with orimap edit {folder} --delete {revision}, and make it anew",
        )


def damage_of_revision(folder: Path, revision: str, *, sums: bool | None = None) -> dict[str, str]:
    """Return what is damaged of a revision, by the group."""
    store = revision_store(folder, revision)
    try:
        known = recorded(group_attributes(store, "")) or {}
    except FileNotFoundError:
        known = {}
    return damage_of_store(store, known.get("groups", ()), sums=sums)


def open_revised(analysis: Path, revision: Path | None, group: str) -> xr.Dataset:
    """Open a group of the store of a revision where it has it, else of the results."""
    revised = revision is not None and (revision / group / "zarr.json").exists()
    return open_group(revision if revision is not None and revised else analysis, group)


def _place_detector(tree: xr.DataTree, patterns: Path) -> None:
    """Add the detector's coordinates to results of versions that left them with the patterns."""
    if all(name in tree.coords for name in DETECTOR):
        return
    try:
        raw = open_group(patterns, "raw")
    except FileNotFoundError:  # somebody has removed the patterns: pixels are only numbered
        return
    coordinates = {name: raw[name].load() for name in DETECTOR if name in raw.coords}
    fit = [
        group
        for group in tree.children.values()
        if all(
            group.sizes.get(name, place.size) == place.size for name, place in coordinates.items()
        )
    ]
    # Where a group has images of another size, as those of the published rule, each has its own.
    for node in [tree] if len(fit) == len(tree.children) else fit:
        node.coords.update(coordinates)


def _opened(store: Path) -> xr.DataTree:
    """Open a store, empty where there is none."""
    try:
        return xr.open_datatree(store, engine="zarr", consolidated=False)
    except FileNotFoundError:  # what Zarr raises for a folder without a store is one of its kind
        return xr.DataTree()
    except OSError as error:
        if is_out_of_reach(error):
            raise
        raise InputError(
            "a folder with the results of a run",
            error.strerror or words_of(error),
            "give the folder that orimap.run or orimap run --output has filled",
        ) from error
