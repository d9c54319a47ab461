import numpy as np
import pytest
import tifffile

from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


@pytest.fixture
def paged(tmp_path, small_scan):
    """A file in which every page describes itself alone; the first part of it where asked."""

    def write(part=1.0, *, one_stack=False):
        path = tmp_path / "scan.tif"
        patterns = small_scan.reshape(-1, *small_scan.shape[2:])
        if one_stack:
            tifffile.imwrite(path, patterns, compression="zlib")
        else:
            with tifffile.TiffWriter(path) as file:
                for pattern in patterns:
                    file.write(pattern, contiguous=False)
        contents = path.read_bytes()
        path.write_bytes(contents[: int(part * len(contents))])
        return path

    return write


def test_pages_that_describe_themselves_alone_are_one_stack(paged, small_scan):
    acquisition = open_acquisition(paged(), scan_shape=(4, 5))
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert acquisition.guesses == ()
    assert not any("cut short" in note for note in acquisition.notes)


def test_pages_that_are_lost_are_said_and_not_in_the_log(paged, small_scan, caplog):
    path = paged(0.6)
    with pytest.raises(InputError, match="2 whole rows and"):
        open_acquisition(path, scan_shape=(4, 5))
    acquisition = open_acquisition(path, scan_shape=(4, 5), keep_rows=2)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan[:2])
    assert any("leads beyond the end of the file" in note for note in acquisition.notes)
    assert caplog.text == ""


def test_a_file_of_which_one_page_is_left_is_cut_short(paged):
    with pytest.raises(InputError, match="cut short or damaged"):
        open_acquisition(paged(0.6, one_stack=True), scan_shape=(4, 5))
