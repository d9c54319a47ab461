"""What all patterns of a scan share: curve and camera length, and two that compete."""

from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.index.orientations.fit_rocking import EXPECTED
from orimap.tasks.index.orientations.fit_scan import fit_scan
from orimap.tasks.simulate.crystal import random_rotation


def test_the_curve_is_fitted(known):
    made = known("lnmo_disordered", 4)
    scan = fit_scan(made.patterns.measure(), [made.crystal], made.patterns.camera)
    s = np.array([0.0, 0.004, 0.008])
    amplitude, _ = scan.rocking.amplitude(np.full(3, 0.1), s, np.zeros(3))
    # Drawn with a Gaussian of .006 1/Å in intensity: amplitudes fall as exp(-s^2 / 4 .006^2).
    expected = np.exp(-0.25 * (s / 0.006) ** 2)
    assert amplitude / amplitude[0] == pytest.approx(expected, abs=0.12)
    # Values are proportional to intensity here; what is expected beforehand pulls towards less.
    assert 0.75 < scan.rocking.power < 1.15
    for name, (_, _, low, high) in EXPECTED.items():
        assert low <= getattr(scan.rocking, name) <= high


def test_the_camera_length_stays_where_it_is_known(known):
    made = known("lnmo_disordered", 2)
    scan = fit_scan(made.patterns.measure(), [made.crystal], made.patterns.camera, fit_camera=False)
    assert scan.factor == 1
    assert scan.camera == made.patterns.camera


def test_two_camera_lengths_that_explain_the_patterns_alike_are_refused(known):
    # One pattern of a few reflections, which 6 percent more explain in another zone.
    rotation = random_rotation(np.random.default_rng([2, 3]))
    made = known("magnesium", rotation=rotation[None])
    measured = made.patterns.measure()
    with pytest.raises(InputError, match="as well as") as caught:
        fit_scan(measured, [made.crystal], made.patterns.camera)
    assert "--detector-step" in caught.value.remedy
    known_step = replace(made.patterns.camera)
    fitted = fit_scan(measured, [made.crystal], known_step, fit_camera=False)
    assert fitted.candidates[0].score.max() > 0.9
