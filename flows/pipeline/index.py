"""Index the clusters of a finished run: which crystal, which orientation; nothing is fitted again.

The results are replaced as a whole by ones that hold /orientations as well: whatever is not written
anew is shared with them.
"""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orimap.cluster.environment import one_thread_for_blas
from orimap.flows.pipeline.results import root_of, unfinished_work
from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.flows.pipeline.steps.orientations import (
    NOT_INDEXED,
    NOTHING,
    not_indexed_facts,
    stored_remarks,
    try_to_index,
)
from orimap.flows.request.request import INDEX_FIELDS, Request
from orimap.flows.request.values import LARGEST_PRECESSION_DEG
from orimap.tasks.errors import InputError
from orimap.tasks.index.index_results import Setup
from orimap.tasks.index.indexing import Indexing
from orimap.tasks.index.stored import (
    GROUP,
    Stored,
    index_stored,
    read_orientations,
    write_orientations,
)
from orimap.tasks.report.orientations.words import (
    ClusterOrientation,
    cluster_orientations,
    fit_remarks,
)
from orimap.tasks.store.groups import complete_mark, copy_folder, remove_group
from orimap.tasks.store.run_folder import RunFolder, only_writer
from orimap.tasks.store.variables import cluster_indexed
from orimap.tasks.store.whole.metadata import read_metadata, write_metadata
from orimap.tasks.store.whole.results import require_whole_results, seal_groups
from orimap.tasks.store.whole_file import write_whole


@dataclass(frozen=True)
class IndexedRun:
    """What was indexed.

    Parameters
    ----------
    clusters : list of ClusterOrientation
    remarks : list of str
        What was fitted, and what was assumed.
    """

    clusters: list[ClusterOrientation]
    remarks: list[str]


def index(
    directory: Path, crystals: Sequence[Path], setup: Setup, runner: StepRunner
) -> IndexedRun:
    """Index the clusters of a finished run, and write its page anew.

    Parameters
    ----------
    directory : Path
    crystals : sequence of Path
        CIF files.
    setup : Setup
    runner : StepRunner

    Raises
    ------
    InputError
        If a crystal, the results or the setup are at fault. The results stay as they are.
    """
    root_of(RunFolder(directory))
    indexing = Indexing.read(crystals, setup)
    _check(setup)
    with only_writer(directory):
        folder = RunFolder(directory)
        folder.recover()
        if unfinished_work(folder):
            raise InputError(
                "a folder in which no run was interrupted",
                f"the unfinished work of one in {folder.unfinished}",
                "finish that run with the same command as before, or remove this folder",
            )
        index_complete(folder, indexing, runner)
        found = read_orientations(folder.published_analysis)
    assert found is not None
    remarks = fit_remarks(found.attrs, found[cluster_indexed.name].values)
    return IndexedRun(cluster_orientations(found), remarks)


def index_complete(
    folder: RunFolder, indexing: Indexing, runner: StepRunner, asked: Request | None = None
) -> None:
    """Index the clusters of complete results, and put results with orientations in their place.

    Parameters
    ----------
    folder : RunFolder
    indexing : Indexing
    runner : StepRunner
    asked : Request, optional
        Of a run that differs from the one before in what is indexed with, and is whole without.

    Raises
    ------
    InputError
        If the results are damaged; where nothing is ``asked``, also if they cannot be indexed.
    """
    require_whole_results(folder.root, sums=True, but=[GROUP])
    analysis, patterns = folder.published_analysis, folder.root / "patterns.zarr"
    if asked is None:
        with one_thread_for_blas():
            stored: Stored | None = runner.step(
                "index", lambda _: index_stored(analysis, patterns, indexing)
            )
        why = ""
    else:
        stored, why = runner.step("index", lambda _: try_to_index(analysis, patterns, indexing))
    folder.discard()
    folder.prepare()
    try:
        share_results(folder)
        if stored is not None:
            write_orientations(folder.analysis, stored, indexing)
        facts = _facts(folder.root)
        _describe(folder.analysis, indexing, why, asked)
        if asked is not None and "request" in facts:
            facts["request"] |= asked.model_dump(mode="json", include={*INDEX_FIELDS})
            text = json.dumps(facts, indent=2, default=str)
            write_whole(folder.unfinished / "run.json", text + "\n")
        runner.step("report", lambda _: _write_report(folder, facts))
    except BaseException:
        folder.discard()
        raise
    folder.publish()
    said = stored_remarks(stored) if stored is not None else [why]
    for remark in said if asked is not None else ():
        runner.note(remark)


def _describe(analysis: Path, indexing: Indexing, why: str, asked: Request | None) -> None:
    """Have the root of results say what they are indexed with, or why they are not; seal it."""
    metadata = read_metadata(analysis)
    root = metadata["attributes"]
    root.pop(NOT_INDEXED, None)
    root["notes"] = [note for note in root.get("notes", ()) if not note.startswith(NOTHING)]
    if why:
        mark = indexing.mark_of(complete_mark(analysis, "clusters"))
        root[NOT_INDEXED] = not_indexed_facts(indexing, mark, why)
        root["notes"].append(why)
    if asked is not None:
        given = asked.model_dump(mode="json", include={*INDEX_FIELDS})
        root["request"] = {**root["request"], **given}
    write_metadata(analysis, metadata)
    seal_groups(analysis)


def _write_report(folder: RunFolder, facts: dict[str, Any]) -> None:
    """Write the page; drawing takes seconds to load."""
    from orimap.tasks.report.report import write_report

    write_report(folder.analysis, folder.unfinished, run=facts)


def share_results(folder: RunFolder) -> None:
    """Put the complete results into an unfinished run without copying them, but for orientations.

    Groups are replaced as a whole and never changed, so that a link is as good as a copy.
    """

    def link(original: str, linked: str) -> None:
        try:
            os.link(original, linked)
        except OSError:  # another file system, or one without links
            shutil.copy2(original, linked)

    shutil.rmtree(folder.analysis, ignore_errors=True)
    copy_folder(folder.published_analysis, folder.analysis, link)
    remove_group(folder.analysis, GROUP)


def _check(setup: Setup) -> None:
    """Check what is told of microscope and camera.

    Raises
    ------
    InputError
        If a number makes no sense.
    """
    if not 0 <= setup.precession_deg <= LARGEST_PRECESSION_DEG:
        raise InputError(
            f"half the opening of the beam's cone, 0 to {LARGEST_PRECESSION_DEG:g} degrees",
            f"--precession {setup.precession_deg:g}",
            "give the angle between the precessed beam and its axis, or leave it out",
        )
    if not abs(setup.rotation_deg) <= 360:
        raise InputError(
            "an angle of −360 to 360 degrees from the scan's columns to the detector's",
            f"--detector-rotation {setup.rotation_deg:g}",
            "correct it, or leave it out",
        )


def _facts(directory: Path) -> dict[str, Any]:
    """Return what is known of the run, for its page."""
    with suppress(OSError, ValueError):
        found = json.loads((directory / "run.json").read_text())
        return found if isinstance(found, dict) else {}
    return {}
