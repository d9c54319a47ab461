import warnings

import numpy as np
import pytest
from rsciio import blockfile

from orimap.tasks.acquire.formats.files.mapped_files import open_blockfile
from orimap.tasks.acquire.formats.stacks.scan_shape import StoppedEarlyError
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


def as_rosettasciio_reads(reader, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reader.file_reader(str(path), lazy=True)[0]


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


def test_a_pattern_that_is_missing_by_the_numbers_of_a_block_file_is_not_measured(
    signal_of, tmp_path, small_scan
):
    square = small_scan[..., :6].astype(np.uint8)
    write_blo(signal_of, tmp_path / "scan.blo", square)
    whole = (tmp_path / "scan.blo").read_bytes()
    head, record = len(whole) - 20 * 42, 42
    cut = head + 7 * record
    (tmp_path / "scan.blo").write_bytes(whole[:cut] + whole[cut + record :])
    acquisition = open_acquisition(tmp_path / "scan.blo")
    np.testing.assert_array_equal(np.argwhere(acquisition.no_data), [[1, 2]])
    found, there = acquisition.read(ALL, ALL), ~acquisition.no_data
    np.testing.assert_array_equal(found[there], square[there])
    assert "1 pattern is missing by the numbers of the others (7)" in " ".join(acquisition.notes)
    assert acquisition.guesses == ()


@pytest.mark.parametrize(("patterns", "guessed"), [(13, False), (19, True)])
def test_whole_rows_of_a_block_file_are_a_guess_where_less_than_one_is_missing(
    signal_of, tmp_path, small_scan, patterns, guessed
):
    write_blo(signal_of, tmp_path / "scan.blo", small_scan[..., :6].astype(np.uint8))
    whole = (tmp_path / "scan.blo").read_bytes()
    (tmp_path / "scan.blo").write_bytes(whole[: len(whole) - (20 - patterns) * 42])
    found = open_acquisition(tmp_path / "scan.blo", keep_rows=2)
    assert bool(found.guesses) is guessed


def with_numbers(path, numbers):
    """A block file of 2×3 patterns with these numbers; as many patterns as there are of them."""
    patterns = write_blockfile(path).reshape(-1, 16)
    whole = path.read_bytes()
    start = len(whole) - 6 * 22
    records = [
        b"\xaa\x55" + number.to_bytes(4, "little") + patterns[place % 6].tobytes()
        for place, number in enumerate(numbers)
    ]
    path.write_bytes(whole[:start] + b"".join(records))
    return path


@pytest.mark.parametrize("numbers", [[0, 1, 1, 2, 3, 4], [5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 6]])
def test_patterns_whose_numbers_do_not_follow_each_other_are_a_guess(tmp_path, numbers):
    acquisition = open_acquisition(with_numbers(tmp_path / "scan.blo", numbers))
    assert acquisition.scan_shape == (2, 3)
    assert "numbers do not follow each other" in acquisition.guesses[0]


@pytest.mark.parametrize("numbers", [[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], [0] * 6])
def test_numbers_that_follow_each_other_or_tell_nothing_are_no_guess(tmp_path, numbers):
    acquisition = open_acquisition(with_numbers(tmp_path / "scan.blo", numbers))
    assert (acquisition.scan_shape, acquisition.guesses) == ((2, 3), ())


def test_more_patterns_than_the_header_says_are_asked_about(tmp_path):
    path = with_numbers(tmp_path / "scan.blo", [0, 1, 2, 3, 4, 4, 5])
    with pytest.raises(InputError, match="holds 7 patterns"):
        open_acquisition(path)
    assert "4 stands in the place of 5" in open_acquisition(path, skip_frames=(0, 1)).guesses[0]


def test_what_fills_a_block_file_up_is_no_pattern(tmp_path):
    path = tmp_path / "scan.blo"
    patterns = write_blockfile(path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100))
    acquisition = open_acquisition(path)
    assert acquisition.guesses == ()
    assert "100 bytes after the last pattern are left out" in acquisition.notes
    path.write_bytes(whole[: -2 * 22] + bytes(2 * 22))
    with pytest.raises(StoppedEarlyError, match="1 whole rows and 1 more"):
        open_acquisition(path)
    kept = open_acquisition(path, keep_rows=1)
    np.testing.assert_array_equal(kept.read(ALL, ALL), patterns[:1])


@pytest.mark.parametrize("shape", [(4, 5, 6, 7), (20, 6, 7)])
def test_a_numpy_file_that_is_cut_keeps_its_whole_rows(tmp_path, small_scan, shape):
    path = tmp_path / "scan.npy"
    np.save(path, small_scan.reshape(shape))
    path.write_bytes(path.read_bytes()[:-300])
    asked = {} if len(shape) == 4 else {"scan_shape": (4, 5)}
    with pytest.raises(InputError, match="3 whole rows and 1 more"):
        open_acquisition(path, **asked)
    acquisition = open_acquisition(path, keep_rows=3, **asked)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan[:3])
    assert acquisition.guesses == ()
    assert "the file is cut short: 16 of 20 patterns are whole" in acquisition.notes


def test_a_numpy_file_that_goes_on_says_so(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    with (tmp_path / "scan.npy").open("ab") as file:
        file.write(bytes(99))
    assert (
        "99 bytes after the last pattern are left out"
        in open_acquisition(tmp_path / "scan.npy").notes
    )


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((2, 2, 2, 2), "u2,u2"), "records of f0, f1"),
        (np.array([1, "a"], object), "Python"),
    ],
)
def test_a_numpy_file_of_other_things_is_refused(tmp_path, array, found):
    np.save(tmp_path / "scan.npy", array)
    with pytest.raises(InputError, match=found):
        open_acquisition(tmp_path / "scan.npy")


def test_a_numpy_file_that_is_cut_in_its_first_pattern_is_refused(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", np.asfortranarray(small_scan))
    path = tmp_path / "scan.npy"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match="the file is cut short"):
        open_acquisition(path)
