import numpy as np
import pytest

from orimap.tasks.store.cleaning import clean, shifted, without_gaps


def test_values_that_are_negative_or_not_finite_become_zero():
    values = np.array([np.nan, np.inf, -np.inf, -1.5, 0, 2.5], np.float32)
    found = clean(values)
    np.testing.assert_array_equal(found, [0, 0, 0, 0, 0, 2.5])
    assert found.dtype == np.float32


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", "f8"])
def test_the_kind_of_number_stays(dtype):
    values = np.array([-3, 0, 7], dtype)
    found = clean(values)
    np.testing.assert_array_equal(found, [0, 0, 7])
    assert found.dtype == dtype
    np.testing.assert_array_equal(values, [-3, 0, 7])  # what was given is left as it is


def test_what_cannot_be_negative_is_passed_on_without_a_copy():
    values = np.array([0, 7, 65535], np.uint16)
    assert clean(values) is values


def test_shifted_values_are_floats_and_keep_their_gaps():
    values = np.array([-3, 0, 7], np.int16)
    assert shifted(values, 0.0) is values
    found = shifted(values, 2.5)
    np.testing.assert_array_equal(found, [-0.5, 2.5, 9.5])
    assert found.dtype == np.float32
    gaps = shifted(np.array([np.nan, np.inf, 1], np.float32), 1)
    np.testing.assert_array_equal(gaps, [np.nan, np.inf, 2])
    np.testing.assert_array_equal(without_gaps(gaps), [0, 0, 2])
