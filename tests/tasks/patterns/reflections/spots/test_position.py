import numpy as np
import pytest

from orimap.tasks.patterns.reflections.spots.position import Pattern, disc_height, place_disc
from orimap.tasks.patterns.reflections.spots.shape import add_disc, spot_shape

SHAPE = (30, 33)
VALID = np.ones(SHAPE, bool)


def whole(margin=6):
    inside = np.zeros(SHAPE, bool)
    inside[margin:-margin, margin:-margin] = True
    return inside


def expected(positions, heights, radius, background):
    image = np.full(SHAPE, background, np.float32)
    for (y, x), height in zip(positions, heights, strict=True):
        add_disc(image, y, x, height, spot_shape(radius))
    return image


def place(image, start, height, radius, background, *, counts=True, valid=VALID, others=None):
    model = np.zeros(SHAPE, np.float32) if others is None else others.copy()
    shape = spot_shape(radius)
    add_disc(model, *start, height, shape)
    level = np.full(SHAPE, background, np.float32)
    pattern = Pattern(
        image.astype(np.float32), valid, whole() & valid.all(), level, counts, 1.0, shape
    )
    return place_disc(pattern, model, *start, height), model


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("radius", [1.5, 3.0, 5.0])
def test_a_disc_without_noise_is_placed_and_measured(radius, counts):
    image = expected([(14.3, 16.8)], [40.0], radius, 0.5)
    found, model = place(image, (14.0, 16.0), 30.0, radius, 0.5, counts=counts)
    np.testing.assert_allclose(found[:2], [14.3, 16.8], atol=0.05)
    assert found[2] == pytest.approx(40, rel=0.03)
    np.testing.assert_allclose(model.sum(), found[2] * np.pi * radius**2, rtol=0.02)


def test_the_error_is_well_below_that_of_a_centroid():
    rng = np.random.default_rng(2)
    radius, background, electrons = 3.0, 0.3, 60
    errors, centroids = [], []
    y, x = np.indices(SHAPE)
    for _ in range(60):
        truth = np.array([15, 16]) + rng.uniform(-0.5, 0.5, 2)
        image = rng.poisson(expected([truth], [electrons / 28.3], radius, background))
        found, _ = place(image, (15.0, 16.0), 2.0, radius, background)
        errors.append(np.hypot(*(np.array(found[:2]) - truth)))
        window = np.hypot(y - 15, x - 16) <= 5
        weight = image * window
        centroid = [(weight * axis).sum() / weight.sum() for axis in (y, x)]
        centroids.append(np.hypot(*(centroid - truth)))
    assert np.median(errors) < 0.25  # the fit that knows everything: .2
    assert np.median(errors) < 0.75 * np.median(centroids)


def test_a_bright_neighbour_does_not_pull():
    positions, radius = [(14.4, 12.2), (14.9, 18.6)], 3.0
    image = expected(positions, [5.0, 60.0], radius, 0.2)
    others = np.zeros(SHAPE, np.float32)
    add_disc(others, *positions[1], 60.0, spot_shape(radius))
    found, _ = place(image, (14.0, 12.0), 4.0, radius, 0.2, others=others)
    np.testing.assert_allclose(found[:2], positions[0], atol=0.05)


def test_masked_pixels_do_not_speak():
    radius = 3.0
    image = expected([(14.3, 16.2)], [20.0], radius, 0.3)
    valid = VALID.copy()
    valid[:, 18:] = False
    image[~valid] = 0
    found, _ = place(image, (14.0, 16.0), 15.0, radius, 0.3, valid=valid)
    np.testing.assert_allclose(found[:2], [14.3, 16.2], atol=0.1)


def test_the_height_of_counts_is_reached_step_by_step():
    shape = spot_shape(3.0)
    image = expected([(14.3, 16.8)], [2.0], 3.0, 0.5)
    level, none = np.full(SHAPE, 0.5, np.float32), np.zeros(SHAPE, np.float32)
    pattern = Pattern(image, VALID, whole(), level, True, 1.0, shape)
    height = 1.0
    for _ in range(30):
        height = disc_height(pattern, none, 14.3, 16.8, height)
    assert height == pytest.approx(2.0, rel=1e-3)
    least = disc_height(pattern._replace(counts=False), none, 14.3, 16.8, 0.0)
    assert least == pytest.approx(2.0, rel=1e-4)
