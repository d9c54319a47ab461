import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orimap.tasks.maps.regularity import positions_around, regularise


def shares_of(label, clear=0.7, others=0.3):
    """Shares that speak for a map of labels."""
    count = int(label.max()) + 1
    share = np.where(label[..., None] == np.arange(count), clear, others / max(1, count - 1))
    return np.where(label[..., None] >= 0, share, 0.0)


def random_scan(seed):
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(4, 0.4), (7, 9))
    label = share.argmax(axis=2)
    label[rng.random(label.shape) < 0.1] = -1
    return label, share


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_no_regularity_changes_nothing(seed):
    label, share = random_scan(seed)
    np.testing.assert_array_equal(regularise(label, share, 0.0), label)


@pytest.mark.parametrize("place", [(4, 4), (0, 0), (0, 5), (8, 10)])
def test_a_single_position_whose_lead_is_small_joins_its_neighbours(place):
    label = np.zeros((9, 11), int)
    label[:, 8:] = 1
    truth = label.copy()
    label[place] = 1 - truth[place]
    share = shares_of(truth)
    share[place] = [0.45, 0.55] if truth[place] == 0 else [0.55, 0.45]
    np.testing.assert_array_equal(regularise(label, share, 0.5), truth)


def test_a_single_position_stays_where_its_lead_is_larger_than_the_regularity():
    label = np.zeros((5, 5), int)
    label[2, 2] = 1
    share = shares_of(label, 0.8, 0.2)
    np.testing.assert_array_equal(regularise(label, share, 0.59), label)
    # Never the last position of a cluster, whatever its neighbours say.
    np.testing.assert_array_equal(regularise(label, share, 5.0), label)
    label[0, 0] = 1
    label[0, 4] = 1
    share = shares_of(label, 0.8, 0.2)
    share[0, 4] = [0.1, 0.9]
    kept = regularise(label, share, 0.61)
    assert kept[2, 2] == 0
    assert kept[0, 4] == 1


@pytest.mark.parametrize("regularity", [0.1, 0.5, 1.0, 10.0])
@pytest.mark.parametrize("vertical", [True, False])
@pytest.mark.parametrize("at", [2, 5])
def test_straight_borders_stay_where_they_are(regularity, vertical, at):
    label = np.zeros((10, 10), int)
    label[at:] = 1
    label = label.T if vertical else label
    share = shares_of(label, 0.501, 0.499)
    np.testing.assert_array_equal(regularise(label, share, regularity), label)


def test_positions_without_a_cluster_stay_and_have_no_vote():
    label = np.full((5, 5), -1)
    label[2, 2], label[2, 3], label[0, 0] = 0, 0, 1
    share = np.zeros((5, 5, 2))
    share[2, 2:4, 0] = share[0, 0, 1] = 0.4
    np.testing.assert_array_equal(regularise(label, share, 1.0), label)


@given(seed=st.integers(0, 2**32 - 1), regularity=st.floats(0.05, 3))
@settings(max_examples=30, deadline=None)
def test_no_position_is_left_that_wants_to_move_and_no_cluster_vanishes(seed, regularity):
    label, share = random_scan(seed)
    result = regularise(label, share, regularity)
    assert set(np.unique(result)) == set(np.unique(label))
    assert np.array_equal(result < 0, label < 0)
    if any(np.array_equal(result == c, label == c) for c in np.unique(label[label >= 0])):
        return  # a cluster that was kept from vanishing need not be at rest
    around = np.pad(result, 1, constant_values=-1)
    number = positions_around(result.shape) - 1
    for (y, x), own in np.ndenumerate(result):
        if own < 0:
            continue
        near = np.delete(around[y : y + 3, x : x + 3].ravel(), 4)
        votes = np.bincount(near[near >= 0], minlength=4) / number[y, x]
        support = share[y, x] + regularity * votes
        assert support.max() <= support[own] + 1e-6


def test_renaming_clusters_renames_the_result():
    label, share = random_scan(3)
    order = np.array([2, 0, 3, 1])
    renamed = np.where(label < 0, -1, np.argsort(order)[label])
    expected = regularise(label, share, 0.4)
    np.testing.assert_array_equal(
        regularise(renamed, share[..., order], 0.4),
        np.where(expected < 0, -1, np.argsort(order)[expected]),
    )


def test_positions_around_are_counted():
    np.testing.assert_array_equal(positions_around((3, 4))[:2], [[4, 6, 6, 4], [6, 9, 9, 6]])
    np.testing.assert_array_equal(positions_around((1, 3)), [[2, 3, 2]])
    np.testing.assert_array_equal(positions_around((1, 1)), [[1]])


def test_one_position_and_one_cluster_are_scans_too():
    for shape in ((1, 1), (1, 5), (4, 1)):
        label = np.zeros(shape, int)
        np.testing.assert_array_equal(regularise(label, np.ones((*shape, 1)), 1.0), label)
        np.testing.assert_array_equal(regularise(label, np.ones((*shape, 2)), 1.0), label)
