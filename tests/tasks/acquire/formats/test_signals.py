import numpy as np
import pytest

from orimap.tasks.acquire.formats import signals
from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.signals import (
    MappedFile,
    holds_patterns,
    require_length,
    unknown_axes,
)
from orimap.tasks.errors import InputError


def test_patterns_are_read_without_what_stands_between_them(tmp_path, small_scan):
    record = np.dtype([("mark", "u1", 6), ("pattern", ">u2", (6, 7))])
    records = np.zeros((4, 5), record)
    records["mark"], records["pattern"] = 255, small_scan
    path = tmp_path / "scan.bin"
    path.write_bytes(b"head" + records.tobytes())
    array = MappedFile(path, record, 4, (4, 5))
    assert (array.shape, array.ndim, array.dtype) == ((4, 5, 6, 7), 4, np.dtype(">u2"))
    piece = array[1:3, 2:]
    np.testing.assert_array_equal(piece, small_scan[1:3, 2:])
    # In this machine's byte order, in memory and free to be written to.
    assert piece.dtype == np.dtype("=u2")
    assert type(piece) is np.ndarray
    assert piece.flags.c_contiguous
    assert piece.flags.writeable


def test_rows_that_are_stored_from_the_bottom_up_are_turned_upright(tmp_path, small_scan):
    path = tmp_path / "scan.bin"
    path.write_bytes(small_scan[..., ::-1, :].tobytes())
    array = MappedFile(path, small_scan.dtype, 0, small_scan.shape, upside_down=True)
    np.testing.assert_array_equal(array[:], small_scan)
    np.testing.assert_array_equal(array[3, 4], small_scan[3, 4])


def test_column_major_files_are_read_in_row_major_order(tmp_path, small_scan):
    path = tmp_path / "scan.bin"
    path.write_bytes(small_scan.tobytes(order="F"))
    array = MappedFile(path, small_scan.dtype, 0, small_scan.shape, order="F")
    np.testing.assert_array_equal(array[:2], small_scan[:2])
    assert array[:2].flags.c_contiguous


def test_nothing_is_kept_of_a_file_between_two_cuts(tmp_path, small_scan):
    path = tmp_path / "scan.bin"
    path.write_bytes(small_scan.tobytes())
    array = MappedFile(path, small_scan.dtype, 0, small_scan.shape)
    before = array[0]
    path.write_bytes((small_scan + 1).tobytes())
    np.testing.assert_array_equal(array[0], small_scan[0] + 1)
    np.testing.assert_array_equal(before, small_scan[0])


WHOLE = slice(None)


@pytest.mark.parametrize("read_bytes", [1, 200, 10**6])
@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize(
    "cut",
    [
        (WHOLE,), (slice(1, 3),), (2,), (-1,), (slice(2, 2),), (slice(1, 3), slice(2, 4)), (1, 2),
        (1, slice(0, 2), slice(1, 4)), (WHOLE, 1, WHOLE, slice(1, 6)), (2, 3, 4, 5), (WHOLE, -1),
        (slice(0, 4, 2),), ([0, 2],), (Ellipsis, 1), (WHOLE, WHOLE, 0, 0), (np.int64(1),),
    ],
    ids=str,
)  # fmt: skip
def test_every_cut_is_that_of_an_array(
    tmp_path, small_scan, monkeypatch, cut, upside_down, read_bytes
):
    monkeypatch.setattr(signals, "READ_BYTES", read_bytes)
    stored = small_scan[..., ::-1, :] if upside_down else small_scan
    (tmp_path / "plain").write_bytes(b"head" + stored.astype(">u2").tobytes())
    record = np.dtype([("mark", "u1", 6), ("pattern", ">u2", (6, 7))])
    records = np.zeros((4, 5), record)
    records["pattern"] = stored
    (tmp_path / "marked").write_bytes(records.tobytes())
    for array in (
        MappedFile(tmp_path / "plain", np.dtype(">u2"), 4, (4, 5, 6, 7), upside_down=upside_down),
        MappedFile(tmp_path / "marked", record, 0, (4, 5), upside_down=upside_down),
    ):
        piece = array[cut]
        np.testing.assert_array_equal(piece, small_scan[cut])
        assert piece.dtype == np.dtype("=u2")
        assert piece.flags.c_contiguous


def test_a_place_that_is_not_there_is_refused(tmp_path, small_scan):
    (tmp_path / "scan").write_bytes(small_scan.tobytes())
    array = MappedFile(tmp_path / "scan", small_scan.dtype, 0, small_scan.shape)
    with pytest.raises(IndexError):
        array[4]


def test_a_file_that_was_cut_short_since_it_was_opened_is_told(tmp_path, small_scan):
    path = tmp_path / "scan.bin"
    path.write_bytes(small_scan.tobytes())
    array = MappedFile(path, small_scan.dtype, 0, small_scan.shape)
    path.write_bytes(small_scan.tobytes()[:-1])
    np.testing.assert_array_equal(array[:3], small_scan[:3])
    with pytest.raises(EOFError, match=r"scan\.bin ends 1 bytes too soon"):
        array[:]


def test_axes_of_which_nothing_is_known_have_their_sizes_alone():
    assert unknown_axes((4, 5)) == (Axis("", 4, 1.0, "", None), Axis("", 5, 1.0, "", None))


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((4, 5, 6, 7), "u2", True),
        ((20, 6, 7), "f4", True),
        ((3, 4, 5, 6, 7), "i8", True),
        ((4, 5, 6, 7), "?", True),
        ((6, 7), "u2", False),
        ((2, 3, 4, 5, 6, 7), "u2", False),
        ((4, 5, 6, 7), "c8", False),
        ((4, 5, 6, 7), "S3", False),
        ((4, 5, 6, 1), "u2", False),  # spectra
        ((4, 5, 1, 7), "u2", False),
        ((1, 1, 2, 2), "u1", True),
    ],
)
def test_an_array_of_numbers_with_three_to_five_axes_could_hold_patterns(shape, dtype, expected):
    assert holds_patterns(shape, np.dtype(dtype)) is expected


def test_a_file_that_is_too_short_is_told_by_its_bytes(tmp_path):
    (tmp_path / "scan.bin").write_bytes(bytes(1234))
    require_length(tmp_path / "scan.bin", 1234, "2×3 patterns")
    with pytest.raises(InputError) as error:
        require_length(tmp_path / "scan.bin", 1235, "2×3 patterns")
    assert error.value.needed == "1,235 bytes in scan.bin: 2×3 patterns"
    assert error.value.found == "1,234 bytes: the file is cut short"
