import numpy as np
import pytest

from orimap.tasks.maps.labels_and_overlap import map_clusters
from orimap.tasks.maps.uncertainty import CountingNoise


def worked_scan():
    """Two clusters of full weight 100 and 10; a row each full, and one row of mixtures."""
    weights = np.zeros((3, 5, 2))
    weights[0, :, 0] = 100
    weights[1, :, 1] = 10
    # Shares (1, 0), (.5, .4), (.3, .9), (0, 0), (.05, .05)
    weights[2, :, 0] = [100, 50, 30, 0, 5]
    weights[2, :, 1] = [0, 4, 9, 0, 0.5]
    return weights


def test_shares_labels_and_ratios_match_worked_values():
    maps = map_clusters(worked_scan(), np.array([0, 1]))
    expected = np.zeros((3, 5, 2))
    expected[0, :, 0] = expected[1, :, 1] = 1
    expected[2] = [[1, 0], [0.5, 0.4], [0.3, 0.9], [0, 0], [0.05, 0.05]]
    np.testing.assert_allclose(maps.share, expected, atol=1e-6)
    np.testing.assert_array_equal(maps.label, [[0] * 5, [1] * 5, [0, 0, 1, -1, -1]])
    np.testing.assert_array_equal(maps.size, [7, 6])
    np.testing.assert_allclose(maps.overlap_ratio[:2], 0)
    np.testing.assert_allclose(maps.overlap_ratio[2], [0, 0.8, 1 / 3, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(maps.second_label[2], [-1, 1, 0, -1, -1])
    np.testing.assert_array_equal(maps.overlap_level[2], [0, 80, 0, 0, 0])
    assert maps.without_position == 0
    assert (maps.label.dtype, maps.second_label.dtype) == (np.int16, np.int16)


@pytest.mark.parametrize(
    ("ratio", "level"),
    [(0.7, 0), (0.751, 75), (0.801, 80), (0.86, 85), (0.93, 90), (0.96, 95), (1.0, 95)],
)
def test_overlap_levels_name_the_highest_threshold_reached(ratio, level):
    weights = np.zeros((2, 21, 2))
    weights[0, :, 0] = weights[1, :, 1] = 100
    weights[0, 0, 1] = 100 * ratio
    assert map_clusters(weights, np.array([0, 1])).overlap_level[0, 0] == level


def test_background_takes_no_part():
    weights = np.concatenate([worked_scan(), np.full((3, 5, 1), 1e6)], axis=-1)
    with_background = map_clusters(weights, np.array([0, 1, -1]))
    alone = map_clusters(worked_scan(), np.array([0, 1]))
    np.testing.assert_array_equal(with_background.label, alone.label)
    np.testing.assert_allclose(with_background.share, alone.share)
    np.testing.assert_array_equal(with_background.component_cluster, [0, 1, -1])


def test_the_order_of_components_changes_only_the_numbers():
    rng = np.random.default_rng(0)
    weights = rng.gamma(0.3, 100, (6, 7, 5))
    order = np.array([3, 0, 4, 1, 2])
    first = map_clusters(weights, np.arange(5))
    second = map_clusters(weights[..., order], np.arange(5))
    # Component order[i] is now number i.
    number = np.append(np.argsort(order), -1)
    np.testing.assert_array_equal(number[first.label], second.label)
    np.testing.assert_allclose(first.overlap_ratio, second.overlap_ratio)


def test_the_scale_of_a_cluster_does_not_matter():
    # Cluster 1 scatters a twentieth of cluster 0, which leaks 6 % into its region.
    weights = np.zeros((4, 10, 2))
    weights[:2, :, 0] = 1000
    weights[2:, :, 0] = 60
    weights[2:, :, 1] = 50
    maps = map_clusters(weights, np.array([0, 1]))
    np.testing.assert_array_equal(maps.label[:2], 0)
    np.testing.assert_array_equal(maps.label[2:], 1)
    np.testing.assert_allclose(maps.share[2:, :, 0], 0.06)
    np.testing.assert_array_equal(
        map_clusters(weights * [1, 1000], np.array([0, 1])).label, maps.label
    )


def test_empty_positions_do_not_make_a_cluster_vanish():
    weights = np.zeros((10, 10, 2))
    weights[0, :5, 0] = 200
    weights[0, 5:, 1] = 100
    maps = map_clusters(weights, np.array([0, 1]))
    np.testing.assert_array_equal(maps.size, [5, 5])
    np.testing.assert_array_equal(maps.label[1:], -1)
    np.testing.assert_allclose(maps.share[0, :5, 0], 1)


def test_clusters_that_are_strongest_nowhere_vanish_and_are_counted():
    weights = np.zeros((4, 6, 4))
    weights[:2, :, 0] = weights[2:, :, 3] = 100
    weights[:, :, 1] = 0
    # A weaker companion that is full where cluster 0 is full, but never more than it.
    weights[:2, :, 2] = 5
    weights[0, 0] = [120, 0, 5.5, 0]
    maps = map_clusters(weights, np.array([0, 1, -1, 2]))
    np.testing.assert_array_equal(maps.component_cluster, [0, -1, -1, 1])
    assert maps.without_position == 1
    assert maps.share.shape == (4, 6, 2)
    np.testing.assert_array_equal(np.unique(maps.label), [0, 1])
    assert maps.size.min() > 0


def test_a_single_cluster_overlaps_with_nothing():
    weights = np.zeros((2, 3, 2))
    weights[..., 0] = [[100, 100, 50], [100, 1, 0]]
    maps = map_clusters(weights, np.array([0, 0]))
    np.testing.assert_array_equal(maps.label, [[0, 0, 0], [0, -1, -1]])
    np.testing.assert_array_equal(maps.overlap_ratio, 0)
    np.testing.assert_array_equal(maps.second_label, -1)


def test_nothing_but_background_gives_an_empty_map():
    maps = map_clusters(np.ones((2, 3, 2)), np.array([-1, -1]))
    np.testing.assert_array_equal(maps.label, -1)
    assert maps.share.shape == (2, 3, 0)
    assert maps.size.shape == (0,)
    np.testing.assert_array_equal(maps.overlap_ratio, 0)
    assert maps.without_position == 0


def test_every_cluster_owns_a_position_and_labels_are_its_sizes():
    rng = np.random.default_rng(3)
    for _ in range(20):
        weights = rng.gamma(0.2, 100, (3, 4, 6)) * (rng.random((3, 4, 6)) > 0.5)
        maps = map_clusters(weights, np.array([0, 1, 1, 2, 3, -1]))
        assert maps.size.min(initial=1) > 0
        np.testing.assert_array_equal(
            np.bincount(maps.label[maps.label >= 0], minlength=len(maps.size)), maps.size
        )
        assert maps.without_position + len(maps.size) == 4
        assert 0 <= maps.overlap_ratio.min() <= maps.overlap_ratio.max() <= 1


def noisy_scan():
    """Two grains side by side; in the left one a dim second pattern at two positions."""
    patterns = np.array([[8.0, 1, 1, 0], [1, 1, 8, 0]]) / 10
    weights = np.zeros((4, 10, 2))
    weights[:, :5, 0] = weights[:, 5:, 1] = 20
    weights[1, 2] = [12, 10]
    weights[2, 2] = [18, 3]
    return weights, CountingNoise.of(patterns, np.array([1.0, 1, 1, 0]))


def test_a_second_pattern_within_its_error_is_no_overlap():
    weights, noise = noisy_scan()
    maps = map_clusters(weights, np.array([0, 1]), noise=noise)
    # 3 electrons of 18 + 3 have an error of about 2, 10 of 22 one of about 4 (their errors at 20
    # electrons a full position: .1 and .2): only a hundredfold dose makes either certain.
    np.testing.assert_allclose(maps.share_error[2, 2, 1], 0.13, atol=0.05)
    np.testing.assert_allclose(maps.share_error[1, 2, 1], 0.18, atol=0.05)
    assert maps.overlap_ratio[2, 2] == 0
    assert maps.second_label[2, 2] == -1
    assert maps.overlap_ratio[1, 2] == 0
    assert maps.within_error == 2
    assert maps.ratio_error[1, 2] > 0.2
    bright = map_clusters(100 * weights, np.array([0, 1]), noise=noise)
    np.testing.assert_allclose(bright.share_error, maps.share_error / 10, rtol=1e-4)
    np.testing.assert_allclose(bright.ratio_error, maps.ratio_error / 10, rtol=1e-4)
    np.testing.assert_allclose(bright.overlap_ratio[1:3, 2], [10 / 12, 3 / 18], rtol=1e-5)
    np.testing.assert_array_equal(bright.second_label[1:3, 2], 1)
    assert bright.within_error == 0


def test_without_knowledge_of_the_noise_errors_are_unknown_and_nothing_is_doubted():
    weights, _ = noisy_scan()
    maps = map_clusters(weights, np.array([0, 1]))
    assert np.isnan(maps.share_error).all()
    assert np.isnan(maps.ratio_error).all()
    assert maps.overlap_ratio[2, 2] > 0
    assert maps.within_error == 0


def test_regularity_moves_labels_and_leaves_shares():
    weights = np.zeros((5, 10, 2))
    weights[:, :5, 0] = weights[:, 5:, 1] = 100
    weights[2, 2] = [45, 55]
    plain = map_clusters(weights, np.array([0, 1]))
    smooth = map_clusters(weights, np.array([0, 1]), regularity=0.5)
    assert (plain.label[2, 2], smooth.label[2, 2], plain.moved, smooth.moved) == (1, 0, 0, 1)
    np.testing.assert_array_equal(smooth.share, plain.share)
    np.testing.assert_array_equal(smooth.overlap_ratio, plain.overlap_ratio)
    assert (plain.second_label[2, 2], smooth.second_label[2, 2]) == (0, 1)
    np.testing.assert_array_equal(smooth.size, [25, 25])


def test_unconnected_pieces_become_clusters_with_the_components_of_their_parent():
    weights = np.zeros((4, 12, 3))
    weights[:, :5, 0] = weights[:, 9:, 2] = 100
    weights[:, 5:9, 1] = 100
    weights[0, 4] = [60, 40, 0]
    weights[0, 9] = [0, 40, 60]
    whole = map_clusters(weights, np.array([0, 1, 0]))
    maps = map_clusters(weights, np.array([0, 1, 0]), split=True)
    np.testing.assert_array_equal(whole.parent, [0, 1])
    np.testing.assert_array_equal(maps.parent, [0, 1, 0])
    np.testing.assert_array_equal(maps.component_cluster, [0, 1, 0])
    np.testing.assert_array_equal(maps.size, [20, 16, 12])
    np.testing.assert_array_equal(np.unique(maps.label[:, 9:]), 2)
    np.testing.assert_array_equal(maps.second_label[0, [4, 9]], 1)
    np.testing.assert_array_equal(maps.overlap_ratio, whole.overlap_ratio)
    np.testing.assert_allclose(maps.share[..., [0, 2]].sum(axis=2), whole.share[..., 0])
    # Seen from the middle, the other cluster is the nearer piece.
    weights[0, [5, 8], 0] = 70
    maps = map_clusters(weights, np.array([0, 1, 0]), split=True)
    np.testing.assert_array_equal(maps.second_label[0, [5, 8]], [0, 2])


def test_every_option_together_keeps_every_cluster_and_its_size():
    rng = np.random.default_rng(4)
    noise = CountingNoise.of(rng.dirichlet(np.ones(30), 6), np.ones(30))
    for _ in range(10):
        weights = rng.gamma(0.2, 100, (6, 7, 6)) * (rng.random((6, 7, 6)) > 0.5)
        members = np.array([0, 1, 1, 2, 3, -1])
        maps = map_clusters(weights, members, noise=noise, regularity=0.3, split=True)
        assert maps.size.min() > 0
        np.testing.assert_array_equal(
            np.bincount(maps.label[maps.label >= 0], minlength=len(maps.size)), maps.size
        )
        assert maps.share.shape[2] == maps.share_error.shape[2] == len(maps.parent)
        assert 0 <= maps.overlap_ratio.min() <= maps.overlap_ratio.max() <= 1
        assert np.all((maps.second_label >= 0) == (maps.overlap_ratio > 0))
        assert np.all(maps.second_label[maps.label < 0] == -1)
        assert np.all(maps.second_label[maps.label >= 0] != maps.label[maps.label >= 0])


def test_a_small_share_is_enough_where_it_is_sure():
    weights = np.full((2, 8, 1), 100.0)
    weights[0, :3, 0] = 5, 5, 2
    sure = np.zeros((2, 8), bool)
    sure[0, 1:3] = True
    label = map_clusters(weights, np.array([0]), sure=sure).label
    # 5 % is no label but where it is sure, 2 % is none anywhere.
    np.testing.assert_array_equal(label[0], [-1, 0, -1, 0, 0, 0, 0, 0])


def test_where_nothing_is_surely_present_there_is_neither_label_nor_overlap():
    present = np.ones((3, 5), bool)
    everywhere = map_clusters(worked_scan(), np.array([0, 1]), present=present)
    assert everywhere.overlap_ratio[2, 1] == pytest.approx(0.8)
    present[0, 1] = present[2, 1:4] = False
    # Regularity fills no such place either.
    for regularity in (0.0, 0.5):
        maps = map_clusters(worked_scan(), np.array([0, 1]), present=present, regularity=regularity)
        np.testing.assert_array_equal(maps.label, np.where(present, everywhere.label, -1))
        np.testing.assert_array_equal(maps.size, [5, 5])
        np.testing.assert_array_equal(maps.overlap_ratio[~present], 0)
        np.testing.assert_array_equal(maps.second_label[~present], -1)
        np.testing.assert_array_equal(maps.share, everywhere.share)
        assert (maps.moved, maps.label.dtype) == (0, np.int16)
