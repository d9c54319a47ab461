import numpy as np
import pytest

from orimap.tasks.patterns.reflections.spots.shape import add_disc, disc_sums, spot_shape


@pytest.mark.parametrize("radius", [0.75, 1.5, 3.0, 6.0])
def test_a_disc_covers_its_area_wherever_it_lies(radius):
    shape = spot_shape(radius)
    # Shares are averaged over directions and looked up in steps: 3 % of the smallest disc.
    assert shape.area == pytest.approx(np.pi * radius**2, rel=0.03)
    image = np.zeros((31, 33))
    add_disc(image, 15.3, 14.6, 2.0, shape)
    assert image.sum() == pytest.approx(2 * np.pi * radius**2, rel=0.03)
    y, x = np.indices(image.shape)
    centre = [(image * axis).sum() / image.sum() for axis in (y, x)]
    np.testing.assert_allclose(centre, [15.3, 14.6], atol=0.05)


def test_pixels_on_the_rim_are_half_covered():
    shape = spot_shape(5.0)
    assert shape.kernel[6, 6] == 1
    # A pixel 5 px along the row: the rim halves it, but bends away by a little.
    assert shape.kernel[6, 11] == pytest.approx(0.5, abs=0.02)
    assert shape.kernel[6, 12] == 0


def test_common_area_of_two_discs_is_that_of_a_lens():
    radius, apart = 4.0, 5.0
    shape = spot_shape(radius)
    half = apart / 2 / radius
    lens = 2 * radius**2 * (np.arccos(half) - half * np.sqrt(1 - half**2))
    assert shape.overlap[int(apart**2 * shape.overlap_scale)] == pytest.approx(lens, rel=0.03)
    assert shape.overlap[-1] == 0


@pytest.mark.parametrize("occupied", [0.02, 0.9])
def test_disc_sums_agree_with_convolution(occupied):
    from scipy import ndimage

    rng = np.random.default_rng(1)
    image = (rng.poisson(3, (21, 30)) * (rng.random((21, 30)) < occupied)).astype(np.float32)
    kernel = spot_shape(2.3).kernel
    expected = ndimage.convolve(image.astype(float), kernel.astype(float), mode="constant")
    np.testing.assert_allclose(disc_sums(image, kernel), expected, rtol=1e-5, atol=1e-4)
