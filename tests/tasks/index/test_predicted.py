import numpy as np
import pytest

from orimap.tasks.index.index_results import Setup, index_patterns
from orimap.tasks.index.predicted import predict_reflections


@pytest.mark.parametrize(("rotation_deg", "flip"), [(0.0, False), (25.0, True)])
def test_predicted_reflections_lie_on_measured_ones_whatever_the_setup(known, rotation_deg, flip):
    made = known("lnmo_disordered", 2)
    setup = Setup(rotation_deg=rotation_deg, flip=flip)
    indexed, scan, measured = index_patterns(made.patterns, [made.crystal], setup)
    if flip:  # what was drawn is no mirror image: the plain pattern tells where spots are
        assert (indexed.phase == 0).all()
    seen = predict_reflections(indexed, scan, measured, rotation_deg=rotation_deg, flip=flip)
    plain = made.patterns.measure()
    assert set(seen.cluster) == {0, 1}
    for number in (0, 1):
        own = seen.cluster == number
        assert seen.amplitude[own][0] == 1
        assert (np.diff(seen.amplitude[own]) <= 0).all()
        bright = plain.height[number] > 0.1 * np.nanmax(plain.height[number])
        spots = plain.centre[number] + np.stack([plain.y[number], plain.x[number]], 1)[bright]
        away = np.linalg.norm(spots[:, None] - seen.position[own], axis=2).min(axis=1)
        assert np.median(away) < 0.3
        assert seen.position[own].min() >= 0
    # Of a spinel all indices are even or odd together.
    assert (np.ptp(seen.hkl % 2, axis=1) == 0).all()


def test_where_no_crystal_explains_a_pattern_nothing_is_predicted(known):
    made = known("silicon", 2)
    indexed, scan, measured = index_patterns(made.patterns, [made.crystal])
    indexed.phase[0] = -1
    seen = predict_reflections(indexed, scan, measured)
    assert set(seen.cluster) == {1}
    indexed.phase[1] = -1
    assert predict_reflections(indexed, scan, measured).hkl.shape == (0, 3)
