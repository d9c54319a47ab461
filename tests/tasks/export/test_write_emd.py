import h5py
import numpy as np
import pytest

from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.write_emd import write_file


@pytest.fixture(scope="module")
def file(finished, tmp_path_factory):
    path = tmp_path_factory.mktemp("emd") / "gold.emd"
    write_file(read_contents(finished), path)
    with h5py.File(path) as opened:
        yield opened


def text(value):
    return value[()].decode()


def test_it_is_a_tree_of_emd_1(file):
    assert (file.attrs["version_major"], file.attrs["version_minor"]) == (1, 0)
    assert file.attrs["emd_group_type"] == "file"
    assert dict(file["orimap"].attrs) == {"emd_group_type": "root", "python_class": "Root"}
    assert len(file.attrs["UUID"]) == 36


def test_patterns_and_maps_are_what_py4dstem_calls_them(file, finished):
    contents = read_contents(finished)
    kinds = {
        layer.name: file["orimap"][layer.name].attrs["python_class"] for layer in contents.layers
    }
    assert kinds["mean_patterns"] == kinds["component_patterns"] == "DiffractionSlice"
    assert kinds["labels"] == kinds["shares"] == "RealSlice"
    for layer in contents.layers:
        group = file["orimap"][layer.name]
        assert group.attrs["emd_group_type"] == "array"
        np.testing.assert_array_equal(group["data"][:], layer.values())
        assert group["data"].attrs["units"] == layer.units


def test_axes_are_given_by_their_first_two_values_and_labels_come_last(file):
    group = file["orimap/mean_patterns"]
    np.testing.assert_allclose(group["dim1"][:], [-0.06, -0.04])
    assert dict(group["dim1"].attrs) == {"name": "kx", "units": "A^-1"}
    assert group["dim2"].attrs["name"] == "_labels_"
    assert [label.decode() for label in group["dim2"][:]] == ["cluster 1", "cluster 2"]
    labels = file["orimap/labels"]
    assert labels["dim0"][:].tolist() == [10, 12]
    assert "dim2" not in labels


def test_the_calibration_is_that_of_the_tree(file):
    found = file["orimap/metadatabundle/calibration"]
    assert dict(found.attrs) == {"emd_group_type": "metadata", "python_class": "Calibration"}
    assert found["Q_pixel_size"][()] == 0.02
    assert text(found["Q_pixel_units"]) == "A^-1"
    assert (found["qx0"][()], found["qy0"][()]) == (2, pytest.approx(3))
    assert found["QR_flip"].attrs["type"] == "bool"
    # It has no place for steps that differ: those are in the axes of the maps.
    assert (found["R_pixel_size"][()], text(found["R_pixel_units"])) == (1, "pixels")
    about = file["orimap/metadatabundle/about"]
    assert "0 is where a position belongs to no cluster" in text(about["remarks"])
    assert about["beam_energy_kev"][()] == 200
