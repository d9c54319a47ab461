import numpy as np
import pytest
import scipy.sparse as sp

from orimap.tasks.factorise.kernels.products import (
    PATTERNS_AT_ONCE,
    add_transposed,
    products,
    sum_of_squares,
)

ROWS, PIXELS = 700, 90


@pytest.fixture(params=["sparse", "dense"])
def rows(request):
    rng = np.random.default_rng(0)
    values = rng.poisson(0.4, (ROWS, PIXELS)).astype(np.float32)
    values[5] = 0
    return sp.csr_matrix(values) if request.param == "sparse" else values


def plain(rows):
    return (rows.toarray() if sp.issparse(rows) else rows).astype(float)


@pytest.mark.parametrize("columns", [1, 5, 48])
@pytest.mark.parametrize("tile", [1, 7, 1000])
def test_products_are_those_of_numpy_in_double_precision(rows, monkeypatch, columns, tile):
    monkeypatch.setattr("orimap.tasks.factorise.kernels.products.TILE_BYTES", tile * 4 * columns)
    table = np.random.default_rng(1).standard_normal((PIXELS, columns)).astype(np.float32)
    found = products(rows, table)
    assert found.dtype == np.float32
    # Sums of 30 products of either sign, in single precision.
    np.testing.assert_allclose(found, plain(rows) @ table.astype(float), atol=1e-5)


@pytest.mark.parametrize("columns", [1, 5, 48])
@pytest.mark.parametrize("tile", [1, 7, 1000])
def test_transposed_products_are_those_of_numpy(rows, monkeypatch, columns, tile):
    monkeypatch.setattr("orimap.tasks.factorise.kernels.products.TILE_BYTES", tile * 4 * columns)
    factors = np.random.default_rng(1).standard_normal((ROWS, columns)).astype(np.float32)
    total = np.ones((PIXELS, columns))
    add_transposed(rows, factors, total)
    expected = 1 + plain(rows).T @ factors.astype(float)
    # A batch of rows is multiplied in single precision.
    np.testing.assert_allclose(total, expected, atol=1e-4)


def test_pixels_may_come_in_any_order():
    rng = np.random.default_rng(2)
    rows = sp.random(5, 90, 0.4, "csr", np.float32, rng)
    mixed = rows.copy()
    for row in range(5):
        part = slice(*rows.indptr[row : row + 2])
        turn = rng.permutation(part.stop - part.start)
        mixed.indices[part], mixed.data[part] = rows.indices[part][turn], rows.data[part][turn]
    mixed = sp.csr_matrix((mixed.data, mixed.indices, mixed.indptr), rows.shape)
    table = rng.random((90, 3)).astype(np.float32)
    np.testing.assert_array_equal(products(mixed, table), products(rows, table))
    factors, total, expected = table[:5], np.zeros((90, 3)), np.zeros((90, 3))
    add_transposed(mixed, factors, total)
    add_transposed(rows, factors, expected)
    np.testing.assert_array_equal(total, expected)


def test_small_counts_are_not_lost_in_a_large_total():
    """A million electrons in single precision would swallow what is added one by one."""
    rows = sp.csr_matrix(np.ones((1000, 1), np.float32))
    total = np.full((1, 1), 2.0**25)
    add_transposed(rows, np.ones((1000, 1), np.float32), total)
    assert total[0, 0] == 2**25 + 1000


def test_batches_add_up_in_double_precision():
    rows = sp.csr_matrix(np.full((3 * PATTERNS_AT_ONCE, 1), 2.0**14, np.float32))
    total = np.zeros((1, 1))
    factors = np.full((len(rows.indptr) - 1, 1), 1 + 2.0**-14, np.float32)
    # Each batch sums to a number of 24 bits; three of them need two more.
    add_transposed(rows, factors, total)
    assert total[0, 0] == 3 * PATTERNS_AT_ONCE * (2**14 + 1)


def test_rows_in_double_precision_stay_so():
    rows = sp.csr_matrix(np.array([[2.0**30 + 1, 0, 1]]))
    assert products(rows, np.ones((3, 1), np.float32))[0, 0] == 2**30 + 2


def test_squares_are_weighted_and_in_double_precision(rows):
    pixel = np.random.default_rng(1).random(PIXELS)
    expected = (plain(rows) ** 2) @ pixel**2
    np.testing.assert_allclose(sum_of_squares(rows, pixel), expected, rtol=1e-12)
