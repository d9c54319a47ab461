import numpy as np
import pytest

from orimap.tasks.decide.evidence.knee import range_of_interest

KS = np.arange(1, 21)
HOCKEY_STICK = np.r_[100, 80, 60, 40, 20, np.linspace(10, 9, 15)]


def test_a_sharp_bend_is_the_knee_and_the_range_reaches_four_beyond():
    found = range_of_interest(KS, HOCKEY_STICK)
    assert (found.knee, found.low, found.high) == (6, 2, 10)


@pytest.mark.parametrize("bend", [3, 8, 12])
def test_two_lines_meet_at_the_knee(bend):
    loss = np.where(bend >= KS, 100 - 9 * (KS - 1), 100 - 9 * (bend - 1) - 0.01 * (KS - bend))
    assert range_of_interest(KS, loss).knee == bend


def test_the_range_is_clipped_to_what_was_fitted():
    found = range_of_interest(KS[:8], HOCKEY_STICK[:8])
    # On these eight, one minus loss less k, both scaled to 0..1, is .316 at 5 and .284 at 6.
    assert (found.knee, found.low, found.high) == (5, 1, 8)
    found = range_of_interest(KS[3:], HOCKEY_STICK[3:])
    assert found.low == 4
    assert found.high == found.knee + 4


@pytest.mark.parametrize(
    "loss", [21.0 - KS, np.linspace(0.7, 0.3, 20), np.ones(20), np.full(20, np.nan)]
)
def test_a_loss_without_a_knee_keeps_the_whole_range(loss):
    found = range_of_interest(KS, loss)
    assert (found.knee, found.low, found.high) == (None, 1, 20)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_values_have_no_knee(count):
    found = range_of_interest(KS[4 : 4 + count], HOCKEY_STICK[:count])
    assert (found.knee, found.low, found.high) == (None, 5, 4 + count)
