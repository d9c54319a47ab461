"""Complete the results of a run, and recognise results that are complete."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import xarray as xr
import zarr

from orimap.flows.pipeline.runtime.measure import Measurement, versions
from orimap.flows.pipeline.runtime.run import Decided, Run
from orimap.flows.pipeline.steps.older_rules import published_fingerprint
from orimap.tasks.store.fingerprint import SCHEMA_VERSION
from orimap.tasks.store.groups import (
    group_attributes,
    mark_complete,
    open_group,
    remove_group,
)
from orimap.tasks.store.run_folder import RunFolder
from orimap.tasks.store.variables import DETECTOR, SCAN, SPARSE, SPIKES

# Where positions and pixels lie, calibrated where the acquisition is; the same in all groups.
COORDINATES = (*SCAN, *DETECTOR)
# What --keep says, from least to most. What it names stays with all that is before it.
KEPT = ("results", "fits", "all")
# Of each sketch: what was found, and what the report and the maps look at.
SMALL = ("singular_value", "detector_weight", "detector_fitted", "detector_valid")


def is_complete(folder: RunFolder, mark: str, keep: str) -> bool:
    """Return whether the folder holds the complete results of this very request, with ``keep``."""
    try:
        attrs = group_attributes(folder.published_analysis, "")
    except FileNotFoundError:
        return False
    return (
        attrs.get("status") == "complete"
        and attrs.get("complete") == mark
        # Results of earlier versions hold all.
        and KEPT.index(attrs.get("kept", KEPT[-1])) >= KEPT.index(keep)
        and (folder.root / "report.html").exists()
    )


def lost_fits(folder: RunFolder, ks: Sequence[int]) -> str | None:
    """Say which fits of complete results a run of other numbers will not keep; None if it does."""
    try:
        stored = open_group(folder.published_analysis, "decision")["k"].values.tolist()
    except FileNotFoundError:
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


def finish(run: Run, decided: Decided, mark: str, acquisition: str, remarks: Sequence[str]) -> None:
    """Write the root of the results, last: only then are they complete."""
    analysis = run.folder.analysis
    raw = xr.open_zarr(decided.fitted.prepared.store, group="raw", consolidated=False, chunks=None)
    _drop_stale(run, decided)
    # The published rule has images of its own size, which pixels of the detector do not fit.
    placed = SCAN if (analysis / "published").exists() else COORDINATES
    root = xr.Dataset(coords={name: raw[name].load() for name in placed})
    root.to_zarr(analysis, mode="a", consolidated=False, zarr_format=3)
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
    mark_complete(analysis, "", mark)


def keep_only(folder: RunFolder, keep: str) -> None:
    """Remove from complete results what was to be kept no longer than until they are complete.

    Parameters
    ----------
    folder : RunFolder
    keep : str
        One of `KEPT`. The bulk of what is left are, from least to most, maps and figures; patterns
        and the fits of every k; a second fit of every k, and the sketch of the training half.
    """
    root = zarr.open_group(folder.published_analysis, mode="r+").attrs
    kept = min(keep, str(root.get("kept", KEPT[-1])), key=KEPT.index)
    # First what is there is no longer promised: what a kill leaves is removed the next time.
    if root.get("kept") != kept:
        root["kept"] = kept
    analysis, patterns = folder.published_analysis, folder.root / "patterns.zarr"
    if kept != "all":
        remove_group(analysis, "basis_fits")
        remove_group(analysis, "sketch_training")
    if kept == "fits" and _bytes(patterns / SPARSE.path) > _bytes(patterns / "raw"):
        # Lists of full patterns: reading the patterns themselves is hardly slower.
        remove_group(patterns, SPARSE.path)
    if kept == "results":
        for name in ("fits", "sketch"):
            for group in (analysis / name, *(analysis / name).glob("k*")):
                _remove_arrays(analysis, str(group.relative_to(analysis)))
        for name in ("dark_fields", "published"):
            remove_group(analysis, name)
        for name in ("raw", SPARSE.path, SPIKES.path, "mean", "epattern"):
            remove_group(patterns, name)


def _bytes(folder: Path) -> int:
    """Return how much space files in a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove_arrays(store: Path, name: str) -> None:
    """Remove the large arrays of a group, which then passes for whole no more."""
    group = zarr.open_group(store, path=name, mode="r+")
    group.attrs.update({"complete": None})
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
    text = json.dumps(measured.record(), indent=2, default=str)
    (run.folder.unfinished / "run.json").write_text(text + "\n")
