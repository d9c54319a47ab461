import numpy as np
import pytest

from orimap.tasks.patterns.beam.descan import SmoothFit
from orimap.tasks.patterns.beam.position import Probe
from orimap.tasks.patterns.beam.recognise import (
    LearntBeam,
    doubt_about_disc,
    doubt_about_places,
    doubt_about_surroundings,
    elongation,
    search_window,
)

SHAPE = (64, 70)


def spot(centre, height, width, along=1.0):
    """A Gaussian, longer along x by a factor."""
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    away = (y - centre[0]) ** 2 + ((x - centre[1]) / along) ** 2
    return height * np.exp(-away / (2 * width**2))


def test_a_detector_with_nothing_to_search_has_no_window():
    ones = np.ones((8, 8))
    assert search_window(ones, ones > 0) is None
    assert search_window(np.ones(SHAPE), np.zeros(SHAPE, bool)) is None
    assert search_window(np.ones(SHAPE), np.ones(SHAPE, bool)) is None


def test_the_window_holds_a_drawn_out_beam_and_its_masked_pixels():
    mean = 1 + spot((30, 33), 100, 1.5, along=5)
    valid = np.ones(SHAPE, bool)
    valid[30, 40] = valid[2, 2] = False
    window, disc = search_window(mean, valid)
    assert (disc.y, disc.x) == pytest.approx((30, 33), abs=0.5)
    assert window.y0 < 26
    assert window.y1 > 34
    assert window.x0 < 20
    assert window.x1 > 46
    np.testing.assert_array_equal(window.holes, [[30 - window.y0, 40 - window.x0]])


def test_a_spot_three_times_as_long_as_wide_is_elongated():
    centre = np.array([[30.0, 33.0]])
    for along in (1.0, 3.0):
        window = spot(centre[0], 100, 2.0, along)[None].astype(np.float32)
        assert elongation(window, centre, 3.0, 50.0) == pytest.approx(along, rel=0.1)
    assert elongation(window, centre + 12, 3.0, 50.0) == np.inf


@pytest.mark.parametrize(
    ("contrast", "length", "edge", "radius", "doubt"),
    [
        (0.9, 1.0, 1.0, 5.0, None),
        (0.2, 1.0, 1.0, 5.0, "20 % dimmer"),
        (0.9, 2.0, 1.0, 5.0, "not round"),
        (0.9, 1.0, 8.0, 10.0, "halo"),
        (0.9, 1.0, 3.5, 5.0, None),  # soft but small, as with precession
    ],
)
def test_a_disc_is_doubted_for_its_looks(contrast, length, edge, radius, doubt):
    found = doubt_about_disc(LearntBeam(Probe.of_radius(radius), contrast, length, edge), 96)
    assert found is None if doubt is None else doubt in found
    assert "empty" in doubt_about_disc(None, 96)


def test_a_shadow_beside_the_beam_is_doubted_but_a_dead_line_is_not():
    mean = 5 + spot((30, 33), 100, 2.0)
    valid = np.ones(SHAPE, bool)
    window, _ = search_window(mean, valid)
    assert doubt_about_surroundings(mean, valid, window, 2.4) is None
    valid[:, 38:40] = False
    assert doubt_about_surroundings(mean, valid, window, 2.4) is None
    mean[24:36, 38:48] = 0
    assert "beam stop" in doubt_about_surroundings(mean, valid, window, 2.4)


@pytest.mark.parametrize(
    ("near", "scatter", "doubt"),
    [(100, 0.1, None), (79, 0.1, "not where"), (100, 1.0, "at random")],
)
def test_places_are_doubted_when_few_agree_or_none_well(near, scatter, doubt):
    where = np.arange(100) < near
    fit = SmoothFit(None, np.zeros((100, 2)), where, where, scatter, 0.01)
    found = doubt_about_places(fit, 2.0)
    assert found is None if doubt is None else doubt in found
    assert doubt_about_places(None, 2.0) is not None
