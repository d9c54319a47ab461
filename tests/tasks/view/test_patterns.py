import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.store import sparse_patterns
from orimap.tasks.view.patterns import Patterns


@pytest.mark.parametrize("sparse", [False, True])
def test_raw_patterns_are_those_of_the_store(stored, counts, sparse):
    patterns = Patterns(stored(sparse=sparse), np.ones(counts.shape[2:], bool))
    assert patterns.source.sparse is sparse
    assert patterns.source.as_acquired
    for position in np.ndindex(counts.shape[:2]):
        found = patterns.raw(position)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, counts[position])


@pytest.mark.parametrize("sparse", [False, True])
def test_analysed_patterns_are_moved_and_masked(
    stored, counts, centred_counts, moves, inner, sparse
):
    patterns = Patterns(stored(sparse=sparse, centred=True), inner)
    assert not patterns.source.as_acquired
    for position in np.ndindex(counts.shape[:2]):
        np.testing.assert_array_equal(
            patterns.analysed(position), np.where(inner, centred_counts[position], 0)
        )
        assert patterns.shift(position) == tuple(moves[position])
        np.testing.assert_array_equal(patterns.raw(position), counts[position])


def test_values_that_are_no_counts_are_raw_as_they_are_and_cleaned_when_analysed(stored, counts):
    values = counts.astype(np.float32)
    values[1, 2, 3, 4], values[1, 2, 0, 0] = np.nan, -3
    patterns = Patterns(stored(values=values), np.ones(counts.shape[2:], bool))
    np.testing.assert_array_equal(patterns.raw((1, 2)), values[1, 2])
    clean = np.where(values[1, 2] > 0, values[1, 2], 0)
    np.testing.assert_array_equal(patterns.analysed((1, 2)), clean)


def test_a_block_is_read_once_for_the_clicks_in_it(stored, counts, monkeypatch):
    patterns, read = Patterns(stored(sparse=True), np.ones(counts.shape[2:], bool)), []
    whole = sparse_patterns.read_blocks

    def counted(store, blocks, numbers=None):
        read.extend(blocks)
        return whole(store, blocks, numbers)

    monkeypatch.setattr(sparse_patterns, "read_blocks", counted)
    for position in ((0, 0), (1, 2), (0, 1)):
        patterns.raw(position)
    assert len(read) == 1
    patterns.raw((4, 6))
    assert len(read) == 2
    assert read[1].positions == 1  # the last block, cut off at both edges


@pytest.mark.parametrize("position", [(-1, 0), (0, 7), (5, 0)])
def test_a_position_beside_the_scan_is_refused(stored, counts, position):
    patterns = Patterns(stored(), np.ones(counts.shape[2:], bool))
    for of in (patterns.raw, patterns.analysed):
        with pytest.raises(InputError, match="a position in the scan of 5 x 7"):
            of(position)
