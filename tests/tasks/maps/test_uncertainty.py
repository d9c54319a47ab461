import numpy as np
import pytest

from orimap.tasks.factorise.kernels.least_squares import solve_weights
from orimap.tasks.maps.uncertainty import CountingNoise, ratio_error, weight_covariance


def spotty_patterns(rng, count=4, pixels=400):
    """Component patterns of unit sum: spots of their own on a background that all have."""
    patterns = 0.2 + 10 * (rng.random((count, pixels)) < 0.06) * rng.random((count, pixels))
    return patterns / patterns.sum(axis=1, keepdims=True)


def test_patterns_without_overlap_have_the_variance_of_their_counts():
    # Each pattern has pixels of its own: its weight is their sum, and the variance of a sum of
    # Poisson counts is that sum. With a third of the second pattern out of sight, 2/3 of it is
    # counted and scaled up by 3/2.
    patterns = np.zeros((2, 6))
    patterns[0, :3] = patterns[1, 3:] = 1 / 3
    pixel = np.array([1.0, 1, 1, 2, 2, 0])
    noise = CountingNoise.of(patterns, pixel)
    covariance = weight_covariance(np.array([[90.0, 40.0]]), noise.gram, noise.spread)
    np.testing.assert_allclose(covariance[0], [[90, 0], [0, 40 * 1.5]], rtol=1e-6)


@pytest.mark.parametrize("flat_weighting", [True, False])
def test_errors_are_those_of_repeated_counting(flat_weighting):
    rng = np.random.default_rng(5)
    patterns = spotty_patterns(rng)
    weights = np.array([[900.0, 500, 0, 200], [60, 1500, 300, 0]])
    # The fit weights pixels by the mean of the scan, which is not the model of any position.
    mean = weights.mean(axis=0) @ patterns
    pixel = np.ones_like(mean) if flat_weighting else 1 / np.sqrt(mean)
    pixel[:10] = 0
    noise = CountingNoise.of(patterns, pixel)
    for row in weights:
        present = np.flatnonzero(row)
        counts = rng.poisson(row @ patterns, (4000, patterns.shape[1]))
        numerator = np.ascontiguousarray(((counts * pixel**2) @ patterns[present].T).T)
        found = solve_weights(numerator, noise.gram[np.ix_(present, present)])
        predicted = weight_covariance(row[None], noise.gram, noise.spread)[0]
        np.testing.assert_allclose(
            np.sqrt(np.diag(predicted))[present], found.std(axis=1), rtol=0.06
        )
        correlation = predicted[np.ix_(present, present)] / np.outer(found.std(1), found.std(1))
        np.testing.assert_allclose(correlation, np.corrcoef(found), atol=0.12)
        assert predicted[row == 0].max() == 0


def test_errors_of_clusters_add_up_those_of_their_components():
    # Two equal patterns share counts in any proportion: neither weight is known, their sum is.
    rng = np.random.default_rng(0)
    patterns = spotty_patterns(rng, count=2)
    patterns = np.stack([patterns[0], patterns[1], patterns[1]])
    patterns[2, :3] += 1e-3
    pixel = 1 / np.sqrt(patterns.mean(axis=0))
    noise = CountingNoise.of(patterns, pixel)
    weights = np.array([[500.0, 200, 300]])
    (part, joined), *rest = noise.blocks(weights, np.array([0, 1, 1]))
    assert (part, rest) == (slice(0, 1), [])
    alone = next(noise.blocks(weights, np.arange(3)))[1]
    assert joined[0, 1, 1] == pytest.approx(alone[0, 1:, 1:].sum())
    assert joined[0, 1, 1] < 0.1 * alone[0, 1, 1]
    assert next(noise.blocks(weights, np.array([-1, 0, -1])))[1].shape == (1, 1, 1)


def test_blocks_of_any_length_give_the_same(monkeypatch):
    rng = np.random.default_rng(1)
    noise = CountingNoise.of(spotty_patterns(rng), np.ones(400), rng.uniform(0.1, 1, (5, 7)))
    weights = rng.gamma(0.5, 100, (35, 4)) * (rng.random((35, 4)) > 0.3)
    whole = next(noise.blocks(weights, np.arange(4)))[1]
    monkeypatch.setattr("orimap.tasks.maps.uncertainty.ENTRIES_AT_ONCE", 16 * 9)
    parts = list(noise.blocks(weights, np.arange(4)))
    assert [part.stop - part.start for part, _ in parts] == [9, 9, 9, 8]
    np.testing.assert_allclose(np.concatenate([values for _, values in parts]), whole)


def test_averaged_patterns_have_smaller_errors():
    rng = np.random.default_rng(2)
    patterns, weights = spotty_patterns(rng), np.full((2, 4), 100.0)
    noise = CountingNoise.of(patterns, np.ones(400), np.array([[1.0, 1 / 9]]))
    covariance = next(noise.blocks(weights, np.arange(4)))[1]
    np.testing.assert_allclose(covariance[1], covariance[0] / 9)


def test_the_error_of_a_ratio_is_that_of_its_draws():
    rng = np.random.default_rng(3)
    covariance = np.array([[4e-4, -2e-4], [-2e-4, 9e-4]])
    draws = rng.multivariate_normal([0.7, 0.4], covariance, 100_000)
    predicted = ratio_error(*np.array([[0.7], [0.4], [4e-4], [9e-4], [-2e-4]]))
    np.testing.assert_allclose(predicted, (draws[:, 1] / draws[:, 0]).std(), rtol=0.02)
    np.testing.assert_array_equal(ratio_error(*np.zeros((5, 2))), 0)


def with_background(rng):
    """Three patterns, of which the last is a background that the weights are not fitted for."""
    patterns = spotty_patterns(rng, count=3)
    patterns[2] = 1 / 400
    noise = CountingNoise.of(patterns, np.ones(400))
    return patterns, CountingNoise(noise.gram, noise.spread, fitted=np.array([True, True, False]))


def test_what_is_not_fitted_adds_its_noise_alone():
    rng = np.random.default_rng(6)
    patterns, noise = with_background(rng)
    weights = np.array([[900.0, 500, 4000]])
    counts = rng.poisson(weights[0] @ patterns, (4000, 400)) - weights[0, 2] * patterns[2]
    gram = noise.gram[:2, :2]
    found = np.linalg.solve(gram, (counts @ patterns[:2].T).T)
    covariance = next(noise.blocks(weights, np.array([0, 1, -1])))[1][0]
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), found.std(axis=1), rtol=0.05)
    np.testing.assert_allclose(covariance, np.cov(found), rtol=0.1, atol=0.05 * covariance.max())
    whole = weight_covariance(weights, noise.gram, noise.spread, noise.fitted)[0]
    np.testing.assert_allclose(whole[:2, :2], covariance)
    np.testing.assert_array_equal(whole[2], 0)
    np.testing.assert_array_equal(whole[:, 2], 0)


def test_less_background_makes_errors_smaller_and_fitting_it_makes_them_larger():
    _, noise = with_background(np.random.default_rng(7))
    weights = np.array([[900.0, 500, 2e4], [900, 500, 0], [900, 0, 2e4]])

    def variances(fitted):
        covariance = weight_covariance(weights, noise.gram, noise.spread, fitted)
        return np.einsum("nii->ni", covariance)

    found = variances(noise.fitted)
    assert np.all(found[0, :2] > 2 * found[1, :2])
    assert found[2, 1] == 0 < found[2, 0]
    everything = variances(np.ones(3, bool))
    assert np.all(everything[0, :2] > found[0, :2])
    np.testing.assert_array_equal(everything, variances(None))
    np.testing.assert_array_equal(everything[1], found[1])
