import struct

import numpy as np
import pytest

from orimap.tasks.acquire.formats.stacks.count_rotator import (
    Rotator,
    frames_of_scan,
    rotator_index,
)
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)
EXTRA_BYTES = 12  # that some versions have at the end of a frame's header


def write_stream(folder, frames, index, split):
    """Write a stream of two files, the second beginning with frame ``split``."""
    height, width = frames.shape[1:]
    head = struct.pack(
        "<13I", 256, 2, width, height, 16, 0, 0, 1, 1, 15600, 200, 0, 60 + EXTRA_BYTES
    )
    parts = [
        struct.pack("<4IfII5fIff", n, 1700000000 + n, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, turn, 0, 0)
        + bytes(EXTRA_BYTES)
        + frame.astype("<u2").tobytes()
        for n, (frame, turn) in enumerate(zip(frames, index, strict=True))
    ]
    (folder / "film_000.tvips").write_bytes(head.ljust(256, b"\0") + b"".join(parts[:split]))
    (folder / "film_001.tvips").write_bytes(b"".join(parts[split:]))
    return folder / "film_000.tvips", folder / "film_001.tvips"


@pytest.mark.parametrize(
    ("index", "around"),
    [
        ([0] * 5 + [*range(1, 21)] + [20] * 3, (5, 3)),
        ([1] * 5 + [*range(2, 21)], (4, 0)),
        ([*range(1, 21), 20], (0, 1)),
        ([*range(1, 21)], (0, 0)),
        ([0, 0, *range(40, 60)], (2, 0)),
    ],
)
def test_what_does_not_count_lies_around_the_scan(index, around):
    found = frames_of_scan(np.array(index))
    assert (found.around, found.guess) == (around, "")
    counted = len(index) - sum(around)
    assert (f"counts {counted} positions: {around[0]} frames before" in found.note) is any(around)


@pytest.mark.parametrize("index", [[0] * 9, [7] * 9, [5, 4, 3], []])
def test_an_index_that_does_not_grow_tells_nothing(index):
    assert frames_of_scan(np.array(index)) == Rotator()


@pytest.mark.parametrize("index", [[0, 1, 2, 2, 3, 4], [1, 2, 3, 1, 2, 3], [1, 2, 90, 91]])
def test_an_index_that_repeats_leaves_out_nothing_and_says_so(index):
    found = frames_of_scan(np.array(index))
    assert found.around == (0, 0)
    assert "skips or repeats a position 1 times" in found.guess


def test_an_index_that_skips_leaves_room_for_the_positions_between():
    found = frames_of_scan(np.array([0, 0, 1, 2, 4, 5, 6, 6, 6]))
    assert (found.around, found.guess) == ((2, 2), "")
    np.testing.assert_array_equal(found.at, [0, 1, 2, 3, 5, 6, 7, 8, 9])
    assert "counts 6 positions" in found.note


def test_a_stream_that_lost_a_frame_keeps_the_others_in_their_places(tmp_path, small_scan):
    stack = small_scan.reshape(20, 6, 7)
    kept = np.delete(np.arange(20), 8)
    frames = np.concatenate([stack[-2:], stack[kept], stack[:3]])
    files = write_stream(tmp_path, frames, [0, 0, *(kept + 1), 20, 20, 20], 12)
    acquisition = open_acquisition(files[0], scan_shape=(4, 5))
    np.testing.assert_array_equal(np.argwhere(acquisition.no_data), [[1, 3]])
    there = ~acquisition.no_data
    np.testing.assert_array_equal(acquisition.read(ALL, ALL)[there], small_scan[there])
    assert acquisition.guesses == ()
    forced = open_acquisition(files[0], scan_shape=(1, 19))
    assert "although the rotator index skips" in forced.guesses[0]


def test_a_stream_is_cut_to_its_scan(tmp_path, small_scan):
    stack = small_scan.reshape(20, 6, 7)
    frames = np.concatenate([stack[-5:], stack, stack[:3]])
    index = [0] * 5 + [*range(1, 21)] + [20] * 3
    files = write_stream(tmp_path, frames, index, 12)
    np.testing.assert_array_equal(rotator_index(files), index)
    with pytest.raises(InputError, match="of which 20 lie between the first 5 and the last 3"):
        open_acquisition(files[0])
    acquisition = open_acquisition(files[0], scan_shape=(4, 5))
    np.testing.assert_array_equal(acquisition.read(ALL, slice(1, 4)), small_scan[:, 1:4])
    assert any("5 frames before them and 3 after" in note for note in acquisition.notes)
    every = open_acquisition(files[0], scan_shape=(4, 7), skip_frames=(0, 0))
    np.testing.assert_array_equal(every.read(ALL, ALL), frames.reshape(4, 7, 6, 7))
