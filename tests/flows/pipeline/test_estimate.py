import numpy as np
import pytest

from orimap.flows.pipeline.estimate import estimate, load_that_fits
from orimap.flows.pipeline.plan import Plan
from orimap.flows.request.request import Request
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan
from orimap.tasks.stream.memory import CHUNK_BYTES, Workload, predict_steps

# Dense integers of 32 bits: large chunks, and rows in double precision.
LOAD = Workload((128, 128), (256, 256), np.dtype("u4"))


def test_an_estimate_is_of_what_the_request_leaves_of_the_scan(tmp_path):
    file = tmp_path / "scan.npy"
    write_scan(ScanRecipe(scan=(20, 24), detector=(64, 64), grains=2), file)
    acquisition = open_acquisition(file)

    def of(**asked):
        return estimate(Plan.of(Request.read(file=file, output=tmp_path, **asked), acquisition))

    whole = of(workers=2)
    assert whole.range_of_k == (1, 20)
    assert whole.workers == 2
    # Patterns as if they did not compress, and the factors.
    assert whole.disk_bytes > 20 * 24 * 64 * 64 * 2
    part = of(workers=2, roi="0:2,0:3", bin=2)
    assert part.range_of_k == (1, 5)
    assert part.disk_bytes < whole.disk_bytes
    assert part.memory_bytes < whole.memory_bytes
    # Each process has libraries of its own; threads share those of the command.
    two, four = (of(workers=workers, cluster="processes") for workers in (2, 4))
    assert whole.memory_bytes < two.memory_bytes < four.memory_bytes
    assert part.seconds < whole.seconds


def request(tmp_path, **asked):
    return Request.read(file=tmp_path / "scan.npy", output=tmp_path, workers=2, **asked)


def test_a_workload_is_read_off_the_request_and_a_few_patterns(tmp_path):
    scan = write_scan(ScanRecipe(scan=(9, 12), detector=(48, 40), dose=300), tmp_path / "scan.npy")
    acquisition = open_acquisition(tmp_path / "scan.npy")
    load = Plan.of(request(tmp_path, k="1:7"), acquisition).load
    assert (load.scan_shape, load.detector_shape, load.k_max) == ((9, 12), (48, 40), 7)
    assert load.held_out
    filled = np.count_nonzero(np.load(tmp_path / "scan.npy")) / (9 * 12 * 48 * 40)
    assert load.filled == pytest.approx(filled, rel=0.3)
    assert scan.recipe.dose == 300
    asked = request(tmp_path, bin=2, roi="0:4,0:5", counts="no")
    binned = Plan.of(asked, acquisition).load
    assert (binned.scan_shape, binned.detector_shape) == ((4, 5), (24, 20))
    assert not binned.held_out
    assert filled < binned.filled < 4 * load.filled


def test_a_run_that_fits_has_chunks_of_the_full_size(tmp_path, client):
    assert load_that_fits(request(tmp_path), LOAD).chunk_bytes == CHUNK_BYTES
    assert load_that_fits(request(tmp_path), LOAD, client).chunk_bytes == CHUNK_BYTES


def test_chunks_follow_the_memory_of_a_worker(tmp_path):
    needed = max(step.worker for step in predict_steps(LOAD).values())
    # Dask lets a worker use four fifths of its limit.
    plenty, little = (f"{int(share * needed / 0.8)} B" for share in (1.01, 0.9))
    asked = request(tmp_path, worker_memory=plenty)
    assert load_that_fits(asked, LOAD).chunk_bytes == CHUNK_BYTES
    asked = request(tmp_path, worker_memory=little)
    assert load_that_fits(asked, LOAD).chunk_bytes < CHUNK_BYTES


def test_too_little_memory_is_refused_before_anything_is_made(tmp_path):
    write_scan(ScanRecipe(scan=(9, 12), detector=(48, 48)), tmp_path / "scan.npy")
    from orimap.flows.pipeline.pipeline import run_pipeline
    from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner

    asked = request(tmp_path, worker_memory="200 MiB").model_copy(
        update={"output": tmp_path / "results"}
    )
    with pytest.raises(InputError, match="--worker-memory or take fewer --workers") as refused:
        run_pipeline(asked, PlainRunner(NoDisplay()))
    assert "0.2 GiB for each worker" in str(refused.value)
    assert not (tmp_path / "results").exists()
