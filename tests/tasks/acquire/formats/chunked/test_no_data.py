"""What is left out and what is masked where a file lacks parts of patterns."""

import numpy as np
import pytest

from orimap.tasks.acquire.formats.chunked.no_data import (
    MOST_PARTS,
    NoData,
    joined,
    refined,
    separate,
)

HALVES = np.repeat([[0], [1]], 3, axis=1)  # of a detector of two rows


def lost(*parts):
    return np.array([np.array(part, bool).reshape(2, 5) for part in parts])


NONE, ALL = [0] * 10, [1] * 10
FIVE, SIX = [1] * 5 + [0] * 5, [1] * 6 + [0] * 4


@pytest.mark.parametrize(
    ("parts", "left_out", "partly", "masked"),
    [
        ((NONE, NONE), 0, 0, []),
        ((FIVE, FIVE), 5, 0, []),
        ((NONE, ALL), 0, 0, [1]),
        ((NONE, SIX), 0, 0, [1]),
        ((NONE, FIVE), 5, 5, []),  # as many have it as lack it
        ((FIVE, ALL), 5, 0, [1]),
        (([1] + [0] * 9, [0] * 9 + [1]), 2, 2, []),
        ((ALL, ALL), 10, 0, []),
    ],
)
def test_positions_or_parts_are_left_out(parts, left_out, partly, masked):
    found = separate(lost(*parts), HALVES)
    assert (found.positions.sum(), found.partly) == (left_out, partly)
    np.testing.assert_array_equal(found.pixels, np.isin(HALVES, masked))


def test_nothing_is_chosen_where_most_of_what_is_there_would_be_lost():
    assert separate(lost(FIVE, [0] * 5 + [1] * 5), HALVES) is None
    assert separate(lost(SIX, [0] * 4 + [1] * 6), HALVES) is None


@pytest.mark.parametrize("detector", [(-2, -1), (0, 1), (1, 3)])
def test_chunks_tell_which_part_lacks_where(detector):
    axes = [axis % 4 for axis in detector]
    scan = [axis for axis in range(4) if axis not in axes]
    order = np.argsort([*scan, *axes])
    shape = tuple(np.array((5, 4, 6, 7))[order])
    chunks = tuple(np.array((2, 4, 3, 4))[order])
    absent = np.zeros((3, 1, 2, 2), bool)
    absent[2, 0, 1, 1] = absent[0, 0, 0, 1] = True
    found = NoData.of_chunks(absent.transpose(order), shape, chunks, detector)
    values = found.lost[found.part].transpose(2, 3, 0, 1)  # as scan and detector
    expected = np.zeros((5, 4, 6, 7), bool)
    expected[4:, :, 3:, 4:] = expected[:2, :, :3, 4:] = True
    np.testing.assert_array_equal(values, expected)


def test_parts_that_lack_at_the_same_positions_are_one():
    absent = np.zeros((3, 1, 4, 4), bool)
    absent[1, 0, :, 2] = True
    found = NoData.of_chunks(absent, (3, 4, 8, 8), (1, 4, 2, 2), (2, 3))
    assert found.lost.shape == (2, 3, 4)
    np.testing.assert_array_equal(found.positions, [[False] * 4, [True] * 4, [False] * 4])


def test_parts_beyond_a_number_are_taken_together_with_the_rarest():
    many = MOST_PARTS + 20
    absent = np.zeros((many, 1, many, 1), bool)
    absent[np.arange(many), 0, np.arange(many), 0] = True
    absent[:, 0, 7] = True  # one that no position has
    found = NoData.of_chunks(absent, (many, 2, many, 3), (1, 2, 1, 3), (2, 3))
    assert len(found.lost) == MOST_PARTS
    assert found.positions.all()
    np.testing.assert_array_equal(found.lost.all(axis=(1, 2))[found.part[:, 0]].nonzero(), [[7]])


def test_stacks_behind_each_other_keep_their_parts():
    first = NoData(np.array([[True, False], [False, False]]), HALVES, "why")
    last = NoData(np.array([[True]]), np.zeros((2, 3), int), "also")
    found = joined([(2, first), (3, None), (1, last)], (2, 3))
    np.testing.assert_array_equal(found.lost[found.part[0, 0]], [1, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(found.lost[found.part[1, 0]], [0, 0, 0, 0, 0, 1])
    assert found.why == "why; also"
    assert joined([(2, None)], (2, 3)) is None


def test_images_of_parts_are_refined():
    parts = refined(HALVES, np.array([[0, 0, 1], [0, 0, 1]]))
    np.testing.assert_array_equal(parts, [[0, 0, 1], [2, 2, 3]])
    np.testing.assert_array_equal(
        NoData(lost(NONE, ALL), HALVES).transposed((1, 0), (1, 0)).part, HALVES.T
    )


def test_whole_positions_are_one_part():
    found = NoData.of_positions(np.array([False, True]), (2, 3), "why")
    np.testing.assert_array_equal(found.positions, [False, True])
    assert found.part.shape == (2, 3)
    assert NoData.of_positions(np.zeros(2, bool), (2, 3), "why") is None
