import warnings

import numpy as np
import pytest
from scipy import ndimage

from orimap.tasks.decide.components.coherence import (
    AVERAGED_EVERYWHERE,
    COHERENT,
    EVERYWHERE,
    FEWEST_POSITIONS,
    is_coherent,
    neighbour_correlation,
    spreads,
)


def grids(*maps):
    """Weights (scan_y, scan_x, component) from one map for each component."""
    return np.stack([np.array(one, float) for one in maps], axis=-1)


def test_a_checkerboard_coheres_along_its_diagonals_alone():
    board = np.indices((4, 5)).sum(axis=0) % 2
    np.testing.assert_allclose(neighbour_correlation(grids(board, 3 - 7 * board)), 1)
    # Without diagonals, in a line, it is the opposite of its neighbours.
    np.testing.assert_allclose(neighbour_correlation(grids(board[:1])), -1)


def test_the_correlation_is_the_largest_of_four_directions_worked_by_hand():
    corner = np.zeros((4, 4))
    corner[:2, :2] = 1
    # Deviations 3/4 (inside, a) and -1/4 (outside, b), variance 3/16. Of 12 pairs along a column 2
    # are aa, 2 ab and 8 bb: 5/4 / 12 / (3/16). Of 9 along the diagonals less.
    assert neighbour_correlation(grids(corner))[0] == pytest.approx(5 / 9)
    single = [[1, 0], [0, 0]]
    # Along rows and columns ab and bb, on its own diagonal ab, on the other one bb: 1/16 / (3/16).
    assert neighbour_correlation(grids(single))[0] == pytest.approx(1 / 3)
    halves = [[1, 1], [1, 1], [0, 0], [0, 0]]
    assert neighbour_correlation(grids(halves))[0] == 1


@pytest.mark.parametrize("line", [np.s_[5, :], np.s_[:, 4], "diagonal", "other diagonal"])
def test_a_lamella_one_position_wide_coheres(line):
    weights = np.zeros((12, 12))
    if isinstance(line, str):
        weights[:] = np.eye(12) if line == "diagonal" else np.eye(12)[::-1]
    else:
        weights[line] = 1
    assert is_coherent(grids(weights))[0]


@pytest.mark.parametrize("shape", [(1, 4), (4, 1)])
def test_a_single_line_has_pairs_along_itself_alone(shape):
    line = np.array([5.0, 5, 1, 1]).reshape(shape)
    assert neighbour_correlation(grids(line))[0] == pytest.approx(1 / 3)


def test_neither_scale_nor_offset_nor_other_components_matter():
    first, second = np.random.default_rng(0).random((2, 6, 7))
    alone = neighbour_correlation(grids(first))
    np.testing.assert_allclose(neighbour_correlation(grids(second, 40 + 9 * first))[1], alone)


def test_independent_weights_have_next_to_no_correlation():
    weights = np.random.default_rng(1).random((50, 60, 4))
    # Each direction is about one over the root of its 2,891 pairs or more from 0.
    assert np.abs(neighbour_correlation(weights)).max() < 4 / np.sqrt(2891)


def test_spreads_are_those_worked_by_hand():
    one = np.zeros((2, 5))
    one[1, 2] = 7
    unequal = np.zeros((2, 5))
    unequal[0, :2] = 3, 1  # 16 / 10 of ten positions
    found = spreads(grids(one, np.full((2, 5), 4), np.eye(2, 5), unequal))
    np.testing.assert_allclose(found, [1 / 10, 1, 2 / 10, 1.6 / 10])


def test_what_is_the_same_everywhere_or_nowhere_has_no_correlation_and_warns_of_nothing():
    weights = grids(np.full((8, 9), 5), np.zeros((8, 9)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(neighbour_correlation(weights), 0)
        np.testing.assert_array_equal(spreads(weights), [1, 0])
        np.testing.assert_array_equal(is_coherent(weights), [True, False])


def test_grains_and_what_is_everywhere_hold_together_and_scattered_positions_do_not():
    rng = np.random.default_rng(2)
    grain = np.zeros((12, 13))
    grain[2:7, 3:9] = 1
    scattered = rng.random((12, 13)) < 0.2
    everywhere = rng.poisson(1000, (12, 13))
    weights = grids(grain, scattered, everywhere)
    assert neighbour_correlation(weights)[0] > COHERENT > neighbour_correlation(weights)[1:].max()
    assert spreads(weights)[2] > EVERYWHERE > spreads(weights)[:2].max()
    np.testing.assert_array_equal(is_coherent(weights), [True, False, True])


def test_in_too_few_positions_everything_passes_for_coherent():
    board = np.indices((FEWEST_POSITIONS, 1)).sum(axis=0) % 2
    assert not is_coherent(grids(board))[0]
    assert is_coherent(grids(board[1:]))[0]


def test_no_component_is_no_trouble():
    for positions in (FEWEST_POSITIONS - 1, FEWEST_POSITIONS):
        assert is_coherent(np.zeros((positions, 1, 0))).shape == (0,)


def test_positions_further_apart_are_paired_as_by_hand():
    line = [[1, 1, 1, 0, 0, 0]]
    # Deviations of a half: of five pairs next to each other four agree, of four pairs two.
    assert neighbour_correlation(grids(line))[0] == pytest.approx(3 / 5)
    assert neighbour_correlation(grids(line), 2)[0] == pytest.approx(0)
    assert neighbour_correlation(grids(line), 3)[0] == pytest.approx(-1)
    # No pairs are as far apart as that.
    assert neighbour_correlation(grids(line), 6)[0] == -1


def test_as_far_apart_as_the_squares_of_a_board_every_direction_is_its_own():
    board = np.kron(np.indices((4, 5)).sum(axis=0) % 2, np.ones((3, 3)))
    # Along the diagonals the squares are alike, along rows and columns the opposite.
    np.testing.assert_allclose(neighbour_correlation(grids(board), 3), 1)
    np.testing.assert_allclose(neighbour_correlation(grids(board[:3]), 3), -1)
    stripes = np.kron(np.arange(4) % 2, np.ones(3))
    rows = np.tile(stripes, (12, 1))
    np.testing.assert_allclose(neighbour_correlation(grids(rows, rows.T), 3), 1)
    np.testing.assert_allclose(neighbour_correlation(grids(rows[:3]), 3), -1)
    lines = grids(np.eye(12), np.eye(12)[::-1])
    assert neighbour_correlation(lines, 3).min() > COHERENT


def test_noise_that_was_averaged_over_squares_does_not_cohere_as_far_apart():
    noise = np.random.default_rng(4).gamma(0.5, size=(40, 45, 3))
    averaged = ndimage.uniform_filter(noise, (3, 3, 1))
    assert spreads(averaged).min() > EVERYWHERE
    assert neighbour_correlation(averaged).min() > COHERENT
    assert np.abs(neighbour_correlation(averaged, 3)).max() < 0.15
    np.testing.assert_array_equal(is_coherent(averaged, 3), False)


def test_averaged_weights_have_to_be_more_even_to_be_everywhere():
    board = np.indices((10, 12)).sum(axis=0) % 2
    levels = np.random.default_rng(5).permutation(board.ravel()).reshape(10, 12)
    # Half of the positions at 1 + a, half at 1 - a: a spread of 1 / (1 + a²).
    between = 0.5 * (EVERYWHERE + AVERAGED_EVERYWHERE)
    weights = grids(*(1 + np.sqrt(1 / s - 1) * (2 * levels - 1) for s in (between, 0.95)))
    np.testing.assert_allclose(spreads(weights), [between, 0.95])
    np.testing.assert_array_equal(is_coherent(weights), [True, True])
    np.testing.assert_array_equal(is_coherent(weights, 3), [False, True])
