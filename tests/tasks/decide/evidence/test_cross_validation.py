import numpy as np
import pytest

from orimap.tasks.decide.evidence.cross_validation import bi_cross_validate, predict_block
from orimap.tasks.decide.evidence.evidence import paired_drops
from orimap.tasks.errors import InputError

RANK = 4


@pytest.fixture(scope="module")
def clean():
    """Exactly non-negative, of rank 4: overlapping grains of sparse patterns."""
    rng = np.random.default_rng(11)
    return rng.gamma(0.4, 1, (120, RANK)) @ rng.gamma(0.4, 1, (RANK, 150))


def noisy(clean, sigma, seed=0):
    return clean + sigma * np.random.default_rng(seed).standard_normal(clean.shape)


@pytest.mark.parametrize("seed", range(3))
def test_the_error_falls_up_to_the_rank_and_not_beyond(clean, seed):
    result = bi_cross_validate(noisy(clean, 0.3, seed), range(1, 9), seed=seed)
    assert result.error.shape == (8, 120)
    mean = result.error.mean(axis=1)
    assert result.ks[np.argmin(mean)] == RANK
    drop, error = paired_drops(result.error)
    assert np.isnan(drop[0])
    # Sparse weights: a pattern helps few positions much, hence the large standard errors.
    assert np.all(drop[1:RANK] > np.maximum(0.05, error[1:RANK]))
    assert np.all(drop[RANK:] < error[RANK:])
    # Noise that nothing predicts has the variance .09.
    assert mean[RANK - 1] == pytest.approx(0.09, rel=0.2)
    assert mean[RANK - 1] > 0.09


def test_without_noise_the_rank_predicts_everything(clean):
    mean = bi_cross_validate(clean, [RANK - 1, RANK], seed=0).error.mean(axis=1)
    assert mean[1] < 1e-3 * clean.var()
    assert mean[1] < 0.02 * mean[0]


def test_more_components_than_are_there_predict_noise_worse():
    rng = np.random.default_rng(2)
    rows = 5 + rng.standard_normal((100, 80))
    mean = bi_cross_validate(rows, [1, 2, 4, 8], seed=0).error.mean(axis=1)
    assert np.all(np.diff(mean) > 0)
    assert mean[0] == pytest.approx(1.03, abs=0.05)


def test_what_is_predicted_does_not_reach_its_prediction(clean, monkeypatch):
    """Each block is predicted from the three others, which are the same whatever it holds."""
    rows = noisy(clean, 0.2)
    calls = []

    def recorded(block, beside, below, ks):
        calls.append((block, beside, below))
        return predict_block(block, beside, below, ks)

    monkeypatch.setattr("orimap.tasks.decide.evidence.cross_validation.predict_block", recorded)
    numbered = np.arange(rows.size, dtype=float).reshape(rows.shape)
    bi_cross_validate(numbered, [1], seed=5)
    seen = [np.concatenate([part.ravel() for part in call]) for call in calls]
    for values in seen:
        assert len(np.unique(values)) == len(values) == rows.size * 3 // 4
    # Every value is left out exactly once.
    left_out = [np.setdiff1d(numbered, values) for values in seen]
    np.testing.assert_array_equal(np.sort(np.concatenate(left_out)), numbered.ravel())
    # And a change in a block changes its own error alone, of that fold: others' folds see it.
    calls.clear()
    bi_cross_validate(rows, [2], seed=5)
    first = [part.copy() for part in calls[0]]
    changed = rows.copy()
    changed[np.isin(numbered, left_out[0])] += 100
    calls.clear()
    bi_cross_validate(changed, [2], seed=5)
    for before, after in zip(first, calls[0], strict=True):
        np.testing.assert_array_equal(before, after)


def test_errors_are_paired_by_position(clean):
    rows = noisy(clean, 0.2)
    rows[17] += 50 * np.random.default_rng(9).standard_normal(150)
    result = bi_cross_validate(rows, [RANK], seed=1)
    assert np.argmax(result.error[0]) == 17
    assert result.error[0, 17] > 10 * np.median(result.error[0])


def test_the_seed_decides_and_nothing_else(clean):
    rows = noisy(clean, 0.2)
    first, again, other = (bi_cross_validate(rows, [2, 3], seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.error, again.error)
    assert np.any(first.error != other.error)


def test_odd_sizes_and_the_largest_k_work():
    rng = np.random.default_rng(4)
    result = bi_cross_validate(rng.random((9, 7)), [1, 3], seed=0)
    assert np.all(np.isfinite(result.error))
    assert np.all(np.isfinite(bi_cross_validate(np.zeros((8, 8)), [1, 2], seed=0).error))


@pytest.mark.parametrize(
    ("rows", "ks"),
    [
        (np.ones((8, 6)), [1, 4]),
        (np.ones((8, 6)), [2, 1]),
        (np.ones((8, 6)), [0, 1]),
        (np.ones((8, 6)), []),
        (np.ones(8), [1]),
        (np.full((8, 6), np.nan), [1]),
    ],
)
def test_what_cannot_be_split_is_refused(rows, ks):
    with pytest.raises(InputError):
        bi_cross_validate(rows, ks, seed=0)
