import numpy as np
import pytest
from rsciio.hspy import file_reader

from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.write_hspy import write_file, write_folder


@pytest.fixture(scope="module")
def written(finished, tmp_path_factory):
    """The folder, and what was said to be in it."""
    folder = tmp_path_factory.mktemp("hspy")
    return folder, write_folder(read_contents(finished), folder)


def axes_of(signal):
    names = ("name", "size", "scale", "offset", "units", "navigate")
    return [tuple(axis[name] for name in names) for axis in signal["axes"]]


def test_patterns_are_calibrated_signals_of_electron_diffraction(written, finished):
    (signal,) = file_reader(written[0] / "mean_patterns.hspy")
    unit = r"$\AA^{-1}$"
    assert axes_of(signal) == [
        ("cluster", 2, 1.0, 1.0, "", True),
        ("ky", 5, 0.02, -0.04, unit, False),
        ("kx", 7, 0.02, pytest.approx(-0.06), unit, False),
    ]
    np.testing.assert_array_equal(
        signal["data"], read_contents(finished).layer("mean_patterns").values()
    )
    metadata = signal["metadata"]
    assert metadata["Signal"] == {
        "signal_type": "electron_diffraction", "quantity": "Intensity (grey level)"
    }  # fmt: skip
    microscope = metadata["Acquisition_instrument"]["TEM"]
    assert microscope["beam_energy"] == 200
    assert microscope["wavelength"] == pytest.approx(0.0250793, rel=1e-5)
    assert metadata["General"]["original_filename"] == "gold.blo"
    assert "Cluster 1 has components 1, 3." in metadata["General"]["notes"]


def test_maps_are_plain_signals_with_the_steps_of_the_scan(written):
    (signal,) = file_reader(written[0] / "labels.hspy")
    assert axes_of(signal) == [("y", 3, 2.0, 10.0, "nm", False), ("x", 4, 5.0, 0.0, "nm", False)]
    assert (signal["data"].min(), signal["data"].max(), signal["data"].dtype) == (0, 2, np.uint16)
    assert signal["metadata"]["Signal"]["signal_type"] == ""
    assert "0 is where a position belongs to no cluster" in signal["metadata"]["General"]["notes"]
    (shares,) = file_reader(written[0] / "shares.hspy")
    assert axes_of(shares)[0] == ("cluster", 2, 1.0, 1.0, "", True)
    assert shares["data"][1].max() == 0.5


def test_every_file_is_named_and_no_other_is_there(written):
    folder, said = written
    assert {file.name for file in folder.iterdir()} == set(said)
    assert len(said) == 8


def test_one_file_holds_all_signals(finished, tmp_path):
    contents = read_contents(finished)
    write_file(contents, tmp_path / "all.hspy")
    signals = file_reader(tmp_path / "all.hspy")
    found = {signal["metadata"]["General"]["title"]: signal["data"] for signal in signals}
    assert set(found) == {layer.name for layer in contents.layers}
    np.testing.assert_array_equal(found["labels"], contents.labels)
    assert [file.name for file in tmp_path.iterdir()] == ["all.hspy"]


def test_what_is_not_calibrated_is_in_pixels_without_a_beam_energy(uncalibrated, tmp_path):
    write_folder(read_contents(uncalibrated), tmp_path)
    (signal,) = file_reader(tmp_path / "representatives.hspy")
    assert axes_of(signal)[2] == ("kx", 7, 1.0, -3.25, "px", False)
    assert "Acquisition_instrument" not in signal["metadata"]
