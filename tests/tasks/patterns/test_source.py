from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import zarr

from orimap.tasks.patterns.filters import _write_mean_block, create_like_raw
from orimap.tasks.patterns.rows import mask_after_moves, moved
from orimap.tasks.patterns.source import neighbour_mean, with_neighbours
from orimap.tasks.stream.blocks import Block, plan_blocks


def dense(rows):
    return rows.toarray() if sp.issparse(rows) else rows


def create_mean(source):
    """Make the group that a mean is written to."""
    create_like_raw(source.store, "mean")
    return source


def all_halves(source, valid, seed):
    """The halves of a whole scan, put together from its pieces in scan order."""
    train, test = np.zeros((2, source.positions, np.count_nonzero(valid)))
    for block in source.blocks():
        for piece in source.batches(block):
            where = source.position_numbers(piece)
            train[where], test[where] = map(dense, source.halves(piece, valid, seed))
    return train, test


def test_a_source_knows_its_shapes_and_blocks(store_patterns, small_scan):
    source = store_patterns(small_scan, (3, 2))
    assert (source.scan_shape, source.detector_shape) == ((4, 5), (6, 7))
    assert source.positions == 20
    assert source.blocks() == plan_blocks((4, 5), (3, 2))
    np.testing.assert_array_equal(source.position_numbers(Block(1, 3, 3, 5)), [8, 9, 13, 14])


@pytest.mark.parametrize("patterns_a_batch", [1, 2, 3, 7, 1000])
def test_batches_cover_a_block_and_keep_their_size(
    store_patterns, small_scan, monkeypatch, patterns_a_batch
):
    monkeypatch.setattr("orimap.tasks.patterns.source.BATCH_BYTES", patterns_a_batch * 8 * 42)
    source = store_patterns(small_scan)
    block = Block(1, 4, 1, 5)
    pieces = list(source.batches(block))
    assert all(piece.positions <= patterns_a_batch for piece in pieces)
    visits = np.zeros((4, 5), int)
    for piece in pieces:
        visits[piece.slices] += 1
    assert visits[block.slices].min() == visits.max() == 1
    assert visits.sum() == block.positions


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "f4"])
@pytest.mark.parametrize("filled", [0.1, 0.9])
def test_rows_are_the_valid_pixels_in_a_precision_that_holds_them(store_patterns, dtype, filled):
    rng = np.random.default_rng(0)
    values = np.where(rng.random((4, 5, 6, 7)) < filled, rng.integers(1, 100, (4, 5, 6, 7)), 0)
    valid = rng.random((6, 7)) < 0.8
    rows = store_patterns(values.astype(dtype)).rows(Block(1, 3, 2, 5), valid)
    assert sp.issparse(rows) == (filled == 0.1)
    # Dense 32-bit integers are not looked through for large ones.
    assert rows.dtype == (
        np.float64 if dtype[1] == "4" and dtype[0] != "f" and filled == 0.9 else np.float32
    )
    np.testing.assert_array_equal(dense(rows), values[1:3, 2:5][:, :, valid].reshape(6, -1))


def test_counts_that_single_precision_would_round_are_kept(store_patterns):
    values = np.zeros((1, 1, 4, 6), np.uint32)
    values[0, 0, 1, 2] = 2**24 + 1
    rows = store_patterns(values).rows(Block(0, 1, 0, 1), np.ones((4, 6), bool))
    assert rows.max() == 2**24 + 1


@pytest.mark.parametrize("filter", ["raw", "mean"])
def test_halves_do_not_depend_on_the_blocks(store_patterns, small_scan, monkeypatch, filter):
    valid = np.random.default_rng(4).random((6, 7)) < 0.8
    expected = all_halves(store_patterns(small_scan, filter=filter), valid, 5)
    for shape in ((1, 1), (2, 3), (4, 1)):
        source = store_patterns(small_scan, shape, filter)
        for found, wanted in zip(all_halves(source, valid, 5), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-14)
    monkeypatch.setattr("orimap.tasks.patterns.source.BATCH_BYTES", 2 * 8 * 42)
    for found, wanted in zip(all_halves(source, valid, 5), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_the_halves_of_raw_patterns_add_up_to_the_counts(store_patterns, small_scan):
    train, test = all_halves(store_patterns(small_scan, (3, 2)), np.ones((6, 7), bool), 5)
    np.testing.assert_array_equal(train + test, small_scan.reshape(20, 42))


@pytest.mark.parametrize("mean_count", [0.1, 3.0])
def test_with_the_mean_filter_counts_are_thinned_first_and_averaged_then(
    store_patterns, brute_force_mean, mean_count
):
    counts = np.random.default_rng(1).poisson(mean_count, (4, 5, 6, 7)).astype(np.uint16)
    valid = np.ones((6, 7), bool)
    raw_train, raw_test = all_halves(store_patterns(counts), valid, 5)
    train, test = all_halves(store_patterns(counts, (2, 2), "mean"), valid, 5)
    np.testing.assert_array_equal(test, raw_test)
    expected = brute_force_mean(raw_train.reshape(counts.shape)).reshape(20, 42)
    np.testing.assert_allclose(train, expected, rtol=1e-12)


def test_neighbours_end_at_the_scan():
    assert with_neighbours(Block(0, 2, 3, 5), (4, 5)) == Block(0, 3, 2, 5)
    assert with_neighbours(Block(2, 3, 2, 3), (9, 9)) == Block(1, 4, 1, 4)
    assert with_neighbours(Block(0, 1, 0, 1), (1, 1)) == Block(0, 1, 0, 1)


def test_the_neighbour_mean_takes_the_neighbours_that_exist():
    whole = Block(0, 1, 0, 3)
    np.testing.assert_allclose(
        neighbour_mean(whole, whole).toarray(), [[1 / 2, 1 / 2, 0], [1 / 3] * 3, [0, 1 / 2, 1 / 2]]
    )
    corner = neighbour_mean(Block(0, 3, 0, 3), Block(0, 1, 0, 1)).toarray()
    np.testing.assert_allclose(corner, [[1 / 4, 1 / 4, 0, 1 / 4, 1 / 4, 0, 0, 0, 0]])
    alone = Block(0, 1, 0, 1)
    np.testing.assert_allclose(neighbour_mean(alone, alone).toarray(), [[1]])


@pytest.mark.parametrize("filter", ["raw", "mean"])
def test_centred_patterns_are_moved_after_the_filter(
    store_patterns, small_scan, brute_force_mean, filter
):
    source = store_patterns(small_scan, (3, 2), filter)
    mean = zarr.open_group(source.store, path="mean", mode="w")
    mean.create_array("pattern_intensity", data=brute_force_mean(small_scan))
    move = np.random.default_rng(3).integers(-1, 2, (*source.scan_shape, 2)).astype(np.int16)
    beam = zarr.open_group(source.store, path="beam", mode="w")
    beam.create_array("scan_pixel_shift", data=move)
    valid = mask_after_moves(np.zeros(source.detector_shape, np.uint8), move) == 0
    whole = np.ones(source.detector_shape, bool)
    centred = replace(source, centred=True)
    for block in source.blocks():
        moves = move[block.slices].reshape(-1, 2)
        shape = (-1, *source.detector_shape)
        expected = moved(dense(source.rows(block, whole)).reshape(shape), moves)
        np.testing.assert_allclose(centred.images(block), expected, rtol=1e-6)
        np.testing.assert_allclose(dense(centred.rows(block, valid)), expected[:, valid], rtol=1e-6)
    both = zip(all_halves(source, whole, 7), all_halves(centred, valid, 7), strict=True)
    if filter == "mean":  # raw counts draw from what is left after the move
        for half, centred_half in both:
            expected = moved(half.reshape(shape), move.reshape(-1, 2))[:, valid]
            np.testing.assert_allclose(centred_half, expected, rtol=1e-6)


def test_raw_values_are_shifted_where_they_are_read_and_other_filters_by_the_pedestal(
    store_patterns, brute_force_mean
):
    rng = np.random.default_rng(2)
    seen = np.rint(rng.normal(0, 14, (4, 5, 6, 7))).astype(np.int16)
    believed = np.maximum(seen + np.float32(21.5), 0)
    valid = np.ones((6, 7), bool)
    source = replace(store_patterns(seen), shift=21.5, pedestal=21.5)
    (block,) = source.blocks()
    np.testing.assert_array_equal(source.images(block).reshape(seen.shape), believed)
    rows = np.concatenate([dense(batch.rows) for batch in source.read([block], valid)])
    np.testing.assert_array_equal(rows.reshape(seen.shape), believed)
    # Nothing is left of the noise but few values that are cut off.
    assert abs(believed.mean() - 21.5 - seen.mean()) < 1
    mean = replace(source, filter="mean")
    _write_mean_block(block, create_mean(mean))
    averaged = brute_force_mean(believed)
    np.testing.assert_allclose(mean.stored(block, "mean"), averaged, atol=1e-4)
    # Who opens the store finds the mean of what was acquired, as far as nothing was cut off.
    plain = zarr.open_group(mean.store, path="mean", mode="r")["pattern_intensity"][:]
    np.testing.assert_allclose(plain, averaged - 21.5, atol=1e-4)
    assert (source.floor, mean.floor, replace(mean, filter="epattern").floor) == (21.5, 21.5, 0)
