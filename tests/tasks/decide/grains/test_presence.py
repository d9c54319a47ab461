from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.decide.grains.fit import GrainFit
from orimap.tasks.decide.grains.presence import (
    BEYOND_DOUBT,
    NOT_LENT,
    PRESENT,
    SIDES,
    WEAK,
    CertainWeights,
    certain_weights,
    is_present,
    is_sure,
    weight_variance,
)

SHAPE = (16, 18)
HALVES = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75]])


def fit_of(*maps, reflections=HALVES):
    """A fit with the given weights (scan_y, scan_x) of components."""
    weights = np.stack([one.ravel() for one in maps], axis=1).astype(float)
    return GrainFit(weights, reflections[: len(maps)])


def intensity_of(fit, scan_shape=SHAPE):
    return (fit.weights @ fit.reflections).reshape(*scan_shape, -1)


def test_the_variance_of_a_weight_is_worked_by_hand(fields_of):
    fit = fit_of(np.array([[40.0, 0]]), np.array([[0.0, 8]]))
    fields = fields_of(intensity_of(fit, (1, 2)), below=[60.0, 100, 30, 10])
    # Half each: the weight is the sum of two discs, and so is its variance. Otherwise the sum of
    # r² times the electrons, 1/16 and 9/16 of them, over the square of the sum of r², 10/16.
    first = np.array([80 + 120, 60 + 100])
    second = np.array([30 + 9 * 10, 32 + 9 * 16]) / 16 / (10 / 16) ** 2
    expected = np.stack([first, second], axis=1)
    np.testing.assert_allclose(weight_variance(fit, fields), expected)
    half = replace(fields, dispersion=0.5)
    np.testing.assert_allclose(weight_variance(fit, half), expected / 2)


def test_the_variance_is_that_of_repeated_counting(fields_of):
    fit = fit_of(np.full((60, 50), 70.0))
    fields = fields_of(intensity_of(fit, (60, 50)), 200.0, np.random.default_rng(0))
    only = fit.reflections[0]
    found = fields.scan @ fields.net @ only / (only @ only)
    assert found.var() == pytest.approx(weight_variance(fit, fields).mean(), rel=0.08)


def test_means_over_squares_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    weights, variance = rng.random((2, 5, 7, 2))
    single = CertainWeights(weights.reshape(-1, 2), variance.reshape(-1, 2), 1)
    flat = single.averaged((5, 7), 3)
    for y, x in np.ndindex(5, 7):
        # At the edges there are fewer than nine.
        square = np.s_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        number = weights[square][..., 0].size
        np.testing.assert_allclose(flat.weights[7 * y + x], weights[square].mean(axis=(0, 1)))
        expected = variance[square].mean(axis=(0, 1)) / number
        np.testing.assert_allclose(flat.variance[7 * y + x], expected)
    assert flat.side == 3
    np.testing.assert_allclose(flat.sureness, flat.weights / np.sqrt(flat.variance))


def test_nothing_is_sure_of_nothing():
    none = CertainWeights(np.array([[0.0, 3]]), np.array([[0.0, 9]]), 1)
    np.testing.assert_array_equal(none.sureness, [[0, 1]])


def test_weights_are_given_for_single_positions_and_for_squares(fields_of):
    left = np.indices(SHAPE)[1] < 12
    fit = fit_of(20.0 * left, 60.0 * ~left)
    fields = fields_of(intensity_of(fit), below=[200.0, 200, 50, 50])
    single, mean = certain_weights(fit, fields)
    assert (single.side, mean.side) == (1, SIDES[0])
    np.testing.assert_array_equal(single.weights, fit.weights)
    np.testing.assert_array_equal(single.variance, weight_variance(fit, fields))
    expected = single.averaged(SHAPE, SIDES[0])
    np.testing.assert_array_equal(mean.weights, expected.weights)
    np.testing.assert_array_equal(mean.variance, expected.variance)


def test_a_grain_is_present_where_it_is_and_nowhere_else(fields_of):
    grain = np.zeros(SHAPE)
    grain[4:12, 3:10] = 200.0
    fit = fit_of(grain)
    fields = fields_of(intensity_of(fit), below=100.0)
    present = is_present(fit, fields, np.array([0]))
    # Squares of three around a position lend their middle what is next to it.
    assert present[4:12, 3:10].all()
    present[3:13, 2:11] = False
    assert not present.any()


def test_only_components_of_grains_count(fields_of):
    left = np.indices(SHAPE)[1] < 9
    fit = fit_of(500 * left, 500 * ~left)
    fields = fields_of(intensity_of(fit))
    for cluster, expected in (([0, -1], left), ([-1, 0], ~left), ([0, 1], left | ~left)):
        present = is_present(fit, fields, np.array(cluster))
        np.testing.assert_array_equal(present[:, [0, 4, 13, 17]], expected[:, [0, 4, 13, 17]])
    assert not is_present(fit, fields, np.array([-1, -1])).any()


def test_a_weak_grain_shows_in_larger_squares(fields_of):
    # Two discs over 5000 each: a standard deviation of 100 in one position, 33 and 20 in squares.
    for weight, shows in ((0.95 * WEAK * 20, False), (1.05 * WEAK * 20, True)):
        assert weight < PRESENT * 100 / 3
        fit = fit_of(np.full(SHAPE, weight))
        fields = fields_of(intensity_of(fit), below=5000.0)
        # At the edges squares are smaller.
        inside = is_present(fit, fields, np.array([0]))[2:-2, 2:-2]
        assert inside.all() == shows
        assert inside.any() == shows


def test_a_grain_of_a_single_position_shows_around_it(fields_of):
    # Of 12 standard deviations: 4 in the mean over nine positions, 2.4 in that over 25.
    grain = np.zeros(SHAPE)
    grain[8, 9] = 12 * np.sqrt(1000 + 1200)
    fit = fit_of(grain)
    fields = fields_of(intensity_of(fit), below=500.0)
    present = is_present(fit, fields, np.array([0]))
    assert present[8, 9]
    present[7:10, 8:11] = False
    assert not present.any()


def test_a_bright_grain_lends_nothing_to_what_is_two_positions_away(fields_of):
    grain = np.zeros(SHAPE)
    grain[:, :6] = 400.0
    fit = fit_of(grain)
    fields = fields_of(intensity_of(fit), below=5000.0)
    # In squares of five the mean reaches two positions further, in those of three only one.
    single = CertainWeights(fit.weights, weight_variance(fit, fields), 1)
    wide = single.averaged(SHAPE, 5)
    wide = wide.sureness.reshape(SHAPE)
    assert wide[:, 7].min() > NOT_LENT * WEAK
    assert wide[:, 6].min() > WEAK
    present = is_present(fit, fields, np.array([0]))
    assert present[:, :6].all()
    assert not present[:, 7:].any()


def test_a_grain_is_sure_where_its_own_mean_is_beyond_doubt(fields_of):
    # Two discs over 500 each: in a mean over nine positions a standard deviation of about 11.
    rows = np.indices(SHAPE)[0]
    for weight, expected in ((0.9 * BEYOND_DOUBT * 11, False), (1.2 * BEYOND_DOUBT * 11, True)):
        fit = fit_of(np.where(rows < 4, 2000.0, weight), np.where(rows < 1, 10.0, 0.0))
        fields = fields_of(intensity_of(fit), below=500.0)
        found = is_sure(fit, fields, np.array([0, -1]))
        assert found[:4].all()
        assert found[7:-1, 1:-1].all() == expected
        assert found[7:-1, 1:-1].any() == expected
    assert not is_sure(fit, fields, np.array([-1, -1])).any()


def test_without_components_nothing_is_present(fields_of):
    fit = GrainFit(np.zeros((6, 0)), np.zeros((0, 4)))
    fields = fields_of(np.zeros((2, 3, 4)))
    present = is_present(fit, fields, np.zeros(0, int))
    np.testing.assert_array_equal(present, np.zeros((2, 3), bool))


@pytest.mark.parametrize(("weight", "expected"), [(5.0, False), (200.0, True)])
def test_a_single_position_is_judged_by_itself(fields_of, weight, expected):
    # A standard deviation of about 32.
    fit = fit_of(np.array([[weight]]))
    fields = fields_of(intensity_of(fit, (1, 1)), below=500.0)
    np.testing.assert_array_equal(is_present(fit, fields, np.array([0])), [[expected]])
