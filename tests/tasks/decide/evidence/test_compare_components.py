import numpy as np
import pytest

from orimap.tasks.decide.evidence.compare_components import compare_components
from orimap.tasks.decide.evidence.evidence import METRICS
from orimap.tasks.decide.grains.stored import write_dark_fields
from orimap.tasks.store import variables
from orimap.tasks.store.groups import write_group

SIZE, RADIUS = 64, 2.0
NONE = np.zeros((SIZE, SIZE), bool)


@pytest.fixture
def store(sketch_of):
    """Write a fit, its patterns as a sketch and their dark fields into a store; return it."""

    def write(patterns, weights, left_out):
        images = np.tensordot(weights, np.where(left_out, 0, patterns), axes=1)
        path = sketch_of(images, left_out)
        fit = variables.dataset(
            {
                variables.component_pattern: patterns.astype(np.float32),
                variables.scan_weight: weights.astype(np.float32),
            }
        )
        write_group(path, "fits/k", fit, "m")
        write_dark_fields(path, ["fits/k"], "m", radius_px=RADIUS, centre=None, dispersion=1.0)
        return path

    return write


def test_components_of_a_stored_fit_are_compared(store):
    patterns = np.random.default_rng(0).random((3, 12, 13))
    own = np.eye(4, 3).reshape(2, 2, 3)
    nothing = np.zeros((12, 13), bool)
    found, by_look = compare_components(store(patterns, own, nothing), "fits/k", nothing)
    assert {name: matrix.shape for name, matrix in found.metrics.items()} == dict.fromkeys(
        METRICS, (3, 3)
    )
    np.testing.assert_allclose(np.diag(found.metrics["psnr"]), 80)
    assert found.cosine.shape == (3, 3)
    # So small a detector shows no reflections.
    assert (found.merged.distinct, found.merged.has_reflections) == (0, True)
    assert (by_look.distinct, by_look.has_reflections) == (3, False)


def discs(number):
    """Discs clear of each other, of the edge and of the middle; other ones for every number."""
    y, x = np.mgrid[:SIZE, :SIZE]
    sites = [(v, u) for v in range(7, SIZE, 10) for u in range(7, SIZE, 10)]
    sites = np.random.default_rng(0).permutation([s for s in sites if s != (37, 37)])
    chosen = sites[10 * number : 10 * number + 10]
    return np.array([np.clip(2.5 - np.hypot(y - v, x - u), 0, 1) for v, u in chosen])


def bent():
    """One crystal, of whose discs one half fades and the other brightens; and another crystal."""
    every, other = discs(0), discs(1)
    half = np.where(np.arange(10) % 2, 1.0, 0.1)[:, None, None]
    tilts = half * every, half[::-1] * every
    patterns = np.stack([d.sum(axis=0) + 0.02 for d in (*tilts, other)])
    weights = np.zeros((12, 18, 3))
    weights[:, :12, 0] = 3e4 * np.clip(1.5 - np.arange(12) / 5.5, 0, 1)
    weights[:, :12, 1] = 3e4 - weights[:, :12, 0]
    weights[:, 12:, 2] = 3e4
    return patterns / patterns.sum(axis=(1, 2), keepdims=True), weights


def test_components_and_grains_are_told_apart_and_bent_grains_are_split_where_asked(store):
    path = store(*bent(), NONE)
    joined, by_look = compare_components(path, "fits/k", NONE)
    assert joined.merged.has_reflections
    assert sorted(joined.merged.component_cluster) == [0, 0, 1]
    split, again = compare_components(path, "fits/k", NONE, split_bent=True)
    assert split.merged.distinct == 3
    # By their look they are not equal, whatever is asked.
    for looked in (by_look, again):
        assert (looked.distinct, looked.has_reflections) == (3, False)
    assert joined.cosine[0, 1] > 0.4 > 0.2 > joined.cosine[:2, 2].max()
    assert joined.not_redundant == split.not_redundant == 3


def test_what_repeats_another_component_in_pattern_and_map_is_redundant(store):
    patterns, weights = bent()
    twice = np.stack([patterns[0], patterns[0], patterns[2]])
    parts = np.stack([weights[..., :2].sum(axis=2)] * 2 + [2 * weights[..., 2]], axis=2) / 2
    found, by_look = compare_components(store(twice, parts, NONE), "fits/k", NONE)
    assert found.cosine[0, 1] == pytest.approx(1)
    assert found.not_redundant == by_look.distinct == 2
    # There are two directions only, and so two components of the dark fields.
    assert sorted(found.merged.component_cluster) == [0, 1]


def test_what_is_left_out_is_not_compared(store):
    patterns, weights = bent()
    beam = NONE.copy()
    beam[30:34, 30:34] = True
    without, _ = compare_components(
        store(np.where(beam, 0, patterns), weights, beam), "fits/k", beam
    )
    bright, looked = compare_components(
        store(np.where(beam, 50, patterns), weights, beam), "fits/k", beam
    )
    for name in METRICS:
        np.testing.assert_allclose(without.metrics[name], bright.metrics[name], rtol=1e-5)
    np.testing.assert_array_equal(bright.merged.component_cluster, without.merged.component_cluster)
    assert looked.distinct == 3
