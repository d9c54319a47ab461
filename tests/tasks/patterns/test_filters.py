import numpy as np
import pytest
import zarr

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.filters import (
    analysed_dataset,
    check_filter,
    mean_of_neighbours,
    write_mean,
)
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.store.whole.seal import seal
from orimap.tasks.stream.blocks import Block


def test_known_filters_pass():
    for name in ("raw", "mean", "epattern"):
        check_filter(name)


def test_other_filters_are_refused_with_what_there_is():
    with pytest.raises(InputError) as caught:
        check_filter("median")
    assert "raw, mean, epattern" in caught.value.needed
    assert "median" in caught.value.found


def test_a_mean_is_over_two_of_three_neighbours_at_an_edge():
    patterns = np.array([[[[0.0]], [[6.0]], [[12.0]]]])
    whole = Block(0, 1, 0, 3)
    np.testing.assert_allclose(mean_of_neighbours(patterns, whole, whole).ravel(), [3, 6, 9])


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_the_mean_equals_a_loop_over_neighbours(brute_force_mean, dtype):
    patterns = np.random.default_rng(0).integers(0, 250, (4, 5, 6, 7)).astype(dtype)
    whole = Block(0, 4, 0, 5)
    found = mean_of_neighbours(patterns, whole, whole)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, brute_force_mean(patterns), rtol=1e-6)


def test_values_that_are_negative_or_not_finite_count_as_zero_in_the_mean():
    patterns = np.array([[[[np.nan, -4.0]], [[6.0, 8.0]]]], np.float32)
    whole = Block(0, 1, 0, 2)
    np.testing.assert_array_equal(
        mean_of_neighbours(patterns, whole, whole), [[[[3, 4]], [[3, 4]]]]
    )


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 2), (1, 5)])
def test_borders_of_chunks_leave_no_trace_on_disk(
    one_worker, store_patterns, small_scan, brute_force_mean, shape
):
    source = store_patterns(small_scan, shape)
    group = zarr.open_group(source.store, path="raw", mode="r+")
    group.create_array("position", data=np.arange(4.0), dimension_names=["scan_y"])
    group["pattern_intensity"].attrs["units"] = "electron"
    seal(source.store, "raw")
    write_mean(one_worker, source.store, "the mark")
    made = zarr.open_group(source.store, path="mean", mode="r")
    values = made["pattern_intensity"]
    np.testing.assert_allclose(values[:], brute_force_mean(small_scan), rtol=1e-6)
    assert values.chunks == (*shape, 6, 7)
    assert values.attrs["units"] == "electron"
    assert values.metadata.dimension_names == ("scan_y", "scan_x", "detector_y", "detector_x")
    np.testing.assert_array_equal(made["position"][:], np.arange(4.0))
    assert complete_mark(source.store, "mean") == "the mark"
    rows = PatternSource.open(source.store, "mean").rows(Block(1, 2, 1, 2), np.ones((6, 7), bool))
    np.testing.assert_allclose(rows.ravel(), brute_force_mean(small_scan)[1, 1].ravel(), rtol=1e-6)


def test_a_scan_of_one_position_is_its_own_mean(one_worker, store_patterns):
    source = store_patterns(np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3))
    write_mean(one_worker, source.store, "m")
    values = zarr.open_group(source.store, path="mean", mode="r")["pattern_intensity"][:]
    np.testing.assert_array_equal(values.ravel(), range(6))


@pytest.mark.parametrize("shape", [(4, 5), (3, 2), (1, 1)])
def test_mean_and_filling_match_numpy_whatever_the_blocks(
    one_worker, store_patterns, small_scan, shape
):
    mask = np.zeros((6, 7), np.uint8)
    mask[2, 3], mask[0] = 1, 16
    ds = analysed_dataset(one_worker, store_patterns(small_scan, shape), mask)
    used = small_scan[:, :, mask == 0]
    mean = small_scan.mean(axis=(0, 1))
    np.testing.assert_allclose(ds["detector_mean"], np.where(mask == 0, mean, 0), rtol=1e-6)
    np.testing.assert_array_equal(ds["detector_mask"], mask)
    assert ds.attrs["mean_intensity"] == pytest.approx(used.mean())
    assert ds.attrs["zero_fraction"] == pytest.approx(np.mean(used == 0))


def test_a_detector_that_is_masked_altogether_has_no_intensity(
    one_worker, store_patterns, small_scan
):
    ds = analysed_dataset(one_worker, store_patterns(small_scan), np.ones((6, 7), np.uint8))
    assert ds.attrs["mean_intensity"] == 0
    assert not ds["detector_mean"].values.any()
