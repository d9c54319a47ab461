import numpy as np
import pytest
import scipy.sparse as sp

from orimap.tasks.factorise.weighting import Weighting, poisson_weighting


def test_pixels_of_the_beam_and_those_that_never_count_are_not_fitted():
    mean = np.array([[4.0, 0.0], [9.0, 1.0]])
    valid = np.array([[True, True], [True, False]])
    beam = np.array([[False, False], [True, False]])
    weighting = poisson_weighting(mean, valid, beam)
    np.testing.assert_array_equal(weighting.fitted, [True, False, False])
    np.testing.assert_array_equal(weighting.pixel, [0.5, 0, 0])
    plain = poisson_weighting(mean, valid, beam, poisson=False)
    np.testing.assert_array_equal(plain.pixel, [1, 0, 0])


def test_rows_are_divided_by_the_root_of_their_mean():
    valid = np.ones((1, 3), bool)
    rows = np.array([[2.0, 6.0, 99.0], [0.0, 0.0, 5.0]])
    fitted = np.array([True, True, False])
    pixel = np.array([1.0, 0.5, 0.0])
    poisson = Weighting(valid, fitted, pixel, True)
    np.testing.assert_array_equal(poisson.row_factor(rows), [0.5, 0])
    np.testing.assert_array_equal(poisson.apply(rows, np.array([0.5, 0])), [[1, 1.5, 0], [0, 0, 0]])
    unit = Weighting(valid, fitted, pixel, False)
    np.testing.assert_array_equal(unit.row_factor(rows), [1, 0])


def test_a_table_is_weighted_along_its_pixels_in_single_precision():
    weighting = Weighting(np.ones((1, 3), bool), np.ones(3, bool), np.array([0.5, 2, 0]), True)
    found = weighting.on_pixels(np.array([[2.0, 4.0], [1.0, 3.0], [8.0, 9.0]]))
    np.testing.assert_array_equal(found, [[1, 2], [2, 6], [0, 0]])
    assert found.dtype == np.float32


@pytest.mark.parametrize("poisson", [True, False])
def test_sparse_rows_are_weighted_as_dense_ones_are(poisson):
    rng = np.random.default_rng(0)
    rows = rng.poisson(0.4, (9, 20)).astype(float)
    rows[4] = 0
    beam = np.zeros((4, 5), bool)
    beam[1:3, 2] = True
    mean = rows.mean(axis=0).reshape(4, 5)
    weighting = poisson_weighting(mean, np.ones((4, 5), bool), beam, poisson=poisson)
    lists = sp.csr_array(rows)
    factor = weighting.row_factor(rows)
    assert factor[4] == 0
    np.testing.assert_allclose(weighting.row_factor(lists), factor, rtol=1e-15)
    found = weighting.apply(lists, factor)
    assert sp.issparse(found)
    np.testing.assert_allclose(found.toarray(), weighting.apply(rows, factor), rtol=1e-15)


def test_weighted_counts_have_one_variance_where_expectations_differ_a_hundredfold():
    """What the weights are for: the noise of a product of position and pixel is divided out."""
    rng = np.random.default_rng(1)
    position, pixel = np.geomspace(1, 10, 400), np.geomspace(2, 20, 300)
    rows = rng.poisson(position[:, None] * pixel).astype(float)
    mean = rows.mean(axis=0).reshape(15, 20)
    weighting = poisson_weighting(mean, np.ones((15, 20), bool), np.zeros((15, 20), bool))
    factor = weighting.row_factor(rows)
    noise = rows - position[:, None] * pixel
    weighted = weighting.apply(noise, factor)
    # A variance of 300 or 400 values is known to about 8 %; these are the extremes of 700.
    for axis in (0, 1):
        variance = weighted.var(axis=axis) * rows.mean()
        np.testing.assert_allclose(variance, 1, atol=0.3)
