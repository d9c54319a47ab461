import numpy as np
import pytest

from orimap.tasks.patterns.register import reflection_radius, sample_positions

SIDE = 96


def patterns_of(reflection_px, direct_px, count=16):
    """Flat background, a direct beam in the middle, six reflections; Poisson counts."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIDE, :SIDE]
    patterns = np.zeros((count, SIDE, SIDE))

    def disc(place, radius):
        return np.clip(radius + 0.5 - np.hypot(y - place[0], x - place[1]), 0, 1)

    for pattern in patterns:
        mean = 0.05 + 20 * disc((47.5, 47.5), direct_px)
        for angle in np.arange(6) * np.pi / 3 + rng.uniform(0, 1):
            place = 47.5 + 32 * np.array([np.sin(angle), np.cos(angle)])
            mean = mean + 5 * disc(place, reflection_px)
        pattern[:] = rng.poisson(mean)
    return patterns


@pytest.mark.parametrize(("reflection_px", "direct_px"), [(2.5, 5.0), (3.5, 6.0)])
def test_reflections_smaller_than_the_direct_beam_are_measured(reflection_px, direct_px):
    patterns = patterns_of(reflection_px, direct_px)
    beam = np.full((len(patterns), 2), 47.5)
    radius = reflection_radius(patterns, beam, np.ones((SIDE, SIDE), bool), direct_px, counts=True)
    # Positions found with a disc of the wrong size are off by some tenths of a pixel.
    assert radius == pytest.approx(reflection_px, abs=0.4)


def test_the_direct_beam_is_believed_where_reflections_agree_or_are_few():
    beam, valid = np.full((16, 2), 47.5), np.ones((SIDE, SIDE), bool)
    assert reflection_radius(patterns_of(3.0, 3.0), beam, valid, 3.0, counts=True) == 3.0
    empty = np.zeros((16, SIDE, SIDE))
    assert reflection_radius(empty, beam, valid, 3.0, counts=True) == 3.0


def test_the_sample_is_spread_over_the_scan():
    numbers = sample_positions((40, 30))
    assert len(numbers) == 64
    assert numbers.min() == 0
    assert numbers.max() == 1199
    np.testing.assert_array_equal(sample_positions((2, 3)), range(6))
