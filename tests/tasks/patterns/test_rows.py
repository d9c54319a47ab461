import numpy as np
import pytest
import scipy.sparse as sp

from orimap.tasks.patterns.rows import OUTSIDE, as_rows, mask_after_moves, move_rows, moved


def dense(rows):
    return rows.toarray() if sp.issparse(rows) else rows


def test_values_that_are_negative_or_not_finite_count_as_zero():
    values = np.array([[[1, np.nan, -2, np.inf, -np.inf, 3]]], np.float32)
    rows = as_rows(values, np.ones((1, 6), bool))
    np.testing.assert_array_equal(dense(rows), [[1, 0, 0, 0, 0, 3]])
    whole = as_rows(np.array([[[-5, 200, 7]]], np.int16), np.array([[True, True, False]]))
    np.testing.assert_array_equal(dense(whole), [[0, 200]])


def test_an_empty_scan_has_empty_sparse_rows():
    rows = as_rows(np.zeros((2, 2, 3, 3), np.uint8), np.ones((3, 3), bool))
    assert rows.shape == (4, 9)
    assert rows.nnz == 0


def test_images_move_by_whole_pixels_and_zeros_come_in():
    image = np.arange(1, 13).reshape(1, 3, 4)
    np.testing.assert_array_equal(
        moved(image, np.array([[1, -2]]))[0], [[0, 0, 0, 0], [3, 4, 0, 0], [7, 8, 0, 0]]
    )
    np.testing.assert_array_equal(moved(image, np.array([[0, 0]])), image)


def test_what_leaves_or_comes_in_anywhere_is_not_valid():
    mask = np.zeros((5, 6), np.uint8)
    mask[2, 3] = 2
    move = np.array([[0, 0], [1, 0], [0, -2]])
    expected = np.full((5, 6), OUTSIDE)
    expected[1:, :4] = 0
    expected[[2, 3, 2], [3, 3, 1]] = 2
    np.testing.assert_array_equal(mask_after_moves(mask, move), expected)


@pytest.mark.parametrize("filled", [0.1, 0.9])
def test_rows_are_those_of_moved_images(filled):
    rng = np.random.default_rng(8)
    values = rng.poisson(3.0, (30, 9, 11)) * (rng.random((30, 9, 11)) < filled)
    move = rng.integers(-3, 4, (30, 2))
    mask = (rng.random((9, 11)) > 0.97).astype(np.uint8)
    valid = mask_after_moves(mask, move) == 0
    assert 0 < np.count_nonzero(valid) < 99
    expected = moved(values, move)[:, valid]
    found = as_rows(values.reshape(5, 6, 9, 11), valid, move)
    assert sp.issparse(found) == (filled == 0.1)
    np.testing.assert_array_equal(dense(found), expected)
    whole = as_rows(values, np.ones((9, 11), bool))
    np.testing.assert_array_equal(dense(move_rows(whole, (9, 11), valid, move)), expected)
