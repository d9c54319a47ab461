import warnings
from datetime import datetime, timedelta

import numpy as np
import pytest
from rsciio import blockfile, quantumdetector

from orimap.tasks.acquire.formats.files.mapped_files import open_blockfile, open_merlin
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


def write_blockfile(path, **header):
    """A block file of 2 rows and 3 columns with 4×4 patterns, as rosettasciio writes it."""
    shape, scales, units = (2, 3, 4, 4), (2.5, 1.5, 0.01, 0.01), ("nm", "nm", "cm", "cm")
    axes = [
        {"name": "", "size": shape[n], "scale": scales[n], "units": units[n], "offset": 0.0,
         "navigate": n < 2, "index_in_array": n}
        for n in range(4)
    ]  # fmt: skip
    signal = {
        "data": np.arange(np.prod(shape), dtype=np.uint8).reshape(shape),
        "axes": axes,
        "metadata": {},
        "attributes": {"_lazy": False},
        "original_metadata": {"blockfile_header": {"Note": "", **header}},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blockfile.file_writer(str(path), signal, show_progressbar=False, navigator=None)
    return signal["data"]


def test_a_block_file_is_understood_as_rosettasciio_does(tmp_path):
    path = tmp_path / "scan.blo"
    patterns = write_blockfile(path, Beam_energy=300_000)
    expected = as_rosettasciio_reads(blockfile, path)
    signal = open_blockfile(path)
    told = [
        (axis["name"], axis["size"], axis["scale"], axis["units"], axis["navigate"])
        for axis in expected["axes"]
    ]
    assert [(a.name, a.size, a.scale, a.units, a.navigate) for a in signal.axes] == told
    assert [axis.scale for axis in signal.axes[:2]] == [2.5, 1.5]
    assert signal.beam_energy_kev == pytest.approx(300)
    np.testing.assert_array_equal(signal.array[:], patterns)


def test_a_block_file_can_be_without_beam_energy_and_pixel_size(tmp_path):
    path = tmp_path / "scan.blo"
    write_blockfile(path)
    head = bytearray(path.read_bytes())
    head[50:52] = b"\0\0"  # pixels per metre, the last of the fields that are read
    path.write_bytes(head)
    signal = open_blockfile(path)
    assert signal.beam_energy_kev is None
    assert signal.axes[2].scale == as_rosettasciio_reads(blockfile, path)["axes"][2]["scale"] == 1


def test_a_header_that_is_cut_short_is_told(tmp_path):
    write_blockfile(tmp_path / "scan.blo")
    (tmp_path / "scan.blo").write_bytes((tmp_path / "scan.blo").read_bytes()[:51])
    with pytest.raises(InputError, match=r"52 bytes in scan\.blo: the header"):
        open_blockfile(tmp_path / "scan.blo")


def write_blo(signal_of, path, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blockfile.file_writer(
            str(path), signal_of(data, detector_units="cm"), show_progressbar=False, navigator=None
        )


def test_blo_patterns_and_the_centimetres_on_its_detector(signal_of, tmp_path, small_scan):
    square = small_scan[..., :6].astype(np.uint8)
    write_blo(signal_of, tmp_path / "scan.blo", square)
    acquisition = open_acquisition(tmp_path / "scan.blo")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), square)
    assert acquisition.grey_levels
    assert acquisition.scan_step == (2.0, 2.0)
    assert acquisition.detector_units == "px"
    assert "'cm' is not a reciprocal length" in " ".join(acquisition.notes)


def test_a_blo_that_ends_early_says_how_many_rows_are_whole(signal_of, tmp_path, small_scan):
    square = small_scan[..., :6].astype(np.uint8)
    write_blo(signal_of, tmp_path / "scan.blo", square)
    whole = (tmp_path / "scan.blo").read_bytes()
    (tmp_path / "scan.blo").write_bytes(whole[:-1])
    with pytest.raises(
        StoppedEarlyError, match="19 patterns of 6×6 in one row: 3 whole rows and 4"
    ):
        open_acquisition(tmp_path / "scan.blo")
    acquisition = open_acquisition(tmp_path / "scan.blo", keep_rows=3)
    assert (acquisition.scan_step, acquisition.scan_units) == ((2.0, 2.0), "nm")
    np.testing.assert_array_equal(acquisition.read(ALL, slice(1, 4)), square[:3, 1:4])
    blocks = 20 * (36 + 6)
    for short, found in (
        (whole[:20], "20 bytes: the file is cut short"),
        (whole[: 1 - blocks], r"not one of them: 1 bytes .* one takes 42\n.*cut short"),
        (whole[:-blocks], r"not one of them: 0 bytes .* one takes 42\n.*cut short"),
    ):
        (tmp_path / "scan.blo").write_bytes(short)
        with pytest.raises(InputError, match=found):
            open_acquisition(tmp_path / "scan.blo", keep_rows=1)


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


def test_a_truncated_npy_is_refused(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    (tmp_path / "scan.npy").write_bytes((tmp_path / "scan.npy").read_bytes()[:-10])
    with pytest.raises(InputError):
        open_acquisition(tmp_path / "scan.npy")


@pytest.mark.parametrize("said", [0, 20])
def test_patterns_that_a_block_file_has_inside_its_header_are_found_by_their_marks(
    signal_of, tmp_path, small_scan, said
):
    path = tmp_path / "scan.blo"
    square = small_scan[:, :, :, :6].astype(np.uint8)
    blockfile.file_writer(str(path), signal_of(square))
    plain = open_acquisition(path)
    content = bytearray(path.read_bytes())
    first = int.from_bytes(content[12:16], "little")
    content[12:16] = said.to_bytes(4, "little")
    path.write_bytes(content)
    acquisition = open_acquisition(path)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), square)
    (note,) = set(acquisition.notes) - set(plain.notes)
    assert f"begin at byte {said}, which lies inside it: read from byte {first}" in note
    content[first : first + 2] = b"\0\0"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"begin at byte {said}, which lies inside it"):
        open_acquisition(path)


@pytest.mark.parametrize("shape", [(0, 5, 6, 7), (4, 0, 6, 7), (0, 6, 7)])
def test_a_scan_without_patterns_is_refused(tmp_path, shape):
    np.save(tmp_path / "scan.npy", np.zeros(shape, np.uint16))
    with pytest.raises(InputError, match="a scan with patterns in it"):
        open_acquisition(tmp_path / "scan.npy")


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
