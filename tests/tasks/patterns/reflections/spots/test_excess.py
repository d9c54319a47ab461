import numpy as np
import pytest

from orimap.tasks.patterns.reflections.spots.excess import (
    Excess,
    climb,
    expect_disc,
    stands_out,
    surface_of,
)
from orimap.tasks.patterns.reflections.spots.shape import spot_shape


def flat(sums, expected=4.0, area=2.0, counts=True):
    sums = np.array(sums, np.float32)
    return Excess(sums, np.full_like(sums, expected), np.full_like(sums, area), counts)


def test_worked_excesses():
    # sqrt(2 (10 ln 2.5 - 6)) standard deviations.
    assert stands_out(10.0, 4.0, 2.0, True) == pytest.approx(2.515118, rel=1e-6)
    assert stands_out(10.0, 4.0, 2.0, False) == 3.0
    assert stands_out(4.0, 4.0, 2.0, True) == stands_out(3.0, 4.0, 2.0, False) == 0.0
    assert stands_out(10.0, 4.0, 0.0, False) == 0.0  # no valid pixel
    # Nowhere is less expected than a thousandth.
    assert stands_out(1.0, 0.0, 2.0, True) == stands_out(1.0, 1e-3, 2.0, True)


@pytest.mark.parametrize("counts", [True, False])
def test_the_surface_is_0_below_the_ground(counts):
    surface = surface_of(flat([[4, 6, 10, 30]], counts=counts), 2.0)
    expected = [[0, 0, *(stands_out(total, 4.0, 2.0, counts) for total in (10.0, 30.0))]]
    np.testing.assert_allclose(surface, expected, rtol=1e-6)


def test_a_climb_ends_on_the_summit_inside_the_edge():
    y, x = np.indices((9, 11))
    excess = flat(50 - (y - 3) ** 2 - (x - 6) ** 2)
    assert climb(6, 2, excess) == (3, 6)
    assert climb(3, 6, excess) == (3, 6)
    assert climb(4, 4, flat(10.0 * (y + x))) == (7, 9)


@pytest.mark.parametrize(("counts", "centre"), [(True, 1 + 0.1 + 0.02), (False, 1 + 0.3 + 0.1)])
def test_a_disc_is_expected_with_its_misfit_and_its_tails(counts, centre):
    shape = spot_shape(3.0)
    excess = flat(np.zeros((41, 41)), expected=1.0, area=shape.overlap[0], counts=counts)
    expect_disc(excess, (20.0, 20.0, 2.0), shape)
    assert excess.expected[20, 20] == pytest.approx(1 + 2 * shape.overlap[0] * centre, rel=1e-5)
    # Discs no longer touch, tails do, as far as four radii.
    assert 1 < excess.expected[20, 29] < 1 + 2 * shape.overlap[0] * 0.03 * (1 if counts else 5)
    assert excess.expected[20, 33] == 1
