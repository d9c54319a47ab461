from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import zarr


@pytest.fixture(scope="module")
def differences():
    spec = spec_from_file_location("compare_stores", Path(__file__).with_name("compare_stores.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.differences


def made(folder, values, **attrs):
    """Write a results folder that holds one array in each of its stores."""
    for store in ("patterns.zarr", "analysis.zarr"):
        group = zarr.open_group(folder / store, mode="w")
        group.create_array("a/b", data=np.asarray(values), attributes=attrs)
        group.attrs.update(orimap_version="0.1.0", fitted_k=2)
    return folder


def test_the_same_values_do_not_differ(differences, tmp_path):
    values = np.array([1.0, np.nan, -0.0])
    one, other = (made(tmp_path / name, values, units="1") for name in "ab")
    zarr.open_group(other / "analysis.zarr").attrs["orimap_version"] = "0.2.0"
    assert list(differences(one, other)) == []


def test_the_last_bit_type_shape_and_attributes_count(differences, tmp_path):
    one = made(tmp_path / "one", np.array([1.0, np.nan, 0.0]), units="1")
    for number, (values, words) in enumerate(
        [
            ([np.nextafter(1, 2), np.nan, 0.0], "1 of 3 values differ"),
            ([1.0, np.nan, -0.0], "1 of 3 values differ"),
            ([1.0, np.nan], "float64 (3,) before, float64 (2,) after"),
            (np.array([1, np.nan, 0], np.float32), "float64 (3,) before, float32 (3,) after"),
        ]
    ):
        other = made(tmp_path / str(number), values, units="1")
        assert list(differences(one, other)) == [
            f"patterns.zarr/a/b: {words}", f"analysis.zarr/a/b: {words}",
        ]  # fmt: skip
    (said, _) = differences(one, made(tmp_path / "units", [1.0, np.nan, 0.0], units="nm"))
    assert said.startswith("patterns.zarr/a/b: ")
    assert "units" in said


def test_what_only_one_has_is_named(differences, tmp_path):
    one, other = (made(tmp_path / name, [1.0]) for name in "ab")
    zarr.open_group(one / "analysis.zarr").create_group("fits")
    assert list(differences(one, other)) == ["analysis.zarr/fits: only before"]
    assert list(differences(other, one)) == ["analysis.zarr/fits: only after"]
