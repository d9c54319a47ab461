import subprocess
import sys

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.formats.chunked.hdf5_files import LOCKING, Hdf5Array, load_h5py, opened
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)
WRITE = "import h5py, sys; h5py.File(sys.argv[1], 'a').close()"


def test_a_file_that_is_read_can_be_written_by_the_program_that_acquires(tmp_path, small_scan):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["patterns"] = small_scan
    with opened(path):
        subprocess.run([sys.executable, "-c", WRITE, path], check=True)


def test_a_file_is_closed_as_soon_as_it_has_been_read(tmp_path, small_scan):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["patterns"] = small_scan
    acquisition = open_acquisition(path)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    with h5py.File(path, "r+") as file:  # refused by HDF5 while it is open for reading here
        file["patterns"][0] = 7
    assert (acquisition.read(slice(0, 1), ALL) == 7).all()


def test_a_file_that_another_program_has_locked_is_read(tmp_path, small_scan):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["patterns"] = small_scan
        file.flush()
        read = "import sys; from pathlib import Path; from orimap.tasks.acquire.open_acquisition "
        read += "import open_acquisition as o; print(o(Path(sys.argv[1])).scan_shape)"
        done = subprocess.run(
            [sys.executable, "-c", read, path], check=True, capture_output=True, text=True
        )
    assert done.stdout == "(4, 5)\n"


def test_linked_files_are_opened_without_locks_too(tmp_path, small_scan):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["d"] = small_scan
    with h5py.File(tmp_path / "main.h5", "w") as file:
        file["d"] = h5py.ExternalLink("data.h5", "d")
    with opened(tmp_path / "main.h5") as file:
        assert file["d"].shape == small_scan.shape
        subprocess.run([sys.executable, "-c", WRITE, tmp_path / "data.h5"], check=True)


def test_readers_of_others_take_no_locks_and_the_environment_stays_as_it_was(tmp_path):
    path = tmp_path / "scan.h5"
    h5py.File(path, "w").close()
    read = f"""
import os, subprocess, sys
os.environ.pop({LOCKING!r}, None)
from orimap.tasks.acquire.formats.chunked.hdf5_files import load_h5py
h5py = load_h5py()
assert {LOCKING!r} not in os.environ
with h5py.File(sys.argv[1], "r"):
    subprocess.run([sys.executable, "-c", {WRITE!r}, sys.argv[1]], check=True)
"""
    subprocess.run([sys.executable, "-c", read, path], check=True)
    assert load_h5py() is h5py


@pytest.mark.parametrize("ending", [".h5", ".hspy", ".nxs"])
def test_a_file_that_is_cut_short_is_said_to_be(tmp_path, small_scan, ending):
    path = tmp_path / f"scan{ending}"
    with h5py.File(path, "w") as file:
        file["Experiments/patterns/data"] = small_scan
        file.attrs["file_format"] = "HyperSpy"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"cut short|truncated"):
        open_acquisition(path)
    with pytest.raises(InputError, match="it is cut short"), opened(path):
        pass


def test_a_file_that_was_never_closed_is_said_to_be(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["patterns"] = np.zeros((2, 3, 4, 5))
        file.swmr_mode = True
        file.flush()
        (tmp_path / "copy.h5").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="open for writing"), opened(tmp_path / "copy.h5"):
        pass


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError), opened(tmp_path / "none.h5"):
        pass


def test_a_damaged_chunk_is_an_error_of_the_file_not_of_the_network(tmp_path, small_scan):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("p", data=small_scan, chunks=(1, 5, 6, 7), compression="gzip")
        place = made.id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 4 : place + 40] = bytes(36)
    path.write_bytes(content)
    acquisition = open_acquisition(path)
    np.testing.assert_array_equal(acquisition.read(slice(0, 2), ALL), small_scan[:2])
    with pytest.raises(InputError, match="those at row 2 of the scan cannot be read"):
        acquisition.read(slice(2, 3), ALL)


def test_pieces_are_cut_as_from_the_data_set(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", data=small_scan, chunks=(2, 5, 6, 7))
        array = Hdf5Array(tmp_path / "scan.h5", "p", made)
    assert (array.shape, array.ndim, array.chunks) == (small_scan.shape, 4, (2, 5, 6, 7))
    np.testing.assert_array_equal(array[1:3, 2], small_scan[1:3, 2])
