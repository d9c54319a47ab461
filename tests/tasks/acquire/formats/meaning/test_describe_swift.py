import json

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.open_acquisition import open_acquisition

CALIBRATIONS = [
    {"offset": 0, "scale": 2.0, "units": "nm"},
    {"offset": 0, "scale": 3.0, "units": "nm"},
    {"offset": -0.0012, "scale": 5e-5, "units": "rad"},
    {"offset": -0.0016, "scale": 6e-5, "units": "rad"},
]
METADATA = {"hardware_source": {"autostem": {"high_tension_v": 100_000}}}


def write(path, patterns, properties, *, calibrations=CALIBRATIONS, metadata=METADATA):
    with h5py.File(path, "w") as file:
        described = {
            "collection_dimension_count": 2, "datum_dimension_count": 2, "is_sequence": False,
            "dimensional_calibrations": calibrations, "metadata": metadata, **properties,
        }  # fmt: skip
        file["data"] = patterns
        file["data"].attrs["properties"] = json.dumps(described)
    return path


def test_steps_and_beam_energy_are_those_that_swift_wrote(tmp_path, small_scan):
    acquisition = open_acquisition(write(tmp_path / "a.h5", small_scan, {}))
    assert (acquisition.scan_step, acquisition.scan_units) == ((2.0, 3.0), "nm")
    assert acquisition.beam_energy_kev == 100
    # 0.037014 Å is the wavelength at 100 keV.
    assert acquisition.detector_units == "1/Å"
    assert acquisition.detector_step == pytest.approx((5e-5 / 0.037014, 6e-5 / 0.037014), rel=1e-4)


def test_a_sequence_of_scans_is_asked_for_one(tmp_path, small_scan):
    series = np.stack([small_scan, small_scan + 1])
    time = [{"offset": 0, "scale": 1.0, "units": "s"}]
    path = write(
        tmp_path / "a.h5", series, {"is_sequence": True}, calibrations=[*time, *CALIBRATIONS]
    )
    acquisition = open_acquisition(path, signal="1")
    assert acquisition.scan_step == (2.0, 3.0)
    np.testing.assert_array_equal(acquisition.read(slice(None), slice(None)), small_scan + 1)


@pytest.mark.parametrize(
    "properties",
    [{"collection_dimension_count": 1}, {"dimensional_calibrations": CALIBRATIONS[:3]}],
)
def test_a_description_of_other_axes_counts_for_nothing(tmp_path, small_scan, properties):
    acquisition = open_acquisition(write(tmp_path / "a.h5", small_scan, properties))
    assert (acquisition.scan_units, acquisition.beam_energy_kev) == ("px", None)


def test_other_texts_of_that_name_are_no_description(tmp_path, small_scan):
    for number, text in enumerate(("sharp", "[1, 2]", 7)):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            file["data"] = small_scan
            file["data"].attrs["properties"] = text
        assert open_acquisition(path).scan_units == "px"
