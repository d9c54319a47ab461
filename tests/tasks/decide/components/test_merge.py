import numpy as np
import pytest

from orimap.tasks.decide.components.coherence import EVERYWHERE as EVERYWHERE_SPREAD
from orimap.tasks.decide.components.coherence import FEWEST_POSITIONS, is_coherent, spreads
from orimap.tasks.decide.components.likeness import (
    backgrounds,
    reflection_cosines,
    reflection_images,
    reflection_shares,
)
from orimap.tasks.decide.components.merge import (
    ALONG_A_GRAIN,
    COMPACT,
    FEWEST_REFLECTIONS,
    LEAST_HELD,
    PALER,
    SAME_PATTERN,
    SAME_REFLECTIONS,
    WIDESPREAD,
    Merged,
    join_along_grains,
    merge_components,
    neighbours,
)

SIZE = 64
Y, X = np.mgrid[:SIZE, :SIZE]
SMOOTH = np.exp(-np.hypot(Y - 32, X - 32) / 15)
BEAM = np.hypot(Y - 32, X - 32) < 4


def places_of(seed, spots=14):
    """Random places of discs, clear of the direct beam and of each other."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < spots:
        place = rng.uniform(6, SIZE - 6, 2)
        others = np.array([*found, (32, 32)])
        if np.hypot(*(others - place).T).min() > 6:
            found.append(place)
    return np.array(found)


def discs(places, brightness, background=0.05):
    """Discs on a little background, unit sum."""
    image = background * SMOOTH
    for (y, x), value in zip(places, brightness, strict=True):
        image = image + value * np.clip(2 - np.hypot(Y - y, X - x), 0, 1)
    return image / image.sum()


def crystal(seed, spots=14, background=0.05):
    """A pattern of discs at random places on a little background, unit sum."""
    brightness = np.random.default_rng(seed).uniform(0.5, 1.5, spots)
    return discs(places_of(seed, spots), brightness, background)


def amorphous():
    return SMOOTH / SMOOTH.sum()


def weights_of(*regions, counts=10_000.0):
    """Weights (8, 9, component): full where each region (rows, columns) is, 0 elsewhere.

    That many positions are judged as to whether components hold together.
    """
    weights = np.zeros((8, 9, len(regions)), np.float32)
    for c, region in enumerate(regions):
        weights[(*region, c)] = counts
    return weights


LEFT, RIGHT = (slice(None), slice(0, 4)), (slice(None), slice(4, 9))
FAR_LEFT, FAR_RIGHT = (slice(None), slice(0, 2)), (slice(None), slice(7, 9))
MIDDLE = (slice(None), slice(2, 7))
EVERYWHERE = (slice(None), slice(None))


def moderately_similar():
    """Two patterns that share ten of fourteen discs: not enough to be one wherever they are."""
    every = places_of(1, 18)
    patterns = np.stack([discs(every[:14], np.ones(14)), discs(every[4:], np.ones(14))])
    weights = weights_of(FAR_LEFT, FAR_RIGHT)
    assert SAME_REFLECTIONS < merge_components(patterns, weights, BEAM).cosine[0, 1] < SAME_PATTERN
    return patterns


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


def test_clusters_are_numbered_by_falling_intensity_of_all_their_components():
    # The first and the last are one crystal, brighter together than either of the others.
    patterns = np.stack([crystal(1), crystal(2), crystal(3), crystal(1)])
    columns = [(slice(None), slice(2 * c, 2 * c + 2)) for c in range(4)]
    weights = weights_of(*columns) * np.array([0.4, 0.5, 0.7, 0.4], np.float32)
    merged = merge_components(patterns, weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [0, 2, 1, 0])


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
    merged = merge_components(patterns, weights_of(FAR_LEFT, FAR_RIGHT, MIDDLE), BEAM)
    assert not merged.has_reflections
    np.testing.assert_array_equal(merged.component_cluster, [0, 1, 0])
    assert merged.background == 0


def test_detectors_too_small_for_a_background_go_without_reflections():
    patterns = np.eye(3).reshape(3, 1, 3).repeat(2, axis=1)
    merged = merge_components(
        patterns, weights_of(FAR_LEFT, FAR_RIGHT, MIDDLE), np.zeros((2, 3), bool)
    )
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
    background = np.array([True, False, False, False, False])
    cluster = np.array([-1, 0, 1, 0, -1])
    merged = Merged(cluster, np.eye(5), np.zeros(5), True, background)
    assert (merged.distinct, merged.background, merged.left_over) == (2, 1, 1)
    assert (merged.moved, merged.faded) == (0, 0)


def scattered(positions=10, shape=(8, 9)):
    """Random positions, (rows, columns)."""
    return np.unravel_index(np.random.default_rng(3).permutation(np.prod(shape))[:positions], shape)


def with_scattered(weights, component):
    """Let a component be the strongest at random positions."""
    weights = weights.copy()
    where = scattered(shape=weights.shape[:2])
    weights[where] *= 0.7
    weights[(*where, component)] = 10_000
    return weights


def test_a_component_scattered_over_the_scan_is_left_over():
    patterns = np.stack([crystal(s) for s in range(3)])
    nowhere = (slice(0), slice(0))
    weights = with_scattered(weights_of(LEFT, RIGHT, nowhere), 2)
    np.testing.assert_array_equal(is_coherent(weights), [True, True, False])
    merged = merge_components(patterns, weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [1, 0, -1])
    assert (merged.distinct, merged.background, merged.left_over) == (2, 0, 1)


def test_in_a_scan_of_few_positions_nothing_is_judged_scattered():
    patterns = np.stack([crystal(s) for s in range(3)])
    weights = with_scattered(weights_of(LEFT, RIGHT, (slice(0), slice(0)))[:7], 2)
    assert weights[..., 0].size < FEWEST_POSITIONS
    merged = merge_components(patterns, weights, BEAM)
    assert (merged.distinct, merged.left_over) == (3, 0)


def in_a_chain():
    """Three patterns: the second is like the first and the third, which are less alike."""
    every = places_of(1, 20)
    # Of 14 discs, the ends share 5, and the second shares 9 with either.
    chosen = every[:14], np.concatenate([every[:4], every[9:19]]), every[9:20]
    chain = np.stack([discs(places, np.ones(len(places))) for places in chosen])
    weights = weights_of(FAR_LEFT, MIDDLE, FAR_RIGHT)
    cosine = merge_components(chain, weights, BEAM).cosine
    assert ALONG_A_GRAIN < cosine[0, 2] < SAME_REFLECTIONS
    assert SAME_REFLECTIONS < min(cosine[0, 1], cosine[1, 2]) < SAME_PATTERN
    return chain


def test_a_chain_of_similar_components_beside_each_other_is_one_grain():
    chain = merge_components(in_a_chain(), weights_of(FAR_LEFT, MIDDLE, FAR_RIGHT), BEAM)
    np.testing.assert_array_equal(chain.component_cluster, 0)
    assert (chain.moved, chain.faded) == (0, 2)
    ends = merge_components(in_a_chain()[[0, 2]], weights_of(LEFT, RIGHT), BEAM)
    assert ends.distinct == 2


def test_a_scattered_component_links_no_grains_however_like_them_it_is():
    weights = with_scattered(weights_of(LEFT, (slice(0), slice(0)), RIGHT), 1)
    merged = merge_components(in_a_chain(), weights, BEAM)
    assert merged.distinct == 2
    left, between, right = merged.component_cluster
    assert left != right
    # It belongs to the one that it is most like.
    assert between == (left if merged.cosine[1, 0] > merged.cosine[1, 2] else right)


CORNER = np.s_[0:4, 0:5]
# In no direction do its halves hold together.
SHATTERED = np.random.default_rng(22).permutation(20).reshape(4, 5) % 2


def test_scattered_pieces_that_hold_together_as_a_whole_are_one_pattern():
    patterns = np.stack([crystal(1), crystal(2, background=0.08), crystal(2)])
    weights = weights_of(EVERYWHERE, EVERYWHERE, EVERYWHERE)
    weights[CORNER] = 0
    weights[..., 1:] = 0
    weights[(*CORNER, 1)] = 10_000 * SHATTERED
    weights[(*CORNER, 2)] = 9_000 * (1 - SHATTERED)
    np.testing.assert_array_equal(is_coherent(weights), [True, False, False])
    merged = merge_components(patterns, weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [0, 1, 1])
    alone = merge_components(patterns[:2], weights[..., :2], BEAM)
    np.testing.assert_array_equal(alone.component_cluster, [0, -1])


def test_a_scattered_piece_of_a_grain_belongs_to_the_grain():
    patterns = np.stack([crystal(1), crystal(2), crystal(1, background=0.08)])
    weights = with_scattered(weights_of(LEFT, RIGHT, (slice(0), slice(0))), 2)
    merged = merge_components(patterns, weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [0, 1, 0])
    # A piece of the same pattern has neither moved nor faded.
    assert (merged.left_over, merged.moved, merged.faded) == (0, 0, 0)


def pale(*patterns):
    """Patterns under so much background that they are pale, but still show bright reflections."""
    patterns = np.mean(patterns, axis=0), amorphous()
    usual = share_of(crystal(2))
    for part in np.linspace(0.9, 0.02, 89):
        pattern = part * patterns[0] + (1 - part) * patterns[1]
        if FEWEST_REFLECTIONS < share_of(pattern) < 0.9 * PALER * usual:
            return pattern
    raise AssertionError("no such pattern")


def share_of(pattern):
    counts = 9e5 * pattern[None]
    return reflection_shares(counts, backgrounds(counts, BEAM), BEAM)[0]


WIDE, UPPER, LOWER = np.s_[:, 0:5], np.s_[0:4, 5:9], np.s_[4:8, 5:9]


def test_a_pale_component_over_much_of_the_scan_with_what_others_have_is_background():
    weights = weights_of(WIDE, UPPER, LOWER)
    assert EVERYWHERE_SPREAD > spreads(weights)[0] > WIDESPREAD > spreads(weights)[1]
    others = crystal(2), crystal(3)
    among = merge_components(np.stack([pale(*others), *others]), weights, BEAM)
    np.testing.assert_array_equal(among.is_background, [True, False, False])
    assert (among.distinct, among.background, among.left_over) == (2, 1, 0)
    # Where all are as pale, it is a crystal like the others.
    alike = np.stack([pale(crystal(1)), pale(crystal(2)), pale(crystal(3))])
    assert merge_components(alike, weights, BEAM).distinct == 3


def test_a_pale_component_in_one_place_is_a_crystal():
    weights = weights_of(UPPER, WIDE, LOWER)
    patterns = np.stack([pale(crystal(2), crystal(3)), crystal(2), crystal(3)])
    merged = merge_components(patterns, weights, BEAM)
    assert not merged.is_background.any()


def test_a_component_that_leads_nowhere_is_left_over():
    """It holds together, but lies below a grain: at one corner alone is it the stronger one."""
    patterns = np.stack([crystal(1), crystal(2), crystal(3)])
    weights = weights_of(LEFT, RIGHT, LEFT)
    below = 2000 * (1 - 0.1 * np.arange(4)) * (1 - 0.01 * np.arange(8))[:, None]
    weights[:, :4, 2] = below
    weights[0, 0, 0] = 9000
    assert is_coherent(weights).all()
    assert below[0, 0] / below.sum() < LEAST_HELD
    merged = merge_components(patterns, weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [1, 0, -1])
    assert (merged.background, merged.left_over) == (0, 1)


def test_a_single_crystal_is_one_pattern_whatever_else_fits_its_noise():
    weights = np.random.default_rng(0).poisson(10_000, (8, 9, 1)).astype(float)
    assert merge_components(crystal(1)[None], weights, BEAM).distinct == 1
    weights = with_scattered(np.dstack([weights, np.zeros((8, 9))]), 1)
    merged = merge_components(np.stack([crystal(1), crystal(2)]), weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [0, -1])


def drifted(pattern):
    return np.roll(pattern, (2, -1), axis=(0, 1))


def test_a_bent_grain_is_split_where_asked_and_a_drifting_pattern_is_not():
    faded = merge_components(moderately_similar(), weights_of(LEFT, RIGHT), BEAM, split_bent=True)
    assert faded.distinct == 2
    patterns = np.stack([crystal(1), drifted(crystal(1))])
    moved = merge_components(patterns, weights_of(LEFT, RIGHT), BEAM, split_bent=True)
    assert (moved.distinct, moved.moved) == (1, 1)


def test_what_moved_and_what_faded_are_counted():
    first, second = moderately_similar()
    patterns = np.stack([first, second, drifted(first), first])
    columns = [(slice(None), slice(2 * c, 2 * c + 2)) for c in range(4)]
    merged = merge_components(patterns, weights_of(*columns), BEAM)
    np.testing.assert_array_equal(merged.component_cluster, 0)
    assert (merged.moved, merged.faded) == (1, 1)


def test_where_nothing_holds_together_the_strongest_component_is_the_one_pattern():
    weights = np.zeros((8, 9, 2))
    weights[(*scattered(20), 0)] = 10_000
    weights[(*scattered(30), 1)] = 5_000
    merged = merge_components(np.stack([crystal(1), crystal(2)]), weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, [0, -1])
    assert merged.left_over == 1


def test_copies_that_share_positions_at_random_cohere_together_and_bridge_a_bent_grain():
    first, middle, last = in_a_chain()
    rng = np.random.default_rng(3)
    # Ramps to either side; what is between them falls to one of two copies at random.
    x = np.linspace(0, 1, 20)
    weights = np.zeros((12, 20, 4))
    weights[..., 0], weights[..., 1] = np.clip(1 - 2 * x, 0, 1), np.clip(2 * x - 1, 0, 1)
    part = rng.uniform(size=(12, 20))
    rest = 1 - weights.sum(axis=-1)
    weights[..., 2], weights[..., 3] = rest * part, rest * (1 - part)
    merged = merge_components(np.stack([first, last, middle, middle]), 1e4 * weights, BEAM)
    np.testing.assert_array_equal(merged.component_cluster, 0)


def tilted(seed, tilt_seed):
    """The discs of one crystal at another tilt: the same places, up to ten times as bright."""
    brightness = 10 ** np.random.default_rng(tilt_seed).uniform(-0.5, 0.5, 14)
    return discs(places_of(seed), brightness)


@pytest.mark.parametrize("seed", range(6))
def test_a_tilt_changes_how_bright_reflections_are_and_leaves_one_grain(seed):
    patterns = np.stack([tilted(seed, 10), tilted(seed, 11), tilted(seed + 100, 10)])
    merged = merge_components(patterns, weights_of(FAR_LEFT, MIDDLE, FAR_RIGHT), BEAM)
    first, second, other = merged.component_cluster
    assert first == second != other
    assert merged.faded == 1
    # Brightness alone would not tell: it is that of two crystals.
    bright = reflection_cosines(reflection_images(patterns, BEAM), 3)
    assert bright[0, 1] < 0.9


def test_a_weak_grain_that_shares_a_component_with_the_background_is_a_crystal():
    weak = 0.985 * amorphous() + 0.015 * crystal(5, background=0)
    patterns = np.stack([crystal(1), weak, amorphous()])
    weights = weights_of(LEFT, FAR_RIGHT, EVERYWHERE, counts=2e6)
    merged = merge_components(patterns, weights, BEAM)
    assert merged.reflection_share[1] < FEWEST_REFLECTIONS
    np.testing.assert_array_equal(merged.is_background, [False, False, True])
    assert merged.distinct == 2
    # Over more of the scan it may be background that shows some of the grain.
    merged = merge_components(patterns, weights_of(LEFT, RIGHT, EVERYWHERE, counts=2e6), BEAM)
    assert spreads(weights_of(RIGHT))[0] > COMPACT
    np.testing.assert_array_equal(merged.is_background, [False, True, True])


def test_where_all_is_background_the_strongest_component_is_the_one_pattern():
    weak = 0.985 * amorphous() + 0.015 * crystal(5, background=0)
    merged = merge_components(weak[None], weights_of(EVERYWHERE, counts=2e6), BEAM)
    assert merged.has_reflections
    np.testing.assert_array_equal(merged.component_cluster, [0])


def test_a_second_phase_in_the_same_orientation_is_noticed():
    every = places_of(1, 20)
    matrix, phase = discs(every[:14], np.ones(14)), discs(every, np.ones(20))
    merged = merge_components(np.stack([matrix, phase]), weights_of(LEFT, RIGHT), BEAM)
    assert (merged.distinct, merged.on_top) == (1, 1)
    merged = merge_components(np.stack([matrix, matrix]), weights_of(LEFT, RIGHT), BEAM)
    assert (merged.distinct, merged.on_top) == (1, 0)


def test_background_with_traces_of_a_grain_is_background():
    traces = 0.985 * amorphous() + 0.015 * crystal(1, background=0)
    patterns = np.stack([crystal(1), traces, crystal(2)])
    weights = weights_of(LEFT, EVERYWHERE, RIGHT, counts=2e6)
    merged = merge_components(patterns, weights, BEAM)
    np.testing.assert_array_equal(merged.is_background, [False, True, False])


def test_a_mixture_links_no_grains_and_is_none():
    patterns = np.stack([crystal(1), (crystal(1) + crystal(2)) / 2, crystal(2)])
    weights = weights_of(FAR_LEFT, (slice(None), slice(2, 4)), (slice(None), slice(4, 9)))
    merged = merge_components(patterns, weights, BEAM)
    left, _, right = merged.component_cluster
    assert left != right
    assert merged.distinct == 2


def test_links_are_followed_along_a_grain_and_not_through_a_mixture():
    """Four in a row, each like the next by .7; ends of three are alike along a grain only."""
    along, linked = np.eye(4), np.zeros((4, 4), bool)
    for i in range(3):
        along[i, i + 1] = along[i + 1, i] = 0.7 - 0.01 * i
        linked[i, i + 1] = linked[i + 1, i] = True
    inside = np.ones(4, bool)
    mixture = along.copy()
    for i in range(2):
        along[i, i + 2] = along[i + 2, i] = ALONG_A_GRAIN + 0.05
        mixture[i, i + 2] = mixture[i + 2, i] = ALONG_A_GRAIN - 0.05
    np.testing.assert_array_equal(join_along_grains(along, linked, inside), [0, 0, 0, 0])
    # The best link is taken; the second would tie what is unlike; the third is between the others.
    np.testing.assert_array_equal(join_along_grains(mixture, linked, inside), [0, 0, 1, 1])
    inside[1] = False
    np.testing.assert_array_equal(join_along_grains(along, linked, inside), [0, -1, 1, 1])
