import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import binom

from orimap.tasks.patterns.thinning import MOST_COINS, thin


def dense(rows):
    return rows.toarray() if sp.issparse(rows) else rows


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


@pytest.mark.parametrize("electrons", [1, 2, 5, 63, 64, 65, 200, MOST_COINS])
def test_what_stays_of_many_electrons_is_binomial(electrons):
    """Counts that need part of a stream of 64 bits, all of it, and several."""
    kept = thin(np.full((50, 2000), float(electrons)), np.arange(50), 7).ravel()
    spread = np.sqrt(electrons) / 2
    assert kept.mean() == pytest.approx(electrons / 2, abs=5 * spread / np.sqrt(kept.size))
    assert kept.std() == pytest.approx(spread, rel=0.02)
    # Kolmogorov's distance of 100,000 draws exceeds this once in 10,000.
    values = np.arange(electrons + 1)
    found = np.searchsorted(np.sort(kept), values, side="right") / kept.size
    assert np.abs(found - binom.cdf(values, electrons, 0.5)).max() < 2.23 / np.sqrt(kept.size)


def test_streams_of_neighbouring_positions_and_seeds_are_independent():
    counts = np.ones((64, 4096))
    kept = thin(counts, np.arange(64), 0)
    # The largest of 2016 correlations of 4096 bits.
    assert np.abs(np.corrcoef(kept) - np.eye(64)).max() < 5 / np.sqrt(4096)
    other = thin(counts, np.arange(64), 1)
    assert abs(np.corrcoef(kept.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(counts.size)


@pytest.mark.parametrize("electrons", [MOST_COINS + 1, 2**16 - 1, 2**32 - 1, 2**63])
def test_any_number_of_electrons_is_halved_at_once(electrons):
    counts = np.full((40, 250), float(electrons))
    kept = thin(counts, np.arange(40), 7)
    near = min(electrons, 2**62)
    spread = np.sqrt(near) / 2
    assert kept.mean() == pytest.approx(near / 2, abs=5 * spread / np.sqrt(kept.size))
    assert kept.std() == pytest.approx(spread, rel=0.05)
    np.testing.assert_array_equal(thin(sp.csr_matrix(counts), np.arange(40), 7).toarray(), kept)
    turned = thin(counts, np.arange(40)[::-1], 7)
    np.testing.assert_array_equal(turned, kept[::-1])


def test_a_flagged_pixel_leaves_the_draws_of_other_positions_alone():
    counts = np.random.default_rng(2).poisson(2.0, (5, 900)).astype(float)
    flagged = counts.copy()
    flagged[2, ::7] = 2**32 - 1
    there, plain = thin(flagged, np.arange(5), 0), thin(counts, np.arange(5), 0)
    np.testing.assert_array_equal(np.delete(there, 2, 0), np.delete(plain, 2, 0))
    assert there[2, ::7].min() > 2**30
