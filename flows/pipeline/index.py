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
from orimap.flows.pipeline.redecide import root_of, unfinished_work
from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.index_results import Setup
from orimap.tasks.index.stored import GROUP, index_stored, read_orientations, write_orientations
from orimap.tasks.report.orientations.words import ClusterOrientation, cluster_orientations
from orimap.tasks.report.report import write_report
from orimap.tasks.store.groups import copy_folder, group_attributes, remove_group
from orimap.tasks.store.run_folder import RunFolder, only_writer
from orimap.tasks.store.whole.results import complete_groups, require_whole_results
from orimap.tasks.store.whole.seal import recorded, seal

# Half the opening of a precessed beam; microscopes reach 3 degrees or so.
LARGEST_PRECESSION_DEG = 10.0


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
    _check(crystals, setup)
    with only_writer(directory):
        folder = RunFolder(directory)
        folder.recover()
        require_whole_results(directory, sums=True)
        if unfinished_work(folder):
            raise InputError(
                "a folder in which no run was interrupted",
                f"the unfinished work of one in {folder.unfinished}",
                "finish that run with the same command as before, or remove this folder",
            )
        with one_thread_for_blas():
            stored = runner.step("index", lambda _: index_stored(directory, crystals, setup))
        folder.discard()
        folder.prepare()
        try:
            share_results(folder)
            write_orientations(folder.analysis, stored)
            known = recorded(group_attributes(folder.analysis, "")) or {}
            kept = {name: known[name] for name in ("patterns",) if name in known}
            seal(folder.analysis, "", groups=complete_groups(folder.analysis), **kept)
            found = read_orientations(folder.analysis)
            assert found is not None
            said = IndexedRun(cluster_orientations(found), remarks(found.attrs))
            facts = _facts(directory)
            runner.step(
                "report", lambda _: write_report(folder.analysis, folder.unfinished, run=facts)
            )
        except BaseException:
            folder.discard()
            raise
        folder.publish()
    return said


def remarks(attrs: dict[str, Any]) -> list[str]:
    """Say what was fitted for the scan, and what was assumed, in sentences."""
    said = []
    percent = 100 * (attrs["detector_step_factor"] - 1)
    if abs(percent) >= 0.05:
        said.append(
            f"The detector's step is {attrs['detector_step']:.4g} 1/Å by the reflections, "
            f"{abs(percent):.1f} % {'more' if percent > 0 else 'less'} than calibrated"
        )
    if attrs["beam_energy_assumed"]:
        said.append(
            f"The beam energy is not known: {attrs['beam_energy_kev']:g} keV was assumed "
            "(--beam-energy)"
        )
    return said


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


def _check(crystals: Sequence[Path], setup: Setup) -> None:
    """Check what can be known before the results are read.

    Raises
    ------
    InputError
        If no crystal is given, one is at fault, or a number makes no sense.
    """
    if not crystals:
        raise InputError("a crystal to index with", "none", "give --crystal FILE.cif")
    for path in crystals:
        read_crystal(path)
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
