from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.stream.memory import (
    BESIDE_THREADS_BYTES,
    CHUNK_BYTES,
    FEWEST_CHUNKS,
    FORK_SERVER_BYTES,
    SMALLEST_CHUNK_BYTES,
    StepMemory,
    Workload,
    chunk_bytes_for,
    largest_chunk_bytes,
    predict_disk_bytes,
    predict_steps,
)

SCAN, DETECTOR = (128, 128), (256, 256)
LOAD = Workload(SCAN, DETECTOR, np.dtype("u2"))
GIB = 2**30


def peak_of(load, workers):
    """Peak memory of a run over all its processes."""
    return max(step.total(workers) for step in predict_steps(load).values())


def peak(workers=2, **changed):
    return peak_of(replace(LOAD, **changed), workers)


def test_chunks_of_a_large_scan_have_the_full_size():
    assert chunk_bytes_for(SCAN, 2 * 256 * 256) == CHUNK_BYTES
    assert chunk_bytes_for(SCAN, 2 * 256 * 256, 2**22) == 2**22


def test_a_small_scan_is_cut_so_that_every_core_has_work():
    pattern = 2 * 64 * 64
    chunk = chunk_bytes_for((16, 16), pattern)
    assert 16 * 16 * pattern / chunk == FEWEST_CHUNKS
    assert chunk_bytes_for((1, 3), pattern) == pattern


def test_a_pattern_larger_than_a_chunk_is_a_chunk():
    assert chunk_bytes_for((9, 9), 2 * CHUNK_BYTES) == CHUNK_BYTES
    assert peak(scan_shape=(9, 9), detector_shape=(8192, 4096)) > 2 * 2 * 8192 * 4096


def test_more_of_anything_never_needs_less():
    assert peak(workers=1) < peak(workers=2) < peak(workers=16)
    for small, large in [
        ({"detector_shape": (128, 128)}, {}),
        ({"scan_shape": (64, 64)}, {}),
        ({"k_max": 5}, {"k_max": 20}),
        ({"k_max": 20}, {"k_max": 40}),
        ({}, {"read_memory_bytes": 10**9}),
        ({}, {"registered": True}),
        ({"filled": 0.01}, {"filled": 0.2}),
        ({"filled": 0.05}, {"filled": 1.0}),
        ({"held_out": False}, {"held_out": True}),
        ({"chunk_bytes": 2**22}, {}),
    ]:
        before = predict_steps(replace(LOAD, **small))
        after = predict_steps(replace(LOAD, **large))
        for name, step in before.items():
            assert step.total(2) <= after[name].total(2), (name, small, large)


def test_the_scan_itself_is_never_held():
    """Sixteen times the positions need maps and weights, far below the patterns they add."""
    more = peak(scan_shape=(512, 512)) - peak()
    patterns = (512 * 512 - 128 * 128) * 2 * 256 * 256
    assert more < 0.1 * patterns


@pytest.mark.parametrize("scan", [(1, 1), (1, 9), (2, 2)])
@pytest.mark.parametrize("filled", [0.0, 0.01, 1.0])
def test_tiny_scans_need_memory_too(scan, filled):
    assert peak(scan_shape=scan, detector_shape=(8, 8), filled=filled) > 0


def test_the_paper_s_class_of_scan_fits_four_gibibytes():
    """100,000 patterns of 512x512 with 5,000 electrons each, on two workers."""
    load = Workload((250, 400), (512, 512), np.dtype("u2"), filled=0.018)
    assert peak_of(load, 2) <= 4 * GIB


def test_a_batch_of_sparse_rows_is_bounded_by_patterns_and_by_entries():
    load = replace(LOAD, filled=0.05)
    patterns, size = load.batch
    # Two chunks of 256 patterns; number and value of each entry, 4 bytes each.
    assert (patterns, size) == (512, int(512 * 256 * 256 * 0.05 * 8))
    patterns, size = replace(load, filled=0.2, detector_shape=(512, 512)).batch
    assert size == pytest.approx(8 * 2**23, rel=1e-6)
    assert patterns == pytest.approx(2**23 / (0.2 * 512 * 512), abs=1)
    assert replace(LOAD, dtype=np.dtype("f4"), filled=0.01).batch == (121, 121 * 256 * 256 * 4)


def test_steps_add_up_over_processes_and_what_stands_beside_them():
    step = StepMemory(worker=3, command=5, base=2)
    assert step.total(4) == 17 + FORK_SERVER_BYTES
    # Threads share the libraries of the command.
    assert step.total(4, threads=True) == 9 + BESIDE_THREADS_BYTES


def test_chunks_shrink_until_every_worker_fits():
    dense = replace(LOAD, dtype=np.dtype("u4"))
    needs = {
        size: max(s.worker for s in predict_steps(replace(dense, chunk_bytes=size)).values())
        for size in (CHUNK_BYTES, CHUNK_BYTES // 4)
    }
    assert needs[CHUNK_BYTES // 4] < needs[CHUNK_BYTES]
    everything = {"workers": 2, "total_bytes": 10**12}
    assert largest_chunk_bytes(dense, worker_bytes=needs[CHUNK_BYTES], **everything) == CHUNK_BYTES
    between = (needs[CHUNK_BYTES] + needs[CHUNK_BYTES // 4]) // 2
    found = largest_chunk_bytes(dense, worker_bytes=between, **everything)
    assert SMALLEST_CHUNK_BYTES <= found < CHUNK_BYTES
    fitting = predict_steps(replace(dense, chunk_bytes=found)).values()
    assert max(step.worker for step in fitting) <= between


def test_what_fits_nowhere_is_refused_with_the_remedy():
    with pytest.raises(InputError) as refused:
        largest_chunk_bytes(LOAD, 8, worker_bytes=64 * GIB, total_bytes=GIB)
    message = str(refused.value)
    assert "8 workers" in message
    assert "1.0 GiB free" in message
    assert "fewer --workers" in message
    with pytest.raises(InputError, match="--worker-memory") as refused:
        largest_chunk_bytes(LOAD, 1, worker_bytes=2**28, total_bytes=64 * GIB)
    assert "0.2 GiB for each worker" in str(refused.value)


def test_disk_space_holds_patterns_and_factors():
    # 100 patterns of 32 bytes, and for k = 1, 2: 3 weights a position and 3 components.
    pages_and_blocks = 4_000_000 + 4096 * (600 + 18 * 2)
    arrays = 100 * (32 + 24) + 24 * 32 * 3
    assert predict_disk_bytes((10, 10), 32, k_max=2) == arrays + pages_and_blocks
