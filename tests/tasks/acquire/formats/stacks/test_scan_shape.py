import pickle
from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.acquire.formats.signals import Signal, unknown_axes
from orimap.tasks.acquire.formats.stacks.scan_shape import (
    Asked,
    StoppedEarlyError,
    rows_kept,
    shape_of_stack,
)
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)
FILE = Path("scan.dat")


def frames_of(count, reader="HDF5", *, told=None, around=(0, 0), unbroken_by="", **asked):
    patterns = np.zeros((count, 6, 7), np.uint16)
    signal = Signal(
        "patterns", patterns, unknown_axes(patterns.shape), (FILE,),
        scan_shape=told, frames_around=around, unbroken_by=unbroken_by,
    )  # fmt: skip
    return shape_of_stack(FILE, reader, signal, Asked(**asked))


def test_a_stack_has_the_shape_that_is_asked_for_where_it_fits():
    assert frames_of(20, scan_shape=(4, 5)).scan_shape == (4, 5)
    assert frames_of(20, "Arina", scan_shape=(1, 20)).scan_shape == (1, 20)
    for asked in ((3, 5), (-4, -5)):
        with pytest.raises(InputError, match="20 patterns of 6×7 in one row"):
            frames_of(20, scan_shape=asked)


def test_dectris_stacks_are_taken_to_be_square_and_that_is_a_guess():
    frames = frames_of(25, "Arina")
    assert frames.scan_shape == (5, 5)
    assert frames.guesses == (
        "the file does not give the scan's shape; 25 patterns are taken as 5×5 "
        "(--scan-shape overrides)",
    )
    with pytest.raises(InputError, match="rows and columns"):
        frames_of(24, "Arina")


def test_a_square_is_suggested_where_it_would_fit():
    with pytest.raises(InputError) as error:
        frames_of(25)
    assert error.value.remedy == "give them with --scan-shape YxX, for instance --scan-shape 5x5"
    with pytest.raises(InputError) as error:
        frames_of(24)
    assert error.value.remedy == "give them with --scan-shape YxX"


def test_patterns_that_no_position_is_for_are_asked_about():
    with pytest.raises(InputError) as error:
        frames_of(22, scan_shape=(4, 5))
    assert error.value.remedy == (
        "correct the shape, --scan-shape YxX, or say where the others lie: --skip-frames 0:2 after "
        "the scan, --skip-frames 2 before it"
    )
    frames = frames_of(22, scan_shape=(4, 5), skip_frames=(2, 0))
    assert (frames.first, frames.scan_shape) == (2, (4, 5))
    assert frames.notes == (
        "2 patterns before the scan and 0 after it are left out, as --skip-frames says",
    )
    with pytest.raises(InputError, match="more than 22 patterns"):
        frames_of(22, scan_shape=(4, 5), skip_frames=(20, 2))


def test_what_the_file_says_lies_around_the_scan_can_be_overridden():
    assert frames_of(28, around=(5, 3), scan_shape=(4, 5)).first == 5
    assert frames_of(28, around=(5, 3), scan_shape=(4, 7), skip_frames=(0, 0)).first == 0
    with pytest.raises(InputError, match="--skip-frames 0 takes all patterns") as error:
        frames_of(29, around=(5, 3), scan_shape=(4, 5))
    assert "of which 21 lie between the first 5 and the last 3" in error.value.found


def test_a_scan_that_was_stopped_early_says_how_many_rows_are_whole():
    with pytest.raises(StoppedEarlyError) as error:
        frames_of(13, told=(4, 5))
    assert error.value.rows == pickle.loads(pickle.dumps(error.value)).rows == 2
    assert error.value.found.endswith("13 patterns of 6×7 in one row: 2 whole rows and 3 more")
    assert error.value.remedy.endswith(
        "if the scan was stopped early, --keep-rows 2 takes its whole rows (a guess: patterns may "
        "be missing before the end)"
    )
    frames = frames_of(13, told=(4, 5), keep_rows=2)
    assert frames.scan_shape == (2, 5)
    assert frames.notes == (
        "2 rows are kept, as --keep-rows says; 3 patterns after them are left out",
    )
    with pytest.raises(InputError, match="--keep-rows 2 takes") as asked:
        frames_of(13, scan_shape=(4, 5))
    assert not isinstance(asked.value, StoppedEarlyError)  # the shape may be mistyped
    with pytest.raises(InputError, match="keep at most 2 rows"):
        frames_of(13, told=(4, 5), keep_rows=3)
    with pytest.raises(InputError, match="keep at most 4 rows"):
        frames_of(20, told=(4, 5), keep_rows=5)
    with pytest.raises(InputError, match=r"leave out --keep-rows: not one row is whole$"):
        frames_of(4, told=(4, 5), keep_rows=1)


@pytest.mark.parametrize(
    ("count", "unbroken_by", "guessed"),
    [
        (13, "", True), (13, "numbers", False), (13, "times", False),
        (19, "", True), (19, "numbers", True), (19, "times", False),
        (20, "", False),
    ],
)  # fmt: skip
def test_missing_patterns_are_at_the_end_by_a_guess_or_by_what_tells_it(
    count, unbroken_by, guessed
):
    frames = frames_of(count, scan_shape=(4, 5), keep_rows=2, unbroken_by=unbroken_by)
    assert (frames.scan_shape, bool(frames.guesses)) == ((2, 5), guessed)
    if count == 13 and guessed:
        assert frames.guesses == (
            "7 patterns that are missing of 4×5 were taken to be at the end: if one is missing "
            "before, what follows lies too early in the scan",
        )


def test_a_shape_that_is_asked_for_comes_before_that_of_the_file_and_a_note_says_so():
    frames = frames_of(15, told=(4, 5), scan_shape=(3, 5))
    assert frames.scan_shape == (3, 5)
    assert frames.notes == ("the file says 4×5 positions; --scan-shape comes before that",)


def test_rows_of_a_scan_with_four_axes():
    assert rows_kept(FILE, (4, 5), None) == (4, 5)
    assert rows_kept(FILE, (4, 5), 3) == (3, 5)
    with pytest.raises(InputError, match="keep at most 4 rows"):
        rows_kept(FILE, (4, 5), 5)


@pytest.mark.parametrize("columns", [ALL, slice(1, 4)])
def test_patterns_around_a_scan_are_not_read(tmp_path, small_scan, columns):
    stack = small_scan.reshape(20, 6, 7)
    np.save(tmp_path / "stack.npy", np.concatenate([stack[-3:], stack, stack[:2]]))
    acquisition = open_acquisition(
        tmp_path / "stack.npy", scan_shape=(4, 5), skip_frames=(3, 2), keep_rows=None
    )
    np.testing.assert_array_equal(acquisition.read(ALL, columns), small_scan[:, columns])
    kept = open_acquisition(
        tmp_path / "stack.npy", scan_shape=(4, 5), skip_frames=(3, 2), keep_rows=2
    )
    np.testing.assert_array_equal(kept.read(ALL, columns), small_scan[:2, columns])
    assert len({acquisition.identity, kept.identity}) == 2


def test_the_same_shape_from_other_frames_is_another_acquisition(tmp_path, small_scan):
    np.save(tmp_path / "stack.npy", small_scan.reshape(20, 6, 7))
    first, later = (
        open_acquisition(tmp_path / "stack.npy", scan_shape=(3, 6), skip_frames=skip)
        for skip in ((0, 2), (2, 0))
    )
    assert first.identity != later.identity


def test_rows_can_be_kept_of_a_file_with_four_axes(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    acquisition = open_acquisition(tmp_path / "scan.npy", keep_rows=3)
    assert acquisition.scan_shape == (3, 5)
    assert "the first 3 of 4 rows are kept, as --keep-rows says" in acquisition.notes
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan[:3])
    with pytest.raises(InputError, match="leave out --skip-frames"):
        open_acquisition(tmp_path / "scan.npy", skip_frames=(1, 0))


@pytest.mark.parametrize(
    ("order", "axes"),
    [((1, 2, 0), "detector_y,detector_x,scan"), ((1, 0, 2), "detector_y,scan,detector_x")],
)
def test_patterns_along_another_axis_are_pointed_out(tmp_path, small_scan, order, axes):
    patterns = small_scan.reshape(20, 6, 7)
    np.save(tmp_path / "scan.npy", patterns.transpose(order))
    with pytest.raises(InputError, match=f"add --axes {axes}"):
        open_acquisition(tmp_path / "scan.npy", scan_shape=(4, 5))
    acquisition = open_acquisition(tmp_path / "scan.npy", scan_shape=(4, 5), axes=axes)
    read = acquisition.read(slice(None), slice(None))
    np.testing.assert_array_equal(read, small_scan)
