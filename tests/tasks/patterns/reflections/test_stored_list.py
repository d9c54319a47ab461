import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.reflections import stored_list
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.reflections.stored_list import (
    list_size,
    read_lengths,
    read_reflections,
    write_reflections,
)
from orimap.tasks.store.groups import complete_mark

SCAN = (5, 7)


def made_up(n, seed=0, most=6):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most, n)
    entries = rng.uniform(0, 90, (4, counts.sum())).astype(np.float32)
    return Reflections(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        *entries,
        np.where(counts > 0, 0, -1).astype(np.int32),
        *rng.uniform(1, 5, (2, n)).astype(np.float32),
    )


def assert_same(one, other):
    for name, values in vars(one).items():
        assert getattr(other, name).dtype == values.dtype, name
        np.testing.assert_array_equal(getattr(other, name), values, err_msg=name)


@pytest.fixture
def stored(tmp_path):
    found = made_up(35)
    store = tmp_path / "patterns.zarr"
    write_reflections(
        store, "reflections", found, SCAN, "mark", lengths=Lengths.of_disc(2.5),
        units="grey level", threshold_units="1", floor=3.0,
    )  # fmt: skip
    return store, found


def test_what_is_read_is_what_was_written(stored):
    store, found = stored
    assert_same(found, read_reflections(store, "reflections", np.arange(35)))
    assert_same(found, read_reflections(store, "reflections"))
    assert complete_mark(store, "reflections") == "mark"


@pytest.mark.parametrize("chunk", [1, 4, 2**16])
@pytest.mark.parametrize(
    "positions",
    [[3], [34], [0, 1, 2], [9, 10, 16, 17, 23, 24], [30, 2, 2, 11], list(range(34, -1, -1)), []],
)
def test_any_positions_are_read_in_the_order_asked_for(stored, monkeypatch, chunk, positions):
    monkeypatch.setattr(stored_list, "CHUNK_ENTRIES", chunk)
    store, found = stored
    positions = np.array(positions, int)
    assert_same(found.take(positions), read_reflections(store, "reflections", positions))


def test_only_the_chunks_that_hold_the_positions_are_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_list, "CHUNK_ENTRIES", 8)
    store, found = tmp_path / "patterns.zarr", made_up(35)
    write_reflections(store, "list", found, SCAN, "m", lengths=Lengths.of_disc(2), units="electron")
    chunks = sorted((store / "list" / "reflection_y" / "c").iterdir(), key=lambda p: int(p.name))
    needed = {int(entry) // 8 for entry in (found.offsets[4], found.offsets[6] - 1)}
    for number, chunk in enumerate(chunks):
        if number not in range(min(needed), max(needed) + 1):
            chunk.write_bytes(b"not to be opened")
    assert_same(found.take(np.array([4, 5])), read_reflections(store, "list", np.array([4, 5])))


def test_positions_without_reflections_are_read_as_such(tmp_path):
    nothing = made_up(6, most=1)
    store = tmp_path / "patterns.zarr"
    write_reflections(
        store, "list", nothing, (2, 3), "m", lengths=Lengths.of_disc(2), units="electron"
    )
    assert_same(nothing, read_reflections(store, "list", np.arange(6)))


def test_the_lengths_are_kept(stored):
    store, _ = stored
    assert read_lengths(store, "reflections") == Lengths(2.5, "measured")


def test_the_group_explains_itself_to_xarray(stored):
    store, _found = stored
    ds = xr.open_zarr(store, group="reflections", consolidated=False)
    assert ds.reflection_y.units == "pixel"
    assert ds.reflection_intensity.units == ds.scan_noise.units == "grey level"
    assert ds.scan_prominence_threshold.units == "1"
    assert ds.scan_direct_reflection.dims == ("scan_y", "scan_x")
    assert ds.scan_direct_reflection.dtype == np.int32
    assert ds.sizes["pattern_edge"] == 36
    assert ds.attrs["floor"] == 3.0
    assert all(v.attrs["long_name"] for v in ds.values())


def test_an_unfinished_list_is_not_taken_for_a_whole_one(stored, monkeypatch):
    store, found = stored

    def killed(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(stored_list, "mark_complete", killed)
    with pytest.raises(KeyboardInterrupt):
        write_reflections(
            store, "reflections", found, SCAN, "new", lengths=Lengths.of_disc(2), units="electron"
        )
    assert complete_mark(store, "reflections") is None


def test_a_list_of_part_of_the_scan_is_refused(tmp_path):
    with pytest.raises(InputError, match="those of 34"):
        write_reflections(
            tmp_path / "p.zarr", "list", made_up(34), SCAN, "m", lengths=Lengths.of_disc(2),
            units="electron",
        )  # fmt: skip


def test_the_size_of_the_list_is_set_against_that_of_the_patterns(stored):
    store, found = stored
    array = zarr.open_group(store, path="raw", mode="a").create_array(
        "pattern_intensity", shape=(*SCAN, 64, 64), chunks=(5, 7, 64, 64), dtype="uint16"
    )
    array[:] = np.random.default_rng(0).poisson(3, array.shape)
    size = list_size(store, "reflections")
    entries = len(found.y)
    assert size.list_bytes == 36 * 8 + entries * 16 + 35 * 12
    assert size.patterns_bytes == 35 * 64 * 64 * 2
    assert size.ratio == size.patterns_bytes / size.list_bytes
    files = [p for p in (store / "raw").rglob("*") if p.is_file()]
    assert size.patterns_disk_bytes == sum(p.stat().st_size for p in files)
    assert size.disk_ratio > 1
