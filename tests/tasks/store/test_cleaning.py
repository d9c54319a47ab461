import numpy as np
import pytest

from orimap.tasks.store.cleaning import clean


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_negative_or_not_finite_becomes_0(dtype):
    values = np.array([[-1.5, 0.0, 2.5], [np.nan, np.inf, -np.inf]], dtype)
    cleaned = clean(values)
    assert cleaned.dtype == dtype
    np.testing.assert_array_equal(cleaned, [[0, 0, 2.5], [0, 0, 0]])
    assert values[0, 0] == -1.5  # what was given stays as it was


def test_negative_counts_become_0_and_unsigned_counts_are_not_even_copied():
    np.testing.assert_array_equal(clean(np.array([-3, 0, 7], np.int16)), [0, 0, 7])
    counts = np.array([0, 65535], np.uint16)
    assert clean(counts) is counts
