import numpy as np
import pytest
import scipy.sparse as sp

from orimap.tasks.decide.evidence import sample
from orimap.tasks.decide.evidence.sample import sample_patterns
from orimap.tasks.factorise.exact_pass import sampled
from orimap.tasks.factorise.weighting import poisson_weighting
from orimap.tasks.patterns.filters import write_mean
from orimap.tasks.patterns.source import PatternSource

SCAN, DETECTOR = (7, 8), (6, 9)


def setting(values, *, poisson=True):
    """A weighting without a row of pixels, some more, and a beam."""
    valid = np.random.default_rng(1).random(DETECTOR) < 0.9
    valid[0] = False
    beam = np.zeros(DETECTOR, bool)
    beam[2:4, 3:6] = True
    return poisson_weighting(values.mean(axis=(0, 1)), valid, beam, poisson=poisson), valid & ~beam


def counts_of(mean=20):
    values = np.random.default_rng(0).poisson(mean, (*SCAN, *DETECTOR)).astype(np.uint16)
    values[2, 3] = 0
    return values


def weighted_images(values, fitted):
    """Patterns (positions, detector_y, detector_x) divided by both roots, 0 where not fitted."""
    images = values.reshape(-1, *DETECTOR) * fitted
    of_pixel = np.where(fitted, values.mean(axis=(0, 1)), 1)
    of_pattern = images.sum(axis=(1, 2), keepdims=True) / fitted.sum()
    return images / np.sqrt(of_pixel) / np.sqrt(np.where(of_pattern > 0, of_pattern, 1))


def test_a_small_scan_is_taken_whole_and_unsummed(one_worker, store_patterns):
    values = counts_of()
    weighting, fitted = setting(values)
    rows = sample_patterns(one_worker, store_patterns(values, (3, 5)), weighting, seed=0)
    np.testing.assert_allclose(rows, weighted_images(values, fitted)[:, fitted], rtol=1e-6)
    assert not rows[2 * 8 + 3].any()


@pytest.mark.parametrize(("pixels", "factor"), [(14, 2), (53, 2), (6, 3)])
def test_pixels_are_summed_over_squares_and_squares_without_a_fitted_one_are_gone(
    one_worker, store_patterns, monkeypatch, pixels, factor
):
    monkeypatch.setattr(sample, "MOST_PIXELS", pixels)
    values = counts_of()
    weighting, fitted = setting(values)
    rows = sample_patterns(one_worker, store_patterns(values, (3, 5)), weighting, seed=0)
    images = weighted_images(values, fitted)
    expected = []
    for y in range(0, DETECTOR[0], factor):
        for x in range(0, DETECTOR[1], factor):
            square = np.s_[y : y + factor, x : x + factor]
            if fitted[square].any():
                expected.append(images[:, *square].sum(axis=(1, 2)))
    np.testing.assert_allclose(rows, np.stack(expected, axis=1), rtol=1e-6)


@pytest.mark.parametrize("chunks", [(7, 8), (1, 8), (2, 3), (1, 1)])
def test_the_seed_chooses_the_positions_and_chunks_change_nothing(
    one_worker, store_patterns, monkeypatch, chunks
):
    monkeypatch.setattr(sample, "MOST_POSITIONS", 14)
    values = counts_of()
    weighting, fitted = setting(values, poisson=False)
    images = values.reshape(-1, *DETECTOR)[:, fitted]
    taken = []
    for seed in (4, 5):
        rows = sample_patterns(one_worker, store_patterns(values, chunks), weighting, seed=seed)
        chosen = sampled(np.arange(56), 14 / 56, seed)
        assert 5 < chosen.sum() < 25
        np.testing.assert_array_equal(rows, images[chosen])
        taken.append(chosen)
    assert np.any(taken[0] != taken[1])


def test_sparse_patterns_give_dense_rows(one_worker, store_patterns):
    # So few counts that rows are read in a sparse form.
    values = counts_of(0.02)
    values[:, :, 1, 1] += 1
    weighting, fitted = setting(values)
    fitted &= values.any(axis=(0, 1))
    source = store_patterns(values, (3, 5))
    assert sp.issparse(source.rows(source.blocks()[0], weighting.valid))
    rows = sample_patterns(one_worker, source, weighting, seed=0)
    np.testing.assert_allclose(rows, weighted_images(values, fitted)[:, fitted], rtol=1e-6)
    assert isinstance(rows, np.ndarray)


def test_patterns_pass_their_filter(one_worker, store_patterns):
    dense = counts_of()
    weighting, fitted = setting(dense, poisson=False)
    source = store_patterns(dense, (3, 5))
    write_mean(one_worker, source.store, "m")
    mean = PatternSource.open(source.store, "mean")
    smooth = mean.stored(mean.blocks()[0], "mean")
    rows = sample_patterns(one_worker, mean, weighting, seed=0)
    np.testing.assert_allclose(rows[0], smooth[0, 0][fitted], rtol=1e-6)
