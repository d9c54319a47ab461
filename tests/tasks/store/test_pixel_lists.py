import numpy as np
import pytest

from orimap.tasks.store.pixel_lists import Entries


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("filled", [0, 0.1, 1])
def test_listed_patterns_come_back_as_they_were(dtype, filled):
    rng = np.random.default_rng(0)
    largest = np.iinfo(dtype).max
    values = rng.integers(np.iinfo(dtype).min, largest, (7, 40), dtype=dtype, endpoint=True)
    values = np.where(rng.random((7, 40)) < filled, values, 0).astype(dtype)
    values[2] = 0
    entries = Entries.of(values)
    assert len(entries.value) == np.count_nonzero(values)
    back = entries.dense(40)
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)
    np.testing.assert_array_equal(entries.patterns(1, 5).dense(40), values[1:5])
    assert entries.patterns(3, 3).dense(40).shape == (0, 40)


def test_entries_are_in_the_order_of_pixels():
    entries = Entries.of(np.array([[0, 5, 0, 2], [0, 0, 0, 0], [7, 0, 0, 1]], np.uint8))
    np.testing.assert_array_equal(entries.indptr, [0, 2, 2, 4])
    np.testing.assert_array_equal(entries.pixel, [1, 3, 0, 3])
    np.testing.assert_array_equal(entries.value, [5, 2, 7, 1])


def test_lists_that_differ_in_one_value_are_not_equal():
    values = np.array([[0, 5, 0, 2]], np.uint8)
    assert Entries.of(values).equals(Entries.of(values.copy()))
    assert not Entries.of(values).equals(Entries.of(np.array([[0, 5, 0, 3]], np.uint8)))
    assert not Entries.of(values).equals(Entries.of(np.array([[5, 0, 0, 2]], np.uint8)))
