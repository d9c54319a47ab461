import numpy as np
import pytest

from orimap.tasks.patterns.beam.region import direct_beam_region
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.scan import plan_scan


def disc(shape, centre, radius, height):
    y, x = np.indices(shape)
    return height * (np.hypot(y - centre[0], x - centre[1]) <= radius)


def smooth(shape, width):
    y, x = np.indices(shape)
    return np.exp(-((y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2) / (2 * width**2))


@pytest.mark.parametrize("descan", [0, 4])
def test_the_simulated_beam_is_found_wherever_it_wanders(descan):
    recipe = ScanRecipe(
        scan=(10, 11), detector=(96, 96), grains=3, dose=2000, descan=descan, seed=1
    )
    scan = plan_scan(recipe)
    mean = np.mean([scan.patterns(slice(y, y + 1)).mean(axis=(0, 1)) for y in range(10)], axis=0)
    region, finding = direct_beam_region(mean, np.ones((96, 96), bool))
    assert finding.startswith("the direct beam")
    for shift in scan.descan.reshape(-1, 2):
        beam = disc((96, 96), (47.5 + shift[0], 47.5 + shift[1]), recipe.disk_radius_px, 1) > 0
        assert np.all(region[beam])
    # Not much more than the disc, its way and the margin.
    radius = recipe.disk_radius_px + 4 + descan / 2
    assert region.sum() <= np.pi * radius**2


def test_a_beam_off_the_centre_is_found():
    mean = 0.1 + disc((60, 80), (35, 30), 3, 50.0)
    region, _ = direct_beam_region(mean, np.ones((60, 80), bool))
    assert np.all(region[mean > 1])
    assert not region[20, 60]


def test_a_strong_reflection_beside_the_beam_is_not_swallowed():
    spot = disc((64, 64), (32, 45), 2, 40.0)
    mean = 0.1 + disc((64, 64), (31.5, 31.5), 2.5, 50.0) + spot
    region, _ = direct_beam_region(mean, np.ones((64, 64), bool))
    assert region[31, 31]
    assert not np.any(region & (spot > 0))


@pytest.mark.parametrize("width", [15, 40])
def test_a_pattern_without_a_beam_keeps_every_pixel(width):
    region, finding = direct_beam_region(100 * smooth((60, 60), width), np.ones((60, 60), bool))
    assert not region.any()
    assert "too wide" in finding


def test_a_bright_spot_far_from_the_centre_is_no_beam():
    mean = 0.1 + disc((64, 64), (8, 50), 3, 50.0)
    region, finding = direct_beam_region(mean, np.ones((64, 64), bool))
    assert not region.any()
    assert "no direct beam near the centre" in finding


def test_a_small_detector_keeps_every_pixel():
    region, finding = direct_beam_region(np.eye(23), np.ones((23, 23), bool))
    assert not region.any()
    assert "too small" in finding


def test_masked_pixels_do_not_pass_for_the_beam():
    mean = 0.1 + disc((64, 64), (31, 32), 3, 50.0)
    mean[25, 40] = 1e6
    valid = np.ones((64, 64), bool)
    valid[25, 40] = False
    region, _ = direct_beam_region(mean, valid)
    assert region[31, 32]
    assert not region[25, 40]


def test_an_empty_mean_pattern_has_no_beam():
    region, _ = direct_beam_region(np.zeros((40, 40)), np.ones((40, 40), bool))
    assert not region.any()
