import numpy as np
import pytest

from orimap.tasks.merge import (
    SAME_PATTERN,
    SAME_REFLECTIONS,
    Merged,
    merge_components,
    neighbours,
)
from orimap.tasks.reflections import reflection_cosines, reflection_images

SIZE = 64
Y, X = np.mgrid[:SIZE, :SIZE]
SMOOTH = np.exp(-np.hypot(Y - 32, X - 32) / 15)
BEAM = np.hypot(Y - 32, X - 32) < 4


def crystal(seed, spots=14, background=0.05):
    """A pattern of discs at random places on a little background, unit sum."""
    rng = np.random.default_rng(seed)
    image = background * SMOOTH
    for y, x in rng.uniform(6, SIZE - 6, (spots, 2)):
        image = image + rng.uniform(0.5, 1.5) * np.clip(2 - np.hypot(Y - y, X - x), 0, 1)
    return image / image.sum()


def amorphous():
    return SMOOTH / SMOOTH.sum()


def weights_of(*regions, counts=10_000.0):
    """Weights (8, 9, component): full where each region (rows, columns) is, 0 elsewhere."""
    weights = np.zeros((8, 9, len(regions)), np.float32)
    for c, region in enumerate(regions):
        weights[(*region, c)] = counts
    return weights


LEFT, RIGHT = (slice(None), slice(0, 4)), (slice(None), slice(4, 9))
FAR_LEFT, FAR_RIGHT = (slice(None), slice(0, 2)), (slice(None), slice(7, 9))
EVERYWHERE = (slice(None), slice(None))


def moderately_similar():
    """Two patterns that share most of their discs, but not enough to be one wherever they are."""
    first, second = crystal(1), crystal(2)
    for mixing in np.linspace(0.02, 0.6, 30):
        pair = np.stack([first, mixing * first + (1 - mixing) * second])
        cosine = reflection_cosines(reflection_images(pair, BEAM), 3)[0, 1]
        if SAME_REFLECTIONS + 0.02 < cosine < SAME_PATTERN - 0.05:
            return pair
    raise AssertionError("no such pair")


def test_neighbours_with_the_same_reflections_are_one_crystal():
    merged = merge_components(moderately_similar(), weights_of(LEFT, RIGHT), BEAM)
    assert merged.has_reflections
    np.testing.assert_array_equal(merged.component_cluster, [0, 0])
    assert (merged.distinct, merged.background) == (1, 0)


def test_moderately_similar_patterns_apart_in_the_scan_stay_two():
    merged = merge_components(moderately_similar(), weights_of(FAR_LEFT, FAR_RIGHT), BEAM)
    assert merged.distinct == 2
    assert SAME_REFLECTIONS < merged.cosine[0, 1] < SAME_PATTERN


def test_equal_patterns_apart_in_the_scan_are_one():
    patterns = np.stack([crystal(1), crystal(1, background=0.08)])
    merged = merge_components(patterns, weights_of(FAR_LEFT, FAR_RIGHT), BEAM)
    assert merged.distinct == 1


def test_adjacent_crystals_with_other_reflections_stay_two():
    patterns = np.stack([crystal(1), crystal(2)])
    assert merge_components(patterns, weights_of(LEFT, RIGHT), BEAM).distinct == 2


def test_a_pattern_that_drifted_a_little_is_the_same_crystal():
    patterns = np.stack([crystal(1), np.roll(crystal(1), (2, -1), axis=(0, 1))])
    assert merge_components(patterns, weights_of(LEFT, RIGHT), BEAM).distinct == 1


def test_background_belongs_to_no_cluster():
    patterns = np.stack([amorphous(), crystal(1), crystal(2)])
    merged = merge_components(patterns, weights_of(EVERYWHERE, LEFT, RIGHT), BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [-1, 1, 0])
    assert (merged.distinct, merged.background) == (2, 1)
    assert merged.reflection_share[0] < 0.1 < 0.4 < merged.reflection_share[1:].min()


def test_clusters_are_numbered_by_falling_intensity():
    patterns = np.stack([crystal(s) for s in range(3)])
    weights = weights_of(LEFT, RIGHT, (slice(0, 2), slice(0, 2)))
    np.testing.assert_array_equal(
        merge_components(patterns, weights, BEAM).component_cluster, [1, 0, 2]
    )


def test_a_component_without_weight_is_no_pattern():
    patterns = np.stack([crystal(1), crystal(2)])
    weights = weights_of(EVERYWHERE, EVERYWHERE)
    weights[..., 1] = 0
    np.testing.assert_array_equal(
        merge_components(patterns, weights, BEAM).component_cluster, [0, -1]
    )


def test_without_reflections_nothing_is_background_and_only_equal_patterns_are_joined():
    tilted = SMOOTH * (1 + 0.02 * (X - 32))
    patterns = np.stack([amorphous(), tilted / tilted.sum(), amorphous()])
    merged = merge_components(patterns, weights_of(LEFT, RIGHT, RIGHT), BEAM)
    assert not merged.has_reflections
    np.testing.assert_array_equal(merged.component_cluster, [0, 1, 0])
    assert merged.background == 0


def test_detectors_too_small_for_a_background_go_without_reflections():
    patterns = np.eye(3).reshape(3, 1, 3).repeat(2, axis=1)
    merged = merge_components(patterns, weights_of(LEFT, RIGHT, EVERYWHERE), np.zeros((2, 3), bool))
    assert not merged.has_reflections
    assert merged.distinct == 3
    np.testing.assert_allclose(merged.cosine, np.eye(3))


def test_a_single_component_and_a_single_position():
    merged = merge_components(crystal(1)[None], np.full((1, 1, 1), 9e4, np.float32), BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [0])
    assert merged.cosine.shape == (1, 1)


def test_nothing_at_all_holds_no_pattern():
    merged = merge_components(np.zeros((2, SIZE, SIZE)), np.zeros((8, 9, 2), np.float32), BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [-1, -1])
    assert merged.distinct == 0


def test_neighbours_touch_at_edges_and_corners():
    corner = weights_of((slice(0, 2), slice(0, 2)), (slice(2, 4), slice(2, 4)), FAR_RIGHT)
    expected = [[True, True, False], [True, True, False], [False, False, True]]
    np.testing.assert_array_equal(neighbours(corner), expected)


def test_a_weak_trace_of_a_component_is_not_presence():
    weights = weights_of(FAR_LEFT, FAR_RIGHT)
    weights[..., 0] += 2000
    assert not neighbours(weights)[0, 1]
    weights[..., 0] += 10_000
    assert neighbours(weights)[0, 1]


def test_a_component_in_few_positions_of_a_large_scan_is_present_there():
    weights = np.zeros((20, 30, 2))
    weights[:, :15, 0] = 100
    weights[3, 15, 1] = 80
    assert neighbours(weights)[0, 1]


@pytest.mark.parametrize("shape", [(1, 12), (12, 1)])
def test_neighbours_along_a_single_line(shape):
    weights = np.zeros((12, 2))
    weights[:5, 0] = weights[5:, 1] = 7
    assert neighbours(weights.reshape(*shape, 2))[0, 1]
    weights[5:8, 1] = 0
    assert not neighbours(weights.reshape(*shape, 2))[0, 1]


def test_numbers_of_a_hand_made_result():
    merged = Merged(np.array([-1, 0, 1, 0, -1]), np.eye(5), np.zeros(5), True)
    assert (merged.distinct, merged.background) == (2, 2)
