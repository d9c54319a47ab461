import numpy as np
import pytest

from orimap.tasks.decide.grains.places import SMALLEST_BLOCK, block_sums, find_places

SIZE = 64
Y, X = np.mgrid[:SIZE, :SIZE]
NOTHING_LEFT_OUT = np.zeros((SIZE, SIZE), bool)
LEVEL = 100.0


def discs(*places, height=50.0, radius=3.0):
    """Counts of one pattern: discs on an even background."""
    image = np.full((SIZE, SIZE), LEVEL)
    for y, x in places:
        image += height * (np.hypot(Y - y, X - x) <= radius)
    return image


def places_in(*images, left_out=NOTHING_LEFT_OUT, dispersion=1.0):
    return find_places([np.stack(images)], left_out, 3.0, dispersion).tolist()


def noisy(*images, seed=0):
    return np.random.default_rng(seed).poisson(np.stack(images)).astype(float)


def clear_of_the_edge(places):
    """Places at which a whole disc is seen."""
    return [place for place in places if min(place) >= 3 and max(place) < SIZE - 3]


def test_the_reflections_of_all_patterns_are_found_at_their_middle():
    first, second = [[10, 50], [30, 12]], [[20, 31], [48, 40]]
    assert places_in(discs(*first), discs(*second)) == sorted(first + second)


def test_patterns_that_come_in_parts_are_taken_together():
    parts = [discs([10, 50])[None], np.stack([discs([30, 12]), discs([48, 40])])]
    found = find_places(iter(parts), NOTHING_LEFT_OUT, 3.0, 1.0)
    np.testing.assert_array_equal(found, [[10, 50], [30, 12], [48, 40]])


def test_counting_noise_moves_places_by_a_pixel_and_makes_none():
    expected = np.array([[10, 50], [30, 12], [48, 40]])
    patterns = noisy(*[discs(*expected)] * 6, *[discs()] * 20)
    found = np.array(clear_of_the_edge(places_in(*patterns)))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1


def test_one_reflection_that_lies_a_pixel_apart_in_two_patterns_is_one_place():
    assert places_in(discs([20, 30]), discs([20, 31], height=60.0)) == [[20, 31]]
    # It lies between those where it was seen.
    around = discs([20, 29]), discs([20, 30], height=45.0), discs([20, 31])
    assert places_in(*around) == [[20, 30]]
    assert places_in(discs([20, 30]), discs([20, 36])) == [[20, 30], [20, 36]]


def test_no_place_lies_in_or_beside_what_is_left_out():
    beam = np.hypot(Y - 32, X - 32) < 5
    patterns = discs([32, 32], [10, 50]) + 1e4 * (np.hypot(Y - 32, X - 32) < 4)
    assert places_in(patterns, left_out=beam) == [[10, 50]]
    assert places_in(patterns, left_out=~NOTHING_LEFT_OUT) == []


def test_a_bright_line_of_the_camera_holds_no_places():
    line = np.where(Y == 30, 1.15, 1.0)
    pattern = discs([30, 12], [30, 50], [10, 40])
    assert places_in(pattern) == [[10, 40], [30, 12], [30, 50]]
    # Too faint to be told in one pattern, plain in the sum of all.
    patterns = noisy(pattern * line, *[discs() * line] * 60)
    parts = [patterns[1:], patterns[:1]]
    found = find_places(parts, NOTHING_LEFT_OUT, 3.0, 1.0)
    assert clear_of_the_edge(found.tolist()) == [[10, 40]]


@pytest.mark.parametrize("dispersion", [1e-3, 40.0])
def test_the_unit_of_the_intensities_does_not_matter(dispersion):
    patterns = noisy(*[discs([10, 50], [30, 12], height=15.0)] * 4)
    expected = places_in(*patterns)
    assert len(expected) == 2
    assert places_in(*(dispersion * patterns), dispersion=dispersion) == expected


def test_negative_values_are_nothing():
    pattern = discs([10, 50])
    pattern[40:50, 5:25] = 0
    below = np.where(pattern == 0, -1e4, pattern)
    assert places_in(below) == places_in(pattern) == [[10, 50]]


def test_without_patterns_there_are_no_places():
    assert find_places([], NOTHING_LEFT_OUT, 3.0, 1.0).shape == (0, 2)


def test_blocks_of_the_scan_are_summed_as_by_hand():
    scan = np.arange(4 * 7 * 2, dtype=float).reshape(4, 7, 2)
    sums = block_sums(scan.reshape(-1, 2), (4, 7))
    expected = [
        scan[rows, columns].sum(axis=(0, 1))
        for rows in (slice(0, 3), slice(3, 4))
        for columns in (slice(0, 3), slice(3, 6), slice(6, 7))
    ]
    np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize(
    ("shape", "side"), [((5, 4), SMALLEST_BLOCK), ((60, 50), 4), ((9, 900), 7)]
)
def test_a_scan_has_about_the_same_number_of_blocks_however_large_it_is(shape, side):
    sums = block_sums(np.ones((shape[0] * shape[1], 1)), shape)
    assert len(sums) == -(-shape[0] // side) * -(-shape[1] // side)
    assert sums.max() == side * min(side, shape[0])
    assert sums.sum() == shape[0] * shape[1]


def test_a_single_position_is_a_block():
    np.testing.assert_array_equal(block_sums(np.array([[3.0, 4.0]]), (1, 1)), [[3, 4]])
