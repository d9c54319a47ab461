"""The measure of what stands out."""

import numpy as np
import pytest
from scipy import stats

from orimap.tasks.patterns.reflections.spots.excess import LEAST_EXPECTED, stands_out


@pytest.mark.parametrize(
    ("total", "expected", "rise"),
    [
        # sqrt(2 (t ln(t / e) - (t - e))), by hand.
        (20.0, 10.0, np.sqrt(2 * (20 * np.log(2) - 10))),
        (1.0, 0.25, np.sqrt(2 * (np.log(4) - 0.75))),
        (10.0, 10.0, 0.0),
        (9.0, 10.0, 0.0),
        (0.0, 0.0, 0.0),
    ],
)
def test_counts_stand_out_by_the_root_of_their_likelihood_ratio(total, expected, rise):
    assert stands_out(total, expected, 7.0, True) == pytest.approx(rise, abs=1e-12)


def test_grey_levels_stand_out_by_the_mean_over_the_disc():
    assert stands_out(20.0, 6.0, 7.0, False) == pytest.approx(2)
    assert stands_out(5.0, 6.0, 7.0, False) == 0


@pytest.mark.parametrize("counts", [True, False])
def test_nothing_stands_out_where_no_pixel_is_valid(counts):
    assert stands_out(5.0, 1.0, 0.0, counts) == 0


def test_where_nothing_is_expected_one_electron_has_a_bounded_weight():
    least = stands_out(1.0, LEAST_EXPECTED, 7.0, True)
    assert stands_out(1.0, 0.0, 7.0, True) == stands_out(1.0, -3.0, 7.0, True) == least
    assert 3 < least < 4


@pytest.mark.parametrize("expected", [0.5, 3.0, 40.0, 1000.0])
def test_noise_exceeds_two_and_three_sigma_as_often_as_a_normal_variable(expected):
    """What the measure is for: one threshold for bright and dim parts of a pattern."""
    totals = np.arange(int(expected + 12 * np.sqrt(expected) + 30))
    rises = np.array([stands_out(float(n), expected, 1.0, True) for n in totals])
    chance = stats.poisson.pmf(totals, expected)
    for level in (2.0, 3.0):
        exceeding = chance[rises >= level].sum()
        # Counts come in steps: of few electrons the step is a factor of several.
        assert exceeding < 2.5 * stats.norm.sf(level)
    if expected >= 40:
        assert exceeding == pytest.approx(stats.norm.sf(3), rel=0.5)


def test_more_electrons_never_stand_out_less():
    rises = [stands_out(float(n), 6.5, 3.0, True) for n in range(60)]
    assert np.all(np.diff(rises) >= 0)
    assert np.all(np.diff(rises[7:]) > 0)
