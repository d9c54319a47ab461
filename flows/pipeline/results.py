"""Complete the results of a run, and recognise results that are complete."""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.measure import Measurement, versions
from orimap.flows.pipeline.runtime.run import Decided, Run
from orimap.flows.pipeline.steps.older_rules import published_fingerprint
from orimap.flows.pipeline.steps.orientations import NOT_INDEXED, is_indexed
from orimap.tasks.errors import InputError
from orimap.tasks.store.fingerprint import SCHEMA_VERSION
from orimap.tasks.store.groups import SMALL as SMALL_NUMBERS
from orimap.tasks.store.groups import (
    complete_mark,
    group_attributes,
    mark_complete,
    open_group,
    remove_group,
)
from orimap.tasks.store.run_folder import RunFolder
from orimap.tasks.store.variables import DETECTOR, SCAN, SPARSE, SPIKES
from orimap.tasks.store.whole.metadata import groups_below, read_metadata, write_metadata
from orimap.tasks.store.whole.results import (
    complete_groups,
    damage_of_results,
    require_whole_results,
)
from orimap.tasks.store.whole.seal import CHECKSUM, COMPLETE, SEAL, seal
from orimap.tasks.store.whole.verify import belong_together
from orimap.tasks.store.whole_file import write_whole

# Where positions and pixels lie, calibrated where the acquisition is; the same in all groups.
COORDINATES = (*SCAN, *DETECTOR)
# What --keep says, from least to most. What it names stays with all that is before it.
KEPT = ("results", "fits", "all")
# Of each sketch: what was found, and what the report and the maps look at.
SMALL = ("singular_value", "detector_weight", "detector_fitted", "detector_valid")


def is_complete(folder: RunFolder, mark: str, keep: str) -> bool:
    """Return whether the folder holds the complete results of this very request, with ``keep``.

    What is damaged is not complete.
    """
    try:
        attrs = group_attributes(folder.published_analysis, "")
    except FileNotFoundError:
        return False
    return (
        attrs.get("status") == "complete"
        and attrs.get("complete") == mark
        # Results of earlier versions hold all.
        and KEPT.index(attrs.get("kept", KEPT[-1])) >= KEPT.index(keep)
        and belong_together(folder.root)
        and not damage_of_results(folder.root)
    )


def holds(folder: RunFolder, plan: Plan) -> bool:
    """Return whether the folder holds all that a run would make, indexed as it would be."""
    if not is_complete(folder, plan.fingerprint, plan.request.keep):
        return False
    return plan.indexing is None or is_indexed(folder.published_analysis, plan.indexing)


def root_of(folder: RunFolder) -> dict[str, Any]:
    """Return what the root of complete results tells.

    Raises
    ------
    InputError
        If there are none.
    """
    root: dict[str, Any] = {}
    with suppress(FileNotFoundError):
        root = group_attributes(folder.published_analysis, "")
    if root.get("status") == "complete":
        return root
    if not folder.root.is_dir():
        found = f"no folder of that name ({folder.root})"
    elif folder.is_moving:
        return root  # about to be put in place
    else:
        require_whole_results(folder.root)
        found = f"{folder.root} holds none that are complete"
    raise InputError(
        "the folder of a finished run, with analysis.zarr in it",
        found,
        "give the folder that was given to orimap run as --output, or let that run finish",
    )


def unfinished_work(folder: RunFolder) -> bool:
    """Tell whether an interrupted run left something that the complete results do not hold."""
    if (folder.unfinished / "patterns.zarr").exists():
        return True
    groups = [*folder.analysis.glob("*fits/k*"), *folder.analysis.glob("sketch*")]
    names = [str(group.relative_to(folder.analysis)) for group in groups]
    return any(
        complete_mark(folder.analysis, name) != complete_mark(folder.published_analysis, name)
        for name in names
    )


def lost_fits(folder: RunFolder, ks: Sequence[int]) -> str | None:
    """Say which fits of complete results a run of other numbers will not keep; None if it does."""
    try:
        stored = open_group(folder.published_analysis, "decision")["k"].values.tolist()
    except (FileNotFoundError, ValueError):  # what is damaged (DamagedError) is made anew
        return None
    if set(stored) <= set(ks):
        return None
    return (
        f"The results in {folder.root}, with fits of {_range(stored)} components, are replaced by "
        f"those of {_range(ks)}. For a number of patterns from the fits that are there: orimap "
        f"decide {folder.root} --distinct N"
    )


def _range(ks: Sequence[int]) -> str:
    """Return consecutive numbers in words."""
    return str(ks[0]) if len(ks) == 1 else f"{ks[0]} to {ks[-1]}"


def finish(
    run: Run,
    decided: Decided,
    mark: str,
    acquisition: str,
    remarks: Sequence[str],
    not_indexed: Mapping[str, Any] | None = None,
) -> None:
    """Write the root of the results, last: only then are they complete."""
    analysis = run.folder.analysis
    raw = xr.open_zarr(decided.fitted.prepared.store, group="raw", consolidated=False, chunks=None)
    _drop_stale(run, decided)
    # The published rule has images of its own size, which pixels of the detector do not fit.
    placed = SCAN if (analysis / "published").exists() else COORDINATES
    root = xr.Dataset(coords={name: raw[name].load() for name in placed})
    encoding = {name: {"compressors": (SMALL_NUMBERS, CHECKSUM)} for name in placed}
    root.to_zarr(analysis, mode="a", consolidated=False, zarr_format=3, encoding=encoding)
    clusters = run.folder.read("clusters")
    attrs = zarr.open_group(analysis, mode="r+").attrs
    attrs.update(
        schema_version=SCHEMA_VERSION,
        orimap_version=versions()["orimap"],
        request=run.request.model_dump(mode="json"),
        acquisition=acquisition,
        decided_k=int(clusters.sizes["cluster"]),
        fitted_k=decided.fitted_k,
        crystal_found=decided.crystal_found,
        countable=decided.countable,
        notes=list(remarks),
        status="complete",
    )
    attrs.pop(NOT_INDEXED, None)
    if not_indexed is not None:
        attrs[NOT_INDEXED] = dict(not_indexed)
    patterns = complete_groups(decided.fitted.prepared.store)
    mark_complete(analysis, "", mark, groups=complete_groups(analysis), patterns=patterns)


def keep_only(folder: RunFolder, keep: str) -> None:
    """Remove from complete results what was to be kept no longer than until they are complete.

    Parameters
    ----------
    folder : RunFolder
    keep : str
        One of `KEPT`. The bulk of what is left are, from least to most, maps and figures; patterns
        and the fits of every k; a second fit of every k, and the sketch of the training half.
    """
    analysis, patterns = folder.published_analysis, folder.root / "patterns.zarr"
    root = group_attributes(analysis, "")
    kept = min(keep, str(root.get("kept", KEPT[-1])), key=KEPT.index)
    emptied = [] if kept != "results" else [g for g in groups_below(analysis) if _holds_fits(g)]
    removed, of_patterns = _not_kept(patterns, kept)
    # First what is there is no longer promised: what a kill leaves is removed the next time.
    if root.get("kept") != kept:
        promised = [g for g in complete_groups(analysis) if not g.startswith(tuple(removed))]
        metadata = read_metadata(analysis)
        metadata["attributes"].pop(SEAL, None)
        metadata["attributes"]["kept"] = kept
        write_metadata(analysis, metadata)
        seal(
            analysis,
            "",
            groups=[group for group in promised if group not in emptied],
            patterns=[g for g in complete_groups(patterns) if g not in of_patterns],
        )
    for group in emptied:
        _remove_arrays(analysis, group)
    for store, names in ((analysis, removed), (patterns, of_patterns)):
        for name in names:
            remove_group(store, name)


def _not_kept(patterns: Path, kept: str) -> tuple[list[str], list[str]]:
    """Return the groups of the analysis and of the patterns that are removed as a whole."""
    removed = [] if kept == "all" else ["basis_fits", "sketch_training"]
    if kept == "results":
        return (
            [*removed, "dark_fields", "published"],
            ["raw", SPARSE.path, SPIKES.path, "mean", "epattern"],
        )
    # Lists of full patterns: reading the patterns themselves is hardly slower.
    full = kept == "fits" and _bytes(patterns / SPARSE.path) > _bytes(patterns / "raw")
    return removed, [SPARSE.path] if full else []


def _holds_fits(group: str) -> bool:
    """Return whether the large arrays of a group are those of the sketch or of fits."""
    return group in ("fits", "sketch") or group.startswith("fits/k")


def _bytes(folder: Path) -> int:
    """Return how much space files in a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove_arrays(store: Path, name: str) -> None:
    """Remove the large arrays of a group, which then passes for whole no more."""
    metadata = read_metadata(store / name)
    metadata["attributes"].pop(SEAL, None)
    metadata["attributes"][COMPLETE] = None
    write_metadata(store / name, metadata)
    group = zarr.open_group(store, path=name, mode="r+")
    for array in set(group.array_keys()) - set(SMALL):
        remove_group(store, f"{name}/{array}")


def _drop_stale(run: Run, decided: Decided) -> None:
    """Remove what an earlier, unfinished request left and this one did not ask for."""
    prepared = decided.fitted.prepared
    stale = [*COORDINATES] if prepared.counts else [*COORDINATES, "sketch_training"]
    if run.request.filter != "epattern":
        stale.append("reflection_maps")
    # The paper's fits take minutes: they stay where they still hold, for the next time.
    if not run.folder.reuse("published", published_fingerprint(run, prepared)):
        stale.append("published")
    for name in stale:
        shutil.rmtree(run.folder.analysis / name, ignore_errors=True)
    for folder in ("fits", "basis_fits"):
        for group in (run.folder.analysis / folder).glob("k*"):
            if int(group.name[1:]) not in decided.fitted.ks:
                shutil.rmtree(group)


def write_report(run: Run, measured: Measurement) -> None:
    """Write the report and its figures beside the results that wait to be published."""
    from orimap.tasks.report.report import write_report

    write_report(
        run.folder.analysis,
        run.folder.unfinished,
        run=measured.record(),
        executor=run.helpers,
    )


def write_record(run: Run, measured: Measurement) -> None:
    """Write request, versions, time and memory of every step into run.json."""
    of = complete_mark(run.folder.analysis, "")
    text = json.dumps({**measured.record(), "results": of}, indent=2, default=str)
    write_whole(run.folder.unfinished / "run.json", text + "\n")
