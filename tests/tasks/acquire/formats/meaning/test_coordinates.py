"""What lies beside an array and describes its axes."""

import h5py
import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.meaning.coordinates import hdf5_axes, zarr_axes

SHAPE = (6, 7, 4, 5)
NAMES = ("ky", "kx", "scan_y", "scan_x")


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/counts"] = np.zeros(SHAPE, "u2")
        for name, size in zip(NAMES, SHAPE, strict=True):
            file[f"entry/{name}"] = np.arange(size) * 2.0
            file[f"entry/{name}"].attrs["units"] = "nm"
        yield file


def expected(names=NAMES, sizes=SHAPE):
    return tuple(Axis(name, size, 2.0, "nm") for name, size in zip(names, sizes, strict=True))


def test_nexus_lists_the_axes_of_a_signal(file):
    file["entry"].attrs.update(signal="counts", axes=list(NAMES))
    assert hdf5_axes(file["entry/counts"]) == (expected(), ())


def test_older_nexus_writes_them_into_one_text(file):
    file["entry/counts"].attrs.update(signal=1, axes="ky:kx:scan_y:scan_x")
    assert hdf5_axes(file["entry/counts"]) == (expected(), ())


def test_nexus_may_number_them_instead(file):
    file["entry"].attrs.update(signal="counts", axes=["scan_x", "scan_y", "kx", "ky"])
    for number, name in enumerate(NAMES):
        file["entry"].attrs[f"{name}_indices"] = number
    assert hdf5_axes(file["entry/counts"]) == (expected(), ())


def test_axes_of_another_signal_are_not_taken(file):
    file["entry"].attrs.update(signal="other", axes=list(NAMES))
    assert hdf5_axes(file["entry/counts"])[0] == tuple(Axis("", size) for size in SHAPE)


def test_a_name_without_values_and_an_axis_without_a_name_are_left_so(file):
    file["entry"].attrs.update(signal="counts", axes=["ky", ".", "row", "scan_x"])
    axes, notes = hdf5_axes(file["entry/counts"])
    assert axes == (expected()[0], Axis("", 7), Axis("row", 4), expected()[3])
    assert notes == ()


def test_netcdf_has_dimension_scales_and_others_labels(file):
    array = file["entry/counts"]
    for number, name in enumerate(NAMES[:3]):
        file[f"entry/{name}"].make_scale()
        array.dims[number].attach_scale(file[f"entry/{name}"])
    array.dims[3].label = "scan_x"
    assert hdf5_axes(array) == ((*expected()[:3], Axis("scan_x", 5)), ())


def test_emd_numbers_its_axes(file):
    for number, name in enumerate(NAMES, 1):
        file.copy(f"entry/{name}", f"entry/dim{number}")
        file[f"entry/dim{number}"].attrs.update(name=np.bytes_(name), units=np.bytes_("[n_m]"))
    axes, _ = hdf5_axes(file["entry/counts"])
    assert [(a.name, a.scale, a.units) for a in axes] == [(n, 2.0, "[n_m]") for n in NAMES]


def test_names_in_another_order_than_the_data_are_put_to_their_sizes(file):
    file["entry"].attrs.update(signal="counts", axes=["scan_y", "scan_x", "ky", "kx"])
    axes, (note,) = hdf5_axes(file["entry/counts"])
    assert axes == expected()
    assert note == (
        "the file describes its axes as scan_y (4), scan_x (5), ky (6), kx (7); "
        "the data are 6×7×4×5: taken as ky, kx, scan_y, scan_x"
    )


def test_edges_are_one_more_than_pixels(file):
    del file["entry/ky"]
    file["entry/ky"] = np.arange(7.0)
    file["entry"].attrs.update(signal="counts", axes=list(NAMES))
    axes, notes = hdf5_axes(file["entry/counts"])
    assert [a.name for a in axes] == list(NAMES)
    assert np.isnan(axes[0].scale)
    assert notes == ()


def test_values_that_fit_nothing_leave_the_names(file):
    del file["entry/ky"]
    file["entry/ky"] = np.arange(50.0)
    file["entry"].attrs.update(signal="counts", axes=list(NAMES))
    axes, (note,) = hdf5_axes(file["entry/counts"])
    assert [a.name for a in axes] == list(NAMES)
    assert "ky (50)" in note
    assert note.endswith("only the names are used")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_names_its_dimensions_in_both_formats(tmp_path, zarr_format):
    root = zarr.open_group(tmp_path / "scan.zarr", mode="w", zarr_format=zarr_format)
    names = {"dimension_names": NAMES} if zarr_format == 3 else {}
    array = root.create_array("a/counts", shape=SHAPE, dtype="u2", **names)
    if zarr_format == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = list(NAMES)
    for name, size in zip(NAMES, SHAPE, strict=True):
        root.create_array(f"a/{name}", data=np.arange(size) * 2.0, attributes={"units": "nm"})
    assert zarr_axes(root, "a/counts", root["a/counts"]) == (expected(), ())
    bare = tuple(Axis(name, size) for name, size in zip(NAMES, SHAPE, strict=True))
    assert zarr_axes(None, "counts", root["a/counts"]) == (bare, ())
