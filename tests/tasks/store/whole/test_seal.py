"""What a seal records, and the metadata that it is written into."""

import json

import google_crc32c
import numpy as np
import pytest
import zarr

from orimap.tasks.store.whole import metadata as described
from orimap.tasks.store.whole.metadata import (
    groups_below,
    is_group,
    read_metadata,
    remove_cut_metadata,
    write_metadata,
)
from orimap.tasks.store.whole.seal import (
    CHECKSUM,
    chunk_files,
    chunk_grid,
    chunks_in_all,
    expected_files,
    has_checksums,
    has_sums,
    recorded,
    seal,
    sum_of,
    sum_of_places,
)


@pytest.fixture
def store(tmp_path):
    """A group with an array of 3 x 2 chunks, of which one is nothing but zeros, and a number."""
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, path="g", mode="w", attributes={"unit": "nm"})
    values = np.arange(1, 31).reshape(5, 6)
    values[:2, :4] = 0
    group.create_array("many", data=values, chunks=(2, 4), compressors=(CHECKSUM,))
    group.create_array("one", data=np.array(7), compressors=(CHECKSUM,))
    return path


def test_chunks_are_counted_as_they_lie_there(store):
    node = store / "g" / "many"
    found = read_metadata(node)
    assert chunk_grid(found) == (3, 2)
    assert chunks_in_all(found) == 6
    assert len(list(chunk_files(node))) == 5
    expected = {str(path.relative_to(node)) for path in expected_files(node, found)}
    assert expected == {f"c/{i}/{j}" for i in range(3) for j in range(2)}
    assert [path.name for path in chunk_files(store / "g" / "one")] == ["c"]
    assert list(expected_files(store / "g" / "one", read_metadata(store / "g" / "one"))) == [
        store / "g" / "one" / "c"
    ]


def test_chunks_end_with_their_checksums(store):
    chunk = (store / "g" / "many" / "c" / "2" / "1").read_bytes()
    assert int.from_bytes(chunk[-4:], "little") == google_crc32c.value(chunk[:-4])
    assert has_checksums(read_metadata(store / "g" / "many"))
    assert has_sums(store / "g" / "many")
    assert has_sums(store / "g" / "nothing")
    zarr.open_group(store, path="g", mode="r+").create_array("bare", data=np.ones(3))
    assert not has_sums(store / "g" / "bare")


def test_a_seal_tells_chunks_and_attributes_and_goes_with_a_mark(store):
    seal(store, "g", "mark", groups=["x"])
    attributes = read_metadata(store / "g")["attributes"]
    assert (attributes["unit"], attributes["complete"]) == ("nm", "mark")
    known = recorded(attributes)
    assert {name: held[0] for name, held in known["arrays"].items()} == {"many": 5, "one": 1}
    assert known["groups"] == ["x"]
    assert known["attributes"] == sum_of({"complete": "mark", "unit": "nm"})
    seal(store, "g")
    assert read_metadata(store / "g")["attributes"]["complete"] == "mark"
    assert zarr.open_group(store, path="g", mode="r").attrs["unit"] == "nm"


def test_the_sum_of_places_is_that_of_what_chunks_end_with_and_where(store):
    node = store / "g" / "many"
    ends = [(file, file.read_bytes()[-4:]) for file in sorted(chunk_files(node))]
    text = b"".join(f"{file.relative_to(node)} ".encode() + end for file, end in ends)
    seal(store, "g")
    held = recorded(read_metadata(store / "g")["attributes"])["arrays"]["many"]
    assert held[2] == sum_of_places(node) == google_crc32c.value(text)


def test_of_earlier_versions_nothing_is_recorded_and_a_cut_record_fits_nothing():
    assert recorded({"complete": "mark"}) is None
    assert recorded({"seal": "{cut"}) == {"arrays": {}, "attributes": None}


def test_the_order_of_attributes_does_not_matter():
    assert sum_of({"a": 1, "b": [2]}) == sum_of({"b": [2], "a": 1, "seal": "x"})
    assert sum_of({"a": 1}) != sum_of({"a": 2})


@pytest.mark.parametrize(
    "content", [b"", b'{"node_type": "gr', b"[1]", b'{"node_type": "else"}', b"\xff\xfe"]
)
def test_metadata_that_are_cut_are_not_there(store, content):
    (store / "g" / "zarr.json").write_bytes(content)
    with pytest.raises(FileNotFoundError):
        read_metadata(store / "g")
    assert is_group(store / "g")
    remove_cut_metadata(store, "g")
    assert not (store / "g" / "zarr.json").exists()
    assert (store / "zarr.json").exists()


def test_metadata_are_replaced_whole_or_not_at_all(store, monkeypatch):
    before = (store / "g" / "zarr.json").read_bytes()
    found = read_metadata(store / "g")
    with pytest.raises(TypeError):
        write_metadata(store / "g", {**found, "attributes": {"a": object()}})
    assert (store / "g" / "zarr.json").read_bytes() == before
    assert [p.name for p in (store / "g").iterdir() if p.name.startswith(".")] == []
    write_metadata(store / "g", {**found, "attributes": {"a": 1}})
    assert json.loads((store / "g" / described.FILE).read_text())["attributes"] == {"a": 1}


def test_groups_are_found_with_and_without_their_metadata(store):
    zarr.open_group(store, path="g/inner", mode="w").create_array("x", data=np.ones(2))
    assert list(groups_below(store)) == ["", "g", "g/inner"]
    (store / "g" / "inner" / "zarr.json").unlink()
    assert list(groups_below(store)) == ["", "g", "g/inner"]
