import numpy as np
import pytest

from orimap.tasks.decide.components.likeness import SIGNIFICANT
from orimap.tasks.decide.components.reflections import find_reflections

SIZE = 64
Y, X = np.mgrid[:SIZE, :SIZE]
NOTHING_LEFT_OUT = np.zeros((SIZE, SIZE), bool)
LEVEL = 400.0


def disc(y, x, radius=3.0):
    return (np.hypot(Y - y, X - x) <= radius).astype(float)


def flat(count=1):
    return np.full((count, SIZE, SIZE), LEVEL)


def test_significance_is_the_mean_over_a_disc_in_standard_deviations():
    # Of radius 3, the inner .8 * 3 + .3 = 2.7 px: 21 pixels, each 400 counts with an error of 20.
    counts = flat() + 50 * disc(30, 20)
    found = find_reflections(counts, flat(), NOTHING_LEFT_OUT, 3.0)
    assert found.significance[0, 30, 20] == pytest.approx(50 / (20 / np.sqrt(21)))
    # Alone, and at the middle of the disc.
    np.testing.assert_array_equal(np.argwhere(found.is_place[0]), [[30, 20]])


def test_a_dim_disc_below_the_noise_is_no_place():
    bright, dim = 20 / np.sqrt(21) * np.array([SIGNIFICANT + 0.1, SIGNIFICANT - 0.1])
    counts = flat() + bright * disc(15, 15) + dim * disc(45, 40)
    found = find_reflections(counts, flat(), NOTHING_LEFT_OUT, 3.0)
    np.testing.assert_array_equal(np.argwhere(found.is_place[0]), [[15, 15]])


@pytest.mark.parametrize("times", [1.0, 6.0])
def test_noise_that_is_larger_than_that_of_counting_is_measured(times):
    rng = np.random.default_rng(0)
    noise = times * np.sqrt(LEVEL) * rng.standard_normal((8, SIZE, SIZE))
    found = find_reflections(flat(8) + noise, flat(8), NOTHING_LEFT_OUT, 2.0)
    # Pixels of 8 components, at five standard deviations of a normal law.
    assert np.count_nonzero(found.is_place) <= 1
    assert np.std(found.significance) == pytest.approx(1, abs=0.1)


def test_pixels_left_out_and_those_about_them_hold_no_place():
    beam = np.hypot(Y - 32, X - 32) < 5
    counts = flat() + 1e5 * disc(32, 32, 4) + 200 * disc(10, 50)
    found = find_reflections(counts, flat(), beam, 3.0)
    assert np.all(found.significance[0][np.hypot(Y - 32, X - 32) < 7] == 0)
    np.testing.assert_array_equal(np.argwhere(found.is_place[0]), [[10, 50]])
    nowhere = find_reflections(counts, flat(), ~NOTHING_LEFT_OUT, 3.0)
    assert not nowhere.is_place.any()


def test_the_height_is_the_logarithm_of_the_significance():
    counts = flat() + 100 * disc(20, 20) + 10_000 * disc(44, 40)
    found = find_reflections(counts, flat(), NOTHING_LEFT_OUT, 3.0)
    significance = found.significance[0][[44, 20], [40, 20]]
    height = found.height[0][[44, 20], [40, 20]]
    np.testing.assert_allclose(height, np.log1p(significance / SIGNIFICANT))
    # A hundred times as bright weighs a few times as much.
    assert 1 < height[0] / height[1] < 10


@pytest.mark.parametrize("line", [Y == 20, X == 40, abs(Y - 20) <= 1])
def test_lines_of_a_camera_are_no_places(line):
    counts = flat() + 300 * line + 200 * disc(48, 12)
    found = find_reflections(counts, flat(), NOTHING_LEFT_OUT, 2.5)
    assert found.significance.max() > 20
    np.testing.assert_array_equal(np.argwhere(found.is_place[0]), [[48, 12]])


def test_a_row_of_discs_is_no_line():
    row = [(30, x) for x in range(8, 60, 8)]
    counts = flat() + 300 * sum(disc(y, x) for y, x in row)
    found = find_reflections(counts, flat(), NOTHING_LEFT_OUT, 3.0)
    np.testing.assert_array_equal(np.argwhere(found.is_place[0]), row)
