"""What is not in a file is found without reading the scan, whatever stands in for it."""

import shutil

import h5py
import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.formats.chunked.unwritten import missing_in_hdf5
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

SCAN, DETECTOR = (6, 8), (10, 12)


@pytest.fixture
def counts():
    return np.random.default_rng(3).poisson(2, (*SCAN, *DETECTOR)).astype("u2") + np.uint16(1)


def gaps(path, **options):
    """Where an acquisition has no data, and what is said about it."""
    acquisition = open_acquisition(path, **options)
    (note,) = [each for each in acquisition.notes if "have no data" in each] or [""]
    found = acquisition.no_data
    return np.zeros(SCAN, bool) if found is None else found, note


def lower_half():
    """The pixels of the rows from 5 on."""
    expected = np.zeros(DETECTOR, bool)
    expected[5:] = True
    return expected


def rows(first, stop=SCAN[0]):
    expected = np.zeros(SCAN, bool)
    expected[first:stop] = True
    return expected


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("fillvalue", [0, 65535])
def test_hdf5_rows_that_were_never_written(tmp_path, counts, compression, fillvalue):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset(
            "p", counts.shape, "u2", chunks=(1, 8, 10, 12), compression=compression,
            fillvalue=fillvalue,
        )  # fmt: skip
        made[:4] = counts[:4]
    found, note = gaps(tmp_path / "scan.h5")
    np.testing.assert_array_equal(found, rows(4))
    assert note.startswith("16 of 48 positions, in rows 4 to 5, have no data: 2 of 6 chunks of p")


def test_hdf5_chunks_that_share_no_rows_and_end_beyond_the_scan(tmp_path, counts):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", counts.shape, "u2", chunks=(4, 3, 10, 12))
        made[:4] = counts[:4]
        made[4:, :3] = counts[4:, :3]
    expected = np.zeros(SCAN, bool)
    expected[4:, 3:] = True
    np.testing.assert_array_equal(gaps(tmp_path / "scan.h5")[0], expected)


def test_hdf5_patterns_of_which_a_part_was_never_written(tmp_path, counts):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", counts.shape, "u2", chunks=(1, 8, 5, 12))
        made[:5] = counts[:5]
        made[5:, :, :5] = counts[5:, :, :5]
    np.testing.assert_array_equal(gaps(tmp_path / "scan.h5")[0], rows(5))


@pytest.mark.parametrize("fillvalue", [0, 7])
def test_a_part_of_the_detector_that_no_pattern_has_is_masked(tmp_path, counts, fillvalue):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset(
            "p", counts.shape, "u2", chunks=(1, 8, 5, 12), fillvalue=fillvalue
        )
        made[:, :, :5] = counts[:, :, :5]
    acquisition = open_acquisition(tmp_path / "scan.h5")
    assert acquisition.no_data is None
    np.testing.assert_array_equal(acquisition.no_pixels, lower_half())
    np.testing.assert_array_equal(
        acquisition.read(slice(None), slice(2, 4)),
        np.where(lower_half(), 0, counts)[:, 2:4],
    )
    assert (
        "60 of 120 pixels of the detector, in its rows 5 to 9 and columns 0 to 11, are not there "
        "at any position: 6 of 12 chunks of p were never written; masked"
    ) in acquisition.notes


def test_a_part_that_most_patterns_lack_is_masked_and_one_that_few_lack_is_not(tmp_path, counts):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", counts.shape, "u2", chunks=(1, 8, 5, 12))
        made[:5, :, :5] = counts[:5, :, :5]
        made[:2, :, 5:] = counts[:2, :, 5:]
    acquisition = open_acquisition(tmp_path / "scan.h5")
    np.testing.assert_array_equal(acquisition.no_data, rows(5))
    np.testing.assert_array_equal(acquisition.no_pixels, lower_half())
    assert "are not there at 24 positions" in " ".join(acquisition.notes)
    plain = tmp_path / "other.h5"
    with h5py.File(plain, "w") as file:
        made = file.create_dataset("p", counts.shape, "u2", chunks=(1, 8, 5, 12))
        made[...] = counts
    assert acquisition.identity != open_acquisition(plain).identity


def test_gaps_in_scan_and_detector_that_cannot_be_told_apart_are_refused(tmp_path, counts):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", counts.shape, "u2", chunks=(1, 8, 5, 12))
        made[:1] = counts[:1]
        made[1:4, :, :5] = counts[1:4, :, :5]
        made[4:, :, 5:] = counts[4:, :, 5:]
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "scan.h5")
    assert "40 of 48 positions lack some part of the detector" in error.value.found
    assert error.value.remedy.endswith("--keep-rows 1 takes the rows before the first gap")
    assert open_acquisition(tmp_path / "scan.h5", keep_rows=1).no_data is None


def test_a_stack_in_hdf5_is_cut_into_rows_as_asked(tmp_path, counts):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", (48, *DETECTOR), "u2", chunks=(1, *DETECTOR))
        made[:29] = counts.reshape(48, *DETECTOR)[:29]
    found, note = gaps(tmp_path / "scan.h5", scan_shape=SCAN)
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(29, 48))
    assert note.startswith("19 of 48 positions, in rows 3 to 5, have no data")


@pytest.mark.parametrize("chunks", [None, (1, 8, 10, 12)])
def test_hdf5_with_room_and_nothing_in_it_is_refused(tmp_path, chunks):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("p", (*SCAN, *DETECTOR), "u2", chunks=chunks)
    with pytest.raises(InputError, match="nothing of p was ever written"):
        open_acquisition(tmp_path / "scan.h5")


@pytest.mark.parametrize("chunks", [None, True, (1, 8, 10, 12)])
def test_whole_files_have_no_gaps_and_no_note(tmp_path, counts, chunks):
    counts[2, 3] = 0
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("p", data=counts, chunks=chunks)
    found, note = gaps(tmp_path / "scan.h5")
    assert not found.any()
    assert not note


def test_hyperspy_s_form_is_looked_at_as_well(tmp_path, counts):
    with h5py.File(tmp_path / "scan.hspy", "w") as file:
        file.attrs.update(file_format="HyperSpy", file_format_version="3.1")
        group = file.create_group("Experiments/scan")
        made = group.create_dataset("data", counts.shape, "u2", chunks=(1, 8, 10, 12))
        made[1:] = counts[1:]
        for number, size in enumerate(counts.shape):
            group.create_group(f"axis-{number}").attrs.update(size=size, navigate=number < 2)
        group.create_group("metadata")
    np.testing.assert_array_equal(gaps(tmp_path / "scan.hspy")[0], rows(0, 1))


LAYOUTS = {
    "version 3": (3, {"chunks": (3, 4, 10, 12)}, "c/1/0/0/0"),
    "version 2": (2, {"chunks": (3, 4, 10, 12)}, "1.0.0.0"),
    "shards": (3, {"chunks": (1, 2, 10, 12), "shards": (3, 4, 10, 12)}, "c/1/0/0/0"),
    "detector in parts": (3, {"chunks": (3, 4, 5, 6)}, "c/1/0/0/1"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_zarr_chunk_lost_in_a_copy(tmp_path, counts, layout):
    version, how, lost = LAYOUTS[layout]
    group = zarr.open_group(tmp_path / "scan.zarr", mode="w", zarr_format=version)
    array = group.create_array("p", shape=counts.shape, dtype="u2", fill_value=0, **how)
    array[...] = counts
    assert open_acquisition(tmp_path / "scan.zarr").no_data is None
    (tmp_path / "scan.zarr" / "p" / lost).unlink()
    found, note = gaps(tmp_path / "scan.zarr")
    expected = np.zeros(SCAN, bool)
    expected[3:, :4] = True
    np.testing.assert_array_equal(found, expected)
    assert f"chunks of p is not there (p/{lost}): lost in a copy, or never written" in note


@pytest.mark.parametrize("fill_value", [0, 65535])
@pytest.mark.parametrize(
    ("version", "how", "lost"),
    [
        (3, {"chunks": (6, 8, 5, 12)}, "c/0/0/1/0"),
        (2, {"chunks": (6, 8, 5, 12)}, "0.0.1.0"),
        (3, {"chunks": (1, 2, 5, 12), "shards": (6, 8, 5, 12)}, "c/0/0/1/0"),
    ],
)
def test_a_zarr_chunk_with_a_part_of_all_patterns_is_lost(
    tmp_path, counts, version, how, lost, fill_value
):
    group = zarr.open_group(tmp_path / "scan.zarr", mode="w", zarr_format=version)
    array = group.create_array("p", shape=counts.shape, dtype="u2", fill_value=fill_value, **how)
    array[...] = counts
    (tmp_path / "scan.zarr" / "p" / lost).unlink()
    acquisition = open_acquisition(tmp_path / "scan.zarr")
    assert acquisition.no_data is None
    np.testing.assert_array_equal(acquisition.no_pixels, lower_half())
    np.testing.assert_array_equal(
        acquisition.read(slice(None), slice(None)), np.where(lower_half(), 0, counts)
    )
    assert f"1 of 2 chunks of p is not there (p/{lost})" in " ".join(acquisition.notes)


def test_a_part_of_the_detector_that_is_zero_in_zarr_and_dark_around_is_believed(tmp_path, counts):
    counts[:, :, 4:] = 0
    zarr.create_array(
        tmp_path / "scan.zarr", data=counts, chunks=(6, 8, 5, 12), fill_value=0,
        config={"write_empty_chunks": False},
    )  # fmt: skip
    acquisition = open_acquisition(tmp_path / "scan.zarr")
    assert (acquisition.no_data, acquisition.no_pixels) == (None, None)
    assert (
        "1 chunks of the array are not stored, of parts of the detector that no pattern has: taken "
        "as zeros, which is what lies beside them"
    ) in acquisition.notes


def test_a_fill_value_that_is_no_count_is_never_taken_for_one(tmp_path, counts):
    counts[:3, :, :5] = 9
    zarr.create_array(
        tmp_path / "scan.zarr", data=counts, chunks=(3, 8, 5, 12), fill_value=9,
        config={"write_empty_chunks": False},
    )  # fmt: skip
    np.testing.assert_array_equal(open_acquisition(tmp_path / "scan.zarr").no_data, rows(0, 3))


def test_parts_are_looked_for_along_the_axes_that_somebody_names(tmp_path, counts):
    turned = counts.transpose(2, 3, 0, 1)
    zarr.create_array(tmp_path / "scan.zarr", data=turned, chunks=(5, 12, 6, 8), fill_value=0)
    (tmp_path / "scan.zarr" / "c" / "1" / "0" / "0" / "0").unlink()
    acquisition = open_acquisition(
        tmp_path / "scan.zarr", axes="detector_y,detector_x,scan_y,scan_x"
    )
    assert acquisition.no_data is None
    np.testing.assert_array_equal(acquisition.no_pixels, lower_half())


def test_a_zipped_zarr_store_and_one_without_a_group(tmp_path, counts):
    zarr.create_array(tmp_path / "scan.zarr", data=counts, chunks=(3, 4, 10, 12), fill_value=0)
    (tmp_path / "scan.zarr" / "c" / "0" / "1" / "0" / "0").unlink()
    shutil.make_archive(tmp_path / "scan.zarr", "zip", tmp_path / "scan.zarr")
    expected = np.zeros(SCAN, bool)
    expected[:3, 4:] = True
    for name in ("scan.zarr", "scan.zarr.zip"):
        np.testing.assert_array_equal(gaps(tmp_path / name)[0], expected)


def test_zarr_chunks_of_few_electrons_may_be_left_out_because_they_hold_none(tmp_path):
    counts = np.zeros((*SCAN, *DETECTOR), "u2")
    counts[:, :, 5, 6] = 3
    counts[::3, ::4, 0, 0] = 1  # one electron in each chunk that is stored of this corner
    counts[3:, :4, :5, :6] = 0
    array = zarr.create_array(
        tmp_path / "scan.zarr", data=counts, chunks=(3, 4, 5, 6), fill_value=0,
        config={"write_empty_chunks": False},
    )  # fmt: skip
    assert array.nchunks_initialized < array.nchunks
    assert open_acquisition(tmp_path / "scan.zarr").no_data is None


def test_a_zarr_array_without_a_single_chunk_is_refused(tmp_path, counts):
    zarr.create_array(
        tmp_path / "scan.zarr", shape=counts.shape, dtype="u2", chunks=(3, 4, 10, 12), fill_value=0
    )
    with pytest.raises(InputError, match="room for 6×8 of them and no data"):
        open_acquisition(tmp_path / "scan.zarr")


def test_the_axes_of_the_detector_may_come_first(tmp_path, counts):
    turned = counts.transpose(2, 3, 0, 1)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", turned.shape, "u2", chunks=(10, 12, 1, 8))
        made[:, :, :4] = turned[:, :, :4]
        np.testing.assert_array_equal(missing_in_hdf5(made, (0, 1)).positions, rows(4))
