import numpy as np
import pytest
from scipy import ndimage

from orimap.tasks.patterns.reflections.spots.maxima import prominent_maxima


def landscape(*rows):
    return np.array(rows, np.float32)


def test_prominence_is_the_height_above_the_highest_pass_to_a_higher_maximum():
    surface = landscape(
        [0, 0, 0, 0, 0, 0, 0],
        [0, 9, 4, 6, 2, 5, 0],
        [0, 0, 0, 0, 0, 0, 0],
    )
    pixels, prominence = prominent_maxima(surface, 0.5)
    assert pixels.tolist() == [8, 10, 12]
    assert prominence.tolist() == [9, 2, 3]  # over 0 (ground), 4 and 2


def test_maxima_that_rise_too_little_are_left_out():
    surface = landscape([0] * 7, [0, 9, 4, 6, 2, 5, 0], [0] * 7)
    assert prominent_maxima(surface, 2.5)[0].tolist() == [8, 12]


def test_a_plateau_is_one_maximum():
    surface = np.zeros((6, 7), np.float32)
    surface[2:4, 2:5] = 3
    pixels, prominence = prominent_maxima(surface, 1)
    assert pixels.tolist() == [2 * 7 + 2]
    assert prominence.tolist() == [3]


def test_no_maximum_lies_on_the_edge():
    surface = np.zeros((5, 6), np.float32)
    surface[0, 3] = surface[2, 0] = surface[4, 5] = 7
    assert len(prominent_maxima(surface, 1)[0]) == 0


def test_ground_gives_nothing():
    assert len(prominent_maxima(np.zeros((5, 6), np.float32), 1)[0]) == 0


def brute_force(surface):
    """Lower the water level by level until the summit is joined to something higher."""
    expected = {}
    for y in range(1, surface.shape[0] - 1):
        for x in range(1, surface.shape[1] - 1):
            height = surface[y, x]
            if height <= 0 or height < surface[y - 1 : y + 2, x - 1 : x + 2].max():
                continue
            passes = [0.0]
            for level in np.unique(surface[(surface > 0) & (surface < height)]):
                labelled, _ = ndimage.label(surface >= level, np.ones((3, 3)))
                if surface[labelled == labelled[y, x]].max() > height:
                    passes.append(level)
            expected[y * surface.shape[1] + x] = height - max(passes)
    return expected


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_flooding_level_by_level(seed):
    rng = np.random.default_rng(seed)
    surface = ndimage.gaussian_filter(rng.normal(size=(14, 17)), 1).astype(np.float32)
    pixels, prominence = prominent_maxima(surface, 1e-6)
    expected = brute_force(surface)
    assert sorted(pixels) == sorted(expected)
    np.testing.assert_allclose(prominence, [expected[p] for p in pixels], rtol=1e-5)
    assert np.all(np.diff(surface.ravel()[pixels]) <= 0)
