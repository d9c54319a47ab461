import copy

import numpy as np
import pytest

from orimap.tasks.acquire.ingest.blocks.sums import (
    PatternSums,
    SourceFaults,
    count_two,
    region_cuts,
    region_positions,
)
from orimap.tasks.store.pixel_lists import Entries

DETECTOR = (10, 11)


def drawn(dtype, filled, shape=(5, 9)):
    """Values from all that a kind of integer can hold, some of them zero."""
    rng = np.random.default_rng(0)
    least, largest = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = rng.integers(least, largest, (*shape, *DETECTOR), dtype=dtype, endpoint=True)
    return np.where(rng.random(values.shape) < filled, values, 0).astype(dtype)


def listed(patterns):
    return Entries.of(patterns.reshape(-1, DETECTOR[0] * DETECTOR[1]))


def assert_same(one, other):
    for name in ("not_finite", "largest", "often", "next_often", "negative", "saturated"):
        expected, found = getattr(one, name), getattr(other, name)
        assert (found is None) == (expected is None), name
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize("filled", [0, 0.05, 1])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4", "i8"])
def test_lists_tell_the_same_faults_as_the_patterns(dtype, filled):
    whole = drawn("i4" if dtype == "i8" else dtype, filled)
    for patterns in (whole, np.minimum(whole, 1), np.minimum(whole, 0)):
        of_all = SourceFaults.of(patterns.astype(dtype))
        of_lists = SourceFaults.listed(listed(patterns), np.dtype(dtype), DETECTOR)
        assert of_lists.not_finite is None
        for name in ("largest", "often", "next_often", "negative", "saturated"):
            expected, found = getattr(of_all, name), getattr(of_lists, name)
            assert (found is None) == (expected is None)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4"])
def test_faults_are_those_of_numpy(dtype):
    patterns = drawn(dtype, 0.5)
    patterns[0, :3, 2, 2] = np.iinfo(dtype).max
    found = SourceFaults.of(patterns)
    assert found.largest == patterns.max()
    assert found.often == np.count_nonzero(patterns == found.largest)
    assert found.next_often == np.count_nonzero(patterns == found.largest - 1)
    reached = np.count_nonzero(patterns == np.iinfo(dtype).max, axis=(0, 1))
    np.testing.assert_array_equal(found.saturated, reached)


def test_values_that_are_negative_or_not_finite_are_counted_per_pixel():
    patterns = np.ones((2, 3, *DETECTOR), np.float32)
    patterns[0, 1, 4, 5] = np.nan
    patterns[1, :, 4, 5] = np.inf
    patterns[1, 2, 0, 0] = -1
    found = SourceFaults.of(patterns)
    assert found.not_finite[4, 5] == found.not_finite.sum() == 4
    assert found.negative[0, 0] == found.negative.sum() == 1
    assert (found.largest, found.saturated) == (None, None)
    fine = SourceFaults.of(np.ones((2, 3, *DETECTOR), np.float32))
    assert (fine.not_finite, fine.negative) == (None, None)


# Largest values that differ by none, by one and by more between the parts.
@pytest.mark.parametrize("largest", [(255, 255), (255, 254), (254, 255), (255, 7), (0, 1)])
def test_faults_of_two_parts_are_those_of_the_whole(largest):
    rng = np.random.default_rng(3)
    parts = [rng.integers(0, most + 1, (4, 5, *DETECTOR)) for most in largest]
    for part, most in zip(parts, largest, strict=True):
        part[1, 2, 3, :4] = most
    parts = [part.astype(np.uint8) for part in parts]
    whole = SourceFaults.of(np.concatenate(parts))
    one, other = (SourceFaults.of(part) for part in parts)
    assert_same(whole, one.merge(other))
    assert_same(whole, other.merge(one))
    assert_same(whole, SourceFaults().merge(whole))


def test_the_largest_and_those_one_less_are_counted():
    values = np.array([3, 7, 6, 7, 0, 6, 6], np.int16)
    assert count_two(values, 7) == (2, 3)
    assert count_two(values, 5) == (0, 0)
    assert count_two(np.array([-1, 0, -1], np.int8), 0) == (1, 2)
    # Numbers without sign do not wrap around.
    assert count_two(np.array([0, 2**32 - 1], np.uint32), 0) == (1, 0)


@pytest.mark.parametrize("scan", [(9, 11), (2, 3), (1, 1), (4, 4), (100, 1)])
@pytest.mark.parametrize(("detector", "side"), [((512, 512), 4), ((512, 513), 2)])
def test_the_scan_is_cut_in_parts_of_like_size(scan, detector, side):
    cuts = region_cuts(scan, detector)
    sizes = region_positions(cuts)
    assert len(sizes) == min(side, scan[0]) * min(side, scan[1])
    assert sizes.sum() == scan[0] * scan[1]
    for cut, length in zip(cuts, scan, strict=True):
        assert (cut[0], cut[-1]) == (0, length)
        assert np.ptp(np.diff(cut)) <= 1
    numbered = np.diff(cuts[0])[:, None] * np.diff(cuts[1])
    np.testing.assert_array_equal(sizes, numbered.ravel())


def test_sums_of_blocks_add_up_in_every_order():
    rng = np.random.default_rng(1)

    def sums(*numbers):
        regions = {n: rng.integers(0, 99, DETECTOR).astype(float) for n in numbers}
        of_pixels = [rng.integers(0, 99, DETECTOR) for _ in range(3)]
        return PatternSums(regions, *of_pixels, zeros=int(rng.integers(99)))

    one, other = sums(0, 1), sums(1, 4)
    first, second = copy.deepcopy(one), copy.deepcopy(other)
    first.merge(other)
    second.merge(one)
    for found in (first, second):
        assert sorted(found.regions) == [0, 1, 4]
        np.testing.assert_array_equal(found.regions[0], one.regions[0])
        np.testing.assert_array_equal(found.regions[1], one.regions[1] + other.regions[1])
        np.testing.assert_array_equal(found.maximum, np.maximum(one.maximum, other.maximum))
        np.testing.assert_array_equal(found.squares, one.squares + other.squares)
        np.testing.assert_array_equal(found.pairs, one.pairs + other.pairs)
        assert found.zeros == one.zeros + other.zeros
    empty = PatternSums()
    empty.merge(one)
    np.testing.assert_array_equal(empty.maximum, one.maximum)
    one.merge(PatternSums())
    np.testing.assert_array_equal(empty.squares, one.squares)
