import numpy as np
import pytest
import scipy.sparse as sp

from orimap.tasks.factorise.kernels.predictions import Stack, absolute_errors, poisson_deviances

KS = (3, 1, 12, 2, 5, 20, 7, 8, 9, 10)


@pytest.fixture
def fits():
    """Images of ten fits in no order, weights of 11 positions, and their stack."""
    rng = np.random.default_rng(0)
    images = [rng.gamma(0.5, 1, (k, 300)).astype(np.float32) for k in KS]
    images[0][:, 3] = 0
    weights = [rng.gamma(0.5, 1, (11, k)).astype(np.float32) for k in KS]
    stack = Stack.of(images)
    side_by_side = np.zeros((11, stack.table.shape[1]), np.float32)
    for number, part in enumerate(weights):
        side_by_side[:, stack.columns(number)] = part
    models = [w.astype(float) @ i.astype(float) for w, i in zip(weights, images, strict=True)]
    return stack, side_by_side, models


def test_fits_lie_eight_side_by_side_the_largest_first(fits):
    stack = fits[0]
    # Sorted: 20 12 10 9 8 7 5 3 | 2 1.
    np.testing.assert_array_equal(stack.depths, [20, 2])
    assert stack.table.shape == (300, 8 * 22)
    np.testing.assert_array_equal(np.arange(176)[stack.columns(5)], 8 * np.arange(20))
    np.testing.assert_array_equal(np.arange(176)[stack.columns(0)], 7 + 8 * np.arange(3))
    np.testing.assert_array_equal(np.arange(176)[stack.columns(3)], 160 + 8 * np.arange(2))
    used = np.concatenate([np.arange(176)[stack.columns(i)] for i in range(len(KS))])
    assert len(np.unique(used)) == sum(KS)
    unused = np.setdiff1d(np.arange(176), used)
    np.testing.assert_array_equal(stack.table[:, unused], 0)


def test_sums_of_the_table_are_in_double_precision(fits):
    stack = fits[0]
    some = np.arange(300) % 3 == 0
    np.testing.assert_allclose(stack.sums(), stack.table.sum(axis=0, dtype=float), rtol=1e-14)
    np.testing.assert_allclose(
        stack.sums(some), stack.table[some].sum(axis=0, dtype=float), rtol=1e-14
    )


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("tile", [1, 64, 2**18])
def test_absolute_errors_are_those_of_plain_numpy(fits, monkeypatch, share, tile):
    monkeypatch.setattr("orimap.tasks.factorise.kernels.products.TILE_BYTES", tile * 4 * 176)
    stack, weights, models = fits
    rng = np.random.default_rng(1)
    rows = (rng.poisson(3.0, (11, 300)) * (rng.random((11, 300)) < share)).astype(np.float32)
    rows[4] = 0
    for counts in (sp.csr_matrix(rows), rows):
        found = absolute_errors(counts, weights, stack, stack.sums())
        assert found.dtype == float
        for number, model in enumerate(models):
            np.testing.assert_allclose(found[number], np.abs(rows - model).sum(axis=1), rtol=2e-6)


@pytest.mark.parametrize("tile", [1, 64, 2**18])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_deviances_are_those_of_plain_numpy(fits, monkeypatch, tile, scale):
    """Over single electrons and many, of models below the least that is taken, and far above."""
    monkeypatch.setattr("orimap.tasks.factorise.kernels.products.TILE_BYTES", tile * 4 * 176)
    stack, weights, models = fits
    rng = np.random.default_rng(1)
    rows = rng.poisson(0.7, (11, 300)).astype(np.float32)
    rows[4] = 0
    # Explicit zeros, as thinning leaves them.
    entries = sp.csr_matrix(rows + (rows == 0) * (rng.random(rows.shape) < 0.1))
    entries.data = rows[entries.nonzero()]
    fitted = rng.random(300) < 0.8
    scaled = (weights * scale).astype(np.float32)
    found = poisson_deviances(entries, scaled, stack, fitted, stack.sums(fitted))
    for number, model in enumerate(models):
        expected = model * scale - rows * np.log(np.maximum(model * scale, 1e-4))
        np.testing.assert_allclose(found[number], expected[:, fitted].sum(axis=1), rtol=2e-6)


@pytest.mark.parametrize("which", [[0, 1, 3], [2], [4, 5, 6, 7, 8, 9]])
def test_deviances_of_a_fit_are_the_same_to_the_last_bit_whatever_is_beside_it(
    fits, monkeypatch, which
):
    """A run that goes on after a kill fits what is left in one go, others did with more."""
    monkeypatch.setattr("orimap.tasks.factorise.kernels.products.TILE_BYTES", 100_000)
    stack, weights, _ = fits
    rows = sp.csr_matrix(np.random.default_rng(1).poisson(0.7, (11, 300)).astype(np.float32))
    fitted = np.ones(300, bool)
    together = poisson_deviances(rows, weights, stack, fitted, stack.sums(fitted))
    few = Stack.of([stack.table[:, stack.columns(number)].T for number in which])
    beside = np.zeros((11, few.table.shape[1]), np.float32)
    for place, number in enumerate(which):
        beside[:, few.columns(place)] = weights[:, stack.columns(number)]
    alone = poisson_deviances(rows, beside, few, fitted, few.sums(fitted))
    np.testing.assert_array_equal(alone, together[which])
    np.testing.assert_array_equal(
        absolute_errors(rows, beside, few, few.sums()),
        absolute_errors(rows, weights, stack, stack.sums())[which],
    )


def test_large_counts_in_double_precision_are_scored_too(fits):
    stack, weights, models = fits
    rows = np.zeros((11, 300))
    rows[:, ::7] = 3e8 + 1
    found = absolute_errors(sp.csr_matrix(rows), weights, stack, stack.sums())
    for number, model in enumerate(models):
        np.testing.assert_allclose(found[number], np.abs(rows - model).sum(axis=1), rtol=1e-6)
