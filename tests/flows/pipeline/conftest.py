"""A scan of three grains, a finished run of it, and what the tests of the pipeline do with runs."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.cluster.local import thread_client
from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.helpers import Here
from orimap.flows.pipeline.runtime.run import Run
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.pipeline.steps import conclude, decide, factorise, prepare
from orimap.flows.request.request import Request
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan
from orimap.tasks.store.run_folder import RunFolder
from orimap.tasks.stream.blocks import silent


@pytest.fixture(scope="session")
def scan(tmp_path_factory):
    """A calibrated scan of three grains, its truth beside it."""
    path = tmp_path_factory.mktemp("scan") / "three.zarr"
    write_scan(ScanRecipe(scan=(12, 14), detector=(64, 64), grains=3, dose=3000, seed=3), path)
    return path


@pytest.fixture(scope="session")
def counts(scan):
    """The patterns of the scan."""
    return zarr.open_group(scan, mode="r")["pattern_intensity"][:]


@pytest.fixture(scope="session")
def run():
    """Analyse a file with some options; returns the folder of the results."""

    def analyse(file, output, **options):
        request = Request.read(file=file, output=output, **options)
        return run_pipeline(request, PlainRunner(NoDisplay()))

    return analyse


@pytest.fixture(scope="session")
def results():
    """Open the results in a folder."""

    def opened(folder):
        return xr.open_datatree(folder / "analysis.zarr", engine="zarr", consolidated=False)

    return opened


@pytest.fixture(scope="session")
def reused():
    """Return the names of the steps that the last run into a folder took over."""

    def names(folder):
        record = json.loads((folder / "run.json").read_text())
        return {step["name"] for step in record["steps"] if step["reused"]}

    return names


@pytest.fixture(scope="session")
def saved():
    """Save patterns as a scan in a folder; returns its file."""

    def save(folder, values):
        np.save(folder / "scan.npy", values)
        return folder / "scan.npy"

    return save


@pytest.fixture(scope="session")
def same_results(results):
    """Compare labels, factors and decision of two runs."""

    def compare(one, other, k):
        a, b = results(one), results(other)
        assert a.attrs["decided_k"] == b.attrs["decided_k"]
        np.testing.assert_array_equal(
            a["clusters"]["cluster_label"], b["clusters"]["cluster_label"]
        )
        for name in ("component_pattern", "scan_weight"):
            x, y = a[f"fits/k{k:02d}"][name].values, b[f"fits/k{k:02d}"][name].values
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * np.abs(x).max())

    return compare


@pytest.fixture(scope="session")
def finished_run(sharing_workers, scan, run, tmp_path_factory):
    """A finished run with k from 1 to 8, made once for all tests; not to be written to."""
    with sharing_workers():
        return run(scan, tmp_path_factory.mktemp("finished") / "results", k="1:8")


@pytest.fixture(scope="session")
def threads():
    """A worker that is a thread of this process."""
    with thread_client(1) as client:
        yield client


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A scan of two grains in 6x7 patterns of 48x48 pixels, its truth beside it."""
    path = tmp_path_factory.mktemp("tiny") / "two.npy"
    recipe = ScanRecipe(scan=(6, 7), detector=(48, 48), grains=2, dose=3000, overlap=0.5, seed=3)
    write_scan(recipe, path)
    return path


@pytest.fixture(scope="session")
def started(threads):
    """Start a run whose steps are called one by one; returns it and its plan."""

    def start(file, output, **options):
        request = Request.read(file=file, output=output, **options)
        folder = RunFolder(request.output)
        folder.prepare()
        run = Run(request, folder, PlainRunner(NoDisplay()), threads, Here())
        return run, Plan.of(request, open_acquisition(file))

    return start


@pytest.fixture(scope="session")
def stages(started, tiny, tmp_path_factory):
    """A run up to its maps, and what each step returned; steps may be called on it again."""
    run, plan = started(tiny, tmp_path_factory.mktemp("stages") / "results", k="1:4")
    ingested = prepare.ingest(run, silent, plan)
    centred = prepare.centre(run, silent, ingested)
    prepared = prepare.filter_patterns(run, silent, ingested, centred)
    fitted = factorise.sketch(run, silent, prepared, plan.ks)
    factorise.fit(run, fitted)
    factorise.score(run, silent, fitted)
    decided = decide.decide(run, silent, fitted)
    conclude.map_clusters(run, silent, decided)
    return SimpleNamespace(
        run=run,
        plan=plan,
        ingested=ingested,
        prepared=prepared,
        fitted=fitted,
        decided=decided,
        again=partial(Run, folder=run.folder, runner=run.runner, client=run.client, helpers=Here()),
    )
