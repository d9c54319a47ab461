from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import zarr

from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import sparse_patterns
from orimap.tasks.store.groups import mark_complete
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.stream.blocks import Block, plan_blocks

SCAN, DETECTOR = (5, 7), (6, 9)


def listed(patterns):
    return Entries.of(patterns.reshape(-1, DETECTOR[0] * DETECTOR[1]))


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    values = rng.poisson(0.2, (*SCAN, *DETECTOR)).astype(np.uint16)
    values[1, 2] = 0
    values[4, 6] = 60_000
    return values


@pytest.fixture
def write(store_patterns):
    """Write patterns in both forms."""

    def both(values, block_shape):
        source = store_patterns(values, block_shape)
        sparse_patterns.create(source.store, SCAN, block_shape, values.shape[2:], values.dtype)
        for block in plan_blocks(SCAN, block_shape):
            sparse_patterns.write_block(source.store, block, listed(values[block.slices]))
        sparse_patterns.finish(source.store, "raw")
        return PatternSource.open(source.store, "raw")

    return both


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (2, 7), (5, 7), (3, 4)])
def test_any_part_of_the_scan_comes_back_as_it_was(write, counts, shape):
    source = write(counts, shape)
    assert source.sparse
    for part in (Block(0, 5, 0, 7), Block(1, 4, 2, 6), Block(4, 5, 6, 7), Block(0, 1, 0, 7)):
        found = source.stored(part, "raw")
        assert found.dtype == counts.dtype
        np.testing.assert_array_equal(found, counts[part.slices])


def test_lists_longer_than_a_chunk_of_the_store_are_whole(write, counts, monkeypatch):
    monkeypatch.setattr(sparse_patterns, "ENTRIES_A_CHUNK", 16)
    source = write(counts, (2, 3))
    np.testing.assert_array_equal(source.stored(Block(0, 5, 0, 7), "raw"), counts)


@pytest.mark.parametrize("batch", [1, 4, 10**6])
@pytest.mark.parametrize("centred", [False, True])
def test_the_rows_and_halves_are_those_of_the_dense_patterns(
    write, counts, monkeypatch, batch, centred
):
    monkeypatch.setattr("orimap.tasks.patterns.source.SPARSE_PATTERNS", batch)
    monkeypatch.setattr("orimap.tasks.patterns.source.SPARSE_ENTRIES", 13 * batch)
    source = replace(write(counts, (2, 3)), centred=centred)
    move = np.random.default_rng(3).integers(-1, 2, (*SCAN, 2)).astype(np.int16)
    beam = zarr.open_group(source.store, path="beam", mode="w")
    beam.create_array("scan_pixel_shift", data=move)
    valid = np.random.default_rng(1).random(DETECTOR) < 0.8
    valid[[0, -1]] = valid[:, [0, -1]] = False
    found = {}
    for one in (source, replace(source, sparse=False)):
        made = np.zeros((3, 35, np.count_nonzero(valid)))
        visits = np.zeros(35, int)
        for group in one.groups():
            for b in one.read(group, valid, 5):
                visits[b.numbers] += 1
                for i, rows in enumerate((b.rows, b.train, b.test)):
                    made[i, b.numbers] = rows.toarray() if sp.issparse(rows) else rows
        np.testing.assert_array_equal(visits, 1)
        found[one.sparse] = made
    np.testing.assert_array_equal(found[True], found[False])
    np.testing.assert_array_equal(found[True][0], found[True][1] + found[True][2])
    if not centred:
        np.testing.assert_array_equal(found[True][0], counts[:, :, valid].reshape(35, -1))


def test_a_form_that_belongs_to_other_patterns_is_not_read(write, counts):
    source = write(counts, (2, 3))
    mark_complete(source.store, "sparse", "of another file")
    assert not PatternSource.open(source.store, "raw").sparse


def test_an_array_that_was_replaced_is_opened_anew(write, counts, store_patterns):
    source = write(counts, (2, 3))
    assert source.stored(Block(0, 1, 0, 1), "raw").dtype == np.uint16
    other = (counts + 1).astype(np.uint32)
    sparse_patterns.create(source.store, SCAN, (2, 3), DETECTOR, other.dtype)
    for block in source.blocks():
        sparse_patterns.write_block(source.store, block, listed(other[block.slices]))
    sparse_patterns.finish(source.store, "raw")
    np.testing.assert_array_equal(
        sparse_patterns.read_dense(source.store, Block(0, 5, 0, 7), DETECTOR), other
    )


@pytest.mark.parametrize(("pixels", "kind"), [(1, "u1"), (256, "u1"), (65536, "u2"), (65537, "u4")])
def test_pixels_are_numbered_by_the_smallest_integers(pixels, kind):
    assert sparse_patterns._smallest(pixels) == np.dtype(kind)


def test_groups_of_a_large_scan_are_few_and_of_a_small_one_enough():
    def source(scan, block, sparse=True):
        return PatternSource(None, "raw", scan, (512, 512), block, sparse=sparse)

    large = source((248, 400), (8, 8)).groups()
    assert all(sum(b.positions for b in group) >= 512 for group in large[:-1])
    assert [b for group in large for b in group] == plan_blocks((248, 400), (8, 8))
    assert len(source((64, 32), (8, 16)).groups()) == 16
    assert len(source((250, 400), (8, 8), sparse=False).groups()) == 800
    assert len(source((10_000, 1_000), (8, 8)).groups()) <= 1024
