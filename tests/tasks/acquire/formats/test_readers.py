"""What goes through rosettasciio, and readers that stumble."""

import shutil
import warnings

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.formats.readers import beam_energy, open_signals
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


def test_tvips_streams_ask_for_the_scan_shape(signal_of, tmp_path, small_scan):
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


def test_mrc_stacks_become_scans(tmp_path, small_scan):
    header = np.zeros(256, "<i4")
    header[:4] = (7, 6, 20, 6)  # columns, rows, sections, 16 bits without sign
    header[7:10] = (7, 6, 20)
    (tmp_path / "scan.mrc").write_bytes(header.tobytes() + small_scan.astype("<u2").tobytes())
    with pytest.raises(InputError, match="20 patterns of 6×7"):
        open_acquisition(tmp_path / "scan.mrc")
    acquisition = open_acquisition(tmp_path / "scan.mrc", scan_shape=(4, 5))
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    # As many patterns as there are: neither sheared nor cut.
    for asked, message in (((4, 6), "4×6 = 24"), ((3, 5), "--skip-frames 0:5")):
        with pytest.raises(InputError, match=message):
            open_acquisition(tmp_path / "scan.mrc", scan_shape=asked)


@pytest.mark.parametrize("name", ["text.tvips", "text.emi", "text.mrc", "text.dm4", "text.xml"])
def test_readers_that_stumble_end_in_one_message(tmp_path, name):
    (tmp_path / name).write_text("these are not patterns, but some words that fill a file\n" * 40)
    with pytest.raises(InputError):
        open_acquisition(tmp_path / name)


@pytest.mark.parametrize(
    ("metadata", "original", "kev"),
    [
        ({"Acquisition_instrument": {"TEM": {"beam_energy": 200}}}, {}, 200.0),
        # In the file in volts, under a name that the reader knows.
        ({}, {"header": {"voltage": 80_000}}, 80.0),
        ({"Acquisition_instrument": {"TEM": {"beam_energy": 60}}}, {"header": {"voltage": 1}}, 60),
        ({"Acquisition_instrument": {"TEM": {"beam_energy": "none"}}}, {}, None),
        ({"Acquisition_instrument": {"TEM": {"beam_energy": 0}}}, {}, None),
        ({"Acquisition_instrument": {"TEM": {"beam_energy": float("nan")}}}, {}, None),
        ({"Acquisition_instrument": "unknown"}, {}, None),
        ({}, {"header": {}}, None),
    ],
)
def test_the_beam_energy_is_found_where_the_reader_leaves_it(metadata, original, kev):
    where = "Acquisition_instrument.TEM.beam_energy"
    mapping = {
        "header.other": ("General.title", None),
        "header.voltage": (where, lambda volts: volts / 1e3),
    }
    assert beam_energy(metadata, original, mapping) == kev


def test_files_that_belong_together_are_named_together(tmp_path, signal_of, small_scan):
    from rsciio import tvips

    write_empad(tmp_path)
    (signal,) = open_signals(tmp_path / "scan.xml", "EMPAD")
    assert [file.name for file in signal.files] == ["scan.xml", "scan_x3_y2.raw"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tvips.file_writer(
            str(tmp_path / "film_000.tvips"), signal_of(small_scan), show_progressbar=False
        )
    # Brackets are no pattern, and another film is not this one's.
    for name in ("film[1]_000.tvips", "other_000.tvips"):
        shutil.copy(tmp_path / "film_000.tvips", tmp_path / name)
    (signal,) = open_signals(tmp_path / "film[1]_000.tvips", "TVIPS")
    assert [file.name for file in signal.files] == ["film[1]_000.tvips"]
    assert {axis.scale for axis in signal.axes if axis.navigate} == {1.0}


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (ValueError("one\n  two"), InputError, "scan.mrc: one two"),
        (KeyError(), InputError, "scan.mrc: KeyError"),
        (InputError("a", "b", "c"), InputError, "b"),
        (MemoryError("full"), MemoryError, "full"),
    ],
)
def test_errors_of_a_reader_blame_the_file_unless_memory_runs_out(
    tmp_path, monkeypatch, raised, expected, message
):
    def stumble(*_, **__):
        raise raised

    monkeypatch.setattr("rsciio.mrc.file_reader", stumble)
    with pytest.raises(expected, match=message):
        open_signals(tmp_path / "scan.mrc", "MRC")


@pytest.mark.parametrize("name", ["scan.h5", "scan.emd"])
def test_emd_files_of_py4dstem_before_version_1_are_read_as_it_reads_them(
    tmp_path, small_scan, name
):
    with h5py.File(tmp_path / name, "w") as file:
        file.attrs.update(version_major=0, version_minor=8)
        group = file.create_group("4DSTEM_experiment/data/datacubes/datacube_0")
        group.attrs["emd_group_type"] = 1
        data = group.create_dataset("data", small_scan.shape, "u2", chunks=(1, 5, 6, 7))
        data[:3] = small_scan[:3]
        for number, axis in enumerate(("R_x", "R_y", "Q_x", "Q_y")):
            size = small_scan.shape[number]
            described = group.create_dataset(f"dim{number + 1}", data=np.arange(size) * 0.5)
            described.attrs.update(name=np.bytes_(axis), units=np.bytes_("pix"))
    acquisition = open_acquisition(tmp_path / name)
    assert (acquisition.reader, acquisition.guesses) == ("EMD", ())
    np.testing.assert_array_equal(acquisition.read(slice(0, 3), slice(None)), small_scan[:3])
    np.testing.assert_array_equal(acquisition.no_data.all(axis=1), [False, False, False, True])


@pytest.mark.parametrize(
    ("name", "inside", "attributes"),
    [
        ("scan.emd", "scan", {}),
        ("scan.h5", "Measurement_1/frames", {}),
        ("scan.h5", "Acquisition/frames", {}),
        ("scan.h5", "a/frames", {"version_major": 1}),
        ("scan.h5", "Experiments", {"file_format": "mine"}),
        ("scan.hspy", "scan", {}),
    ],
)
def test_arrays_in_hdf5_files_that_only_look_like_those_of_a_program_are_read(
    tmp_path, small_scan, name, inside, attributes
):
    with h5py.File(tmp_path / name, "w") as file:
        file.attrs.update(attributes)
        file[inside] = small_scan
    acquisition = open_acquisition(tmp_path / name)
    assert (acquisition.reader, acquisition.guesses) == ("HDF5", ())
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert acquisition.notes[0].startswith("read as plain HDF5: the reader")


def test_a_library_that_is_not_there_is_named(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["Measurement_000/Channel_000/Raw_Data"] = np.zeros((20, 42), "u2")
    with pytest.raises(InputError, match="the library pyUSID, which the reader USID needs"):
        open_acquisition(tmp_path / "scan.h5")


def test_records_are_no_patterns(tmp_path):
    np.save(tmp_path / "scan.npy", np.zeros((3, 4, 5, 6), [("a", "u2"), ("b", "u2")]))
    with pytest.raises(InputError, match="holds records of a, b"):
        open_acquisition(tmp_path / "scan.npy")


def test_slices_and_times_of_imagej_are_positions_and_which_are_rows_is_a_guess(
    tmp_path, small_scan
):
    tifffile = pytest.importorskip("tifffile")
    stored = small_scan[:, :, None]
    tifffile.imwrite(tmp_path / "scan.tif", stored, imagej=True, metadata={"axes": "TZCYX"})
    acquisition = open_acquisition(tmp_path / "scan.tif")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    (guess,) = acquisition.guesses
    assert "counts its rows: time (4), the first one" in guess


def test_axes_of_an_emd_file_that_have_no_names_are_a_guess(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.emd", "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        group = file.create_group("data/scan")
        group.attrs["emd_group_type"] = 1
        group["data"] = small_scan
        for number, size in enumerate(small_scan.shape, 1):
            axis = group.create_dataset(f"dim{number}", data=np.arange(size) * 1.0)
            axis.attrs.update(name=np.bytes_(""), units=np.bytes_(""))
    acquisition = open_acquisition(tmp_path / "scan.emd")
    (guess,) = acquisition.guesses
    assert "programs number the axes of EMD files from either end (--axes settles it)" in guess
