"""What is not in a file is found without reading the scan, whatever stands in for it."""

import shutil

import h5py
import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.formats.chunked.unwritten import missing_in_hdf5, source_file
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


def test_hdf5_parts_of_the_detector_that_no_pattern_has_are_no_gap(tmp_path, counts):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", counts.shape, "u2", chunks=(1, 8, 5, 12))
        made[:, :, :5] = counts[:, :, :5]
    assert open_acquisition(tmp_path / "scan.h5").no_data is None


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


def virtual(folder, counts, *, name="scan.h5", linked="part_{}.h5"):
    """Three files of two rows each, and a data set made of them."""
    layout = h5py.VirtualLayout(counts.shape, "u2")
    for number in range(3):
        part = slice(2 * number, 2 * number + 2)
        with h5py.File(folder / f"part_{number}.h5", "w") as file:
            file["d"] = counts[part]
        source = h5py.VirtualSource(linked.format(number), "d", (2, *counts.shape[1:]))
        layout[part] = source
    with h5py.File(folder / name, "w") as file:
        file.create_virtual_dataset("p", layout, fillvalue=0)
    return folder / name


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_source_file_of_a_virtual_data_set_is_missing(tmp_path, counts, lost):
    path = virtual(tmp_path, counts)
    whole = open_acquisition(path)
    assert whole.no_data is None
    (tmp_path / f"part_{lost}.h5").unlink()
    found, note = gaps(path)
    np.testing.assert_array_equal(found, rows(2 * lost, 2 * lost + 2))
    assert f"1 of 3 files that p is made of cannot be read: part_{lost}.h5" in note
    acquisition = open_acquisition(path)
    assert acquisition.awaited == (f"part_{lost}.h5",)
    assert acquisition.identity != whole.identity


@pytest.mark.parametrize("damage", ["short", "other name", "stopped"])
def test_a_source_file_that_is_there_and_not_whole(tmp_path, counts, damage):
    path = virtual(tmp_path, counts)
    part = tmp_path / "part_1.h5"
    if damage == "short":
        part.write_bytes(part.read_bytes()[:-200])
    else:
        part.unlink()
        with h5py.File(part, "w") as file:
            if damage == "other name":
                file["other"] = counts[2:4]
            else:
                made = file.create_dataset("d", (2, *counts.shape[1:]), "u2", chunks=(1, 8, 5, 6))
                made[0] = counts[2]
    first = 3 if damage == "stopped" else 2
    np.testing.assert_array_equal(gaps(path)[0], rows(first, 4))


def test_positions_that_no_source_is_for(tmp_path, counts):
    layout = h5py.VirtualLayout(counts.shape, "u2")
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["d"] = counts[:4]
    layout[1:5] = h5py.VirtualSource("part.h5", "d", (4, *counts.shape[1:]))
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("p", layout)
    found, note = gaps(tmp_path / "scan.h5")
    np.testing.assert_array_equal(found, rows(0, 1) | rows(5))
    assert "parts of p have no data in the files that it is made of" in note
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["d"] = counts[:3]
    with pytest.raises(InputError, match=r"4×8 patterns in part\.h5\n.*holds 3×8 of them"):
        open_acquisition(tmp_path / "scan.h5")


def test_all_source_files_are_missing(tmp_path, counts):
    path = virtual(tmp_path, counts)
    for number in range(3):
        (tmp_path / f"part_{number}.h5").unlink()
    with pytest.raises(InputError, match="room for 6×8 of them and no data"):
        open_acquisition(path)


def test_sources_named_by_another_machine_s_folder_are_found_beside_the_file(tmp_path, counts):
    path = virtual(tmp_path, counts, linked="/nowhere/of/the/microscope/part_{}.h5")
    acquisition = open_acquisition(path)
    assert acquisition.no_data is None
    np.testing.assert_array_equal(acquisition.read(slice(None), slice(None)), counts)
    assert source_file("/nowhere/part_9.h5", tmp_path) is None


def test_a_gap_in_numbered_source_files_is_named(tmp_path, counts):
    for number in (0, 2):
        with h5py.File(tmp_path / f"n_{number}.h5", "w") as file:
            file["d"] = counts[2 * number : 2 * number + 2]
    space = h5py.h5s.create_simple((6, *counts.shape[1:]), (h5py.h5s.UNLIMITED, *counts.shape[1:]))
    room = space.copy()
    size = counts.shape[1:]
    space.select_hyperslab((0,) * 4, (h5py.h5s.UNLIMITED, 1, 1, 1), (2, 1, 1, 1), (2, *size))
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_virtual(space, b"n_%b.h5", b"d", h5py.h5s.create_simple((2, *size)))
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        h5py.h5d.create(file.id, b"p", h5py.h5t.NATIVE_UINT16, room, made)
    with pytest.raises(InputError, match=r"n_1\.h5.*\n.*1 after it are"):
        open_acquisition(tmp_path / "scan.h5")
    with h5py.File(tmp_path / "n_1.h5", "w") as file:
        file["d"] = counts[2:4]
    whole = open_acquisition(tmp_path / "scan.h5")
    np.testing.assert_array_equal(whole.read(slice(None), slice(None)), counts)


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
