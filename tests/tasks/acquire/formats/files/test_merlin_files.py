"""Merlin files: their lines, and frames that are missing."""

import warnings
from datetime import datetime, timedelta

import numpy as np
import pytest
from rsciio import quantumdetector

from orimap.tasks.acquire.formats.files.merlin_files import open_merlin
from orimap.tasks.acquire.formats.stacks.scan_shape import StoppedEarlyError
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)
HEADER_BYTES = 384


def write_merlin(path, pauses, *, patterns=None, frames=None, per_trigger=1):
    """Frames a millisecond apart, or ten where there is a pause before; and the .hdr file."""
    if patterns is None:
        patterns = np.random.default_rng(0).integers(0, 2**16, (len(pauses), 4, 4), dtype=np.uint16)
    height, width = patterns.shape[1:]
    now = datetime(2024, 1, 1)
    with path.open("wb") as file:
        for number, pause in enumerate(pauses):
            now += timedelta(milliseconds=10 if pause else 1)
            head = f"MQ1,{number + 1:06d},00384,01,{width:04d},{height:04d},U16,   1x1,01,"
            head += f"{now.isoformat(timespec='microseconds')}000Z,1000000ns,0,0"
            pixels = patterns[number, ::-1].astype(">u2")
            file.write(head.ljust(HEADER_BYTES).encode() + pixels.tobytes())
    path.with_suffix(".hdr").write_text(
        "HDR,\n"
        f"Frames in Acquisition (Number):\t{len(pauses) if frames is None else frames}\n"
        f"Frames per Trigger (Number):\t{per_trigger}\n"
        "End\t\n"
    )
    return patterns


def as_rosettasciio_reads(reader, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reader.file_reader(str(path), lazy=True)[0]


LINES = [False] * 5 + ([True] + [False] * 4) * 3  # 4 rows of 5, a pause before each but the first
CASES = {
    "lines told by triggers": {"pauses": [False] * 20, "per_trigger": 5},
    "lines told by pauses": {"pauses": LINES},
    "no pause: one row": {"pauses": [False] * 20},
    "one line for all": {"pauses": [False] * 20, "per_trigger": 20},
    "a line left over": {"pauses": [*LINES, True, False]},
    "more frames than the header says": {"pauses": [*LINES, True, False], "frames": 20},
    "no end in sight": {"pauses": LINES, "frames": 0},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("described", [True, False], ids=["hdr", "no hdr"])
def test_a_merlin_file_is_understood_as_rosettasciio_does(tmp_path, case, described):
    path = tmp_path / "scan.mib"
    write_merlin(path, **CASES[case])
    if not described:
        path.with_suffix(".hdr").unlink()
    expected = as_rosettasciio_reads(quantumdetector, path)["data"].compute()
    signal = open_merlin(path)
    assert signal.scan_shape == (expected.shape[:2] if expected.ndim == 4 else None)
    patterns = expected.reshape(-1, 4, 4)
    np.testing.assert_array_equal(signal.array[:][: len(patterns)], patterns)
    # What it leaves out silently is counted here.
    assert signal.frames_around == (0, len(signal.array[:]) - len(patterns))
    assert bool(signal.guesses) is any(signal.frames_around)


def test_lines_that_every_pause_tells_are_no_guess(tmp_path):
    patterns = write_merlin(tmp_path / "scan.mib", LINES)
    acquisition = open_acquisition(tmp_path / "scan.mib")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns.reshape(4, 5, 4, 4))
    assert acquisition.guesses == ()
    assert "frames pause after lines of 5 (3 pauses)" in acquisition.notes


def test_frames_before_the_first_whole_line_are_left_out_and_counted(tmp_path):
    patterns = write_merlin(tmp_path / "scan.mib", [False, False, True, *LINES[1:]])
    acquisition = open_acquisition(tmp_path / "scan.mib")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns[2:].reshape(4, 5, 4, 4))
    assert acquisition.guesses == (
        "frames pause after lines of 5 (4 pauses): read as 4×5; the first 2 frames, before the "
        "first whole line, are left out (--scan-shape and --skip-frames override)",
    )
    asked = open_acquisition(tmp_path / "scan.mib", skip_frames=(2, 0))
    assert (asked.scan_shape, asked.guesses) == ((4, 5), ())


def test_a_pause_within_a_line_counts_for_nothing(tmp_path):
    stalled = list(LINES)
    stalled[7] = True
    patterns = write_merlin(tmp_path / "scan.mib", stalled)
    acquisition = open_acquisition(tmp_path / "scan.mib")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns.reshape(4, 5, 4, 4))
    assert "no line ends at 1 pause elsewhere" in acquisition.guesses[0]


def test_frames_left_over_are_named(tmp_path):
    write_merlin(tmp_path / "scan.mib", [*LINES, True, False])
    acquisition = open_acquisition(tmp_path / "scan.mib")
    assert acquisition.scan_shape == (4, 5)
    assert "the last 2 frames, after the last whole line, are left out" in acquisition.guesses[0]


@pytest.mark.parametrize("per_trigger", [1, 5], ids=["pauses", "triggers"])
def test_a_merlin_scan_that_was_stopped_keeps_its_whole_rows(tmp_path, per_trigger):
    patterns = write_merlin(tmp_path / "scan.mib", LINES[:18], frames=20, per_trigger=per_trigger)
    with pytest.raises(StoppedEarlyError, match="3 whole rows and 3 more") as error:
        open_acquisition(tmp_path / "scan.mib")
    assert error.value.rows == 3
    acquisition = open_acquisition(tmp_path / "scan.mib", keep_rows=3)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns[:15].reshape(3, 5, 4, 4))
    assert "scan.hdr promises 20 frames; 18 are there" in acquisition.notes
    assert any("3 patterns after them are left out" in note for note in acquisition.notes)


def test_triggers_beyond_the_scan_are_asked_about(tmp_path):
    patterns = write_merlin(tmp_path / "scan.mib", [False] * 22, frames=20, per_trigger=5)
    with pytest.raises(InputError, match="--skip-frames 0:2 after the scan"):
        open_acquisition(tmp_path / "scan.mib")
    acquisition = open_acquisition(tmp_path / "scan.mib", skip_frames=(2, 0))
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns[2:].reshape(4, 5, 4, 4))


@pytest.mark.parametrize("per_trigger", [1, 5], ids=["pauses", "triggers"])
def test_bytes_after_the_last_frame_are_left_out_with_a_note(tmp_path, per_trigger):
    path = tmp_path / "scan.mib"
    patterns = write_merlin(path, LINES, per_trigger=per_trigger)
    path.write_bytes(path.read_bytes() + bytes(100))
    acquisition = open_acquisition(path)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns.reshape(4, 5, 4, 4))
    assert "100 bytes after the last of 20 whole frames are left out" in acquisition.notes


def test_times_that_cannot_be_read_tell_no_lines(tmp_path):
    path = tmp_path / "scan.mib"
    write_merlin(path, LINES)
    path.write_bytes(path.read_bytes().replace(b"2024-01-01T", b"at 1 o'clock"[:11]))
    assert open_merlin(path).scan_shape is None


def test_a_shape_that_is_given_needs_no_times(tmp_path):
    patterns = write_merlin(tmp_path / "scan.mib", LINES)
    acquisition = open_acquisition(tmp_path / "scan.mib", scan_shape=(2, 10))
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns.reshape(2, 10, 4, 4))
    assert not any("pause" in note for note in acquisition.notes)


def test_triggers_without_a_number_are_no_lines(tmp_path):
    write_merlin(tmp_path / "scan.mib", [False] * 20, per_trigger=0)
    assert open_merlin(tmp_path / "scan.mib").scan_shape is None


def write_mib(path, data):
    """A scan as a Merlin file, a trigger for each of its rows."""
    frames = data.reshape(-1, *data.shape[2:])
    write_merlin(path, [False] * len(frames), patterns=frames, per_trigger=data.shape[1])


def test_mib_frames_are_turned_upright_and_shaped_by_the_hdr_file(tmp_path, small_scan):
    write_mib(tmp_path / "scan.mib", small_scan)
    acquisition = open_acquisition(tmp_path / "scan.mib")
    assert acquisition.scan_shape == (4, 5)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    other = open_acquisition(tmp_path / "scan.mib", scan_shape=(2, 10))
    np.testing.assert_array_equal(other.read(ALL, ALL), small_scan.reshape(2, 10, 6, 7))


@pytest.mark.parametrize("missing", [1, 6 * 7 * 2 + 384])
def test_a_truncated_mib_is_refused_even_by_a_whole_frame(tmp_path, small_scan, missing):
    write_mib(tmp_path / "scan.mib", small_scan)
    whole = (tmp_path / "scan.mib").read_bytes()
    (tmp_path / "scan.mib").write_bytes(whole[:-missing])
    with pytest.raises(InputError, match="19 patterns of 6×7 in one row: 3 whole"):
        open_acquisition(tmp_path / "scan.mib")


def test_a_mib_without_hdr_says_so(tmp_path, small_scan):
    write_mib(tmp_path / "scan.mib", small_scan)
    (tmp_path / "scan.hdr").unlink()
    acquisition = open_acquisition(tmp_path / "scan.mib", scan_shape=(4, 5))
    assert "scan.hdr is missing" in acquisition.notes[0]


def test_numbers_of_frames_that_jump_are_told(tmp_path, small_scan):
    path = tmp_path / "scan.mib"
    write_mib(path, small_scan)
    assert open_acquisition(path).guesses == ()
    contents = path.read_bytes()
    for number in range(8, 21):
        contents = contents.replace(b"MQ1,%06d" % number, b"MQ2,%06d" % (number + 1))
    path.write_bytes(contents.replace(b"MQ2", b"MQ1"))
    (guess,) = open_acquisition(path).guesses
    assert "their numbers jump from 7 to 9:" in guess


def test_a_shape_that_is_asked_for_against_the_file_is_told(tmp_path, small_scan):
    path = tmp_path / "scan.mib"
    write_mib(path, small_scan)
    assert open_acquisition(path, scan_shape=(4, 5)).guesses == ()
    (guess,) = open_acquisition(path, scan_shape=(5, 4)).guesses
    assert guess == "5×4, as --scan-shape says, although scan.hdr has 5 frames per trigger"


def lose(path, lost, numbers=False):
    """Take frames out of a Merlin file; the others are numbered anew, or keep their numbers."""
    size = HEADER_BYTES + 4 * 4 * 2
    frames = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, size).copy()
    frames = np.delete(frames, lost, axis=0)
    if not numbers:
        for number, frame in enumerate(frames, 1):
            frame[4:10] = np.frombuffer(f"{number:06d}".encode(), np.uint8)
    path.write_bytes(frames.tobytes())


def in_places(path, patterns, **options):
    """Open four rows of five, and check that every pattern that is there is in its place."""
    acquisition = open_acquisition(path, **options)
    found = acquisition.read(ALL, ALL)
    missing = np.zeros((4, 5), bool) if acquisition.no_data is None else acquisition.no_data
    rows = patterns.reshape(4, 5, 4, 4)[: len(found)]
    np.testing.assert_array_equal(found[~missing], rows[~missing])
    return acquisition, np.flatnonzero(missing).tolist()


@pytest.mark.parametrize("told", [{"scan_shape": (4, 5)}, {}], ids=["shape", "pauses"])
@pytest.mark.parametrize("lost", [[7], [9], [10], [6, 13, 14]])
def test_a_frame_that_is_missing_by_its_number_is_not_measured(tmp_path, told, lost):
    patterns = write_merlin(tmp_path / "scan.mib", LINES)
    lose(tmp_path / "scan.mib", lost, numbers=True)
    acquisition, missing = in_places(tmp_path / "scan.mib", patterns, **told)
    assert (missing, acquisition.guesses) == (lost, ())
    said = ", ".join(str(frame + 1) for frame in lost)
    assert f"missing by the numbers of the others ({said}), in scan.mib" in acquisition.notes[-3]


@pytest.mark.parametrize("told", [{"scan_shape": (4, 5)}, {}], ids=["shape", "pauses"])
@pytest.mark.parametrize(
    ("lost", "where"),
    [
        ([7], "1 frame is missing by the times of the others, between frames 7 and 8"),
        ([9], "at the end of row 1"),
        ([10], "at the beginning of row 2"),
        ([11, 12], "2 frames are missing by the times of the others, between frames 11 and 12"),
    ],
)
def test_a_line_that_is_too_short_tells_that_a_frame_is_missing(tmp_path, told, lost, where):
    patterns = write_merlin(tmp_path / "scan.mib", LINES)
    lose(tmp_path / "scan.mib", lost)
    acquisition, missing = in_places(tmp_path / "scan.mib", patterns, **told)
    assert (missing, acquisition.guesses) == (lost, ())
    assert where in acquisition.notes[-3]


def test_a_gap_where_the_beam_never_flies_back_is_a_guess(tmp_path):
    patterns = write_merlin(tmp_path / "scan.mib", [False] * 20)
    lose(tmp_path / "scan.mib", [7])
    acquisition, missing = in_places(tmp_path / "scan.mib", patterns, scan_shape=(4, 5))
    assert missing == [7]
    assert acquisition.guesses == (
        "1 frame is missing by the times of the others, between frames 7 and 8: they are taken to "
        "be missing there",
    )


@pytest.mark.parametrize("per_trigger", [1, 5])
def test_where_nothing_tells_where_a_frame_is_missing_it_is_not_placed(tmp_path, per_trigger):
    write_merlin(tmp_path / "scan.mib", [False] * 19, frames=20, per_trigger=per_trigger)
    with pytest.raises(InputError, match=r"--keep-rows 3 .* \(a guess: patterns may be missing"):
        open_acquisition(tmp_path / "scan.mib", scan_shape=(4, 5))
    kept = open_acquisition(tmp_path / "scan.mib", scan_shape=(4, 5), keep_rows=3)
    assert kept.guesses[0].startswith("1 pattern that is missing of 4×5 was taken to be at the end")


@pytest.mark.parametrize(
    ("pauses", "guessed"),
    [(LINES[:18], False), ([False] * 18, True), ([False] * 13, False)],
)
def test_rows_are_kept_without_a_guess_where_times_or_numbers_tell(tmp_path, pauses, guessed):
    write_merlin(tmp_path / "scan.mib", pauses, frames=20, per_trigger=5)
    rows = len(pauses) // 5
    assert bool(open_acquisition(tmp_path / "scan.mib", keep_rows=rows).guesses) is guessed


def test_frames_are_missing_of_a_scan_that_was_stopped(tmp_path):
    patterns = write_merlin(tmp_path / "scan.mib", LINES[:18], frames=20, per_trigger=5)
    lose(tmp_path / "scan.mib", [7])
    with pytest.raises(StoppedEarlyError, match="3 whole rows and 3 more"):
        open_acquisition(tmp_path / "scan.mib")
    acquisition, missing = in_places(
        tmp_path / "scan.mib", np.concatenate([patterns, patterns[:2]]), keep_rows=3
    )
    assert (missing, acquisition.guesses) == ([7], ())


@pytest.mark.parametrize(("per_trigger", "frames"), [(4, 20), (8, 40), (3, 0)])
def test_a_header_that_contradicts_the_pauses_is_refused(tmp_path, per_trigger, frames):
    path = tmp_path / "scan.mib"
    patterns = write_merlin(path, LINES, per_trigger=per_trigger, frames=frames)
    with pytest.raises(InputError, match=r"frames in scan\.mib pause after lines of 5") as error:
        open_acquisition(path, keep_rows=2)
    assert "--scan-shape YxX" in error.value.remedy
    asked = open_acquisition(path, scan_shape=(4, 5))
    np.testing.assert_array_equal(asked.read(ALL, ALL), patterns.reshape(4, 5, 4, 4))


def test_a_trigger_for_several_lines_or_a_part_of_one_need_not_contradict_pauses(tmp_path):
    write_merlin(tmp_path / "scan.mib", ([False] * 10 + [True] + [False] * 9) * 3, per_trigger=5)
    assert open_acquisition(tmp_path / "scan.mib").scan_shape == (12, 5)


def test_a_frame_that_is_there_twice_makes_frames_to_skip_a_guess(tmp_path):
    write_merlin(tmp_path / "scan.mib", [*LINES[:8], False, *LINES[8:]])
    asked = open_acquisition(tmp_path / "scan.mib", scan_shape=(4, 5), skip_frames=(0, 1))
    assert "flies back after 11 frames, where no line of 5 ends" in asked.guesses[0]


@pytest.mark.parametrize("per_trigger", [1, 5])
@pytest.mark.parametrize("late", [3, 5])
def test_the_first_frames_are_missing_where_the_last_has_the_number_of_all(
    tmp_path, late, per_trigger
):
    path = tmp_path / "scan.mib"
    patterns = write_merlin(path, LINES, per_trigger=per_trigger)
    size = path.stat().st_size // 20
    path.write_bytes(path.read_bytes()[late * size :])
    acquisition = open_acquisition(path)
    assert acquisition.guesses == ()
    np.testing.assert_array_equal(acquisition.no_data.ravel(), np.arange(20) < late)
    np.testing.assert_array_equal(
        acquisition.read(ALL, ALL).reshape(20, 4, 4)[late:], patterns[late:]
    )
