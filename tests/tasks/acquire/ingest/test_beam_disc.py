import numpy as np
import pytest

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc, beam_disc, neighbour_rank


def spot(y, x, *, sigma_px=0.8, side=32):
    rows, columns = np.ogrid[:side, :side]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma_px**2))


def test_the_second_largest_of_the_neighbours_is_found():
    image = np.zeros((3, 4))
    image[0, 0], image[0, 1], image[1, 2] = 3.0, 5.0, 4.0
    assert neighbour_rank(image, 1)[1, 1] == 5
    assert neighbour_rank(image, 2)[1, 1] == 4
    assert neighbour_rank(image, 2)[0, 0] == 0  # a corner has three neighbours


def test_the_direct_beam_is_found_beside_a_brighter_pixel_and_a_reflection():
    pattern = 100 * spot(14.3, 16.8, sigma_px=1.5) + 120 * spot(3, 3) + 0.5
    pattern[20, 20] = 1e5
    beam = beam_disc(pattern)
    assert (beam.y, beam.x) == pytest.approx((14.3, 16.8), abs=0.3)
    # Half of a Gaussian's maximum is reached at 1.18 σ = 1.8 px, and a pixel is added.
    assert beam.radius == pytest.approx(2.8, abs=0.5)


def test_an_empty_pattern_has_its_beam_in_the_middle():
    beam = beam_disc(np.zeros((20, 30)))
    assert (beam.y, beam.x) == (9.5, 14.5)


def test_the_mask_is_a_disc_about_a_place_between_pixels():
    disc = BeamDisc(1.0, 2.5, 1.2)
    expected = [[0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0]]
    np.testing.assert_array_equal(disc.mask((3, 5)), expected)
    # Twice the radius reaches 2.4 px: all but the corners on the left.
    expected = [[0, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 1, 1, 1, 1]]
    np.testing.assert_array_equal(disc.mask((3, 5), times=2), expected)


@pytest.mark.parametrize(("sigma_px", "radius"), [(0.3, 1.5), (12.0, 8.0)])
def test_the_radius_stays_between_a_pixel_and_a_half_and_a_quarter_of_the_side(sigma_px, radius):
    found = beam_disc(100 * spot(15.5, 15.5, sigma_px=sigma_px))
    assert radius <= found.radius <= max(radius, 2.6)


def test_ranks_of_a_stack_are_those_of_each_image():
    images = np.random.default_rng(0).random((3, 6, 7))
    for rank in range(1, 9):
        found = neighbour_rank(images, rank)
        for image, ranks in zip(images, found, strict=True):
            for y in range(1, 5):
                for x in range(1, 6):
                    near = np.delete(image[y - 1 : y + 2, x - 1 : x + 2].ravel(), 4)
                    assert ranks[y, x] == np.sort(near)[-rank]
    # A corner has three neighbours.
    assert np.isneginf(neighbour_rank(images, 4)[:, 0, 0]).all()
