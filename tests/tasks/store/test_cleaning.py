import numpy as np
import pytest

from orimap.tasks.store.cleaning import clean


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
