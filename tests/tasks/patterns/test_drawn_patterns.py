"""Patterns that ePattern draws, as the analysis reads them and as they are stored."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import zarr

from orimap.tasks.patterns.filters import write_drawn
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.reflections.stored_list import write_reflections
from orimap.tasks.patterns.source import LISTS
from orimap.tasks.store.groups import complete_mark

SCAN, DETECTOR = (4, 5), (24, 30)


def registered(seed):
    """Three reflections a pattern at random places; the first is the direct beam."""
    rng = np.random.default_rng(seed)
    n = SCAN[0] * SCAN[1]
    y, x = rng.uniform(3, 20, 3 * n), rng.uniform(3, 26, 3 * n)
    height = rng.uniform(1, 9, 3 * n)
    y, x, height = (values.astype(np.float32) for values in (y, x, height))
    real = np.zeros(n, np.float32)
    return Reflections(3 * np.arange(n + 1), y, x, height, height, np.zeros(n, "i4"), real, real)


@pytest.fixture
def source(store_patterns):
    made = store_patterns(np.zeros((*SCAN, *DETECTOR), np.uint16), (2, 3), "raw")
    for seed, group in enumerate(LISTS):
        lengths = Lengths.of_disc(2.0)
        write_reflections(
            made.store, group, registered(seed), SCAN, "m", lengths=lengths, units="electron"
        )
    return replace(made, filter="epattern")


def test_rows_are_sparse_and_those_of_the_images(source):
    valid = np.random.default_rng(0).random(DETECTOR) < 0.9
    for block in source.blocks():
        rows, images = source.rows(block, valid), source.images(block)
        assert sp.issparse(rows)
        np.testing.assert_allclose(rows.toarray(), images[:, valid], rtol=1e-6)
        assert 0 < np.count_nonzero(images) < 0.2 * images.size


def test_the_halves_are_drawn_from_their_own_lists(source):
    valid = np.ones(DETECTOR, bool)
    block = source.blocks()[0]
    halves = source.halves(block, valid, seed=9)
    for half, group in zip(halves, LISTS[1:], strict=True):
        expected = source._drawn_rows(group, block, valid)
        np.testing.assert_array_equal(half.toarray(), expected.toarray())
    assert (halves[0] != halves[1]).nnz > 0


def test_centring_moves_what_is_drawn_by_parts_of_a_pixel(source):
    drift = np.zeros((*SCAN, 2), np.float32)
    drift[..., 0], drift[..., 1] = 1.0, -2.0
    zarr.open_group(source.store, path="beam", mode="w").create_array("scan_beam_drift", data=drift)
    block = source.blocks()[0]
    still, centred = source.images(block), replace(source, centred=True).images(block)
    np.testing.assert_allclose(centred[:, 2:-2, 3:-3], still[:, 3:-1, 1:-5], atol=1e-5)


def test_the_stored_drawing_is_what_is_analysed(one_worker, source):
    write_drawn(one_worker, source, "drawn")
    assert complete_mark(source.store, "epattern") == "drawn"
    stored = zarr.open_group(source.store, path="epattern", mode="r")["pattern_intensity"]
    assert stored.chunks == (2, 3, *DETECTOR)
    for block in source.blocks():
        np.testing.assert_array_equal(
            stored[block.slices].reshape(-1, *DETECTOR), source.images(block)
        )
