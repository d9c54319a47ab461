import numpy as np
import pytest

from orimap.tasks.acquire.ingest.defects.neighbours import (
    PART_PX,
    PATTERNS,
    PIXELS,
    ROWS,
    Neighbours,
    places,
)


def test_a_small_detector_is_one_part():
    parts = Neighbours.of(np.zeros((40, 44)))
    image = np.arange(40 * 44).reshape(40, 44)
    np.testing.assert_array_equal(parts.parts(image), image[None])


def test_of_a_large_detector_the_brightest_parts_are_taken_and_some_of_the_rest():
    pattern = np.zeros((512, 300))
    bright = [(64, 32), (256, 128), (480, 256)]
    for y, x in bright:
        pattern[y : y + PART_PX, x : x + PART_PX] = 5
    pattern[0, 0] = np.nan
    parts = Neighbours.of(pattern)
    assert len(parts.corners) * PART_PX**2 == PIXELS
    chosen = {tuple(corner) for corner in parts.corners.tolist()}
    assert set(bright) <= chosen
    assert len(chosen) == len(parts.corners)
    # Parts at the far edges are cut off rather than overlap.
    assert parts.parts(pattern).shape == (len(chosen), PART_PX, PART_PX)


def test_three_patterns_stay_together():
    parts = Neighbours.of(np.zeros((5, 6)))
    for number in range(4):
        parts.add(*(10 * number + step + np.eye(5, 6) for step in range(3)))
    for step, found in enumerate(parts.stacked()):
        assert found.shape == (4, 1, 5, 6)
        np.testing.assert_array_equal(found[:, 0, 0, 1], 10 * np.arange(4) + step)
    assert [one.shape for one in Neighbours.of(np.zeros((5, 6))).stacked()] == [(0, 1, 5, 6)] * 3


@pytest.mark.parametrize(
    "roi", [(0, 400, 0, 400), (3, 20, 10, 47), (0, 5, 0, 3), (0, 1, 5, 20), (7, 8, 0, 4000)]
)
def test_no_pattern_belongs_to_two_middles(roi):
    rows, found = places(roi)
    assert set(rows) <= set(range(roi[0], roi[1]))
    assert len(rows) == min(ROWS, roi[1] - roi[0])
    assert found[0] > roi[2]
    assert found[-1] < roi[3] - 1
    assert np.all(np.diff(found) >= 3)
    many = min(-(-PATTERNS // len(rows)), (roi[3] - roi[2]) // 3)
    assert len(found) == many


def test_two_columns_have_no_middle():
    assert places((0, 9, 0, 2)) == ([], [])


@pytest.mark.parametrize("value", [np.nan, -1, 65535, 0])
@pytest.mark.parametrize("which", range(3))
def test_beside_a_pattern_that_was_not_measured_nothing_is_taken(value, which):
    parts = Neighbours.of(np.zeros((5, 6)))
    three = [1 + np.eye(5, 6) for _ in range(3)]
    three[which] = np.full((5, 6), value)
    parts.add(*three)
    assert len(parts.stacked()[0]) == 0


def test_a_pattern_without_electrons_beside_few_is_one():
    parts = Neighbours.of(np.zeros((5, 6)))
    parts.add(np.eye(5, 6), np.zeros((5, 6)), np.eye(5, 6))
    assert len(parts.stacked()[0]) == 1
