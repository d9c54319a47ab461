"""How gaps of a scan and of its detector are found in what was chosen, and said."""

from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.acquire.formats.chunked.no_data import NoData
from orimap.tasks.acquire.formats.stacks.scan_shape import Frames
from orimap.tasks.acquire.gaps import describe_gaps, find_gaps
from orimap.tasks.errors import InputError

FILE = Path("scan.h5")
PARTS = np.array([[0, 0, 1], [0, 0, 1]])


def lacking(shape, *places, part=0):
    lost = np.zeros((2, *shape), bool)
    for place in places:
        lost[(part, *place)] = True
    return NoData(lost, PARTS, "a chunk is lost")


def test_a_stack_is_cut_into_rows_after_what_lies_before_the_scan():
    gaps = find_gaps(FILE, lacking((12,), (0,), (5,)), None, Frames(2, (2, 5)))
    np.testing.assert_array_equal(np.argwhere(gaps.positions), [[0, 3]])


def test_one_of_several_scans_has_gaps_of_its_own_and_rows_that_are_left_out_have_none():
    no_data = lacking((2, 4, 5), (1, 1, 2), (1, 3, 0), (0, 0, 0))
    gaps = find_gaps(FILE, no_data, 1, Frames(0, (3, 5)))
    np.testing.assert_array_equal(np.argwhere(gaps.positions), [[1, 2]])


def test_gaps_are_counted_and_named():
    no_data = lacking((3, 4), (1, 2), (2, 0))
    no_data.lost[:, 0] = True
    gaps = find_gaps(FILE, no_data, None, Frames(0, (3, 4)))
    assert describe_gaps(gaps, no_data) == [
        "6 of 12 positions, in rows 0 to 2, have no data (at 2 of them a part of the pattern "
        "only): a chunk is lost; not measured, and left out"
    ]
    no_data = lacking((3, 4), (slice(None), slice(None)), part=1)
    gaps = find_gaps(FILE, no_data, None, Frames(0, (3, 4)))
    assert describe_gaps(gaps, no_data) == [
        "2 of 6 pixels of the detector, in its rows 0 to 1 and column 2, are not there at any "
        "position: a chunk is lost; masked"
    ]


def test_a_scan_without_any_pattern_is_refused():
    no_data = NoData(np.ones((1, 3, 4), bool), np.zeros((2, 3), int), "nothing was written")
    with pytest.raises(InputError, match="room for 3×4 of them and no data: nothing was written"):
        find_gaps(FILE, no_data, None, Frames(0, (3, 4)))
