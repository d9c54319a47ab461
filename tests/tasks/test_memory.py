import numpy as np
import pytest

from orimap.tasks.memory import (
    CHUNK_BYTES,
    FEWEST_CHUNKS,
    chunk_bytes_for,
    predict_disk_bytes,
    predict_peak_bytes,
)

SCAN, DETECTOR = (128, 128), (256, 256)


def peak(scan=SCAN, detector=DETECTOR, dtype="u2", workers=2, **more):
    return predict_peak_bytes(scan, detector, np.dtype(dtype), workers=workers, **more)


def test_chunks_of_a_large_scan_have_the_full_size():
    assert chunk_bytes_for(SCAN, 2 * 256 * 256) == CHUNK_BYTES


def test_a_small_scan_is_cut_so_that_every_core_has_work():
    pattern = 2 * 64 * 64
    chunk = chunk_bytes_for((16, 16), pattern)
    assert 16 * 16 * pattern / chunk == FEWEST_CHUNKS
    assert chunk_bytes_for((1, 3), pattern) == pattern


def test_a_pattern_larger_than_a_chunk_is_a_chunk():
    assert chunk_bytes_for((9, 9), 2 * CHUNK_BYTES) == CHUNK_BYTES
    assert peak((9, 9), (8192, 4096)) > 2 * 2 * 8192 * 4096


def test_more_of_anything_never_needs_less():
    assert peak(workers=1) < peak(workers=2) < peak(workers=16)
    for small, large in [
        ({"detector": (128, 128)}, {}),
        ({"scan": (64, 64)}, {}),
        ({"k_max": 5}, {"k_max": 20}),
        ({"k_max": 20}, {"k_max": 40}),
        ({}, {"read_memory_bytes": 10**9}),
        ({}, {"registered": True}),
    ]:
        assert peak(**small) <= peak(**large), (small, large)


def test_the_scan_itself_is_never_held():
    """Sixteen times the positions need maps and weights, far below the patterns they add."""
    more = peak((512, 512)) - peak((128, 128))
    patterns = (512 * 512 - 128 * 128) * 2 * 256 * 256
    assert more < 0.1 * patterns


@pytest.mark.parametrize("scan", [(1, 1), (1, 9), (2, 2)])
def test_tiny_scans_have_a_bound_too(scan):
    assert peak(scan, (8, 8)) > 0


def test_disk_space_holds_patterns_and_factors():
    # 100 patterns of 32 bytes, and for k = 1, 2: 3 weights a position and 3 components.
    assert predict_disk_bytes((10, 10), 32, k_max=2) == 100 * (32 + 24) + 24 * 32 * 3
