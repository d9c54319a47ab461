import numpy as np
import pytest

from orimap.tasks.decide.components.shares import cluster_weights, full_weights, renumbered


def test_weights_of_a_cluster_are_the_sum_of_its_components_without_background():
    weights = np.array([[1.0, 2, 4, 8], [0, 1, 0, 3]])
    np.testing.assert_array_equal(
        cluster_weights(weights, np.array([0, 1, 0, -1])), [[5, 2], [0, 1]]
    )


def test_a_full_position_has_the_ninetieth_percentile_where_the_cluster_is_strongest():
    strong, weak = np.arange(1, 12) * 100.0, np.arange(1, 12) * 1.0
    weights = np.zeros((22, 2))
    weights[:11, 0], weights[11:, 1] = strong, weak
    np.testing.assert_allclose(full_weights(weights), [1000, 10])


def test_background_alone_makes_no_cluster():
    assert cluster_weights(np.ones((3, 4, 2)), np.array([-1, -1])).shape == (3, 4, 0)


def test_cluster_weights_keep_their_kind_of_number():
    weights = np.ones((2, 3), np.float32)
    assert cluster_weights(weights, np.array([1, 0, 1])).dtype == np.float32


def test_a_cluster_without_weight_is_full_nowhere():
    weights = np.zeros((4, 3))
    weights[:, 0] = 5
    np.testing.assert_array_equal(full_weights(weights), [5, np.inf, np.inf])


def test_a_weak_cluster_is_not_lost_below_what_a_strong_one_leaks():
    # 60 of the strong cluster lie below every one of the 50 positions that the weak one fills.
    weights = np.zeros((100, 2))
    weights[:50, 0] = 1000
    weights[50:] = 60, 50
    np.testing.assert_allclose(full_weights(weights), [1000, 50])


@pytest.mark.parametrize("factor", [0.01, 7.0])
def test_the_full_weight_of_one_cluster_follows_its_scale_alone(factor):
    weights = np.random.default_rng(0).gamma(0.3, 100, (200, 3))
    expected = full_weights(weights)
    scaled = full_weights(weights * [1, factor, 1])
    np.testing.assert_allclose(scaled, expected * [1, factor, 1])


def test_groups_that_are_kept_are_numbered_without_gaps():
    groups = np.array([0, 2, -1, 1, 2, 3])
    kept = np.array([True, False, True, True])
    np.testing.assert_array_equal(renumbered(groups, kept), [0, 1, -1, -1, 1, 2])
    np.testing.assert_array_equal(renumbered(groups, np.zeros(4, bool)), [-1] * 6)
    np.testing.assert_array_equal(renumbered(groups, np.ones(4, bool)), groups)
