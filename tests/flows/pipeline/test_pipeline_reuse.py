"""What a later run takes over from one that ended, broke or was killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from orimap.flows.pipeline import results as pipeline_results
from orimap.flows.pipeline.steps import conclude, factorise
from orimap.tasks.errors import InputError
from orimap.tasks.maps.decomposition import decompose
from orimap.tasks.store.run_folder import RunFolder

# Of the scan that conftest.py makes.
SCAN, DETECTOR = (12, 14), (64, 64)


@pytest.fixture(scope="module")
def three(sharing_workers, bare_pages, run, scan, tmp_path_factory):
    """A finished run of k = 3 with a bare page; not to be written to."""
    with sharing_workers(), bare_pages():
        return run(scan, tmp_path_factory.mktemp("three") / "results", k="3:3")


@pytest.fixture
def output(three, tmp_path):
    """A folder of its own with the results of that run."""
    return shutil.copytree(three, tmp_path / "output")


def test_the_same_request_again_does_nothing_at_once(run, finished_run, scan, same_workers):
    before = (finished_run / "run.json").stat().st_mtime_ns
    started = time.perf_counter()
    run(scan, finished_run, k="1:8", workers=1)
    assert time.perf_counter() - started < 2
    assert same_workers == []
    assert (finished_run / "run.json").stat().st_mtime_ns == before
    assert not (finished_run / ".unfinished").exists()


def test_maps_that_are_used_again_bring_the_components_they_were_drawn_of(
    run, reused, scan, output, same_workers
):
    before = decompose(output, (3, 4))
    (output / "report.html").unlink()
    run(scan, output, k="3:3")
    assert "clusters" in reused(output)
    xr.testing.assert_identical(decompose(output, (3, 4)), before)


def test_another_range_of_k_uses_what_is_there(run, results, reused, tiny, same_workers, tmp_path):
    run(tiny, tmp_path, k="2:4", keep="all")
    chunk = next((tmp_path / "patterns.zarr" / "raw" / "pattern_intensity" / "c").rglob("0"))
    before = chunk.stat().st_mtime_ns
    run(tiny, tmp_path, k="3:3", keep="all")
    assert {"ingest", "sketch", "fit", "score"} <= reused(tmp_path)
    assert [p.name for p in sorted((tmp_path / "analysis.zarr" / "fits").glob("k*"))] == ["k03"]
    run(tiny, tmp_path, k="2:5")
    assert {"ingest", "sketch"} <= reused(tmp_path)
    assert not {"fit", "score"} & reused(tmp_path)
    assert chunk.stat().st_mtime_ns == before
    assert results(tmp_path).attrs["request"]["k"] == [2, 5]


def test_restart_computes_everything_anew_from_the_file(run, reused, tiny, same_workers, tmp_path):
    run(tiny, tmp_path, k="2:2", filter="mean")
    inode = (tmp_path / "patterns.zarr").stat().st_ino
    run(tiny, tmp_path, k="2:2", filter="mean", restart=True)
    assert reused(tmp_path) == set()
    assert (tmp_path / "patterns.zarr").stat().st_ino != inode
    assert {"raw", "mean"} <= {p.name for p in (tmp_path / "patterns.zarr").iterdir()}


def test_a_finished_run_serves_another_rule_without_what_only_fits_start_from(
    run, reused, scan, same_workers, output
):
    assert not (output / "analysis.zarr" / "basis_fits").exists()
    run(scan, output, k="3:3", strategy="knee")
    assert {"ingest", "sketch", "fit", "score"} <= reused(output)
    # More components need the training half: its sketch is made again. To keep all is to have all.
    run(scan, output, k="3:4", keep="all")
    assert not {"fit", "score"} & reused(output)
    kept = {path.name for path in (output / "analysis.zarr" / "basis_fits").glob("k*")}
    assert kept >= {"k03", "k04"}
    assert (output / "analysis.zarr" / "sketch_training").exists()


def test_more_is_kept_by_computing_it_again_and_less_by_removing_it(
    run, results, scan, same_workers, output
):
    label = results(output)["clusters"]["cluster_label"].values
    run(scan, output, k="3:3", keep="results")
    assert same_workers == []
    assert not (output / "patterns.zarr" / "raw").exists()
    assert results(output).attrs["kept"] == "results"
    with pytest.raises(InputError, match="without the patterns"):
        decompose(output, (3, 4))
    run(scan, output, k="3:3")
    assert same_workers != []
    assert results(output).attrs["kept"] == "fits"
    assert decompose(output, (3, 4)).attrs["position"] == [3, 4]
    np.testing.assert_array_equal(results(output)["clusters"]["cluster_label"].values, label)


class InterruptedRunError(RuntimeError):
    pass


def raising(*_args, **_kwargs):
    raise InterruptedRunError


@pytest.mark.parametrize(
    "step",
    [
        (factorise, "score"),
        pytest.param((conclude, "compare_baseline"), marks=pytest.mark.slow),
    ],
)
def test_a_run_that_broke_goes_on_where_it_stopped(
    run, reused, results, three, scan, same_workers, tmp_path, monkeypatch, step
):
    with monkeypatch.context() as patch:
        patch.setattr(*step, raising)
        with pytest.raises(InterruptedRunError):
            run(scan, tmp_path, k="3:3")
    assert not (tmp_path / "analysis.zarr").exists()
    run(scan, tmp_path, k="3:3")
    assert {"ingest", "sketch", "fit"} <= reused(tmp_path)
    # What it goes on with is what it would have computed with: the same to the last bit.
    one, other = results(three), results(tmp_path)
    assert set(other.children) == set(one.children)
    for group in ("sketch", "fits/k03", "decision", "grains", "clusters", "overlap"):
        xr.testing.assert_equal(one[group].to_dataset(), other[group].to_dataset())


@pytest.mark.slow
def test_the_last_results_stay_until_another_request_is_complete(
    run, results, scan, same_workers, output, monkeypatch
):
    record = (output / "run.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline_results, "write_report", raising)
        with pytest.raises(InterruptedRunError):
            run(scan, output, k="3:3", roi="0:8,0:10")
    tree = results(output)
    assert tree.attrs["status"] == "complete"
    assert tree["clusters"]["cluster_label"].shape == SCAN
    raw = xr.open_zarr(output / "patterns.zarr", group="raw", consolidated=False)
    assert raw["pattern_intensity"].shape == (*SCAN, *DETECTOR)
    assert (output / "run.json").read_bytes() == record

    # A third request must not take over the second one's patterns and coordinates.
    run(scan, output, k="3:3", seed=5)
    raw = xr.open_zarr(output / "patterns.zarr", group="raw", consolidated=False)
    assert raw["pattern_intensity"].shape == (*SCAN, *DETECTOR)
    assert results(output)["scan_y"].shape == (12,)


@pytest.mark.slow
def test_another_way_to_register_leaves_the_last_results_until_it_is_complete(
    run, scan, same_workers, tmp_path, monkeypatch
):
    run(scan, tmp_path, k="3:3", filter="epattern")
    before = xr.open_zarr(
        tmp_path / "patterns.zarr", group="reflections", consolidated=False
    ).load()
    kept = tmp_path / "patterns.zarr" / "raw" / "pattern_intensity"
    chunk = next(path for path in kept.rglob("*") if path.is_file())
    inode = chunk.stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(pipeline_results, "write_report", raising)
        with pytest.raises(InterruptedRunError):
            run(scan, tmp_path, k="3:3", filter="epattern", epattern_lengths="paper")
    after = xr.open_zarr(tmp_path / "patterns.zarr", group="reflections", consolidated=False)
    xr.testing.assert_identical(before, after.load())
    run(scan, tmp_path, k="3:3", filter="epattern", epattern_lengths="paper")
    after = xr.open_zarr(tmp_path / "patterns.zarr", group="reflections", consolidated=False)
    assert after.attrs["lengths"] == "paper"
    # The patterns themselves were not written again.
    assert chunk.stat().st_ino == inode


def test_results_half_moved_when_a_run_was_killed_are_moved_by_the_next(
    run, results, scan, same_workers, output, monkeypatch
):
    moves = []
    rename = Path.rename

    def stop_at_the_third(self, target):
        moves.append(target)
        if len(moves) == 3:
            raise InterruptedRunError
        return rename(self, target)

    def publish(folder):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", stop_at_the_third)
            original(folder)

    original = RunFolder.publish
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "publish", publish)
        with pytest.raises(InterruptedRunError):
            run(scan, output, k="3:3", seed=4)
    same_workers.clear()
    run(scan, output, k="3:3", seed=4)
    assert same_workers == []
    assert results(output).attrs["request"]["seed"] == 4
    assert json.loads((output / "run.json").read_text())["request"]["seed"] == 4
    assert {p.name for p in output.iterdir()} == {
        "analysis.zarr", "patterns.zarr", "report.html", "figures", "run.json", ".lock",
    }  # fmt: skip


KILLED_IN_THE_FITS = """
    import os, signal, sys
    from pathlib import Path
    from orimap.flows.pipeline.pipeline import run_pipeline
    from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
    from orimap.flows.pipeline.steps import factorise
    from orimap.flows.request.request import Request

    def kill(run, progress, fitted):
        print("killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    if __name__ == "__main__":
        factorise.score = kill
        request = Request.read(file=sys.argv[1], output=sys.argv[2], k="3:3", workers=1)
        run_pipeline(request, PlainRunner(NoDisplay()))
"""


def test_a_killed_process_leaves_a_run_that_can_go_on(
    run, reused, same_results, finished_run, scan, same_workers, tmp_path
):
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED_IN_THE_FITS))
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, script, scan, out], capture_output=True, text=True, timeout=180,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "analysis.zarr").exists()
    run(scan, out, k="3:3")
    assert {"ingest", "sketch", "fit"} <= reused(out)
    same_results(finished_run, out, 3)


def test_two_runs_cannot_write_one_folder(run, scan, same_workers, tmp_path):
    from orimap.tasks.store.run_folder import only_writer

    with only_writer(tmp_path), pytest.raises(InputError, match="another run"):
        run(scan, tmp_path, k="3:3")
    assert same_workers == []
