import numpy as np
import pytest

from orimap.tasks.decide.components.coherence import is_coherent
from orimap.tasks.decide.components.groups import (
    LEAST_HELD,
    at_least_one,
    by_intensity,
    holds_together,
    join_inside,
    join_scattered,
    keep_patterns,
    neighbours,
)

SHAPE = (8, 9)
COLUMN = np.indices(SHAPE)[1]
LEFT, RIGHT = COLUMN < 4, COLUMN >= 4
RNG = np.random.default_rng(3)
SCATTERED = RNG.random(SHAPE) < 0.2
HALF = RNG.random(SHAPE) < 0.5


def maps(*components):
    """Weights (scan_y, scan_x, component)."""
    return np.stack([np.broadcast_to(one, SHAPE) for one in components], axis=-1).astype(float)


def links(count, *pairs):
    """Which of so many components are linked: those of the pairs."""
    linked = np.eye(count, dtype=bool)
    for one, other in pairs:
        linked[one, other] = linked[other, one] = True
    return linked


def test_components_hold_together_by_themselves_or_with_equal_ones():
    weights = maps(RIGHT, LEFT & HALF, LEFT & ~HALF, SCATTERED)
    np.testing.assert_array_equal(is_coherent(weights), [True, False, False, False])
    inside = np.ones(4, bool)
    found = holds_together(weights, links(4, (1, 2)), inside)
    np.testing.assert_array_equal(found, [True, True, True, False])
    alone = holds_together(weights, links(4), inside)
    np.testing.assert_array_equal(alone, [True, False, False, False])
    # A copy that is not inside makes up for nothing, and is nothing itself.
    inside[[0, 2]] = False
    without = holds_together(weights, links(4, (1, 2)), inside)
    np.testing.assert_array_equal(without, [False] * 4)


def test_what_holds_together_alone_does_so_beside_noise_that_is_equal():
    weights = maps(LEFT, 5 * SCATTERED)
    assert not is_coherent(weights.sum(axis=-1, keepdims=True))[0]
    found = holds_together(weights, links(2, (0, 1)), np.ones(2, bool))
    np.testing.assert_array_equal(found, [True, False])


def test_weights_that_were_averaged_are_compared_as_far_apart():
    pairs = maps(COLUMN // 2 % 2)
    inside = np.ones(1, bool)
    assert holds_together(pairs, links(1), inside)[0]
    averaged = maps(np.kron(np.random.default_rng(8).random((3, 3)) < 0.5, np.ones((3, 3)))[:8])
    assert holds_together(averaged, links(1), inside)[0]
    assert not holds_together(averaged, links(1), inside, apart=3)[0]


def test_linked_components_inside_are_one_group():
    chain = links(5, (0, 3), (3, 4), (1, 2))
    np.testing.assert_array_equal(join_inside(chain, np.ones(5, bool)), [0, 1, 1, 0, 0])
    # Without its middle the chain falls apart.
    inside = np.array([True, True, True, False, True])
    np.testing.assert_array_equal(join_inside(chain, inside), [0, 1, 1, -1, 2])
    np.testing.assert_array_equal(join_inside(chain, np.zeros(5, bool)), [-1] * 5)


def test_a_scattered_component_belongs_to_the_one_that_it_is_most_like():
    cosine = np.eye(4)
    cosine[2] = 0.5, 0.7, 1, 0.9
    linked = links(4, (2, 0), (2, 1))
    groups = np.array([0, 1, -1, -1])
    scattered = np.array([False, False, True, False])
    found = join_scattered(groups, cosine, linked, scattered)
    # The fourth is more like it, but belongs to nothing.
    np.testing.assert_array_equal(found, [0, 1, 1, -1])
    np.testing.assert_array_equal(groups, [0, 1, -1, -1])


def test_scattered_pieces_without_a_coherent_one_are_groups_of_their_own():
    groups = np.array([1, -1, -1, 0, -1, -1])
    scattered = groups < 0
    linked = links(6, (1, 4), (4, 5), (5, 0))
    found = join_scattered(groups, np.ones((6, 6)), linked, scattered)
    # The last one is like a coherent one, and takes those that are like it nowhere.
    np.testing.assert_array_equal(found, [1, 2, 3, 0, 2, 1])
    nothing = np.full(3, -1)
    found = join_scattered(nothing, np.ones((3, 3)), links(3, (0, 2)), np.ones(3, bool))
    np.testing.assert_array_equal(found, [0, 1, 0])


def test_groups_that_do_not_cohere_are_dropped_and_the_others_numbered_anew():
    weights = maps(SCATTERED, LEFT, RIGHT & HALF, RIGHT & ~HALF)
    np.testing.assert_array_equal(keep_patterns(np.arange(4), weights), [-1, 0, -1, -1])
    # Together two of them cohere.
    np.testing.assert_array_equal(keep_patterns(np.array([0, 1, 2, 2]), weights), [-1, 0, 1, 1])


@pytest.mark.parametrize(("factor", "kept"), [(0.8, False), (1.25, True)])
def test_a_group_needs_positions_where_it_is_the_strongest(factor, kept):
    # Of 500 in four positions and less in the other 28 that are left of the middle, so much is
    # where the first grain is weak.
    part, top = factor * LEAST_HELD, LEFT & (np.indices(SHAPE)[0] == 0)
    weights = maps(np.where(top, 100, 1000 * LEFT), 1000 * RIGHT, 500 * top)
    weights[LEFT & ~top, 2] = 500 * (1 - part) / part * 4 / 28
    assert is_coherent(weights).all()
    assert weights[..., 2].max() == 500
    found = keep_patterns(np.arange(3), weights)
    np.testing.assert_array_equal(found, [0, 1, 2 if kept else -1])


def test_a_dim_grain_below_what_a_strong_one_leaks_is_kept():
    weights = maps(np.where(LEFT, 1000, 60), 50 * RIGHT)
    np.testing.assert_array_equal(keep_patterns(np.arange(2), weights), [0, 1])


BELOW = (500, 300, 450), (400, 500, 300)


def test_groups_that_are_next_to_nowhere_the_strongest_are_dropped_one_at_a_time():
    # Below a grain lie two others, each the strongest in a row: a seventh of the one, and less
    # than a fifth of the other, which is a third of it where the first one is gone.
    row = np.indices(SHAPE)[0]
    one, other = (np.select([row == 0, row == 1], ends, rest) for *ends, rest in BELOW)
    weights = maps(np.where(row < 2, 100, 1000) * LEFT, one * LEFT, other * LEFT)
    np.testing.assert_array_equal(keep_patterns(np.arange(3), weights), [0, -1, 1])
    # The last group is never dropped.
    np.testing.assert_array_equal(keep_patterns(np.zeros(1, int), weights[..., :1]), [0])
    np.testing.assert_array_equal(keep_patterns(np.full(3, -1), weights), [-1] * 3)


def test_neighbours_touch_at_edges_and_corners():
    upper = np.indices(SHAPE)[0]
    first, second = (upper < 2) & (COLUMN < 2), (upper // 2 == 1) & (COLUMN // 2 == 1)
    expected = [[True, True, False], [True, True, False], [False, False, True]]
    np.testing.assert_array_equal(neighbours(maps(first, second, COLUMN > 6)), expected)


def test_a_weak_trace_of_a_component_is_not_presence():
    weights = maps(100 * (COLUMN < 2), 100 * (COLUMN > 6))
    weights[..., 0] += 20
    assert not neighbours(weights)[0, 1]
    weights[..., 0] += 100
    assert neighbours(weights)[0, 1]


def test_a_component_in_few_positions_of_a_large_scan_is_present_there():
    weights = np.zeros((20, 30, 2))
    weights[:, :15, 0] = 100
    weights[3, 15, 1] = 80
    assert neighbours(weights)[0, 1]
    # One outlier is not what the others are measured by.
    weights[0, 0, 0] = 1000
    weights[0, 1:15, 0] = 0
    assert neighbours(weights)[0, 1]


@pytest.mark.parametrize("shape", [(1, 12), (12, 1)])
def test_neighbours_along_a_single_line(shape):
    weights = np.zeros((12, 2))
    weights[:5, 0] = weights[5:, 1] = 7
    assert neighbours(weights.reshape(*shape, 2))[0, 1]
    weights[5:8, 1] = 0
    assert not neighbours(weights.reshape(*shape, 2))[0, 1]


def test_an_empty_component_has_no_neighbours():
    np.testing.assert_array_equal(neighbours(maps(LEFT, 0)), [[True, False], [False, False]])


def test_where_there_is_no_group_the_strongest_component_that_is_alive_is_one():
    total = np.array([5.0, 9, 7])
    nothing = np.full(3, -1)
    found = at_least_one(nothing, total, np.ones(3, bool))
    np.testing.assert_array_equal(found, [-1, 0, -1])
    np.testing.assert_array_equal(nothing, -1)
    np.testing.assert_array_equal(at_least_one(nothing, total, np.zeros(3, bool)), -1)
    some = np.array([-1, -1, 0])
    np.testing.assert_array_equal(at_least_one(some, total, np.ones(3, bool)), some)


def test_groups_are_numbered_by_the_falling_intensity_of_their_members():
    groups = np.array([0, 1, -1, 2, 0, 1])
    total = np.array([3.0, 4, 100, 8, 6, 2])
    found = by_intensity(groups, total)
    # 9, 6 and 8: what belongs to none does not count.
    np.testing.assert_array_equal(found, [0, 2, -1, 1, 0, 2])
    assert found.dtype == np.int16
    np.testing.assert_array_equal(by_intensity(np.array([1, 0]), np.array([4.0, 4])), [1, 0])
    np.testing.assert_array_equal(by_intensity(np.full(2, -1), total[:2]), [-1, -1])
    assert by_intensity(np.zeros(0, int), np.zeros(0)).shape == (0,)
