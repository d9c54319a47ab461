"""The step that indexes the clusters: which crystal each one is, and how it is oriented.

What they are indexed with is stored with them, so that the same is done for other clusters: those
of a later decision, or of a correction by hand.
"""

from pathlib import Path
from typing import Any

from orimap.cluster.environment import one_thread_for_blas
from orimap.flows.pipeline.runtime.run import Run
from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.index.indexing import Indexing, stored_indexing
from orimap.tasks.index.stored import GROUP, Stored, index_stored, write_orientations
from orimap.tasks.report.orientations.words import fit_remarks
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import (
    complete_mark,
    group_attributes,
    link_group,
    mark_complete,
    remove_group,
)
from orimap.tasks.store.variables import cluster_indexed
from orimap.tasks.store.whole.damage import DamagedError
from orimap.tasks.store.whole.metadata import read_metadata, write_metadata
from orimap.tasks.stream.blocks import Progress

# How the sentence begins that says why there are no orientations.
NOTHING = "Nothing was indexed"
# The attribute of the root of results with that sentence, and what was to be indexed with.
NOT_INDEXED = "not_indexed"


def index_clusters(
    run: Run, _progress: Progress, patterns: Path, indexing: Indexing
) -> dict[str, Any] | None:
    """Index the clusters of the decided fit; write /orientations.

    Parameters
    ----------
    run : Run
    patterns : Path
        The store of its patterns.
    indexing : Indexing

    Returns
    -------
    dict or None
        Where the patterns cannot be indexed, what is stored of that: all else is whole.
    """
    analysis = run.folder.analysis
    mark = indexing.mark_of(complete_mark(analysis, "clusters"))
    if run.can_reuse("index", GROUP, mark):
        return None
    remove_group(analysis, GROUP)
    stored, why = try_to_index(analysis, patterns, indexing)
    if stored is None:
        run.note(why)
        return not_indexed_facts(indexing, mark, why)
    write_orientations(analysis, stored, indexing)
    for remark in stored_remarks(stored):
        run.runner.note(remark)
    return None


def stored_remarks(stored: Stored) -> list[str]:
    """Return what was fitted for a scan that was indexed, and what was assumed, in sentences."""
    arrays, attrs = stored
    return [f"{remark}." for remark in fit_remarks(attrs, arrays[cluster_indexed])]


def try_to_index(
    analysis: Path, patterns: Path, indexing: Indexing, revision: Path | None = None
) -> tuple[Stored | None, str]:
    """Return what was indexed; or nothing, and a sentence that says why.

    Parameters
    ----------
    analysis, patterns : Path
        The stores of a run.
    indexing : Indexing
    revision : Path, optional
        The store of a revision, whose clusters are indexed in place of the automatic ones.
    """
    try:
        with one_thread_for_blas():
            return index_stored(analysis, patterns, indexing, revision), ""
    except (UnavailableError, DamagedError):
        raise
    except InputError as error:
        return None, f"{NOTHING} ({error.reason}): {error.remedy}."


def not_indexed_facts(indexing: Indexing, mark: str | None, why: str) -> dict[str, Any]:
    """Return what is stored in the root of results whose clusters could not be indexed.

    ``mark`` is that of orientations that cannot be; None where trying again may help.
    """
    return {"mark": mark, "why": why, **indexing.attributes}


def is_indexed(analysis: Path, indexing: Indexing) -> bool:
    """Return whether the clusters of complete results were indexed in this way, or cannot be."""
    mark = indexing.mark_of(complete_mark(analysis, "clusters"))
    tried = group_attributes(analysis, "").get(NOT_INDEXED) or {}
    return mark in (complete_mark(analysis, GROUP), tried.get("mark"))


def earlier_indexing(analysis: Path) -> tuple[Indexing | None, str]:
    """Return what the clusters of results were, or were to be, indexed with.

    Returns
    -------
    indexing : Indexing or None
        None where nobody asked for it, or not all of it was stored.
    why : str
        A sentence in the latter case: the orientations will be lost, and what to do.
    """
    try:
        attrs = group_attributes(analysis, GROUP)
    except FileNotFoundError:
        try:
            attrs = group_attributes(analysis, "").get(NOT_INDEXED) or {}
        except FileNotFoundError:
            attrs = {}
    if not attrs:
        return None, ""
    found = stored_indexing(attrs)
    if found is not None:
        return found, ""
    files = [str(name) for name in attrs.get("crystal_files", ())]
    return None, (
        "The orientations of the earlier clusters are left out, since what describes the crystals "
        f"({', '.join(files)}) is not stored with them. Index again: orimap index "
        f"{analysis.parent} " + " ".join(f"--crystal {name}" for name in files) + "."
    )


def index_revision(analysis: Path, patterns: Path, store: Path) -> list[str]:
    """Index the clusters of a revision in its store, as those it was made from.

    Returns
    -------
    list of str
        Why they could not be indexed, if others were; empty otherwise.
    """
    indexing, why = earlier_indexing(analysis)
    if indexing is None:
        return [why] if why else []
    stored, why = try_to_index(analysis, patterns, indexing, store)
    if stored is None:
        return [why]
    write_orientations(store, stored, indexing)
    return []


def link_orientations(analysis: Path, store: Path, mark: str) -> None:
    """Give the clusters of a revision that only have other names the orientations they have."""
    try:
        attrs = group_attributes(analysis, GROUP)
    except FileNotFoundError:
        return
    if attrs.get("of") != complete_mark(analysis, "clusters"):
        return
    link_group(analysis, store, GROUP)
    metadata = read_metadata(store / GROUP)
    metadata["attributes"]["of"] = mark
    write_metadata(store / GROUP, metadata)
    mark_complete(store, GROUP, fingerprint(orientations=attrs["complete"], clusters=mark))
