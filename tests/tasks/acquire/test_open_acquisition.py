import shutil

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.acquisition import describe
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


def test_a_scan_shape_that_contradicts_the_file_is_refused(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    with pytest.raises(InputError, match="holds 4×5"):
        open_acquisition(tmp_path / "scan.npy", scan_shape=(5, 4))


def test_the_folder_does_not_matter_for_identity_but_the_content_does(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    first = open_acquisition(tmp_path / "scan.npy").identity
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "scan.npy", tmp_path / "moved" / "scan.npy")
    assert open_acquisition(tmp_path / "moved" / "scan.npy").identity == first
    np.save(tmp_path / "scan.npy", small_scan + 1)
    assert open_acquisition(tmp_path / "scan.npy").identity != first


def test_a_stack_that_is_taken_to_be_square_is_a_guess_and_one_with_its_shape_is_not(
    tmp_path, small_scan
):
    stack = small_scan.reshape(20, 6, 7)[:16].astype(np.uint32)
    with h5py.File(tmp_path / "run_data_000001.h5", "w") as file:
        file["entry/data/data"] = stack
    with h5py.File(tmp_path / "run_master.h5", "w") as master:
        master["entry/data/data_000001"] = h5py.ExternalLink(
            "run_data_000001.h5", "entry/data/data"
        )
    square = open_acquisition(tmp_path / "run_master.h5")
    assert square.scan_shape == (4, 4)
    (guess,) = square.guesses
    assert guess.startswith("the file does not give the scan's shape; 16 patterns")
    assert "--scan-shape" in guess
    assert guess not in square.notes
    assert describe(square)["guesses"] == [guess]
    asked = open_acquisition(tmp_path / "run_master.h5", scan_shape=(2, 8))
    assert (asked.scan_shape, asked.guesses) == ((2, 8), ())


def test_a_plain_file_needs_no_guess(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    plain = open_acquisition(tmp_path / "scan.npy")
    assert plain.guesses == ()
    assert any("first two axes are taken as the scan" in note for note in plain.notes)


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
