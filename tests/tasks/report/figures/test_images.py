import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orimap.tasks.report.figures.images import (
    DetectorGrid,
    ScanGrid,
    label_anchors,
    label_image,
    length_text,
    match_labels,
    pattern_levels,
    pattern_scale_bar,
    scale_bar_length,
)


@pytest.mark.parametrize(
    ("width", "length"),
    [(640, 200), (300, 100), (299, 50), (60, 20), (15.1, 5), (3, 1), (0.3, 0.1), (7000, 2000)],
)
def test_scale_bar_is_the_largest_round_length_up_to_a_third(width, length):
    assert scale_bar_length(width) == length


@given(st.floats(1e-3, 1e6))
def test_scale_bar_is_between_a_sixth_and_a_third_of_the_map(width):
    assert width / 7.6 <= scale_bar_length(width) <= width / 3 * (1 + 1e-5)


def test_scale_bar_in_positions_is_at_least_one():
    assert scale_bar_length(2, smallest=1) == 1


@pytest.mark.parametrize(
    ("length", "units", "said"),
    [
        (0.5, "nm", "0.5 nm"),
        (200, "nm", "200 nm"),
        (2000, "nm", "2 µm"),
        (1, "px", "1 position"),
        (20, "px", "20 positions"),
    ],
)
def test_lengths_read_naturally(length, units, said):
    assert length_text(length, units) == said


def test_map_keeps_the_proportions_of_the_scan():
    scan = ScanGrid(2.0, 1.0, "nm")
    assert scan.extent((10, 40)) == (20, 40)
    assert scan.box((10, 40), 4, 4) == pytest.approx((4, 2))
    assert scan.box((40, 10), 4, 4) == pytest.approx((0.5, 4))
    assert scan.every(3) == ScanGrid(6.0, 3.0, "nm")


def test_colours_of_a_map_are_those_of_its_labels():
    image = label_image(np.array([[0, 1], [-1, 0], [-2, 1]]), ["#ff0000", "#0000ff"])
    np.testing.assert_array_equal(image[0], [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(image[1, 1], [1, 0, 0])
    np.testing.assert_allclose(image[1, 0], 0xEC / 255)
    np.testing.assert_array_equal(image[2, 0], [0, 0, 0])


def test_pattern_levels_are_those_worked_by_hand():
    pattern = np.array([[10.0, 10, 10], [10, 1010, 11], [10, 10, 10]])
    levels = pattern_levels(pattern)
    assert levels[1, 1] == pytest.approx(1)
    assert levels[1, 2] == pytest.approx(np.log(2) / np.log(1001))  # 1 of 1000 above the median
    assert levels[0, 0] == 0


def test_masked_and_missing_pixels_do_not_set_the_scale():
    pattern = np.array([[0.0, 5, 1e9], [np.nan, 0, 0]])
    mask = np.array([[0, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(pattern_levels(pattern, mask), [[0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_flat_or_empty_pattern_is_black(value):
    np.testing.assert_array_equal(pattern_levels(np.full((3, 4), value)), 0)


def test_labels_are_anchored_where_a_cluster_is_widest():
    labels = np.full((7, 9), -1)
    labels[1:6, 1:6] = 0
    labels[3, 6:9] = 0
    labels[0, 8] = 2
    anchors = label_anchors(labels)
    assert set(anchors) == {0, 2}
    assert anchors[0] == (3, 3, 3)
    assert anchors[2] == (0, 8, 1)


def test_labels_are_matched_by_shared_positions():
    ours = np.array([[0, 0, 0, 1, 1, 2]])
    other = np.array([[3, 3, 0, 1, -1, 2]])
    np.testing.assert_array_equal(match_labels(ours, other), [[0, 0, 3, 1, -1, 2]])


@given(st.permutations(range(5)))
def test_a_renamed_map_is_matched_exactly(names):
    labels = np.arange(20).reshape(4, 5) % 5
    np.testing.assert_array_equal(match_labels(labels, np.array(names)[labels]), labels)


@pytest.mark.parametrize(
    ("width", "detector", "fraction", "text"),
    [
        (96, DetectorGrid(0.0292, "1/Å"), 0.5 / (96 * 0.0292), "0.5\u00a0Å⁻¹"),
        (100, DetectorGrid(0.1, "1/nm"), 0.2, "2\u00a0nm⁻¹"),
        (64, DetectorGrid(0.5, "mrad"), 10 / 32, "10\u00a0mrad"),
        (40, DetectorGrid(), 0.25, "10\u00a0px"),
        (2, DetectorGrid(), 0.5, "1\u00a0px"),
    ],
)
def test_a_pattern_s_scale_bar_is_in_its_unit(width, detector, fraction, text):
    found = pattern_scale_bar((7, width), detector)
    assert found == (pytest.approx(fraction), text)
