import numpy as np
import pytest

from orimap.tasks.maps.connected import split_unconnected, spread_to_pieces


def two_pieces_and_a_crumb():
    """Cluster 0 left (4 x 3) and right (4 x 2), cluster 1 between, a crumb of 0 in it."""
    label = np.ones((4, 9), int)
    label[:, :3] = 0
    label[:, 7:] = 0
    label[1, 5] = 0
    return label


def test_pieces_stand_by_themselves_and_crumbs_go_with_the_nearest():
    label = two_pieces_and_a_crumb()
    owner, parent = split_unconnected(label, 2, smallest=8)
    np.testing.assert_array_equal(parent, [0, 1, 0])
    pieces = np.take_along_axis(owner, label[..., None], axis=2)[..., 0]
    expected = label.copy()
    expected[:, 7:] = 2
    expected[1, 5] = 2  # two columns from the right piece, three from the left one
    np.testing.assert_array_equal(pieces, expected)


def test_the_largest_piece_keeps_the_number():
    label = two_pieces_and_a_crumb()[:, ::-1]
    owner, _ = split_unconnected(label, 2, smallest=8)
    assert owner[0, 8, 0] == 0
    assert owner[0, 0, 0] == 2


@pytest.mark.parametrize("smallest", [9, 100])
def test_a_cluster_with_one_large_piece_or_none_stays_whole(smallest):
    label = two_pieces_and_a_crumb()
    owner, parent = split_unconnected(label, 2, smallest=smallest)
    np.testing.assert_array_equal(parent, [0, 1])
    np.testing.assert_array_equal(owner, np.broadcast_to([0, 1], owner.shape))


def test_positions_that_touch_by_a_corner_are_connected():
    label = np.where(np.indices((6, 6)).sum(0) % 2, 0, 1)
    _, parent = split_unconnected(label, 2, smallest=2)
    np.testing.assert_array_equal(parent, [0, 1])


def test_shares_go_to_the_nearest_piece_and_keep_their_sum():
    label = two_pieces_and_a_crumb()
    share = np.random.default_rng(0).random((4, 9, 2))
    owner, parent = split_unconnected(label, 2, smallest=8)
    pieces = spread_to_pieces(share, owner, len(parent))
    np.testing.assert_allclose(pieces[..., [0, 2]].sum(axis=2), share[..., 0])
    np.testing.assert_array_equal(pieces[..., 1], share[..., 1])
    assert np.all((pieces[..., 0] == 0) | (pieces[..., 2] == 0))
    np.testing.assert_array_equal(pieces[:, :4, 2], 0)


def test_no_clusters_have_no_pieces():
    owner, parent = split_unconnected(np.full((3, 4), -1), 0)
    assert owner.shape == (3, 4, 0)
    assert spread_to_pieces(np.zeros((3, 4, 0)), owner, len(parent)).shape == (3, 4, 0)
