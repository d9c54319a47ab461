"""HDF5 and Zarr, and HyperSpy's forms of both."""

import h5py
import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.formats.files.containers import (
    Concatenated,
    open_dectris,
    open_hdf5,
    open_hspy,
    open_zarr,
)
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


def test_hspy_brings_calibration_and_beam_energy(signal_of, tmp_path, small_scan):
    from rsciio import hspy

    hspy.file_writer(str(tmp_path / "scan.hspy"), signal_of(small_scan))
    acquisition = open_acquisition(tmp_path / "scan.hspy")
    assert (acquisition.reader, acquisition.signal) == ("HSPY", "scan")
    assert (acquisition.scan_step, acquisition.scan_units) == ((2.0, 2.0), "nm")
    assert acquisition.detector_step == pytest.approx((0.01, 0.01))
    assert (acquisition.detector_units, acquisition.beam_energy_kev) == ("1/Å", 200.0)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    (tmp_path / "scan.hspy").rename(tmp_path / "renamed.h5")
    assert open_acquisition(tmp_path / "renamed.h5").reader == "HSPY"


def as_rosettasciio_tells(path):
    """Title, beam energy, axes and values of every data set of a .hspy file."""
    from rsciio import hspy

    told = []
    for entry in hspy.file_reader(str(path)):
        axes = [
            (a["name"] or "", a["size"], a["scale"], a["units"] or "", a["navigate"])
            for a in entry["axes"]
        ]
        microscope = entry["metadata"].get("Acquisition_instrument", {}).get("TEM", {})
        energy = microscope.get("beam_energy")
        told.append((entry["metadata"]["General"]["title"], energy, axes, entry["data"].tolist()))
    return told


def as_we_tell(path):
    told = []
    for number, signal in enumerate(open_hspy(path)):
        axes = [(a.name, a.size, a.scale, a.units, a.navigate) for a in signal.axes]
        title = "" if signal.title == f"signal {number}" else signal.title
        told.append((title, signal.beam_energy_kev, axes, signal.array[()].tolist()))
    return told


def test_hspy_is_understood_as_rosettasciio_does(signal_of, tmp_path, small_scan):
    from rsciio import hspy

    described = signal_of(small_scan)
    hspy.file_writer(str(tmp_path / "scan.hspy"), described)
    assert as_we_tell(tmp_path / "scan.hspy") == as_rosettasciio_tells(tmp_path / "scan.hspy")
    # As HyperSpy writes what has no name, no unit and no beam energy, and a second data set.
    described["axes"][0].update(name=None, units=None)
    described["metadata"] = {"General": {"title": ""}, "Signal": {"signal_type": ""}}
    hspy.file_writer(str(tmp_path / "bare.hspy"), described)
    with h5py.File(tmp_path / "bare.hspy", "r+") as file:
        (only,) = file["Experiments"]
        file.copy(f"Experiments/{only}", "Experiments/second")
        file["Experiments/second/metadata/General"].attrs["title"] = np.bytes_("old text")
    told = as_we_tell(tmp_path / "bare.hspy")
    assert told == as_rosettasciio_tells(tmp_path / "bare.hspy")
    assert [title for title, *_ in told] == ["", "old text"]
    assert told[0][1:3] == (None, told[1][2])
    assert told[0][2][0] == ("", 4, 2.0, "", True)


def test_hspy_of_a_microscope_is_understood_as_rosettasciio_does(shared_data):
    file = shared_data / "formats" / "sped_steel_2x2.hspy"
    assert as_we_tell(file) == as_rosettasciio_tells(file)


def test_hspy_of_an_older_form_is_left_to_rosettasciio(signal_of, tmp_path, small_scan):
    with h5py.File(tmp_path / "old.hspy", "w") as file:
        file.attrs.update(file_format="HyperSpy", file_format_version="1.1")
        group = file.create_group("Experiments/scan")
        group.create_dataset("data", data=small_scan, chunks=True)
        for number, axis in enumerate(signal_of(small_scan)["axes"]):
            group.create_group(f"axis-{number}").attrs.update(axis)
        group.create_group("mapped_parameters/TEM").attrs["beam_energy"] = 120.0
        group.create_group("original_parameters")
    assert open_hspy(tmp_path / "old.hspy") == []
    acquisition = open_acquisition(tmp_path / "old.hspy")
    assert (acquisition.reader, acquisition.beam_energy_kev) == ("HSPY", 120.0)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


def test_zspy_is_read_without_its_own_library(signal_of, tmp_path, small_scan):
    root = zarr.open_group(tmp_path / "scan.zspy", mode="w", zarr_format=2)
    group = root.create_group("Experiments/scan")
    group.create_array("data", data=small_scan, chunks=(2, 2, 6, 7))
    for number, axis in enumerate(signal_of(small_scan)["axes"]):
        group.create_group(f"axis-{number}").attrs.update(axis)
    group.create_group("metadata/Acquisition_instrument/TEM").attrs["beam_energy"] = 80.0
    acquisition = open_acquisition(tmp_path / "scan.zspy")
    assert (acquisition.reader, acquisition.beam_energy_kev) == ("ZSPY", 80.0)
    assert (acquisition.scan_step, acquisition.detector_units) == ((2.0, 2.0), "1/Å")
    np.testing.assert_array_equal(acquisition.read(ALL, slice(1, 3)), small_scan[:, 1:3])


def test_the_one_scan_of_an_hdf5_file_is_found_and_the_rest_named(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["a/deep/patterns"] = small_scan
        file["a/preview"] = np.zeros((3, 4, 5))
    acquisition = open_acquisition(tmp_path / "scan.h5")
    assert (acquisition.reader, acquisition.signal) == ("HDF5", "a/deep/patterns")
    assert acquisition.other_signals == ("a/preview",)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


def test_dectris_files_are_read_across_their_data_files(tmp_path, small_scan):
    stack = small_scan.astype(np.uint32).reshape(20, 6, 7)
    with h5py.File(tmp_path / "run_master.h5", "w") as master:
        for number, part in enumerate((stack[:12], stack[12:]), start=1):
            name = f"run_data_{number:06d}.h5"
            with h5py.File(tmp_path / name, "w") as file:
                file["entry/data/data"] = part
            master[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "entry/data/data")
    path = tmp_path / "run_master.h5"
    with pytest.raises(InputError, match="20 patterns"):
        open_acquisition(path)
    acquisition = open_acquisition(path, scan_shape=(4, 5))
    assert acquisition.reader == "Arina"
    np.testing.assert_array_equal(
        acquisition.read(slice(1, 4), ALL), stack.reshape(4, 5, 6, 7)[1:4]
    )
    (tmp_path / "run_data_000002.h5").unlink()
    with pytest.raises(InputError, match=r"run_data_000002\.h5 beside run_master\.h5"):
        open_acquisition(path, scan_shape=(4, 5))


def test_zarr_coordinates_give_the_calibration(tmp_path, small_scan):
    group = zarr.open_group(tmp_path / "scan.zarr", mode="w")
    names = ("scan_y", "scan_x", "detector_y", "detector_x")
    array = group.create_array(
        "pattern_intensity", data=small_scan, chunks=(2, 5, 6, 7), dimension_names=names
    )
    assert array.shape == small_scan.shape
    for name, size, step, units in zip(
        names, small_scan.shape, (2.0, 2.0, 0.02, 0.02), ("nm", "nm", "1/Å", "1/Å"), strict=True
    ):
        group.create_array(
            name, data=np.arange(size) * step, dimension_names=[name], attributes={"units": units}
        )
    acquisition = open_acquisition(tmp_path / "scan.zarr")
    assert (acquisition.scan_step, acquisition.scan_units) == ((2.0, 2.0), "nm")
    assert acquisition.detector_step == pytest.approx((0.02, 0.02))
    assert acquisition.detector_units == "1/Å"
    np.testing.assert_array_equal(acquisition.read(ALL, slice(2, 4)), small_scan[:, 2:4])


def test_a_bare_zarr_array_is_a_scan_too(tmp_path, small_scan):
    zarr.create_array(tmp_path / "bare.zarr", data=small_scan, chunks=(2, 5, 6, 7))
    acquisition = open_acquisition(tmp_path / "bare.zarr")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


@pytest.mark.parametrize("sizes", [(12, 8), (1, 1, 18), (20,), (5, 0, 15)])
def test_stacks_one_behind_the_other_are_cut_as_their_concatenation(small_scan, sizes):
    stack = small_scan.reshape(20, 6, 7)
    array = Concatenated(np.split(stack, np.cumsum(sizes)[:-1]))
    assert (array.shape, array.ndim, array.dtype) == ((20, 6, 7), 3, stack.dtype)
    for start in range(20):
        for stop in range(start + 1, 21):
            np.testing.assert_array_equal(array[start:stop], stack[start:stop])
    np.testing.assert_array_equal(array[-3:], stack[-3:])


def test_a_compressed_data_set_needs_the_memory_of_a_chunk(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("plain", data=small_scan)
        file.create_dataset("cut", data=small_scan, chunks=(2, 2, 6, 7), compression="gzip")
    plain, cut = (open_hdf5(tmp_path / "scan.h5", name)[0] for name in ("plain", "/cut/"))
    assert plain.read_memory_bytes == 0
    assert cut.read_memory_bytes == 2 * 2 * 6 * 7 * small_scan.itemsize
    assert cut.title == "cut"


def test_a_data_set_that_is_not_there_names_those_that_are(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["a/patterns"] = small_scan
        file["a/image"] = small_scan[0, 0]
    zarr.open_group(tmp_path / "scan.zarr", mode="w").create_array("a/patterns", data=small_scan)
    for opened, name in ((open_hdf5, "scan.h5"), (open_zarr, "scan.zarr")):
        with pytest.raises(InputError) as error:
            opened(tmp_path / name, "a/other")
        assert error.value.needed == f"a data set a/other in {name}"
        assert error.value.found.endswith("those that could hold patterns: a/patterns")


def test_a_zarr_group_can_be_asked_for_by_its_path(tmp_path, small_scan):
    root = zarr.open_group(tmp_path / "scan.zarr", mode="w")
    for name in ("a/one", "a/two", "b/one"):
        root.create_array(name, data=small_scan)
    root.attrs["beam_energy_kev"] = 200
    root["a/two"].attrs["beam_energy_kev"] = 80
    found = open_zarr(tmp_path / "scan.zarr", "/a/")
    assert {s.title: s.beam_energy_kev for s in found} == {"a/one": 200.0, "a/two": 80.0}
    assert len(open_zarr(tmp_path / "scan.zarr", None)) == 3


@pytest.mark.parametrize("spoilt", ["uneven", "short"])
def test_coordinates_that_are_no_even_steps_give_none(tmp_path, small_scan, spoilt):
    root = zarr.open_group(tmp_path / "scan.zarr", mode="w")
    names = ("scan_y", "scan_x", "detector_y", "detector_x")
    root.create_array("patterns", data=small_scan, dimension_names=names)
    values = np.array([0.0, 1, 2, 3]) if spoilt == "uneven" else np.array([0.0, 2, 4])
    values[-1] += spoilt == "uneven"
    root.create_array("scan_y", data=values, attributes={"units": "nm"})
    root.create_array("scan_x", data=2.5 * np.arange(5), attributes={"units": "nm"})
    (signal,) = open_zarr(tmp_path / "scan.zarr", "patterns")
    assert np.isnan(signal.axes[0].scale)
    assert (signal.axes[1].scale, signal.axes[1].units) == (2.5, "nm")
    assert (signal.axes[2].scale, signal.axes[2].units) == (1.0, "")


def write_master(path, stack, images):
    """A Dectris file with its patterns in it, in four triggers of ``images`` each."""
    with h5py.File(path, "w") as file:
        file["entry/data/data_000001"] = stack
        specific = file.create_group("entry/instrument/detector/detectorSpecific")
        specific["ntrigger"], specific["nimages"] = 4, images
        specific["photon_energy"] = 80_000.0
    return path


def test_dectris_files_that_promise_more_patterns_are_refused(tmp_path, small_scan):
    stack = small_scan.reshape(20, 6, 7)
    (signal,) = open_dectris(write_master(tmp_path / "whole_master.h5", stack, 5))
    assert signal.beam_energy_kev == 80
    np.testing.assert_array_equal(signal.array[3:5], stack[3:5])
    with pytest.raises(InputError) as error:
        open_dectris(write_master(tmp_path / "run_master.h5", stack, 6))
    assert error.value.needed == "24 patterns, as run_master.h5 says"
    assert error.value.found == "20 in its 1 data file(s)"


@pytest.mark.parametrize("scan_first", [True, False])
def test_links_that_lead_in_circles_are_followed_once(tmp_path, small_scan, scan_first):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["back"] = h5py.ExternalLink("scan.h5", "/")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["m/patterns" if scan_first else "m/z/patterns"] = small_scan
        file["m/a_up"] = h5py.SoftLink("/")
        file["m/itself"] = h5py.SoftLink("/m/itself")
        file["m/nowhere"] = h5py.SoftLink("/none")
        file["m/hard"] = file["m"]
        file["out"] = h5py.ExternalLink("other.h5", "/")
        file["lost"] = h5py.ExternalLink("absent.h5", "/")
    acquisition = open_acquisition(tmp_path / "scan.h5")
    assert acquisition.other_signals == ()
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


def test_a_data_set_with_two_names_is_one(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/detector/data"] = small_scan
        file["entry/shown"] = h5py.SoftLink("/entry/detector/data")
    assert open_acquisition(tmp_path / "scan.h5").signal == "entry/detector/data"
    chosen = open_acquisition(tmp_path / "scan.h5", dataset="entry/shown")
    np.testing.assert_array_equal(chosen.read(ALL, ALL), small_scan)


def test_names_and_titles_that_are_no_text_can_be_told(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file[b"\xe9"] = small_scan
    acquisition = open_acquisition(tmp_path / "scan.h5")
    assert acquisition.signal == r"\udce9"
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
