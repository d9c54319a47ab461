"""Small scans in stores, dense or as lists, centred or not."""

import numpy as np
import pytest

from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import sparse_patterns, variables
from orimap.tasks.store.groups import write_group
from orimap.tasks.store.pixel_lists import Entries

SCAN, DETECTOR, BLOCK = (5, 7), (9, 11), (2, 3)


@pytest.fixture
def counts():
    """Counts (5, 7, 9, 11), most of them 0."""
    return np.random.default_rng(3).poisson(0.4, (*SCAN, *DETECTOR)).astype(np.uint16)


@pytest.fixture
def moves():
    """Whole pixels by which each pattern is moved, up to two either way."""
    return np.random.default_rng(4).integers(-2, 3, (*SCAN, 2)).astype(np.int16)


@pytest.fixture
def stored(store_patterns, counts, moves):
    """Store the counts; return their source."""

    def write(*, sparse=False, centred=False, values=counts):
        source = store_patterns(values, BLOCK)
        if sparse:
            sparse_patterns.create(source.store, SCAN, BLOCK, DETECTOR, values.dtype)
            for block in source.blocks():
                flat = values[block.slices].reshape(-1, values[0, 0].size)
                sparse_patterns.write_block(source.store, block, Entries.of(flat))
            sparse_patterns.finish(source.store, "raw")
        if centred:
            beam = {variables.scan_pixel_shift: moves}
            write_group(source.store, "beam", variables.dataset(beam), "m")
        return PatternSource.open(source.store, "raw", centred=centred)

    return write


@pytest.fixture
def centred_counts(counts, moves):
    """The counts after every pattern was moved, by loops; 0 where nothing was measured."""
    result = np.zeros_like(counts)
    for y, x in np.ndindex(SCAN):
        dy, dx = moves[y, x]
        for v, u in np.ndindex(DETECTOR):
            if 0 <= v + dy < DETECTOR[0] and 0 <= u + dx < DETECTOR[1]:
                result[y, x, v + dy, u + dx] = counts[y, x, v, u]
    return result


@pytest.fixture
def inner():
    """Pixels that every pattern still has after it was moved by up to two pixels."""
    valid = np.zeros(DETECTOR, bool)
    valid[2:-2, 2:-2] = True
    return valid
