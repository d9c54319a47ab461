import warnings
from datetime import datetime, timedelta

import numpy as np
import pytest
from rsciio import blockfile, quantumdetector

from orimap.tasks.acquire.acquisition import open_acquisition
from orimap.tasks.acquire.formats.mapped_files import open_blockfile, open_merlin
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
    expected = as_rosettasciio_reads(quantumdetector, path)["data"]
    array = open_merlin(path, None).array
    assert array.shape == expected.shape
    np.testing.assert_array_equal(array[:], expected.compute())


def test_a_merlin_file_has_the_lines_that_its_pauses_tell(tmp_path):
    patterns = write_merlin(tmp_path / "scan.mib", LINES)
    array = open_merlin(tmp_path / "scan.mib", None).array
    np.testing.assert_array_equal(array[:], patterns.reshape(4, 5, 4, 4))


def test_a_shape_that_is_given_needs_no_times(tmp_path):
    path = tmp_path / "scan.mib"
    patterns = write_merlin(path, LINES)
    path.write_bytes(path.read_bytes().replace(b"2024-01-01T", b"at 1 o'clock"[:11]))
    assert open_merlin(path, (2, 10)).array.shape == (20, 4, 4)
    np.testing.assert_array_equal(open_merlin(path, (2, 10)).array[:], patterns)
    with pytest.raises(ValueError, match="datetime"):
        open_merlin(path, None)


def test_triggers_without_a_number_are_no_lines(tmp_path):
    write_merlin(tmp_path / "scan.mib", LINES, per_trigger=0)
    assert open_merlin(tmp_path / "scan.mib", None).array.shape == (20, 4, 4)


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


def test_a_truncated_blo_says_how_many_bytes_are_missing(signal_of, tmp_path, small_scan):
    write_blo(signal_of, tmp_path / "scan.blo", small_scan[..., :6].astype(np.uint8))
    whole = (tmp_path / "scan.blo").read_bytes()
    (tmp_path / "scan.blo").write_bytes(whole[:-1])
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "scan.blo")
    assert f"{len(whole):,} bytes" in error.value.needed
    assert f"{len(whole) - 1:,} bytes" in error.value.found
    (tmp_path / "scan.blo").write_bytes(whole[:20])
    with pytest.raises(InputError, match="cut short"):
        open_acquisition(tmp_path / "scan.blo")


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
    with pytest.raises(InputError, match="19 whole frames"):
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
