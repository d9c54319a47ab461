import pickle
import shutil
import warnings

import h5py
import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.acquisition import describe, open_acquisition
from orimap.tasks.acquire.formats.containers import open_hspy
from orimap.tasks.acquire.formats.image_folder import natural_order
from orimap.tasks.errors import InputError

ALL = slice(None)


def signal_of(data, *, scan_units="nm", detector_units="1/nm"):
    """A data set as rosettasciio's writers take it."""
    steps = [(2.0, scan_units), (2.0, scan_units), (0.1, detector_units), (0.1, detector_units)]
    names = ("y", "x", "ky", "kx")
    axes = [
        {
            "name": name, "size": size, "scale": scale, "offset": 0.0, "units": units,
            "navigate": number < 2, "index_in_array": number,
        }
        for number, (name, size, (scale, units)) in enumerate(
            zip(names, data.shape, steps, strict=True)
        )
    ]  # fmt: skip
    return {
        "data": data, "axes": axes, "original_metadata": {}, "learning_results": {}, "models": {},
        "metadata": {
            "General": {"title": "scan"}, "Signal": {"signal_type": ""},
            "Acquisition_instrument": {"TEM": {"beam_energy": 200.0}},
        },
        "attributes": {"_lazy": False}, "tmp_parameters": {},
        "package_info": {"package": "test", "package_version": "1"},
    }  # fmt: skip


def write_blo(path, data):
    from rsciio import blockfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blockfile.file_writer(
            str(path), signal_of(data, detector_units="cm"), show_progressbar=False, navigator=None
        )


def write_mib(path, data):
    """Frames of a single Merlin chip, rows stored from the bottom up, and the .hdr file."""
    height, width = data.shape[2:]
    with path.open("wb") as file:
        for number, frame in enumerate(data.reshape(-1, height, width), start=1):
            time = f"2024-01-01T00:00:00.{number:06d}000Z"
            head = f"MQ1,{number:06d},00384,01,{width:04d},{height:04d},U16,   1x1,01,{time},"
            head += "1000000ns,0,0"
            file.write(head.ljust(384, " ").encode() + frame[::-1].astype(">u2").tobytes())
    path.with_suffix(".hdr").write_text(
        "HDR,\n"
        f"Frames in Acquisition (Number):\t{data.shape[0] * data.shape[1]}\n"
        f"Frames per Trigger (Number):\t{data.shape[1]}\n"
        "End\t\n"
    )


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


def test_a_stack_asks_for_the_scan_shape_and_checks_it(tmp_path, small_scan):
    np.save(tmp_path / "stack.npy", small_scan.reshape(20, 6, 7))
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "stack.npy")
    assert "20 patterns of 6×7" in error.value.found
    assert "--scan-shape" in error.value.remedy
    with pytest.raises(InputError, match="3×5 = 15"):
        open_acquisition(tmp_path / "stack.npy", scan_shape=(3, 5))


def test_a_scan_shape_that_contradicts_the_file_is_refused(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    with pytest.raises(InputError, match="holds 4×5"):
        open_acquisition(tmp_path / "scan.npy", scan_shape=(5, 4))


def test_hspy_brings_calibration_and_beam_energy(tmp_path, small_scan):
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


def test_hspy_is_understood_as_rosettasciio_does(tmp_path, small_scan):
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


def test_hspy_of_an_older_form_is_left_to_rosettasciio(tmp_path, small_scan):
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


def test_zspy_is_read_without_its_own_library(tmp_path, small_scan):
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


def test_blo_patterns_and_the_centimetres_on_its_detector(tmp_path, small_scan):
    square = small_scan[..., :6].astype(np.uint8)
    write_blo(tmp_path / "scan.blo", square)
    acquisition = open_acquisition(tmp_path / "scan.blo")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), square)
    assert acquisition.grey_levels
    assert acquisition.scan_step == (2.0, 2.0)
    assert acquisition.detector_units == "px"
    assert "'cm' is not a reciprocal length" in " ".join(acquisition.notes)


def test_a_truncated_blo_says_how_many_bytes_are_missing(tmp_path, small_scan):
    write_blo(tmp_path / "scan.blo", small_scan[..., :6].astype(np.uint8))
    whole = (tmp_path / "scan.blo").read_bytes()
    (tmp_path / "scan.blo").write_bytes(whole[:-1])
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "scan.blo")
    assert f"{len(whole):,} bytes" in error.value.needed
    assert f"{len(whole) - 1:,} bytes" in error.value.found
    (tmp_path / "scan.blo").write_bytes(whole[:20])
    with pytest.raises(InputError, match="cut short"):
        open_acquisition(tmp_path / "scan.blo")


def test_mib_frames_are_turned_upright_and_shaped_by_the_hdr_file(tmp_path, small_scan):
    write_mib(tmp_path / "scan.mib", small_scan)
    acquisition = open_acquisition(tmp_path / "scan.mib")
    assert acquisition.scan_shape == (4, 5)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    other = open_acquisition(tmp_path / "scan.mib", scan_shape=(2, 10))
    np.testing.assert_array_equal(other.read(ALL, ALL), small_scan.reshape(2, 10, 6, 7))


@pytest.mark.parametrize("missing", [1, 6 * 7 * 2 + 384])
def test_a_truncated_mib_is_refused_even_by_a_whole_frame(tmp_path, small_scan, missing):
    write_mib(tmp_path / "scan.mib", small_scan)
    whole = (tmp_path / "scan.mib").read_bytes()
    (tmp_path / "scan.mib").write_bytes(whole[:-missing])
    with pytest.raises(InputError, match="19 whole frames"):
        open_acquisition(tmp_path / "scan.mib")


def test_a_mib_without_hdr_says_so(tmp_path, small_scan):
    write_mib(tmp_path / "scan.mib", small_scan)
    (tmp_path / "scan.hdr").unlink()
    acquisition = open_acquisition(tmp_path / "scan.mib", scan_shape=(4, 5))
    assert "scan.hdr is missing" in acquisition.notes[0]


def test_tvips_streams_ask_for_the_scan_shape(tmp_path, small_scan):
    from rsciio import tvips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tvips.file_writer(
            str(tmp_path / "scan_000.tvips"), signal_of(small_scan), show_progressbar=False
        )
    with pytest.raises(InputError, match="20 patterns of 6×7"):
        open_acquisition(tmp_path / "scan_000.tvips")
    acquisition = open_acquisition(tmp_path / "scan_000.tvips", scan_shape=(4, 5))
    assert acquisition.reader == "TVIPS"
    np.testing.assert_array_equal(acquisition.read(ALL, slice(1, 4)), small_scan[:, 1:4])


def write_empad(folder):
    """Frames of 130×128, of which the last two rows are no image, and their description."""
    frames = np.arange(6 * 130 * 128, dtype="<f4").reshape(6, 130, 128)
    frames.tofile(folder / "scan_x3_y2.raw")
    (folder / "scan.xml").write_text(
        '<root><raw_file filename="scan_x3_y2.raw"/><pix_x>3</pix_x><pix_y>2</pix_y>'
        "<iom_measurements><calibrated_pixelsize>1e8</calibrated_pixelsize>"
        "<get_full_scan_field_of_view>[6e-9, 6e-9]</get_full_scan_field_of_view>"
        "</iom_measurements></root>"
    )
    return frames[:, :128].reshape(2, 3, 128, 128)


def test_empad_frames_lie_in_a_raw_file_beside_the_description(tmp_path):
    frames = write_empad(tmp_path)
    acquisition = open_acquisition(tmp_path / "scan.xml")
    assert acquisition.reader == "EMPAD"
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), frames)
    (tmp_path / "scan_x3_y2.raw").unlink()
    with pytest.raises(InputError, match="scan_x3_y2"):
        open_acquisition(tmp_path / "scan.xml")


def test_mrc_stacks_become_scans(tmp_path, small_scan):
    header = np.zeros(256, "<i4")
    header[:4] = (7, 6, 20, 6)  # columns, rows, sections, 16 bits without sign
    header[7:10] = (7, 6, 20)
    (tmp_path / "scan.mrc").write_bytes(header.tobytes() + small_scan.astype("<u2").tobytes())
    with pytest.raises(InputError, match="20 patterns of 6×7"):
        open_acquisition(tmp_path / "scan.mrc")
    acquisition = open_acquisition(tmp_path / "scan.mrc", scan_shape=(4, 5))
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


def test_the_one_scan_of_an_hdf5_file_is_found_and_the_rest_named(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["a/deep/patterns"] = small_scan
        file["a/preview"] = np.zeros((3, 4, 5))
    acquisition = open_acquisition(tmp_path / "scan.h5")
    assert (acquisition.reader, acquisition.signal) == ("HDF5", "a/deep/patterns")
    assert acquisition.other_signals == ("a/preview",)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


def test_equal_scans_in_an_hdf5_file_ask_for_a_choice(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["a/first"], file["a/second"] = small_scan, small_scan + 1
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "scan.h5")
    assert "a/first" in error.value.found
    assert "--dataset" in error.value.remedy
    chosen = open_acquisition(tmp_path / "scan.h5", dataset="/a/second")
    np.testing.assert_array_equal(chosen.read(ALL, ALL), small_scan + 1)
    with pytest.raises(InputError, match="a/first, a/second"):
        open_acquisition(tmp_path / "scan.h5", dataset="a/third")


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


@pytest.mark.parametrize("ending", [".bmp", ".png", ".tif"])
def test_a_folder_of_images_is_read_in_the_order_of_its_numbers(tmp_path, small_scan, ending):
    from skimage.io import imsave

    patterns = small_scan.astype(np.uint8).reshape(20, 6, 7)
    for number, pattern in enumerate(patterns, start=1):
        colour = np.stack([pattern] * 3, axis=-1) if number % 2 else pattern
        imsave(tmp_path / f"image_{number}{ending}", colour, check_contrast=False)
    with pytest.raises(InputError, match="20 patterns"):
        open_acquisition(tmp_path)
    acquisition = open_acquisition(tmp_path, scan_shape=(4, 5))
    assert acquisition.grey_levels
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    imsave(tmp_path / f"image_9{ending}", np.zeros((8, 8), np.uint8), check_contrast=False)
    with pytest.raises(InputError, match="image_9"):
        open_acquisition(tmp_path, scan_shape=(4, 5))


def test_numbers_in_names_are_compared_as_numbers():
    names = ["p_10.png", "p_9.png", "p_1_2.png"]
    assert sorted(names, key=natural_order) == ["p_1_2.png", "p_9.png", "p_10.png"]


@pytest.mark.parametrize("name", ["text.blo", "text.mib", "text.hspy", "text.npy", "text.h5"])
def test_a_text_file_with_another_name_is_not_read(tmp_path, name):
    (tmp_path / name).write_text("these are not patterns, but some words that fill a file\n" * 40)
    with pytest.raises(InputError, match="begins with b'these ar'"):
        open_acquisition(tmp_path / name)


@pytest.mark.parametrize("name", ["text.tvips", "text.emi", "text.mrc", "text.dm4", "text.xml"])
def test_readers_that_stumble_end_in_one_message(tmp_path, name):
    (tmp_path / name).write_text("these are not patterns, but some words that fill a file\n" * 40)
    with pytest.raises(InputError):
        open_acquisition(tmp_path / name)


def test_empty_and_missing_files_are_named(tmp_path):
    (tmp_path / "empty.blo").touch()
    with pytest.raises(InputError, match="0 bytes"):
        open_acquisition(tmp_path / "empty.blo")
    with pytest.raises(InputError, match="there is no"):
        open_acquisition(tmp_path / "missing.blo")
    with pytest.raises(InputError, match="holds 1 entries"):
        open_acquisition(tmp_path)


def test_a_truncated_npy_is_refused(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    (tmp_path / "scan.npy").write_bytes((tmp_path / "scan.npy").read_bytes()[:-10])
    with pytest.raises(InputError):
        open_acquisition(tmp_path / "scan.npy")


def test_an_unknown_reader_lists_those_there_are(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    with pytest.raises(InputError, match="Blockfile"):
        open_acquisition(tmp_path / "scan.npy", reader="nonsense")


def test_the_folder_does_not_matter_for_identity_but_the_content_does(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    first = open_acquisition(tmp_path / "scan.npy").identity
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "scan.npy", tmp_path / "moved" / "scan.npy")
    assert open_acquisition(tmp_path / "moved" / "scan.npy").identity == first
    np.save(tmp_path / "scan.npy", small_scan + 1)
    assert open_acquisition(tmp_path / "scan.npy").identity != first


def test_the_description_holds_plain_values(tmp_path, small_scan):
    import json

    np.save(tmp_path / "scan.npy", small_scan)
    told = json.loads(json.dumps(describe(open_acquisition(tmp_path / "scan.npy"))))
    assert told["scan_shape"] == [4, 5]
    assert told["bytes_as_array"] == small_scan.nbytes


# name, options, reader, scan and detector shape, scan step, detector step and unit
SHARED = [
    ("sped_2x3.blo", {}, "Blockfile", (3, 2, 144, 144), 12.8, None),
    ("sped_steel_2x2.hspy", {}, "HSPY", (2, 2, 256, 256), 2.0, 0.01261),
    ("001_4x2_6bit.mib", {}, "QuantumDetector", (2, 4, 256, 256), None, None),
    (
        "Quad_9_Frame_CounterDepth_6_Rows_256.mib",
        {"scan_shape": (3, 3)}, "QuantumDetector", (3, 3, 512, 512), None, None,
    ),
    (
        "16x16-diffraction_imagel_5x5x256x256_EDS.emi",
        {}, "TIA", (5, 5, 256, 256), 1.8739, 0.0174353,
    ),
    (
        "16x16-diffraction_imagel_5x5x256x256_EDS_2.ser",
        {}, "TIA", (5, 5, 256, 256), 1.8739, None,
    ),
    ("Si100_4D.emd", {"signal": "1"}, "EMD", (11, 11, 8, 8), 0.5, 0.018416205),
    ("test_00_master.h5", {}, "Arina", (4, 4, 192, 192), None, None),
    (
        "ni_ebsd_3x3.h5",
        {"dataset": "Scan 1/EBSD/Data/patterns", "scan_shape": (3, 3)},
        "HDF5", (3, 3, 60, 60), None, None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "reader", "shape", "scan_nm", "detector"), SHARED, ids=lambda v: str(v)[:30]
)
def test_files_of_microscopes_are_told_truly(
    shared_data, name, options, reader, shape, scan_nm, detector
):
    acquisition = open_acquisition(shared_data / "formats" / name, **options)
    assert acquisition.reader == reader
    assert (*acquisition.scan_shape, *acquisition.detector_shape) == shape
    assert acquisition.read(ALL, ALL).shape == shape
    if scan_nm is None:
        assert acquisition.scan_units == "px"
    else:
        assert acquisition.scan_units == "nm"
        assert acquisition.scan_step == pytest.approx((scan_nm, scan_nm), rel=1e-4)
    if detector is None:
        assert acquisition.detector_units == "px"
    else:
        assert acquisition.detector_units == "1/Å"
        assert acquisition.detector_step == pytest.approx((detector, detector), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Quad_9_Frame_CounterDepth_6_Rows_256.mib", "--scan-shape 3x3"),
        ("Si100_4D.emd", "--signal 0 to --signal 1"),
        ("ni_ebsd_3x3.h5", "--dataset"),
        ("16x16-diffraction_imagel_5x5x256x256_EDS_1.ser", ".emi"),
        ("001_4x2_6bit.hdr", ".mib"),
    ],
)
def test_files_that_leave_a_choice_say_what_they_need(shared_data, name, word):
    with pytest.raises(InputError) as error:
        open_acquisition(shared_data / "formats" / name)
    assert word in error.value.remedy
