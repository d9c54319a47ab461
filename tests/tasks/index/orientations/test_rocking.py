"""The sphere and the curve, by hand and by differences."""

from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.index.orientations.rocking import Rocking, excitation_error

SHARE, S, ACROSS = (
    np.array([1.0, 0.3, 0.05]),
    np.array([0.001, -0.006, 0.011]),
    np.array([0.3, 0.8, 1.1]),
)


def test_the_sphere_bends_towards_the_source_on_both_sides():
    # A radius of 40 1/Å: at 1 1/Å across the sphere has risen by 40 - sqrt(1599) = .01250195 1/Å.
    g = np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0.012501954]])
    assert excitation_error(g, 1 / 40) == pytest.approx([-0.01250195, -0.01250195, 0], abs=1e-7)


def test_the_curve_without_saturation_and_edge_is_a_lorentzian():
    curve = Rocking(width=0.005, edge=1e3, saturation=0, power=1)
    amplitude, _ = curve.amplitude(SHARE, S, ACROSS)
    assert amplitude**2 == pytest.approx(SHARE / (1 + (S / 0.005) ** 2), rel=1e-6)


@pytest.mark.parametrize("precession", [0.0, 0.01])
def test_the_derivative_is_that_of_the_curve(precession):
    curve = Rocking(0.006, 0.02, 0.8, 0.6, precession)
    step = 1e-7
    above, _ = curve.amplitude(SHARE, S + step, ACROSS)
    below, _ = curve.amplitude(SHARE, S - step, ACROSS)
    _, slope = curve.amplitude(SHARE, S, ACROSS)
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-4)


def test_saturation_weighs_strong_reflections_down_and_the_edge_ends_the_flanks():
    thin, thick = Rocking(saturation=0.0), Rocking(saturation=3.0)
    ratio = thick.amplitude(SHARE, 0 * S, ACROSS)[0] / thin.amplitude(SHARE, 0 * S, ACROSS)[0]
    assert ratio[0] < ratio[1] < ratio[2] < 1
    beyond, slope = replace(thin, edge=0.01).amplitude(SHARE[2:], S[2:], ACROSS[2:])
    assert beyond == slope == 0
