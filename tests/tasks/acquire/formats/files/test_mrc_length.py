import numpy as np
import pytest

from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


@pytest.fixture
def mrc(tmp_path, small_scan):
    """An MRC file of 20 patterns whose header promises so many, cut or longer by some bytes."""

    def write(promised=20, *, bytes_more=0, extended=0):
        header = np.zeros(256, "<i4")
        header[:4] = (7, 6, promised, 6)
        header[7:10] = (7, 6, promised)
        header[23] = extended
        contents = header.tobytes() + small_scan.astype("<u2").tobytes()
        path = tmp_path / "scan.mrc"
        path.write_bytes(contents[:bytes_more] if bytes_more < 0 else contents + bytes(bytes_more))
        return path

    return write


def test_what_is_there_counts_rather_than_the_header(mrc, small_scan):
    acquisition = open_acquisition(mrc(30), scan_shape=(4, 5))
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert "the header says 30 patterns; 20 are there" in acquisition.notes
    assert acquisition.guesses == ()


def test_a_file_that_is_cut_gives_its_whole_rows(mrc, small_scan):
    path = mrc(bytes_more=-30)
    with pytest.raises(InputError, match="3 whole rows and 4 more"):
        open_acquisition(path, scan_shape=(4, 5))
    acquisition = open_acquisition(path, scan_shape=(4, 5), keep_rows=3)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan[:3])
    assert acquisition.guesses == ()
    with pytest.raises(InputError, match="not one that is whole"):
        open_acquisition(mrc(bytes_more=-84 * 20 + 30), scan_shape=(4, 5))


def test_bytes_behind_the_last_pattern_are_named(mrc):
    acquisition = open_acquisition(mrc(bytes_more=33), scan_shape=(4, 5))
    assert "33 bytes after the last pattern are left out" in acquisition.notes


def test_an_extended_header_that_is_not_there_is_refused(mrc):
    with pytest.raises(InputError, match="where its patterns begin is not sure"):
        open_acquisition(mrc(extended=1024), scan_shape=(4, 5))
