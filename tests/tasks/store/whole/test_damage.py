import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.tasks.store.groups import write_group
from orimap.tasks.store.whole.damage import (
    DamagedError,
    chunk_is_whole,
    damage,
    require_whole,
)
from orimap.tasks.store.whole.metadata import read_metadata, write_metadata
from orimap.tasks.store.whole.seal import seal


@pytest.fixture
def store(tmp_path):
    """A complete group with an array of one chunk, and one with nothing but zeros."""
    path = tmp_path / "a.zarr"
    arrays = {"full": np.arange(1.0, 13).reshape(3, 4), "empty": np.zeros((3, 4))}
    ds = xr.Dataset({name: (("y", "x"), values) for name, values in arrays.items()})
    write_group(path, "g", ds, "mark")
    return path


def chunk_of(store):
    return store / "g" / "full" / "c" / "0" / "0"


def without_seal(store):
    """As earlier versions have written it."""
    metadata = read_metadata(store / "g")
    del metadata["attributes"]["seal"]
    write_metadata(store / "g", metadata)


def test_what_is_whole_has_no_damage(store):
    assert damage(store, "g") is None
    assert damage(store, "g", sums=True) is None
    require_whole(store, "g", sums=True)


@pytest.mark.parametrize("content", [None, b""])
def test_chunks_that_are_lost_or_empty_are_counted(store, content):
    chunk_of(store).unlink() if content is None else chunk_of(store).write_bytes(content)
    assert damage(store, "g") == "full: 1 of 1 chunk lost or empty (c/0/0)"
    with pytest.raises(DamagedError, match=r"found: a\.zarr/g is damaged \(full: 1 of 1") as raised:
        require_whole(store, "g")
    assert "orimap run" in raised.value.remedy


def test_a_bit_that_is_turned_around_is_found_by_the_checksum(store):
    content = bytearray(chunk_of(store).read_bytes())
    assert chunk_is_whole(bytes(content))
    content[3] ^= 1
    assert not chunk_is_whole(bytes(content))
    chunk_of(store).write_bytes(content)
    assert damage(store, "g") is None
    assert damage(store, "g", sums=True) == "full: the checksum of c/0/0 does not fit"
    assert not chunk_is_whole(b"abcd")


def test_a_chunk_at_a_place_of_another_is_found_though_it_is_whole(store):
    node = zarr.open_group(store, path="g", mode="r+")
    node.create_array("many", data=np.arange(6.0), chunks=(2,), compressors=None)
    seal(store, "g")
    bare = store / "g" / "many" / "c"
    (bare / "0").rename(bare / "3")  # its chunks have no checksums: only counted
    assert damage(store, "g", sums=True) == "many: 1 of 3 chunks lost or empty (c/0)"
    shutil.rmtree(store / "g" / "many")
    write_group(store, "h", xr.Dataset({"a": ("x", [2.0, 1.0]), "b": ("x", [3.0, 1.0])}), "m")
    assert damage(store, "h") is None
    shutil.copy(store / "h" / "b" / "c" / "0", store / "h" / "a" / "c" / "0")
    assert damage(store, "h") == "a: chunks are not those that were written there"


def test_a_folder_is_no_chunk(store):
    chunk_of(store).unlink()
    chunk_of(store).mkdir()
    assert damage(store, "g") == "full: 1 of 1 chunk lost or empty (c/0/0)"


def test_metadata_that_change_are_found(store):
    array = zarr.open_array(store / "g" / "full", mode="r+")
    array.attrs["units"] = "nm"
    assert damage(store, "g") == "full: its zarr.json has changed"
    (store / "g" / "full" / "zarr.json").write_bytes(b"")
    assert damage(store, "g") == "full: its zarr.json has changed"
    shutil.rmtree(store / "g" / "full")
    assert damage(store, "g") == "full: its zarr.json is cut or missing"
    metadata = read_metadata(store / "g")
    metadata["attributes"]["complete"] = "other"
    write_metadata(store / "g", metadata)
    assert damage(store, "g") == "its zarr.json has changed"
    (store / "g" / "zarr.json").unlink()
    assert damage(store, "g") == "its zarr.json is cut or missing"


def test_of_earlier_versions_only_what_is_always_there_is_missed(store):
    without_seal(store)
    chunk_of(store).unlink()
    assert damage(store, "g") is None
    ds = xr.Dataset({"pattern_intensity": (("y", "x"), np.ones((3, 4)))})
    write_group(store, "raw", ds, "mark")
    (store / "g").rename(store / "away")
    (store / "raw").rename(store / "g")
    without_seal(store)
    (store / "g").rename(store / "raw")
    assert damage(store, "raw") is None
    (store / "raw" / "pattern_intensity" / "c" / "0" / "0").unlink()
    assert damage(store, "raw") == "pattern_intensity: 1 of 1 chunk lost or empty"
