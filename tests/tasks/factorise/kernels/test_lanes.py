import numba
import numpy as np
import pytest

from orimap.tasks.factorise.kernels.lanes import add_product, load, no_electrons, store


@numba.njit
def multiply_add(left, right, at, result):
    """Write left * right + right * right, of eight elements from ``at`` on."""
    place = np.uintp(at)
    right_lanes = load(right, place)
    total = add_product(no_electrons(), load(left, place), right_lanes)
    store(result, place, add_product(total, right_lanes, right_lanes))


@pytest.mark.parametrize("at", [0, 1, 5])
def test_eight_lanes_are_multiplied_and_added_and_nothing_else_is_written(at):
    left = np.arange(16, dtype=np.float32)
    right = np.arange(16, dtype=np.float32)[::-1].copy()
    result = np.full(16, -1, np.float32)
    multiply_add(left, right, at, result)
    expected = np.full(16, -1.0)
    expected[at : at + 8] = (15 * right)[at : at + 8]  # left + right = 15
    np.testing.assert_array_equal(result, expected)


def test_rows_of_a_table_follow_one_another():
    table = np.arange(32, dtype=np.float32).reshape(4, 8)
    result = np.zeros((4, 8), np.float32)
    multiply_add(np.zeros((4, 8), np.float32), table, 16, result)
    np.testing.assert_array_equal(result[2], table[2] ** 2)
    assert not result[[0, 1, 3]].any()


@pytest.mark.parametrize(
    "wrong", [np.zeros(16), np.zeros((16, 2), np.float32)[:, 0], np.zeros(16, np.int32)]
)
def test_arrays_of_another_kind_are_refused_when_compiled(wrong):
    right = np.zeros(16, np.float32)
    with pytest.raises(numba.TypingError):
        multiply_add(wrong, right, 0, right)
    with pytest.raises(numba.TypingError):
        multiply_add(right, right, 0, wrong)
