import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from threading import Thread

import numpy as np
import pytest
import xarray as xr

from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.request.request import Request
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

# Workers take seconds to start on a machine that is busy with other tests.
GONE_SECONDS = 60


class Flow:
    """A run of the command line, whose lines about its progress are read as they come."""

    def __init__(self, *arguments, folder):
        # In a folder with a file that must not be imported in place of the standard library's.
        (folder / "random.py").write_text("raise ImportError('the wrong file')\n")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orimap.flows", "run", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"},
        )
        self.lines = deque()
        # What outlives a killed process by a moment may hold its error output open.
        self.reader = Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        self.lines.extend(line.rstrip() for line in iter(self.process.stderr.readline, ""))

    def wait_for(self, pattern, seconds=120):
        until = time.monotonic() + seconds
        while not any(re.search(pattern, line) for line in list(self.lines)):
            assert self.process.poll() is None, self.text
            assert time.monotonic() < until, self.text
            time.sleep(0.05)

    def end(self, code=0, seconds=180):
        try:
            out = self.process.stdout.read()
            assert self.process.wait(seconds) == code, self.text
        finally:
            self.process.kill()
            self.reader.join(10)
        return out

    @property
    def text(self):
        return "\n".join(self.lines)


def wait_until_gone(own_jobs):
    until = time.monotonic() + GONE_SECONDS
    while left := own_jobs():
        assert time.monotonic() < until, left
        time.sleep(0.2)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.zarr"
    recipe = ScanRecipe(scan=(12, 15), detector=(48, 48), grains=3, dose=3000, seed=4)
    write_scan(recipe, path)
    return path


OPTIONS = ("--k", "1:5", "--centre", "no", "--orchestrate", "never")
ON_SLURM = ("--cluster", "slurm", "--workers", "2")


@pytest.fixture(scope="module")
def local(scan, client, tmp_path_factory):
    """The results of the same request from workers on this machine, with a bare page."""
    options = dict(zip(OPTIONS[::2], OPTIONS[1::2], strict=True))
    request = Request.read(
        file=scan,
        output=tmp_path_factory.mktemp("local") / "results",
        cluster=client.scheduler.address,
        **{name.removeprefix("--"): value for name, value in options.items()},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "orimap.tasks.report.report.write_report",
            lambda _results, output, *, run, **_: (output / "report.html").write_text(
                f"{len(run)}"
            ),
        )
        return run_pipeline(request, PlainRunner(NoDisplay()))


def same_results(one, other):
    trees = [
        xr.open_datatree(folder / "analysis.zarr", engine="zarr", consolidated=False)
        for folder in (one, other)
    ]
    assert trees[0].attrs["decided_k"] == trees[1].attrs["decided_k"]
    assert trees[0].attrs["fitted_k"] == trees[1].attrs["fitted_k"]
    labels = [tree["clusters"]["cluster_label"].values for tree in trees]
    np.testing.assert_array_equal(*labels)
    losses = [tree["decision"]["k_component_loss"].values for tree in trees]
    np.testing.assert_allclose(*losses, rtol=1e-6)  # the sums of float32 numbers


def test_a_run_over_slurm_gives_the_local_result_though_a_job_is_lost(
    own_jobs, scan, local, tmp_path
):
    output = tmp_path / "results"
    flow = Flow(scan, "--output", output, *OPTIONS, *ON_SLURM, folder=tmp_path)
    flow.wait_for("2 of 2 workers")
    flow.wait_for("ingest: done")  # the fits have begun
    workers = output / ".workers"
    assert workers.stat().st_mode & 0o777 == 0o700
    assert (workers / "key.pem").stat().st_mode & 0o777 == 0o600
    first, second = sorted(job.id for job in own_jobs())
    script = subprocess.run(
        ["scontrol", "write", "batch_script", first, "-"], capture_output=True, text=True
    ).stdout
    assert "tls://127.0.0.1:" in script
    assert str(workers / "key.pem") in script
    assert "PRIVATE KEY" not in script + flow.text
    subprocess.run(["scancel", second], check=True)
    flow.end()
    assert "1 of the workers' jobs lost, replaced" in flow.text
    assert "the Dask dashboard answers on" in flow.text
    same_results(output, local)
    wait_until_gone(own_jobs)
    assert not workers.exists()


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_leaves_no_job(own_jobs, scan, local, tmp_path):
    output = tmp_path / "results"
    arguments = (scan, "--output", output, *OPTIONS, *ON_SLURM)
    killed = Flow(*arguments, folder=tmp_path)
    killed.wait_for("ingest: done")
    left = sorted(job.id for job in own_jobs())
    assert len(left) == 2
    killed.process.send_signal(signal.SIGKILL)
    killed.end(-signal.SIGKILL)
    again = Flow(*arguments, folder=tmp_path)
    again.end()
    assert "ingest: done in 0" in again.text  # it was there already
    assert not set(left) & {job.id for job in own_jobs()}
    same_results(output, local)
    wait_until_gone(own_jobs)
    assert not (output / ".workers").exists()
