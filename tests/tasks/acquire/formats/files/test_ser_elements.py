import struct

import numpy as np
import pytest

from orimap.tasks.acquire.formats.files.ser_elements import Elements, count_elements
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


def write_ser(path, patterns, *, sides=(4, 5), total=20, valid=20, version=0x220):
    """A .ser file as TIA writes it: offsets of all elements, 0 where one was not written."""
    width = "<Q" if version > 0x210 else "<I"
    height, columns = patterns.shape[1:]
    dimensions = b"".join(
        struct.pack("<IddII", side, 0.0, 2e-9, 0, 1) + b"n" + struct.pack("<I", 1) + b"m"
        for side in sides
    )
    head = struct.pack("<HHHIIII", 0x4949, 0x197, version, 0x4122, 0x4152, total, valid)
    array_at = len(head) + struct.calcsize(width) + 4 + len(dimensions)
    first = array_at + 2 * total * struct.calcsize(width)
    one = 50 + 2 * height * columns
    offsets = [first + n * one if n < len(patterns) else 0 for n in range(total)]
    tags = [first + len(patterns) * one + 6 * n for n in range(total)]
    path.write_bytes(
        head
        + struct.pack(width, array_at)
        + struct.pack("<I", len(sides))
        + dimensions
        + b"".join(struct.pack(width, offset) for offset in (*offsets, *tags))
        + b"".join(
            struct.pack("<ddiddiHII", 0, 1, 0, 0, 1, 0, 2, columns, height)
            + pattern[::-1].astype("<u2").tobytes()
            for pattern in patterns
        )
        + bytes(6 * total)
    )
    return path


@pytest.fixture
def patterns(small_scan):
    return small_scan.reshape(20, 6, 7)


@pytest.mark.parametrize("version", [0x210, 0x220])
def test_a_whole_file_has_all_its_patterns(tmp_path, patterns, small_scan, version):
    path = write_ser(tmp_path / "a.ser", patterns, version=version)
    assert count_elements(path) == Elements(20, 20, (4, 5))
    acquisition = open_acquisition(path)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert (acquisition.guesses, acquisition.no_data) == ((), None)


@pytest.mark.parametrize("valid", [13, 20])
def test_patterns_that_were_not_written_are_not_measured(tmp_path, patterns, small_scan, valid):
    path = write_ser(tmp_path / "a.ser", patterns[:13], valid=valid)
    acquisition = open_acquisition(path)
    np.testing.assert_array_equal(acquisition.no_data.ravel(), np.arange(20) >= 13)
    np.testing.assert_array_equal(acquisition.read(slice(0, 2), ALL), small_scan[:2])
    assert any("13 of 20 patterns were written" in note for note in acquisition.notes)
    assert acquisition.guesses == ()


def test_more_positions_than_patterns_are_a_guess(tmp_path, patterns):
    acquisition = open_acquisition(write_ser(tmp_path / "a.ser", patterns, sides=(4, 6)))
    assert acquisition.no_data.sum() == 4
    assert "4×6 positions and 20 patterns" in acquisition.guesses[0]


def test_a_file_that_is_cut_says_so(tmp_path, patterns):
    path = write_ser(tmp_path / "a.ser", patterns)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(InputError, match="all 20 patterns that were written"):
        open_acquisition(path)
    path.write_bytes(whole[:40])
    with pytest.raises(InputError, match="it is cut short"):
        open_acquisition(path)


@pytest.mark.parametrize(("sides", "found"), [((4, 0), "4×0"), ((), "no dimension")])
def test_a_header_without_rows_or_columns_is_refused(tmp_path, patterns, sides, found):
    with pytest.raises(InputError, match=f"{found} in its header"):
        open_acquisition(write_ser(tmp_path / "a.ser", patterns, sides=sides))


def test_a_scan_of_which_nothing_was_written_is_refused(tmp_path, patterns):
    with pytest.raises(InputError, match="not one that was written"):
        open_acquisition(write_ser(tmp_path / "a.ser", patterns[:0]))
