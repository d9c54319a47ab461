import numpy as np
import pytest

from orimap.tasks.patterns.reflections.spots.background import (
    Cells,
    background_of_cells,
    bin_cells,
    spread_cells,
)

SIDE = 96


def lorentzian(centre, half_width):
    y, x = np.indices((SIDE, SIDE))
    squared = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    return (1 + squared / half_width**2) ** -1.5


def estimate(image, closed_pixels, centre, near=True, cell=2):
    pixels = bin_cells(np.ones(image.shape, bool), cell)
    closed = bin_cells(closed_pixels, cell) > 0
    sums = bin_cells(image.astype(np.float32), cell)
    level = background_of_cells(Cells(sums, pixels, cell, *centre, 3.0), closed, near)
    return spread_cells(level, cell, *image.shape)


def test_cells_hold_sums_and_the_last_ones_fewer_pixels():
    image = np.arange(15, dtype=np.float32).reshape(3, 5)
    assert bin_cells(image, 2).tolist() == [[12, 20, 13], [21, 25, 14]]
    assert bin_cells(np.ones((3, 5), bool), 2).tolist() == [[4, 4, 2], [2, 2, 1]]


def test_a_flat_background_is_its_mean():
    found = estimate(np.full((SIDE, SIDE), 2.0), np.zeros((SIDE, SIDE), bool), (40.0, 50.0))
    np.testing.assert_allclose(found, 2.0, rtol=1e-3)


def test_a_steep_background_is_followed_without_bias():
    centre = (46.0, 49.0)
    truth = 4 * lorentzian(centre, 9)
    counts = np.random.default_rng(1).poisson(truth, (40, SIDE, SIDE)).mean(axis=0) * 1.0
    found = estimate(counts, np.zeros(counts.shape, bool), centre)
    y, x = np.indices(counts.shape)
    radius = np.hypot(y - centre[0], x - centre[1])
    for low, high in ((6, 10), (10, 15), (15, 25), (25, 45)):
        ring = (radius >= low) & (radius < high)
        # Linear between rings that are a ninth of their radius wide.
        assert found[ring].mean() == pytest.approx(truth[ring].mean(), rel=0.06)


def test_closed_cells_do_not_count_and_are_filled_from_beside():
    image = np.full((SIDE, SIDE), 1.5)
    closed = np.zeros(image.shape, bool)
    closed[20:28, 30:38] = True
    image[20:28, 30:38] = 100
    found = estimate(image, closed, (48.0, 48.0))
    np.testing.assert_allclose(found, 1.5, rtol=1e-3)


def test_what_is_not_round_is_followed_where_electrons_speak_for_it():
    x = np.indices((SIDE, SIDE))[1]
    truth = 5 + 0.05 * x
    found = estimate(truth, np.zeros(truth.shape, bool), (48.0, 48.0))
    inside = np.s_[10:-10, 10:-10]
    np.testing.assert_allclose(found[inside], truth[inside], rtol=0.04)


def test_with_everything_closed_everything_counts():
    image = np.full((SIDE, SIDE), 3.0)
    found = estimate(image, np.ones(image.shape, bool), (48.0, 48.0))
    np.testing.assert_allclose(found, 3.0, rtol=1e-3)


def test_spreading_is_linear_between_cells():
    level = np.array([[0.0, 2.0, 4.0], [4.0, 6.0, 8.0]])
    found = spread_cells(level, 2, 4, 6)
    np.testing.assert_allclose(found[0], [0, 0.5, 1.5, 2.5, 3.5, 4.0])
    np.testing.assert_allclose(found[:, 0], [0, 1, 3, 4])
