import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.ingest.blocks import verified_write
from orimap.tasks.acquire.ingest.blocks.verified_write import write_verified
from orimap.tasks.store import sparse_patterns
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.stream.blocks import Block, plan_blocks

SCAN, DETECTOR, BLOCK = (5, 7), (6, 9), (2, 3)


@pytest.fixture
def store(tmp_path):
    """Make a store with room for patterns of some kind."""

    def make(dtype):
        store = tmp_path / "patterns.zarr"
        zarr.open_group(store, path="raw", mode="w").create_array(
            "pattern_intensity",
            shape=(*SCAN, *DETECTOR),
            chunks=(*BLOCK, *DETECTOR),
            dtype=dtype,
            compressors=zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
        )
        sparse_patterns.create(store, SCAN, BLOCK, DETECTOR, np.dtype(dtype))
        return store

    return make


def drawn(dtype):
    values = np.random.default_rng(0).poisson(0.2, (*SCAN, *DETECTOR)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values[1, 2, 3], values[4, 6, 0, 0] = np.nan, -np.inf
    return values


# Blocks at the far edges fill their chunks in part.
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_blocks_come_back_bit_by_bit(store, dtype):
    store, patterns = store(dtype), drawn(dtype)
    for block in plan_blocks(SCAN, BLOCK):
        write_verified(store, block, patterns[block.slices])
    read = zarr.open_array(store, path="raw/pattern_intensity", mode="r")[:]
    np.testing.assert_array_equal(read, patterns)
    assert read.dtype == dtype


def test_lists_are_written_beside_the_patterns(store):
    store, patterns = store("u2"), drawn("u2")
    for block in plan_blocks(SCAN, BLOCK):
        flat = patterns[block.slices].reshape(block.positions, -1)
        write_verified(store, block, patterns[block.slices], Entries.of(flat))
    sparse_patterns.finish(store, "m")
    found = sparse_patterns.read_dense(store, Block(0, 5, 0, 7), DETECTOR)
    np.testing.assert_array_equal(found, patterns)


@pytest.mark.parametrize("flipped", [0.0, -0.0])
def test_a_single_bit_that_differs_is_an_error(store, monkeypatch, flipped):
    store, block = store("f4"), Block(2, 4, 3, 6)
    patterns = np.zeros((2, 3, *DETECTOR), np.float32)
    read = verified_write._stored_chunk

    def read_with_a_fault(*where):
        chunk = read(*where).copy()
        chunk[1, 2, 5, 8] = flipped
        return chunk

    monkeypatch.setattr(verified_write, "_stored_chunk", read_with_a_fault)
    if np.signbit(flipped):
        with pytest.raises(OSError, match="rows 2 to 4 and columns 3 to 6 reads back differently"):
            write_verified(store, block, patterns)
    else:
        write_verified(store, block, patterns)


def test_lists_that_read_back_differently_are_an_error(store, monkeypatch):
    store, patterns = store("u2"), drawn("u2")
    block = Block(0, 2, 0, 3)
    flat = patterns[block.slices].reshape(block.positions, -1)
    other = Entries.of(flat + (flat > 0).astype(np.uint16))
    monkeypatch.setattr(sparse_patterns, "read_blocks", lambda *_: other)
    with pytest.raises(OSError, match="check the disk"):
        write_verified(store, block, patterns[block.slices], Entries.of(flat))
