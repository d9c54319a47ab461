"""Values that were stored smaller than they are."""

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.tasks.acquire.formats.meaning.packed import Packing, find_packing, zarr_attributes
from orimap.tasks.acquire.open_acquisition import open_acquisition

ALL = slice(None)
U2 = np.dtype("u2")
NAMES = ("scan_y", "scan_x", "detector_y", "detector_x")


def test_values_are_unpacked_by_scale_and_offset_and_the_missing_are_nan():
    packing = Packing(0.05, -100.0, missing=(65535.0,))
    found = packing.unpack(np.array([[2000, 2020], [65535, 2200]], "u2"))
    assert found.dtype == np.float32
    # Exactly whole numbers again, and no -1e-14 for a 0.
    np.testing.assert_array_equal(found, np.float32([[0, 1], [np.nan, 10]]))
    assert packing.note == (
        "values unpacked as their attributes say: 0.05 × stored - 100; "
        "a stored 65535 was not measured"
    )


def test_values_outside_the_valid_range_are_missing():
    found = Packing(valid=(0.0, 9.0)).unpack(np.array([[-1, 0], [9, 10]], "i2"))
    np.testing.assert_array_equal(found, np.float32([[np.nan, 0], [9, np.nan]]))


def test_signed_numbers_may_be_meant_as_unsigned():
    packing = find_packing({"_Unsigned": "true", "_FillValue": -1}, np.dtype("i2"))
    assert packing == Packing(missing=(65535.0,), unsigned=True)
    np.testing.assert_array_equal(
        packing.unpack(np.array([[-2, 7], [-1, 0]], "<i2")), np.float32([[65534, 7], [np.nan, 0]])
    )


@pytest.mark.parametrize(
    ("attributes", "packing"),
    [
        ({"scale_factor": np.float32([0.5])}, Packing(scale=0.5)),
        ({"add_offset": 3}, Packing(offset=3.0)),
        ({"_FillValue": np.uint16(9), "missing_value": [7, 9]}, Packing(missing=(7.0, 9.0))),
        ({"valid_range": [1, 5]}, Packing(valid=(1.0, 5.0))),
        ({"valid_max": 5}, Packing(valid=(-np.inf, 5.0))),
        ({"_FillValue": "AAAAAAAA8D8="}, Packing(missing=(1.0,))),  # 1.0, as xarray writes it
    ],
)
def test_attributes_say_how_values_are_packed(attributes, packing):
    assert find_packing(attributes, U2) == packing


@pytest.mark.parametrize(
    ("attributes", "dtype"),
    [
        ({}, U2),
        ({"units": "counts", "scale_factor": "one"}, U2),
        ({"scale_factor": 1, "add_offset": 0}, U2),
        ({"_FillValue": np.nan}, np.dtype("f4")),
        ({"scale_factor": 2}, np.dtype("S3")),
    ],
)
def test_plain_values_are_left_as_they_are(attributes, dtype):
    assert find_packing(attributes, dtype) is None


@pytest.mark.parametrize(
    ("fill", "attributes", "expected"),
    [
        (65535, {}, 65535),
        (0, {}, None),  # for counts that is a count
        (0, {"scale_factor": 0.5, "_ARRAY_DIMENSIONS": list(NAMES)}, 0),
        (7, {"_FillValue": 9}, 9),
    ],
)
def test_format_2_of_zarr_keeps_the_fill_value_elsewhere(tmp_path, fill, attributes, expected):
    root = zarr.open_group(tmp_path / "s.zarr", mode="w", zarr_format=2)
    array = root.create_array("p", shape=(2, 3, 4, 5), dtype="u2", fill_value=fill)
    array.attrs.update(attributes)
    assert zarr_attributes(array).get("_FillValue") == expected


def write_zarr(path, scan, zarr_format):
    packing = {"dtype": "uint16", "scale_factor": 0.05, "add_offset": -100.0, "_FillValue": 65535}
    data = xr.DataArray(scan, dims=NAMES, name="patterns").to_dataset()
    encoding = {"patterns": packing}
    data.to_zarr(path, zarr_format=zarr_format, consolidated=False, encoding=encoding)


def write_netcdf(path, scan):
    with h5py.File(path, "w") as file:
        stored = np.where(np.isnan(scan), 65535, np.round((scan + 100) / 0.05)).astype("u2")
        array = file.create_dataset("patterns", data=stored, chunks=(2, 2, 6, 7))
        array.attrs.update(
            scale_factor=np.float64([0.05]), add_offset=-100.0, _FillValue=np.uint16([65535])
        )


@pytest.mark.parametrize("kind", ["zarr 2", "zarr 3", "nc"])
def test_files_give_what_was_packed_and_nan_where_nothing_was_measured(tmp_path, small_scan, kind):
    scan = small_scan.astype(np.float32)
    scan[3:] = np.nan
    path = tmp_path / f"scan.{kind.split()[0]}"
    if kind == "nc":
        write_netcdf(path, scan)
    else:
        write_zarr(path, scan, int(kind[-1]))
    acquisition = open_acquisition(path)
    assert acquisition.dtype == np.float32
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), scan)
    np.testing.assert_array_equal(acquisition.read(slice(1, 2), slice(2, 4)), scan[1:2, 2:4])
    assert "0.05 × stored - 100; a stored 65535 was not measured" in acquisition.notes[0]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_counts_stay_integers(tmp_path, small_scan, zarr_format):
    data = xr.DataArray(small_scan, dims=NAMES, name="patterns").to_dataset()
    data.to_zarr(tmp_path / "scan.zarr", zarr_format=zarr_format, consolidated=False)
    acquisition = open_acquisition(tmp_path / "scan.zarr")
    assert acquisition.dtype == small_scan.dtype
    assert not any("unpacked" in note for note in acquisition.notes)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("scale_factor", "abc", "scale_factor ('abc')"),
        ("scale_factor", 0, "scale_factor (0)"),
        ("scale_factor", np.nan, "scale_factor (nan)"),
        ("scale_factor", [0.1, 0.2], "scale_factor ([0.1, 0.2])"),
        ("add_offset", "n/a", "add_offset ('n/a')"),
        ("_FillValue", "none at all", "_FillValue ('none at all')"),
        ("valid_range", 3, "valid_range (3)"),
        ("valid_max", "x" * 90, f"valid_max ('{'x' * 36}...)"),
    ],
)
@pytest.mark.parametrize("stack", [True, False])
def test_attributes_that_are_no_numbers_are_told(tmp_path, small_scan, name, value, said, stack):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["patterns"] = small_scan.reshape(20, 6, 7) if stack else small_scan
        file["patterns"].attrs[name] = value
    asked = {"scan_shape": (4, 5)} if stack else {}
    acquisition = open_acquisition(tmp_path / "scan.h5", **asked)
    assert len(acquisition.guesses) == 1
    assert acquisition.guesses[0].startswith(f"values are taken without {said}")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


def test_an_attribute_that_is_no_number_leaves_the_others(tmp_path, small_scan):
    root = zarr.open_group(tmp_path / "s.zarr", mode="w")
    root.create_array("p", data=small_scan).attrs.update(scale_factor="abc", add_offset=2)
    acquisition = open_acquisition(tmp_path / "s.zarr")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan + 2.0)
    assert "'abc'" in acquisition.guesses[0]
    plain = {"scale_factor": None, "units": "counts"}
    root["p"].attrs.put(plain)
    assert open_acquisition(tmp_path / "s.zarr").guesses == ()


def test_a_fill_value_of_zero_of_whole_numbers_is_a_count():
    assert find_packing({"_FillValue": 0}, np.dtype("u2")) is None
    assert find_packing({"_FillValue": 0, "missing_value": 65535}, np.dtype("u2")).missing == (
        65535,
    )
    packed = find_packing({"_FillValue": 0, "scale_factor": 0.5}, np.dtype("u2"))
    assert packed.missing == (0,)
