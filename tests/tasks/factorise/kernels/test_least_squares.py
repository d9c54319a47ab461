import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from orimap.tasks.factorise.kernels.least_squares import (
    LANES,
    SWEEPS_BEFORE,
    Problem,
    Room,
    settle,
    solve_chosen,
    solve_weights,
)


def problem(k, columns, seed, *, alike=0.0, noise=0.3):
    """Components (rows, k) of which the last two may be nearly alike, and noisy mixtures."""
    rng = np.random.default_rng(seed)
    matrix = rng.gamma(0.5, 1, (60, k))
    if alike:
        matrix[:, -1] = matrix[:, -2] * (1 + alike * rng.standard_normal(60))
    data = matrix @ rng.gamma(0.3, 1, (k, columns)) + noise * rng.standard_normal((60, columns))
    return matrix, data


def reference(matrix, data):
    return np.array([nnls(matrix, column, maxiter=1000)[0] for column in data.T]).T


@settings(max_examples=30, deadline=None)
@given(k=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_weights_are_those_of_scipy(k, seed):
    matrix, data = problem(k, LANES + 3, seed)
    found = solve_weights(matrix.T @ data, matrix.T @ matrix)
    expected = reference(matrix, data)
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, expected.max()))
    for weights, column in zip(found.T, data.T, strict=True):
        least = nnls(matrix, column)[1]
        assert np.linalg.norm(matrix @ weights - column) <= least * (1 + 1e-8) + 1e-8


def test_nearly_alike_components_are_solved_where_sweeps_would_take_hundreds():
    matrix, data = problem(8, LANES, 3, alike=0.03)
    numerator, gram = matrix.T @ data, matrix.T @ matrix
    swept = np.zeros((8, LANES))
    settle(
        Problem(swept, numerator, gram), 1e-6, SWEEPS_BEFORE - 1
    )  # ends before anything is solved
    expected = reference(matrix, data)
    assert np.abs(swept - expected).max() > 0.05 * expected.max()
    found = solve_weights(numerator, gram)
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())


def test_components_that_cannot_be_told_apart_are_left_to_the_sweeps():
    matrix, data = problem(5, LANES, 4)
    matrix = np.concatenate([matrix, matrix[:, -1:]], axis=1)
    numerator, gram = matrix.T @ data, matrix.T @ matrix
    start = np.full((6, LANES), 1.0)
    room = Room(np.empty((6, 6)), np.empty(6), np.empty(6, bool), np.empty(6, np.uintp))
    assert not solve_chosen(Problem(start, numerator, gram), 0, 1e-6, room)
    np.testing.assert_array_equal(start, 1)
    found = solve_weights(numerator, gram)
    # Only their sum is defined.
    found[-2] += found[-1]
    np.testing.assert_allclose(found[:-1], reference(matrix[:, :-1], data), atol=1e-4)


@pytest.mark.parametrize("begin", [0.0, 1.0])
def test_a_column_is_solved_from_any_choice_of_components(begin):
    matrix, data = problem(7, 20, 5)
    numerator, gram = matrix.T @ data, matrix.T @ matrix
    factor = np.full((7, 20), begin)
    room = Room(np.empty((7, 7)), np.empty(7), np.empty(7, bool), np.empty(7, np.uintp))
    columns = Problem(factor, numerator, gram)
    solved = [solve_chosen(columns, c, 1e-9, room) for c in range(20)]
    assert sum(solved) >= 18
    expected = reference(matrix, data)
    np.testing.assert_allclose(factor[:, solved], expected[:, solved], atol=1e-9)


def test_components_without_patterns_and_columns_without_counts_get_nothing():
    matrix, data = problem(4, 10, 6)
    matrix[:, 1] = 0
    data[:, 3] = 0
    found = solve_weights(matrix.T @ data, matrix.T @ matrix)
    assert not found[1].any()
    assert not found[:, 3].any()
