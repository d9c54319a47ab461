import json
import pickle

import numpy as np
import pytest

from orimap.tasks.acquire.acquisition import describe
from orimap.tasks.acquire.open_acquisition import open_acquisition

ALL = slice(None)


def test_numpy_files_are_read_piece_by_piece(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    acquisition = open_acquisition(tmp_path / "scan.npy")
    assert (acquisition.scan_shape, acquisition.detector_shape) == ((4, 5), (6, 7))
    assert acquisition.read_memory_bytes == 0
    np.testing.assert_array_equal(acquisition.read(slice(1, 3), slice(2, 5)), small_scan[1:3, 2:5])


def test_it_travels_to_another_process_without_its_data(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    travelled = pickle.dumps(open_acquisition(tmp_path / "scan.npy"))
    assert len(travelled) < 2000
    np.testing.assert_array_equal(pickle.loads(travelled).read(ALL, ALL), small_scan)


def test_big_endian_values_become_native(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan.astype(">u2"))
    read = open_acquisition(tmp_path / "scan.npy").read(ALL, ALL)
    assert read.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(read, small_scan)


@pytest.mark.parametrize("columns", [ALL, slice(1, 4)])
def test_patterns_in_one_row_are_a_scan_once_its_shape_is_given(tmp_path, small_scan, columns):
    np.save(tmp_path / "stack.npy", small_scan.reshape(20, 6, 7))
    acquisition = open_acquisition(tmp_path / "stack.npy", scan_shape=(4, 5))
    np.testing.assert_array_equal(acquisition.read(slice(1, 3), columns), small_scan[1:3, columns])


def test_column_major_files_keep_their_axes(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", np.asfortranarray(small_scan))
    acquisition = open_acquisition(tmp_path / "scan.npy")
    np.testing.assert_array_equal(acquisition.read(slice(1, 3), ALL), small_scan[1:3])


def test_the_description_holds_plain_values(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    told = json.loads(json.dumps(describe(open_acquisition(tmp_path / "scan.npy"))))
    assert told["scan_shape"] == [4, 5]
    assert told["bytes_as_array"] == small_scan.nbytes
