import numpy as np
import pytest

from orimap.tasks.decide.grains.alike import mixing, places_alike
from orimap.tasks.decide.grains.fit import GrainFit
from orimap.tasks.decide.grains.group import (
    ALONE,
    FEWEST_REFLECTIONS,
    ONE_GRAIN,
    SURE,
    group_grains,
)

SHAPE = (12, 15)
Y, X = np.indices(SHAPE)
# Places 0 to 5 belong to one crystal, 6 to 11 to another, and the last ones to no-one.
PLACES = 14


def crystal(places, brightness=1.0):
    """The shares of reflections at some places."""
    pattern = np.zeros(PLACES)
    pattern[places] = brightness
    return pattern / pattern.sum()


FIRST, SECOND = np.arange(6), np.arange(6, 12)
ONE, OTHER = crystal(FIRST), crystal(SECOND)


def fit_of(*components):
    """A fit of (reflections, weights over the scan) pairs."""
    weights = [np.broadcast_to(one, SHAPE).ravel() for _, one in components]
    return GrainFit(np.stack(weights, axis=1).astype(float), np.stack([r for r, _ in components]))


def grouped(fields_of, *components, below=100.0, split_bent=False):
    fit = fit_of(*components)
    intensity = (fit.weights @ fit.reflections).reshape(*SHAPE, PLACES)
    return group_grains(fit, fields_of(intensity, below), split_bent=split_bent)


def clusters(*arguments, **options):
    return grouped(*arguments, **options).component_cluster.tolist()


def test_crystals_with_other_places_stay_two_although_side_by_side(fields_of):
    merged = grouped(fields_of, (ONE, 600 * (X < 8)), (OTHER, 500 * (X >= 8)))
    np.testing.assert_array_equal(merged.component_cluster, [0, 1])
    assert merged.has_reflections
    assert (merged.distinct, merged.joined, merged.left_over, merged.background) == (2, 0, 0, 0)


FADING = np.clip((X - 3) / 8, 0, 1)


def bent(height=3000):
    """Two tilts of one crystal that fade into each other, with the same places."""
    first = crystal(FIRST, [8, 1, 5, 1, 2, 1])
    second = crystal(FIRST, [1, 6, 1, 9, 1, 3])
    return (first, height * (1 - FADING)), (second, height * FADING)


def test_what_has_the_same_places_and_fades_into_each_other_is_one_bent_grain(fields_of):
    merged = grouped(fields_of, *bent())
    np.testing.assert_array_equal(merged.component_cluster, [0, 0])
    assert (merged.distinct, merged.joined) == (1, 1)


def test_a_bent_grain_is_split_where_asked_and_what_is_equal_is_not(fields_of):
    first, second = bent()
    assert sorted(clusters(fields_of, first, second, split_bent=True)) == [0, 1]
    halves = (ONE, 300 * (X < 8)), (ONE, 300 * (X >= 8))
    assert clusters(fields_of, *halves, split_bent=True) == [0, 0]


def overlapping(common, height=600.0, fading=None):
    """Two crystals that share some places, side by side or fading into each other."""
    fading = (X >= 8) if fading is None else fading
    second = crystal(np.arange(6 - common, 12 - common))
    return (ONE, height * (1 - fading)), (second, 0.9 * height * fading)


@pytest.mark.parametrize(("common", "fades", "expected"), [
    (1, False, [0, 1]),
    (3, False, [0, 1]),
    (3, True, [0, 0]),
    (1, True, [0, 1]),
    (0, True, [0, 1]),
    (5, False, [0, 0]),
])  # fmt: skip
def test_places_in_common_and_fading_count_together(fields_of, common, fades, expected):
    ramp = np.linspace(0, 1, SHAPE[1])
    fading = np.broadcast_to(ramp, SHAPE) if fades else None
    assert clusters(fields_of, *overlapping(common, fading=fading)) == expected


def test_what_mixes_much_and_has_next_to_no_places_in_common_is_two_crystals(fields_of):
    inside = X >= 12
    own = inside & (np.cumsum(inside).reshape(SHAPE) <= 5)
    second, whole = crystal(np.arange(5, 11)), 600.0 * ~inside + 300 * (inside & ~own)
    weights = 500.0 * own + 250 * (inside & ~own)
    # Five positions of 36 it has for itself, and half of each of the others.
    assert mixing(whole.ravel() / 600, weights.ravel() / 500) == pytest.approx(15.5 / 20.5)
    assert clusters(fields_of, (ONE, whole), (second, weights)) == [0, 1]


def test_what_is_joined_is_compared_as_a_whole(fields_of):
    ramp = np.clip(np.stack([1 - (X - 1) / 4, np.minimum(X, 14 - X) / 4, 1 - (13 - X) / 4]), 0, 1)
    ramp = ramp / ramp.sum(axis=0)
    places = np.arange(6), np.arange(1, 7), np.arange(4, 10)
    parts = [(crystal(own), 900 * one) for own, one in zip(places, ramp, strict=True)]
    # The last is not like the first, but like the first and the second together.
    assert clusters(fields_of, parts[0], parts[2]) in ([0, 1], [1, 0])
    assert clusters(fields_of, *parts) == [0, 0, 0]


def test_a_tilt_that_takes_reflections_away_leaves_one_crystal(fields_of):
    few, every = crystal([0, 1]), crystal(FIRST)
    cosine = few @ every / np.linalg.norm(few) / np.linalg.norm(every)
    assert cosine < ONE_GRAIN < places_alike(1.0 * (few > 0), 1.0 * (every > 0))
    assert clusters(fields_of, (every, 600 * (X < 8)), (few, 200 * (X >= 8))) == [0, 0]


def test_groups_are_numbered_by_the_intensity_of_all_their_components(fields_of):
    third = crystal([12, 13])
    parts = (
        (OTHER, 900.0 * (X >= 11)),
        (ONE, 500.0 * (X < 4)),
        (third, 300.0 * ((X >= 8) & (X < 11))),
        (ONE, 500.0 * ((X >= 4) & (X < 8))),
    )
    assert clusters(fields_of, *parts) == [1, 0, 2, 0]
    assert clusters(fields_of, *parts[::-1]) == [0, 2, 0, 1]


def test_what_has_few_reflections_and_lies_everywhere_does_not_join_two_grains(fields_of):
    # Half of the places are in common; two of those are there everywhere, and alone between both.
    (first, _), (second, _) = overlapping(3)
    parts = (first, 600.0 * (X < 7)), (second, 540.0 * (X >= 9))
    everywhere = (crystal([3, 4]), np.full(SHAPE, 300.0))
    assert clusters(fields_of, *parts) == [0, 1]
    found = clusters(fields_of, *parts, everywhere)
    assert found[0] != found[1]
    assert found[2] in found[:2]


def test_a_mixture_of_two_grains_does_not_make_them_one(fields_of):
    # They have one place in common: their overlap has all eleven.
    (first, left), (second, right) = overlapping(1)
    between = np.isin(X, (6, 7, 8, 9))
    both = crystal(np.arange(11))
    parts = (
        (first, left - 250 * (between & (X < 8))),
        (second, right - 250 * (between & (X >= 8))),
        (both, 250.0 * between),
    )
    assert places_alike(1.0 * (first > 0), 1.0 * (both > 0)) > ONE_GRAIN
    assert clusters(fields_of, *parts) == [0, 1, -1]


def with_overlap(alone=0, width=3):
    """Two grains, and what has places of its own between them; alone in so many positions."""
    between = abs(X - 5.5 - width / 2) < width / 2
    own = between & (np.cumsum(between).reshape(SHAPE) <= alone)
    both = between & ~own
    right = (X >= 6) & ~between
    return (
        (ONE, 900.0 * (X < 6) + 600 * both),
        (OTHER, 800.0 * right + 550 * both),
        (crystal([12, 13]), 300.0 * between),
    )


def test_what_is_nowhere_alone_is_the_overlap_of_two_grains_and_is_dropped(fields_of):
    merged = grouped(fields_of, *with_overlap())
    np.testing.assert_array_equal(merged.component_cluster, [0, 1, -1])
    assert (merged.left_over, merged.background) == (1, 0)


def test_what_is_alone_in_some_positions_is_a_pattern(fields_of):
    assert clusters(fields_of, *with_overlap(alone=3)) == [0, 1, -1]
    assert clusters(fields_of, *with_overlap(alone=4)) == [0, 1, 2]
    # Of 72 positions these are too few.
    assert clusters(fields_of, *with_overlap(alone=5, width=6)).count(-1) == 1
    assert clusters(fields_of, *with_overlap(alone=6, width=6)).count(-1) == 0


def test_what_is_dropped_leaves_its_positions_to_another(fields_of):
    # In every other row the one or the other is the stronger of two.
    third, uneven = crystal([12, 13]), 0.1 * (-1) ** np.indices(SHAPE)[0]
    right = 800.0 * (X >= 8)
    parts = (ONE, 900.0 * (X < 8)), (OTHER, right * (1 + uneven)), (third, right * (1 - uneven))
    merged = grouped(fields_of, *parts)
    assert (merged.distinct, merged.left_over) == (2, 1)
    assert merged.component_cluster[0] >= 0


@pytest.mark.parametrize(("sure", "expected"), [(2.8, [0, -1]), (3.3, [0, 1])])
def test_a_grain_is_alone_where_it_is_surely_there(fields_of, sure, expected):
    # A mean over nine positions of two discs over 20 electrons each.
    weight = next(w for w in np.arange(0, 20, 0.01) if 3 * w / np.sqrt(40 + w) >= sure)
    parts = (ONE, 3000.0 * (X < 6)), (crystal([6, 7]), weight * (X >= 6))
    merged = grouped(fields_of, *parts, below=20.0)
    np.testing.assert_array_equal(merged.component_cluster, expected)
    assert merged.background == 0


def test_a_second_share_that_may_be_noise_leaves_a_grain_alone(fields_of):
    second = 1.2 * (1 - ALONE) / ALONE
    parts = (ONE, 200 * (X < 8)), (OTHER, 200 * (X >= 8) + 200 * second * (X < 8))
    assert clusters(fields_of, *parts, below=1.0).count(-1) == 1
    assert clusters(fields_of, *parts, below=120.0).count(-1) == 0


def scattered(part=0.25):
    return np.random.default_rng(3).random(SHAPE) < part


def test_a_component_scattered_over_the_scan_is_left_over(fields_of):
    noise = scattered()
    parts = (ONE, 900.0 * (X < 8) * ~noise), (OTHER, 800.0 * (X >= 8) * ~noise)
    merged = grouped(fields_of, *parts, (crystal([12, 13]), 500.0 * noise))
    np.testing.assert_array_equal(merged.component_cluster, [0, 1, -1])
    assert (merged.left_over, merged.background) == (1, 0)


def test_a_scattered_piece_of_a_grain_belongs_to_the_grain(fields_of):
    piece = scattered()
    parts = (ONE, 900.0 * (X < 8) * ~piece), (OTHER, 800.0 * (X >= 8)), (ONE, 900.0 * piece)
    assert clusters(fields_of, *parts) == [0, 1, 0]


def test_a_scattered_piece_that_is_like_a_neighbour_belongs_to_it(fields_of):
    piece = scattered() & (X < 9)
    parts = (ONE, 900.0 * (X < 8) * ~piece), (OTHER, 800.0 * (X >= 8))
    assert clusters(fields_of, *parts, (crystal(FIRST[:4]), 900.0 * piece)) == [0, 1, 0]


@pytest.mark.parametrize("weight", [0.9, 1.1])
def test_a_component_has_reflections_that_are_surely_there(fields_of, weight):
    # Over 180 positions of 1000 electrons: errors of 424 by counting, of 1800 by the background.
    error = np.hypot(np.sqrt(180 * 1000), 0.01 * 180 * 1000)
    each = weight * SURE * error / 180
    found = grouped(fields_of, (crystal(np.arange(FEWEST_REFLECTIONS)), 2 * each), below=1000.0)
    assert found.distinct == (weight > 1)
    assert found.background == (weight < 1)
    # One reflection is none, however bright.
    found = grouped(fields_of, (crystal([0]), 2 * each), below=1000.0)
    assert (found.distinct, found.background) == (0, 1)


def single_reflections(first=600.0, second=500.0, fading=X / 14, places=(12, 13)):
    """A crystal on one side, and beside it two components of one reflection each."""
    one, other = crystal([places[0]]), crystal([places[1]])
    return (ONE, 1800.0 * (Y < 4)), (one, first * (1 - fading) * (Y >= 4)), (
        other, second * fading * (Y >= 4),
    )  # fmt: skip


def test_two_bright_reflections_that_fade_into_each_other_are_one_bent_grain(fields_of):
    assert clusters(fields_of, *single_reflections()) == [0, 1, 1]
    merged = grouped(fields_of, *single_reflections())
    assert (merged.distinct, merged.joined, merged.background) == (2, 1, 0)
    assert sorted(clusters(fields_of, *single_reflections(), split_bent=True)) == [0, 1, 2]


@pytest.mark.parametrize(
    "changed",
    [
        {"fading": X >= 8},  # one ends where the other begins
        {"fading": FADING},  # they have 2.0 of 7.5 columns in common
        {"places": (12, 12)},  # the same reflection twice
        {"second": 3.0},  # hardly above the background
    ],
)
def test_otherwise_a_single_reflection_is_no_grain(fields_of, changed):
    merged = grouped(fields_of, *single_reflections(**changed))
    assert (merged.distinct, merged.background) == (1, 2)
    np.testing.assert_array_equal(merged.component_cluster, [0, -1, -1])


def test_a_component_without_weight_is_no_grain(fields_of):
    merged = grouped(fields_of, (ONE, 500.0), (OTHER, 0.0))
    np.testing.assert_array_equal(merged.component_cluster, [0, -1])
    assert merged.background == 1


def test_without_components_there_are_no_grains(fields_of):
    fit = GrainFit(np.zeros((6, 0)), np.zeros((0, 3)))
    merged = group_grains(fit, fields_of(np.zeros((2, 3, 3))))
    assert merged.component_cluster.shape == (0,)
    assert (merged.distinct, merged.background, merged.left_over, merged.joined) == (0, 0, 0, 0)


def test_a_single_position_holds_one_grain(fields_of):
    fit = GrainFit(np.array([[900.0]]), ONE[None])
    fields = fields_of((fit.weights @ fit.reflections)[None])
    np.testing.assert_array_equal(group_grains(fit, fields).component_cluster, [0])


def test_what_is_nowhere_alone_but_has_places_of_its_own_raises_a_doubt(fields_of):
    inside = (X > 5) & (X < 9)
    matrix = (ONE, np.full(SHAPE, 600.0))
    on_top = (OTHER, 300.0 * inside)
    merged = grouped(fields_of, matrix, on_top)
    assert (merged.distinct, merged.on_top) == (1, 1)
    # One that has most of its places in common with what stays does not.
    common = (crystal(np.arange(3, 9)), 300.0 * inside)
    assert grouped(fields_of, matrix, common).on_top == 0
