import warnings

import numpy as np
import pytest

from orimap.tasks.decide.grains.lines import near_lines

SHAPE = (60, 70)
Y, X = np.mgrid[:60, :70]
NOTHING = np.zeros(SHAPE, bool)


def flat(level=1000.0):
    return np.full(SHAPE, level)


@pytest.mark.parametrize(("along", "line"), [(Y, 20), (X, 45)])
def test_discs_that_would_touch_a_bright_line_are_near_it(along, line):
    pattern = flat() * np.where(along == line, 1.15, 1.0)
    # 2.5 px of a disc and one pixel beside it.
    np.testing.assert_array_equal(near_lines(pattern, NOTHING, 2.5), abs(along - line) <= 3)
    np.testing.assert_array_equal(near_lines(pattern, NOTHING, 4.0), abs(along - line) <= 5)


def test_a_bright_row_and_a_bright_column_are_both_found():
    pattern = flat() * np.where((Y == 50) | (X == 9), 1.2, 1.0)
    expected = (abs(Y - 50) <= 3) | (abs(X - 9) <= 3)
    np.testing.assert_array_equal(near_lines(pattern, NOTHING, 2.0), expected)


def test_a_line_that_is_known_to_be_odd_need_not_be_brighter():
    found = near_lines(flat(), NOTHING, 2.5, odd=Y == 20)
    np.testing.assert_array_equal(found, abs(Y - 20) <= 3)
    bright = flat() * np.where(X == 45, 1.15, 1.0)
    expected = (abs(Y - 20) <= 3) | (abs(X - 45) <= 3)
    np.testing.assert_array_equal(near_lines(bright, NOTHING, 2.5, odd=Y == 20), expected)


def test_a_line_that_is_hardly_brighter_is_none():
    pattern = flat() * np.where(Y == 20, 1.08, 1.0)
    assert not near_lines(pattern, NOTHING, 2.5).any()


@pytest.mark.parametrize("seed", range(5))
def test_counting_noise_makes_no_line(seed):
    pattern = np.random.default_rng(seed).poisson(flat(400)).astype(float)
    assert not near_lines(pattern, NOTHING, 2.5).any()


def test_masked_columns_make_no_line_beside_them():
    for masked in (X == 40, X < 3, X > 66):
        assert not near_lines(flat(), masked, 2.5).any()


@pytest.mark.parametrize(("spacing", "width"), [(12, 5), (20, 12)])
def test_rows_of_an_aligned_crystal_are_no_lines(spacing, width):
    discs = (Y % spacing < width) & (X % spacing < width)
    assert not near_lines(flat() + 500 * discs, NOTHING, 2.5).any()


def test_a_row_of_discs_that_fill_less_than_half_of_it_is_no_line():
    discs = (abs(Y - 20) <= 2) & (X % 12 < 5)
    assert discs[20].mean() > 0.4
    assert not near_lines(flat() + 500 * discs, NOTHING, 2.5).any()


def test_a_line_stands_out_from_what_is_usual_among_lines():
    gain = 1 + 0.03 * np.random.default_rng(0).standard_normal(60)
    gain[20] = 1.08
    uneven = flat() * gain[:, None]
    assert not near_lines(uneven, NOTHING, 2.5).any()
    uneven[20] = 1500
    np.testing.assert_array_equal(near_lines(uneven, NOTHING, 2.5), abs(Y - 20) <= 3)


def test_a_line_shows_in_what_is_not_left_out_of_it():
    beam = np.hypot(Y - 30, X - 35) < 18
    assert beam[34].mean() >= 0.5
    pattern = flat() * np.where(Y == 34, 1.2, 1.0)
    np.testing.assert_array_equal(near_lines(pattern, beam, 2.5), abs(Y - 34) <= 3)


def test_where_nothing_is_seen_there_is_no_line_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not near_lines(flat(), ~NOTHING, 2.5).any()
        assert not near_lines(np.zeros(SHAPE), NOTHING, 2.5).any()
