"""HDF5 files that readers of others open lack chunks as well."""

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.formats.chunked.others_readers import gaps_behind
from orimap.tasks.acquire.open_acquisition import open_acquisition

ALL = slice(None)
SHAPE = (4, 5, 6, 8)


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(3, SHAPE).astype("u2") + np.uint16(1)


def write_emd(path, chunks, shape=SHAPE):
    """A Berkeley EMD file, of which a reader gives the last axis first; open, and nothing in it."""
    file = h5py.File(path, "w")
    file.attrs.update(version_major=0, version_minor=2)
    group = file.create_group("data/scan")
    group.attrs["emd_group_type"] = 1
    data = group.create_dataset("data", shape, "u2", chunks=chunks)
    for number, size in enumerate(shape, 1):
        axis = group.create_dataset(f"dim{number}", data=np.arange(size) * 1.0)
        unit = "[n_m]" if number < 3 else "[n_m^-1]"
        axis.attrs.update(name=np.bytes_("ABCD"[number - 1]), units=np.bytes_(unit))
    return file, data


def test_rows_of_an_emd_file_that_were_never_written(tmp_path, counts):
    file, data = write_emd(tmp_path / "scan.emd", (1, 5, 6, 8))
    with file:
        data[:2] = counts[:2]
    acquisition = open_acquisition(tmp_path / "scan.emd")
    expected = np.zeros((5, 4), bool)
    expected[:, 2:] = True
    assert acquisition.reader == "EMD"
    assert ["counts its rows: B (5)" in guess for guess in acquisition.guesses] == [True]
    np.testing.assert_array_equal(acquisition.no_data, expected)
    patterns = acquisition.read(ALL, slice(0, 2))
    np.testing.assert_array_equal(patterns, counts[:2].transpose(1, 0, 3, 2))


def test_a_part_of_the_detector_of_an_emd_file(tmp_path, counts):
    file, data = write_emd(tmp_path / "scan.emd", (1, 5, 3, 8))
    with file:
        data[:, :, :3] = counts[:, :, :3]
    acquisition = open_acquisition(tmp_path / "scan.emd")
    expected = np.zeros((8, 6), bool)
    expected[:, 3:] = True
    np.testing.assert_array_equal(acquisition.no_pixels, expected)


def test_where_nothing_tells_which_patterns_lack_it_zeros_are_a_guess(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = file.create_dataset("p", (20, 48), "u2", chunks=(5, 48))
        data[:10] = 1
        file["q"] = np.ones((4, 5, 6, 9))
    found = gaps_behind(tmp_path / "scan.h5", SHAPE, np.dtype("u2"), (2, 3))
    assert found == (
        None,
        "zeros are taken as counts, although 2 of 4 chunks of p were never written: which "
        "patterns lack them is not known",
    )


@pytest.mark.parametrize("name", ["whole.h5", "other.dat"])
def test_whole_files_and_others_lack_nothing(tmp_path, name):
    if name == "whole.h5":
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("p", data=np.ones(SHAPE, "u2"), chunks=True)
    else:
        (tmp_path / name).write_bytes(b"no HDF5")
    assert gaps_behind(tmp_path / name, SHAPE, np.dtype("u2"), (2, 3)) == (None, "")
