"""Complete the results of a run, and recognise results that are complete."""

import json
import shutil
from collections.abc import Sequence

import xarray as xr
import zarr

from orimap.flows.pipeline.runtime.measure import Measurement, versions
from orimap.flows.pipeline.runtime.run import Decided, Run
from orimap.flows.pipeline.steps.older_rules import published_fingerprint
from orimap.tasks.store.fingerprint import SCHEMA_VERSION
from orimap.tasks.store.groups import group_attributes, mark_complete
from orimap.tasks.store.run_folder import RunFolder
from orimap.tasks.store.variables import DETECTOR, SCAN

# Where positions and pixels lie, calibrated where the acquisition is; the same in all groups.
COORDINATES = (*SCAN, *DETECTOR)


def is_complete(folder: RunFolder, mark: str) -> bool:
    """Return whether the folder holds the complete results of this very request."""
    try:
        attrs = group_attributes(folder.published_analysis, "")
    except FileNotFoundError:
        return False
    return (
        attrs.get("status") == "complete"
        and attrs.get("complete") == mark
        and (folder.root / "report.html").exists()
    )


def finish(run: Run, decided: Decided, mark: str, acquisition: str, remarks: Sequence[str]) -> None:
    """Write the root of the results, last: only then are they complete."""
    analysis = run.folder.analysis
    raw = xr.open_zarr(decided.fitted.prepared.store, group="raw", consolidated=False, chunks=None)
    root = xr.Dataset(coords={name: raw[name].load() for name in COORDINATES})
    _drop_stale(run, decided)
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
