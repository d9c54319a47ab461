"""The one definition of the pipeline: from an acquisition to a decided k, maps and a report."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zarr

from orimap.flows.pipeline.estimate import load_that_fits
from orimap.flows.pipeline.extent import predicted_steps, range_of_k, reduced_shapes, workload
from orimap.flows.pipeline.runtime.measure import Measurement, machine, versions
from orimap.flows.pipeline.runtime.run import Run
from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.flows.pipeline.runtime.workers import check_workers, open_workers
from orimap.flows.pipeline.steps import conclude, decide, factorise, older_rules, prepare
from orimap.flows.request.request import WORKERS_FIELDS, Request
from orimap.tasks.acquire.acquisition import Acquisition, open_acquisition
from orimap.tasks.acquire.ingest.reduction import read_mask, whole_or_part
from orimap.tasks.decide.choose_k import Decision, find_strategy
from orimap.tasks.decide.evidence.published import check_size
from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.patterns.filters import check_filter
from orimap.tasks.store.groups import SCHEMA_VERSION, complete_mark, fingerprint, mark_complete
from orimap.tasks.store.run_folder import RunFolder, only_writer
from orimap.tasks.store.variables import SCAN
from orimap.tasks.stream.blocks import Progress

# A run is defined by these; how it is computed (workers, cluster, orchestration) is not part of it.
HOW = {"output", "file", "mask", "orchestrate", "restart", *WORKERS_FIELDS}
# What calls a step by its name, and gives back what the step returns.
Step = Callable[[str, Callable[[Run, Progress], Any]], Any]


def run_pipeline(request: Request, runner: StepRunner) -> Path:
    """Take one acquisition from file to report; ``runner`` calls each step.

    Parameters
    ----------
    request : Request
    runner : StepRunner

    Returns
    -------
    Path
        The folder of the results.

    Raises
    ------
    InputError
        If the request or the input is at fault; before any long work, wherever it can be known.
    """
    acquisition = check(request)
    mark = run_mark(request, acquisition)
    with only_writer(request.output), _tidy_after_refusal(request.output):
        folder = RunFolder(request.output)
        folder.recover()
        if not request.restart and is_complete(folder, mark):
            runner.note(f"{request.output} already holds the results of this request.")
            return request.output
        folder.prepare()
        if request.restart:
            folder.discard()
            folder.prepare()
        run = Run(request, acquisition, folder, range_of_k(request, acquisition), runner=runner)
        run.marks["ingest"] = ingest_mark(request, acquisition)
        _analyse(run, mark)
        folder.publish()
    return request.output


def _analyse(run: Run, mark: str) -> None:
    """Call every step in its order."""
    request = run.request
    measured = Measurement()
    with measured_steps(run, measured) as step:
        run.load = load_that_fits(request, workload(request, run.acquisition), run.client)
        step("ingest", prepare.ingest)
        step("centre", prepare.centre)
        step("filter", prepare.filter_patterns)
        while True:
            step("sketch", factorise.sketch)
            with measured.step("fit") as record:
                factorise.fit(run)
                record["reused"] = "fit" in run.reused
            step("score", factorise.score)
            decision = decide_number(run, step)
            more = decide.widened(run, decision)
            if more is None:
                break
            run.note(
                f"The best k ({decision.fitted_k}) touches the edge of {run.ks[0]} to "
                f"{run.ks[-1]}: looking at {more[0]} to {more[-1]}."
            )
            run.ks = more
        measured.predicted(predicted_steps(request, run.load, len(run.client.nthreads())))
        complete(run, mark, measured, step, run.acquisition.path.name)
    report(run, measured)


@contextmanager
def measured_steps(run: Run, measured: Measurement) -> Iterator[Step]:
    """Open the workers of a run; give what calls a step on them and measures it."""
    with measured, open_workers(run.request, run.runner.note) as client:
        run.client = client
        run.runner.note(f"Dask dashboard: {client.dashboard_link}")

        def step(name: str, work: Callable[[Run, Progress], Any]) -> Any:
            with measured.step(name) as record:
                result = run.runner.step(name, lambda progress: work(run, progress))
                record["reused"] = name in run.reused
            return result

        yield step


def decide_number(run: Run, step: Step) -> Decision:
    """Decide over the scored fits; first make what only some strategies look at."""
    if run.request.strategy == "published":
        step("published", older_rules.fit_as_published)
    return step("decide", decide.decide)


def complete(run: Run, mark: str, measured: Measurement, step: Step, acquisition: str) -> None:
    """Draw the maps of the decided fit; complete the results of a named acquisition."""
    step("clusters", conclude.map_clusters)
    if run.request.filter == "epattern":
        step("reflections", conclude.map_reflections)
    step("baseline", conclude.compare_baseline)
    run.runner.table("decision", decide.decision_rows(run, run.ks))
    measured.facts(
        request=run.request.model_dump(mode="json"),
        versions=versions(),
        machine=machine(),
        dashboard=run.client.dashboard_link,
        notes=conclude.remarks(run),
    )
    _finish(run, mark, acquisition)


def report(run: Run, measured: Measurement) -> None:
    """Write the report and the record of the run beside results that are complete."""
    with measured.step("report"):
        run.runner.step("report", lambda _progress: _report(run, measured))
    _write_json(run.folder.unfinished / "run.json", measured.record())
    for figure in sorted((run.folder.unfinished / "figures").glob("*.png")):
        run.runner.image(figure.stem, figure)


def _finish(run: Run, mark: str, acquisition: str) -> None:
    """Write the root of the results, last: only then are they complete."""
    import xarray as xr

    analysis = run.folder.analysis
    raw = xr.open_zarr(run.store, group="raw", consolidated=False, chunks=None)
    root = xr.Dataset(coords={name: raw[name].load() for name in ("scan_y", "scan_x")})
    _drop_stale(run)
    root.to_zarr(analysis, mode="a", consolidated=False, zarr_format=3)
    decision, clusters = run.folder.read("decision"), run.folder.read("clusters")
    attrs = zarr.open_group(analysis, mode="r+").attrs
    attrs.update(
        schema_version=SCHEMA_VERSION,
        orimap_version=versions()["orimap"],
        request=run.request.model_dump(mode="json"),
        acquisition=acquisition,
        decided_k=int(clusters.sizes["cluster"]),
        fitted_k=int(decision.attrs["fitted_k"]),
        notes=conclude.remarks(run),
        status="complete",
    )
    mark_complete(analysis, "", mark)


def _drop_stale(run: Run) -> None:
    """Remove what an earlier, unfinished request left and this one did not ask for."""
    stale = list(SCAN) if run.counts else [*SCAN, "sketch_training"]
    if run.request.filter != "epattern":
        stale.append("reflection_maps")
    # The paper's fits take minutes: they stay where they still hold, for the next time.
    if not run.folder.reuse("published", older_rules.published_mark(run)):
        stale.append("published")
    for name in stale:
        shutil.rmtree(run.folder.analysis / name, ignore_errors=True)
    for folder in ("fits", "basis_fits"):
        for group in (run.folder.analysis / folder).glob("k*"):
            if int(group.name[1:]) not in run.ks:
                shutil.rmtree(group)


def _report(run: Run, measured: Measurement) -> None:
    """Write the report and its figures beside the results that wait to be published."""
    from orimap.tasks.report.report import write_report

    write_report(run.folder.analysis, run.folder.unfinished, run=measured.record())


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, default=str) + "\n")


def check(request: Request) -> Acquisition:
    """Check all that can be known before any long work, and open the acquisition.

    Raises
    ------
    InputError
        If something is at fault.
    """
    check_workers(request)
    check_filter(request.filter)
    find_strategy(request.strategy)
    acquisition = open_acquisition(
        request.file,
        reader=request.reader,
        signal=request.signal,
        dataset=request.dataset,
        scan_shape=request.scan_shape,
    )
    roi = whole_or_part(request.roi, acquisition.scan_shape, "--roi", "positions")
    crop = whole_or_part(request.crop, acquisition.detector_shape, "--crop", "detector pixels")
    read_mask(request.mask, acquisition.detector_shape, crop, request.bin)
    if request.dark_field is not None:
        if request.filter != "epattern":
            raise InputError(
                "registered reflections for --dark-field (--filter epattern)",
                f"--filter {request.filter}",
                "add --filter epattern, or leave --dark-field out",
            )
        _, shape = reduced_shapes(request, acquisition)
        whole_or_part(request.dark_field, shape, "--dark-field", "pixels after --crop and --bin")
    if not roi:
        raise InputError("scan positions", "none", "widen --roi")
    range_of_k(request, acquisition)
    if request.cluster == "local" and request.profile is None:
        load_that_fits(request, workload(request, acquisition))
    if request.strategy == "published":
        check_size(reduced_shapes(request, acquisition)[0])
    return acquisition


def ingest_mark(request: Request, acquisition: Acquisition) -> str:
    """Return the fingerprint of what goes into patterns.zarr."""
    mask = request.mask.read_bytes().hex() if request.mask else None
    return fingerprint(
        acquisition=acquisition.identity,
        crop=request.crop,
        roi=request.roi,
        bin=request.bin,
        mask=fingerprint(mask=mask),
    )


def run_mark(request: Request, acquisition: Acquisition) -> str:
    """Return the fingerprint of the whole request."""
    return request_mark(request, ingest_mark(request, acquisition))


def request_mark(request: Request, ingest: str) -> str:
    """Return the fingerprint of a request, of patterns that have the mark ``ingest``."""
    return fingerprint(ingest=ingest, asked=request.model_dump(mode="json", exclude=HOW))


def is_complete(folder: RunFolder, mark: str) -> bool:
    """Return whether the folder holds the complete results of this very request."""
    try:
        attrs = zarr.open_group(folder.published_analysis, mode="r").attrs
    except FileNotFoundError:
        return False
    return (
        attrs.get("status") == "complete"
        and complete_mark(folder.published_analysis, "") == mark
        and (folder.root / "report.html").exists()
    )


@contextmanager
def _tidy_after_refusal(output: Path) -> Iterator[None]:
    """Leave nothing behind when the input turns out to be at fault.

    What is unfinished stays where it was there before, or where only something is not available
    for now (a worker, a scheduler): the next run goes on from it.
    """
    unfinished = output / ".unfinished"
    before = unfinished.exists()
    try:
        yield
    except InputError as error:
        done = isinstance(error, UnavailableError) and _has_files(unfinished)
        if not before and not done:
            shutil.rmtree(unfinished, ignore_errors=True)
        if {p.name for p in output.iterdir()} <= {".lock"}:
            (output / ".lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                output.rmdir()
        raise


def _has_files(folder: Path) -> bool:
    """Tell whether anything was written."""
    return any(path.is_file() for path in folder.rglob("*"))
