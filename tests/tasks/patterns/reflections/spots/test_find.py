import numpy as np
import pytest

from orimap.tasks.patterns.reflections.spots.find import Beam, Detector, Search, find_spots
from orimap.tasks.patterns.reflections.spots.shape import add_disc, disc_sums, spot_shape

SIDE, RADIUS = 64, 3.0
CENTRE = Beam(31.5, 31.5, 9.0)
# y, x and height per pixel; the first is the direct beam.
DISCS = np.array([[30.3, 33.6, 100.0], [47.8, 14.1, 30.0], [12.4, 50.0, 10.0]])


def detector(valid=None):
    return Detector.of(np.ones((SIDE, SIDE), bool) if valid is None else valid, RADIUS)


def pattern(discs=DISCS, background=0.5):
    image = np.full((SIDE, SIDE), background, np.float32)
    for y, x, height in discs:
        add_disc(image, y, x, height, spot_shape(RADIUS))
    return image


def find(image, *, counts=True, least=3.0, most=150, valid=None):
    return find_spots(image, detector(valid), Search(counts, least, 1.0, most), CENTRE)


@pytest.mark.parametrize("counts", [True, False])
def test_worked_positions_heights_and_background(counts):
    image = pattern()
    spots, background, sums = find(image, counts=counts)
    np.testing.assert_allclose(spots[:, :2], DISCS[:, :2], atol=0.05)
    np.testing.assert_allclose(spots[:, 2], DISCS[:, 2], rtol=0.03)
    assert background.shape == (SIDE, SIDE)
    np.testing.assert_allclose(background[np.hypot(*np.indices(image.shape)) > 75], 0.5, atol=0.05)
    np.testing.assert_array_equal(sums, disc_sums(image, spot_shape(RADIUS).kernel))


def test_a_flat_pattern_has_no_spots_and_is_its_own_background():
    spots, background, _ = find(pattern([], 2.0))
    assert spots.shape == (0, 3)
    np.testing.assert_allclose(background, 2.0, rtol=1e-6)


def test_a_weak_disc_that_touches_a_strong_one_is_found():
    touching = [[31.0, 31.0, 100.0], [31.4, 37.2, 25.0]]
    spots = find(pattern(touching))[0]
    np.testing.assert_allclose(spots[:2, :2], np.array(touching)[:, :2], atol=0.1)


def test_no_more_are_looked_for_in_a_pass_than_asked():
    assert len(find(pattern(), most=1)[0]) == 2  # one in each of two passes
    assert len(find(pattern(), most=0)[0]) == 0


def test_what_stands_out_by_less_than_asked_is_no_spot():
    # A disc of 28.3 pixels: 10 a pixel on .5 stand out by 38 standard deviations, 30 by 80.
    assert len(find(pattern(), least=50.0)[0]) == 2


def test_no_spot_lies_on_masked_pixels():
    valid = np.ones((SIDE, SIDE), bool)
    valid[42:54, 8:20] = False
    image = pattern()
    image[~valid] = 0
    spots = find(image, valid=valid)[0]
    np.testing.assert_allclose(spots[:, :2], DISCS[[0, 2], :2], atol=0.05)


def test_discs_near_the_edge_or_a_masked_pixel_are_not_whole():
    valid = np.ones((SIDE, SIDE), bool)
    valid[20, 20] = False
    whole = detector(valid).whole
    assert whole[40, 40]
    assert not whole[20, 22]
    assert not whole[3, 40]
