import numpy as np
import pytest

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.blocks.sum_block import Roles, sum_block
from orimap.tasks.acquire.ingest.blocks.sums import region_cuts
from orimap.tasks.store.cleaning import clean
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.stream.blocks import Block

SCAN = (9, 11)
BLOCK = Block(2, 7, 1, 10)  # touches several of the 4×4 regions
DETECTOR = (70, 71)  # more than a tile, and not a whole number of tiles
ROLES = Roles(
    BeamDisc(33.2, 36.7, 5.5),
    np.random.default_rng(3).random(DETECTOR) < 0.9,
    np.array([[0, 0], [33, 36], [69, 70], [12, 50]]),
)


def drawn(dtype, filled, shape=(5, 9)):
    """Values from all that a kind of number can hold, some zero; a NaN and infinities in floats."""
    rng = np.random.default_rng(0)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        values = rng.normal(0, 1e3, (*shape, *DETECTOR)).astype(dtype)
        values[1, 1, 3, 4], values[0, 0, 5, 6], values[-1, -1, 69, 70] = np.nan, np.inf, -np.inf
    else:
        least, largest = np.iinfo(dtype).min, np.iinfo(dtype).max
        values = rng.integers(least, largest, (*shape, *DETECTOR), dtype=dtype, endpoint=True)
    return np.where(rng.random(values.shape) < filled, values, 0).astype(dtype)


def listed(patterns):
    return Entries.of(patterns.reshape(-1, DETECTOR[0] * DETECTOR[1]))


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("filled", [0.05, 0.9])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4", "f4"])
def test_the_sums_are_those_of_numpy(dtype, filled, lists):
    patterns = drawn(dtype, filled)
    cuts = region_cuts(SCAN, DETECTOR)
    found = sum_block(patterns, BLOCK, cuts, ROLES, listed(patterns) if lists else None)
    values = clean(patterns).astype(np.float64)
    # Sums of whole numbers are exact up to 2**53, those of squares of 32 bits are rounded.
    exact = {"rtol": 0 if np.dtype(dtype).itemsize <= 2 else 1e-12}
    close = np.testing.assert_allclose
    close(found.total, values[:, :, ROLES.used].sum(axis=-1), **exact)
    disc = ROLES.beam.mask(DETECTOR)
    close(found.bright_field, values[:, :, disc].sum(axis=-1), rtol=1e-6)
    y, x = ROLES.candidates.T
    np.testing.assert_array_equal(found.candidate_values, values[:, :, y, x])
    np.testing.assert_array_equal(found.sums.maximum, values.max(axis=(0, 1)))
    assert found.sums.maximum.dtype == patterns.dtype
    assert found.sums.zeros == np.count_nonzero(values == 0)
    a, b = values[:, :-1], values[:, 1:]
    close(found.sums.squares, ((a - b) ** 2).sum(axis=(0, 1)), **exact)
    close(found.sums.pairs, (a + b).sum(axis=(0, 1)), **exact)
    row, column = (np.searchsorted(cut, range(99), side="right") - 1 for cut in cuts)
    numbers = 4 * row[BLOCK.y0 : BLOCK.y1, None] + column[BLOCK.x0 : BLOCK.x1]
    assert sorted(found.sums.regions) == sorted(set(numbers.ravel()))
    for number, total in found.sums.regions.items():
        close(total, values[numbers == number].sum(axis=0), **exact)


@pytest.mark.parametrize("lists", [False, True])
def test_neighbours_of_a_scan_of_one_column_lie_above_each_other(lists):
    patterns = drawn("u2", 0.2, (9, 1))
    cuts = region_cuts((9, 1), DETECTOR)
    entries = listed(patterns) if lists else None
    found = sum_block(patterns, Block(0, 9, 0, 1), cuts, ROLES, entries).sums
    a, b = patterns[:-1, 0].astype(float), patterns[1:, 0].astype(float)
    np.testing.assert_array_equal(found.squares, ((a - b) ** 2).sum(axis=0))
    np.testing.assert_array_equal(found.pairs, (a + b).sum(axis=0))
    # One column of a wider scan has no neighbours.
    alone = sum_block(patterns, Block(0, 9, 1, 2), region_cuts((9, 3), DETECTOR), ROLES, entries)
    assert not alone.sums.squares.any()
    assert not alone.sums.pairs.any()
