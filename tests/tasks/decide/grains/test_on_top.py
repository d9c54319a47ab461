import numpy as np
import pytest

from orimap.tasks.decide.grains.on_top import (
    FEWEST_COMPARED,
    FEWEST_ON_TOP,
    LACKING,
    Pattern,
    lies_on_top,
)

# A crystal with 8 reflections among 24 places.
CRYSTAL = np.where(np.arange(24) < 8, 1000.0, 0.0)


def of(*excess, noise=10.0):
    total = np.sum(excess, axis=0).astype(float)
    return Pattern(total, np.full(len(total), noise))


def more(count, height=1000.0):
    """Further reflections, beside those of the crystal."""
    return np.where((np.arange(24) >= 8) & (np.arange(24) < 8 + count), height, 0.0)


def test_what_adds_many_reflections_lies_on_top_and_not_the_other_way_round():
    assert lies_on_top(of(CRYSTAL, more(10)), of(CRYSTAL))
    assert not lies_on_top(of(CRYSTAL), of(CRYSTAL, more(10)))


def test_lacking_and_shown_reflections_are_counted_by_hand():
    above = of(CRYSTAL, more(10))
    assert above.lacking_in(of(CRYSTAL)) == (10, 18)
    assert of(CRYSTAL).lacking_in(above) == (0, 8)


@pytest.mark.parametrize(("count", "expected"), [(7, False), (8, True)])
def test_half_of_what_would_be_seen_must_be_new(count, expected):
    # 7 of 15 and 8 of 16.
    assert lies_on_top(of(CRYSTAL, more(count)), of(CRYSTAL)) == expected


def test_few_new_ones_are_none():
    few = np.where(np.arange(24) < FEWEST_COMPARED, 1000.0, 0.0)
    new = np.where(np.arange(24) >= 24 - FEWEST_ON_TOP, 1000.0, 0.0)
    assert lies_on_top(of(few, new), of(few))
    new[-1] = 0
    assert not lies_on_top(of(few, new), of(few))


def test_a_tilt_that_takes_reflections_away_is_not_on_top():
    tilted = CRYSTAL.copy()
    tilted[0] = 0
    assert not lies_on_top(of(tilted, more(12)), of(CRYSTAL))


def test_what_would_not_stand_out_from_the_noise_is_not_lacking():
    # Half as bright, these reflections would be 500 above an error of 50: less than 12 times.
    faint = of(0.5 * CRYSTAL, noise=50.0)
    assert of(CRYSTAL, more(10)).lacking_in(faint) == (0, 0)


def test_faint_ones_are_not_lacking():
    there = more(6, 1000.0 * LACKING)
    assert of(CRYSTAL, more(6)).lacking_in(of(CRYSTAL, there))[0] == 0
    assert of(CRYSTAL, more(6)).lacking_in(of(CRYSTAL, 0.9 * there))[0] == 6


def test_without_common_reflections_nothing_is_told():
    assert of(more(10)).lacking_in(of(CRYSTAL)) == (0, 0)
