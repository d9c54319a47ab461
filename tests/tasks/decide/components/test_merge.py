import numpy as np
import pytest

from orimap.tasks.decide.components.coherence import FEWEST_POSITIONS
from orimap.tasks.decide.components.merge import Merged, merge_by_look

SIZE = 40
Y, X = np.mgrid[:SIZE, :SIZE]
HALO = 1 + np.exp(-((np.hypot(Y - 20, X - 20) - 12) ** 2) / 20)
BEAM = np.hypot(Y - 20, X - 20) < 4
SHAPE = (8, 9)
COLUMN = np.indices(SHAPE)[1]
LEFT, MIDDLE, RIGHT = COLUMN < 3, (COLUMN >= 3) & (COLUMN < 6), COLUMN >= 6
SCATTERED = np.random.default_rng(3).random(SHAPE) < 0.2


def banded(angle, strength=0.5):
    """A pattern of unit sum with a band across it, as Kikuchi patterns have."""
    across = (Y - 20) * np.cos(np.deg2rad(angle)) + (X - 20) * np.sin(np.deg2rad(angle))
    image = HALO * (1 + strength * np.cos(across / 2))
    return image / image.sum()


def maps(*components):
    return np.stack(components, axis=-1).astype(np.float32)


def clusters(patterns, weights, left_out=BEAM):
    return merge_by_look(np.stack(patterns), weights, left_out).component_cluster.tolist()


def test_equal_patterns_are_one_wherever_they_are_and_others_are_not():
    patterns = banded(0), banded(90), banded(0)
    merged = merge_by_look(np.stack(patterns), maps(900 * LEFT, 800 * MIDDLE, 700 * RIGHT), BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [0, 1, 0])
    assert not merged.has_reflections
    assert (merged.distinct, merged.joined, merged.background, merged.left_over) == (2, 1, 0, 0)


@pytest.mark.parametrize(("strength", "expected"), [(0.53, [0, 0]), (0.7, [0, 1])])
def test_patterns_have_to_be_equal_to_a_thousandth(strength, expected):
    # Of the roots of both, 1 - cosine is 8e-5 and 3.5e-3.
    assert clusters((banded(0), banded(0, strength)), maps(900 * LEFT, 800 * RIGHT)) == expected


def test_what_is_left_out_makes_no_difference():
    bright = np.where(BEAM, 1.0, banded(0))
    weights = maps(900 * LEFT, 800 * RIGHT)
    assert clusters((banded(0), bright / bright.sum()), weights) == [0, 0]
    assert clusters((banded(0), banded(90)), weights) == [0, 1]
    nothing = np.zeros_like(BEAM)
    assert clusters((banded(0), bright / bright.sum()), weights, nothing) == [0, 1]


def test_clusters_are_numbered_by_the_intensity_of_all_their_components():
    patterns = banded(0), banded(90), banded(45), banded(0)
    weights = maps(400 * LEFT, 500 * MIDDLE, 700 * (COLUMN == 6), 400 * (COLUMN > 6))
    assert clusters(patterns, weights) == [0, 1, 2, 0]
    assert clusters(patterns[1:], weights[..., 1:]) == [0, 2, 1]
    assert clusters(patterns[:3], weights[..., :3] * np.float32([1, 1, 9])) == [2, 1, 0]


def test_a_component_scattered_over_the_scan_is_left_over():
    weights = maps(900 * LEFT, 800 * (MIDDLE | RIGHT), np.zeros(SHAPE))
    weights[SCATTERED] = 0, 0, 850
    merged = merge_by_look(np.stack([banded(0), banded(90), banded(45)]), weights, BEAM)
    assert merged.component_cluster[2] == -1
    assert sorted(merged.component_cluster[:2]) == [0, 1]
    assert (merged.distinct, merged.left_over, merged.background) == (2, 1, 0)
    # A piece of a pattern that is elsewhere belongs to it.
    pieces = clusters((banded(0), banded(90), banded(0)), weights)
    assert pieces[0] == pieces[2] != pieces[1]
    # So does one that is so bright that nothing coheres together with it.
    weights[..., 2] *= 9
    pieces = clusters((banded(0), banded(90), banded(0)), weights)
    assert pieces[0] == pieces[2] != pieces[1]


def test_in_a_scan_of_few_positions_nothing_is_judged_scattered():
    weights = maps(900 * LEFT, 800 * (MIDDLE | RIGHT), np.zeros(SHAPE))
    weights[SCATTERED] = 0, 0, 850
    weights = weights[:7]
    assert weights[..., 0].size < FEWEST_POSITIONS
    assert -1 not in clusters((banded(0), banded(90), banded(45)), weights)


def test_where_nothing_holds_together_the_strongest_component_is_the_one_pattern():
    weights = maps(800 * SCATTERED, 900 * SCATTERED[::-1], 300 * SCATTERED[:, ::-1])
    merged = merge_by_look(np.stack([banded(0), banded(90), banded(45)]), weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [-1, 0, -1])
    assert merged.left_over == 2


def test_components_without_weight_or_pattern_are_no_pattern():
    patterns = banded(0), banded(90), np.zeros((SIZE, SIZE))
    assert clusters(patterns, maps(900 * LEFT, 0 * LEFT, 500 * RIGHT)) == [0, -1, -1]
    assert clusters(patterns, maps(0 * LEFT, 0 * LEFT, 500 * RIGHT)) == [-1, -1, -1]


def test_small_detectors_of_single_positions_are_compared_as_well():
    patterns = np.eye(3).reshape(3, 1, 3).repeat(2, axis=1)
    weights = np.array([[[9.0, 0, 0], [0, 7, 0], [0, 0, 8]]])
    nothing = np.zeros((2, 3), bool)
    assert clusters(patterns, weights, nothing) == [0, 2, 1]
    assert clusters(patterns[:1], weights[:, :1, :1], nothing) == [0]


def test_numbers_of_a_hand_made_result():
    background = np.array([True, False, False, False, False, True, False])
    merged = Merged(np.array([-1, 0, 1, 0, -1, -1, 0]), True, background)
    assert (merged.distinct, merged.background, merged.left_over, merged.joined) == (2, 2, 1, 2)
    nothing = Merged(np.zeros(0, int), True, np.zeros(0, bool))
    assert (nothing.distinct, nothing.background, nothing.left_over, nothing.joined) == (0, 0, 0, 0)
