import numpy as np
import pytest
import scipy.sparse as sp

from orimap.tasks.rows import OUTSIDE, as_rows, mask_after_moves, move_rows, moved, thin


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


def test_thinning_keeps_half_and_leaves_an_independent_half():
    counts = np.random.default_rng(2).poisson(6.0, (200, 500)).astype(float)
    train = thin(counts, np.arange(200), 3)
    test = counts - train
    assert train.min() >= 0
    assert test.min() >= 0
    np.testing.assert_array_equal(train, np.round(train))
    # Standard error of a mean of 100,000 Poisson values of mean 3: 0.0055.
    assert train.mean() == pytest.approx(3, abs=0.022)
    assert test.mean() == pytest.approx(3, abs=0.022)
    assert train.var() == pytest.approx(3, abs=0.06)
    # Four standard errors of a correlation coefficient.
    assert abs(np.corrcoef(train.ravel(), test.ravel())[0, 1]) < 4 / np.sqrt(counts.size)


def test_thinning_draws_the_same_from_sparse_and_dense_rows():
    counts = np.random.default_rng(2).poisson(0.7, (20, 60)).astype(float)
    numbers = np.arange(100, 120)
    train = thin(sp.csr_matrix(counts), numbers, 3)
    np.testing.assert_array_equal(train.toarray(), thin(counts, numbers, 3))


def test_thinning_belongs_to_the_position_and_to_the_seed():
    counts = np.full((6, 300), 9.0)
    numbers = np.array([5, 1, 40, 2, 0, 3])
    train = thin(counts, numbers, 3)
    turned = thin(counts[::-1], numbers[::-1], 3)
    np.testing.assert_array_equal(train, turned[::-1])
    assert np.any(train[0] != train[1])
    assert np.any(train != thin(counts, numbers, 4))


def test_thinning_leaves_its_argument_alone():
    counts = np.random.default_rng(2).poisson(2.0, (5, 9)).astype(float)
    for rows in (counts.copy(), sp.csr_matrix(counts)):
        thin(rows, np.arange(5), 0)
        np.testing.assert_array_equal(dense(rows), counts)


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
