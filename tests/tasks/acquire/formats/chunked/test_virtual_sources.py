"""What a virtual HDF5 data set lacks, where files that it is made of are missing or not whole."""

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.formats.chunked.virtual_sources import source_file
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

SCAN, DETECTOR = (6, 8), (10, 12)
ALL = slice(None)


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


def modules(folder, counts, *, rows_a_file=SCAN[0], gap=0):
    """Two modules side by side, in files of so many rows each, with a gap between them."""
    whole = np.zeros((*SCAN, 10, 12 + gap), "u2")
    layout = h5py.VirtualLayout(whole.shape, "u2")
    for first in range(0, SCAN[0], rows_a_file):
        for module, left in enumerate((0, 6 + gap)):
            name, at = f"m{module}_{first}.h5", slice(first, first + rows_a_file)
            part = counts[at, ..., 6 * module : 6 * module + 6]
            with h5py.File(folder / name, "w") as file:
                file["d"] = part
            layout[at, :, :, left : left + 6] = h5py.VirtualSource(name, "d", part.shape)
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_virtual_dataset("p", layout, fillvalue=0)
    return folder / "scan.h5"


def test_the_file_of_a_module_is_missing(tmp_path, counts):
    path = modules(tmp_path, counts)
    assert open_acquisition(path).no_pixels is None
    (tmp_path / "m1_0.h5").unlink()
    acquisition = open_acquisition(path)
    expected = np.zeros(DETECTOR, bool)
    expected[:, 6:] = True
    assert acquisition.no_data is None
    np.testing.assert_array_equal(acquisition.no_pixels, expected)
    assert acquisition.awaited == ("m1_0.h5",)
    assert (
        "60 of 120 pixels of the detector, in its rows 0 to 9 and columns 6 to 11, are not there "
        "at any position: 1 of 2 files that p is made of cannot be read: m1_0.h5; masked"
    ) in acquisition.notes


def test_some_patterns_lack_a_module(tmp_path, counts):
    path = modules(tmp_path, counts, rows_a_file=1)
    (tmp_path / "m0_2.h5").unlink()
    (tmp_path / "m1_4.h5").unlink()
    acquisition = open_acquisition(path)
    assert acquisition.no_pixels is None
    np.testing.assert_array_equal(acquisition.no_data, rows(2, 3) | rows(4, 5))
    assert "have no data (at 16 of them a part of the pattern only)" in " ".join(acquisition.notes)


def test_a_gap_between_modules_is_masked(tmp_path, counts):
    acquisition = open_acquisition(modules(tmp_path, counts, gap=2))
    expected = np.zeros((10, 14), bool)
    expected[:, 6:8] = True
    np.testing.assert_array_equal(acquisition.no_pixels, expected)
    patterns = acquisition.read(ALL, ALL)
    np.testing.assert_array_equal(patterns[..., ~expected].reshape(counts.shape), counts)
    assert "parts of p have no data in the files" in " ".join(acquisition.notes)


def test_a_source_that_lacks_a_part_of_its_detector(tmp_path, counts):
    path = modules(tmp_path, counts)
    with h5py.File(tmp_path / "m1_0.h5", "w") as file:
        made = file.create_dataset("d", (*SCAN, 10, 6), "u2", chunks=(1, 8, 5, 6))
        made[:5, :, :5] = counts[:5, :, :5, 6:]
    acquisition = open_acquisition(path)
    expected = np.zeros(DETECTOR, bool)
    expected[5:, 6:] = True
    np.testing.assert_array_equal(acquisition.no_pixels, expected)
    np.testing.assert_array_equal(acquisition.no_data, rows(5))


def test_every_second_frame_is_in_another_file(tmp_path, counts):
    frames = counts.reshape(48, *DETECTOR)
    layout = h5py.VirtualLayout(frames.shape, "u2")
    for number in (0, 1):
        with h5py.File(tmp_path / f"every_{number}.h5", "w") as file:
            file["d"] = frames[number::2]
        layout[number::2] = h5py.VirtualSource(f"every_{number}.h5", "d", (24, *DETECTOR))
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("p", layout)
    (tmp_path / "every_1.h5").unlink()
    found, note = gaps(tmp_path / "scan.h5", scan_shape=SCAN)
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(1, 48, 2))
    assert note.startswith("24 of 48 positions, in rows 0 to 5, have no data")


def test_a_stack_that_is_laid_out_as_rows_and_columns(tmp_path, counts):
    frames = counts.reshape(48, *DETECTOR)
    layout = h5py.VirtualLayout(counts.shape, "u2")
    with h5py.File(tmp_path / "part.h5", "w") as file:
        made = file.create_dataset("d", frames.shape, "u2", chunks=(1, *DETECTOR))
        made[:29] = frames[:29]
    layout[...] = h5py.VirtualSource("part.h5", "d", frames.shape)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("p", layout)
    np.testing.assert_array_equal(np.flatnonzero(gaps(tmp_path / "scan.h5")[0]), np.arange(29, 48))
