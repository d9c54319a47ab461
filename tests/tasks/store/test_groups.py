import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from orimap.tasks.store import variables
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import (
    complete_mark,
    copy_folder,
    link_group,
    mark_complete,
    open_group,
    remove_group,
    write_arrays,
    write_group,
)


def numbers(value, name="scan_value"):
    return xr.Dataset({name: (("scan_y", "scan_x"), np.full((2, 3), value))})


def test_a_fingerprint_depends_on_facts_and_not_on_their_order():
    first = fingerprint(k=3, store=Path("a") / "b", l1=(0.0, 0.1), nested={"x": 1, "y": 2})
    assert first == fingerprint(nested={"y": 2, "x": 1}, l1=[0.0, 0.1], store="a/b", k=3)
    assert first != fingerprint(k=4, store=Path("a") / "b", l1=(0.0, 0.1), nested={"x": 1, "y": 2})
    # Written down, since a change would make every stored result useless.
    assert fingerprint(k=1) == "f253ae55d5b513c6"


def test_a_group_is_read_back_with_plain_integers(tmp_path):
    label = np.array([[-1, 0, 1], [2, 3, 4]], np.int16)
    ds = xr.Dataset({"label": (("scan_y", "scan_x"), label), "ok": ("k", [True, False])})
    ds.attrs["reason"] = "because"
    write_group(tmp_path / "a.zarr", "deep/er", ds, "m")
    found = open_group(tmp_path / "a.zarr", "deep/er")
    assert found["label"].dtype == np.int16
    np.testing.assert_array_equal(found["label"], label)
    assert found["ok"].dtype == bool
    assert found.attrs["reason"] == "because"
    tree = xr.open_datatree(tmp_path / "a.zarr", engine="zarr", consolidated=False)
    np.testing.assert_array_equal(tree["deep/er/label"], label)


def test_a_half_written_group_is_not_complete(tmp_path):
    store = tmp_path / "a.zarr"
    assert complete_mark(store, "g") is None
    write_group(store, "g", numbers(1.0), None)
    assert complete_mark(store, "g") is None
    assert complete_mark(store, "other") is None
    mark_complete(store, "g", "m")
    assert complete_mark(store, "g") == "m"


def test_a_new_group_takes_all_of_the_place_of_the_old(tmp_path):
    store = tmp_path / "a.zarr"
    write_group(store, "g", numbers(1.0), "old")
    write_group(store, "h", numbers(3.0), "kept")
    write_group(store, "g", numbers(2.0, "scan_other"), None)
    assert list(open_group(store, "g")) == ["scan_other"]
    assert complete_mark(store, "g") is None
    assert complete_mark(store, "h") == "kept"


def test_a_group_whose_removal_was_cut_short_is_not_complete(tmp_path, monkeypatch):
    store = tmp_path / "a.zarr"
    write_group(store, "g", numbers(1.0), "m")
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    remove_group(store, "g")
    assert (store / "g" / "scan_value").exists()
    assert complete_mark(store, "g") is None


def test_arrays_are_read_back_as_declared_and_replace_what_was_there(tmp_path):
    store = tmp_path / "a.zarr"
    write_group(store, "fits/k02", numbers(1.0), "old")
    pattern = np.random.default_rng(0).random((2, 6, 7)).astype(np.float32)
    weight = np.arange(24.0).reshape(3, 4, 2)
    arrays = {variables.component_pattern: pattern, variables.scan_weight: weight}
    write_arrays(store, "fits/k02", arrays, "new", loss=0.5)
    found = open_group(store, "fits/k02")
    assert set(found) == {"component_pattern", "scan_weight"}
    for variable, values in arrays.items():
        read = variable.read(found)
        np.testing.assert_array_equal(read, values)
        assert read.dtype == values.dtype
        assert read.attrs["units"] == variable.units
    assert found.attrs["loss"] == 0.5
    assert complete_mark(store, "fits/k02") == "new"


def test_arrays_are_compressed(tmp_path):
    store = tmp_path / "analysis.zarr"
    fields = {variables.basis_pattern: np.zeros((4, 64, 64), np.float32)}
    write_arrays(store, "sketch", fields, "m")
    write_group(store, "whole", variables.dataset(fields), "m")
    for group in ("sketch", "whole"):
        files = (store / group / "basis_pattern").rglob("*")
        assert sum(path.stat().st_size for path in files if path.is_file()) < 4 * 64 * 64


@pytest.mark.parametrize("links", [True, False])
def test_a_group_is_put_into_another_store_with_its_mark(tmp_path, monkeypatch, links):
    source, target = tmp_path / "a.zarr", tmp_path / "b.zarr"
    write_group(source, "raw", numbers(4.0), "m")
    target.mkdir()

    def refuse(*_):
        raise OSError("no links here")

    with monkeypatch.context() as patch:
        if not links:
            patch.setattr(os, "link", refuse)
        link_group(source, target, "raw")
    np.testing.assert_array_equal(open_group(target, "raw")["scan_value"], 4.0)
    assert complete_mark(target, "raw") == "m"
    assert sorted(path.name for path in target.iterdir()) == ["raw"]
    chunk = Path("raw", "scan_value", "c", "0", "0")
    assert (source / chunk).samefile(target / chunk) == links


def test_what_a_cut_short_link_left_is_replaced(tmp_path):
    source, target = tmp_path / "a.zarr", tmp_path / "b.zarr"
    write_group(source, "raw", numbers(4.0), "m")
    (target / ".raw" / "half").mkdir(parents=True)
    link_group(source, target, "raw")
    assert sorted(path.name for path in target.iterdir()) == ["raw"]
    assert not (target / "raw" / "half").exists()
    np.testing.assert_array_equal(open_group(target, "raw")["scan_value"], 4.0)


def test_a_mark_needs_a_group(tmp_path):
    with pytest.raises(FileNotFoundError):
        mark_complete(tmp_path / "a.zarr", "g", "m")


def test_a_copy_onto_a_full_disk_raises_the_error_of_the_disk(tmp_path):
    (tmp_path / "source" / "inner").mkdir(parents=True)
    for name in ("first", "inner/second"):
        (tmp_path / "source" / name).write_text(name)
    copy_folder(tmp_path / "source", tmp_path / "copied")
    assert (tmp_path / "copied" / "inner" / "second").read_text() == "inner/second"

    def full(original, copied):
        raise OSError(errno.ENOSPC, "No space left on device", copied)

    with pytest.raises(OSError, match="No space left") as failed:
        copy_folder(tmp_path / "source", tmp_path / "again", full)
    assert failed.value.errno == errno.ENOSPC
