import numpy as np
import pytest

from orimap.tasks.decide.evidence.compare_components import compare_components
from orimap.tasks.decide.evidence.evidence import METRICS
from orimap.tasks.store import variables
from orimap.tasks.store.groups import write_group

SIZE = 64


@pytest.fixture
def store(tmp_path):
    """Write a fit into a store; return the store."""

    def write(patterns, weights):
        fit = variables.dataset(
            {
                variables.component_pattern: patterns.astype(np.float32),
                variables.scan_weight: weights.astype(np.float32),
            }
        )
        write_group(tmp_path / "a.zarr", "fits/k", fit, "m")
        return tmp_path / "a.zarr"

    return write


def test_components_of_a_stored_fit_are_compared(store):
    patterns = np.random.default_rng(0).random((3, 12, 13))
    own = np.eye(4, 3).reshape(2, 2, 3)
    found = compare_components(store(patterns, own), "fits/k", np.zeros((12, 13), bool))
    assert {name: matrix.shape for name, matrix in found.metrics.items()} == dict.fromkeys(
        METRICS, (3, 3)
    )
    np.testing.assert_allclose(np.diag(found.metrics["psnr"]), 80)
    assert found.merged.distinct == 3


def bent():
    """Two patterns with the same discs, of which half fade, in one area; and another crystal."""
    y, x = np.mgrid[:SIZE, :SIZE]

    def discs(seed):
        places = np.random.default_rng(seed).uniform(6, SIZE - 6, (14, 2))
        return np.array([np.clip(2 - np.hypot(y - v, x - u), 0, 1) for v, u in places])

    first, other = discs(1), discs(2)
    faded = np.where(np.arange(14) % 2, 1.0, 0.1)[:, None, None] * first
    patterns = np.stack([d.sum(axis=0) + 0.02 for d in (first, faded, other)])
    weights = np.zeros((12, 18, 3))
    rows, columns = np.indices((12, 12)) // 4
    weights[:, :12, 0] = 1000 * ((rows + columns) % 2)
    weights[:, :12, 1] = 1000 - weights[:, :12, 0]
    weights[:, 12:, 2] = 1000
    return patterns / patterns.sum(axis=(1, 2), keepdims=True), weights


def test_redundancy_is_counted_from_the_same_cosines_and_bent_grains_are_split_where_asked(store):
    path = store(*bent())
    none = np.zeros((SIZE, SIZE), bool)
    joined = compare_components(path, "fits/k", none)
    np.testing.assert_array_equal(np.unique(joined.merged.component_cluster), [0, 1])
    assert joined.merged.faded == 1
    assert joined.not_redundant == 2
    split = compare_components(path, "fits/k", none, split_bent=True)
    assert split.merged.distinct == 3
    assert split.not_redundant == 2


def test_what_is_left_out_is_not_compared(store):
    patterns, weights = bent()
    beam = np.zeros((SIZE, SIZE), bool)
    beam[30:34, 30:34] = True
    without = compare_components(store(np.where(beam, 0, patterns), weights), "fits/k", beam)
    bright = compare_components(store(np.where(beam, 50, patterns), weights), "fits/k", beam)
    for name in METRICS:
        np.testing.assert_allclose(without.metrics[name], bright.metrics[name], rtol=1e-5)
