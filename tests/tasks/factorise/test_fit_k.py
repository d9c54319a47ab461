import numpy as np
import pytest

from orimap.tasks.factorise.fit_k import ReadySketch, fit_components, fit_on_worker, left_out_pixels
from orimap.tasks.factorise.nmf import LowRank, factorise
from orimap.tasks.factorise.sketch import sketch_patterns
from orimap.tasks.factorise.weighting import poisson_weighting
from orimap.tasks.stream.blocks import broadcast

SCAN, DETECTOR = (8, 9), (10, 12)


@pytest.fixture
def truth():
    """Three patterns that do not share pixels, with a beam each, and their weights; no noise."""
    rng = np.random.default_rng(0)
    images = np.zeros((3, *DETECTOR))
    for c in range(3):
        images[c, :, 4 * c : 4 * c + 4] = rng.uniform(1, 5, (10, 4))
    images[:, 4:6, 5:7] = rng.uniform(50, 90, (3, 2, 2))
    weights = rng.gamma(0.5, 10, (72, 3))
    return images, weights


@pytest.fixture
def fitted(one_worker, store_patterns, truth):
    images, weights = truth
    values = np.tensordot(weights, images, 1).reshape(*SCAN, *DETECTOR)
    valid, beam = np.ones((2, *DETECTOR), bool)
    valid[0, 0] = False
    beam[:] = False
    beam[4:6, 5:7] = True
    weighting = poisson_weighting(values.mean(axis=(0, 1)), valid, beam)
    source = store_patterns(values, (3, 9))
    (sketch,) = sketch_patterns(one_worker, source, weighting, 10, seed=0, held_out=False)
    return sketch, weighting


def test_the_sketch_of_three_patterns_has_three_directions(fitted):
    assert len(fitted[0].values) == 3


def test_every_component_gets_the_intensity_of_its_own_beam(fitted, truth):
    sketch, weighting = fitted
    fit = fit_components(ReadySketch.of(sketch, weighting), weighting, 3, (0, 0))
    images = truth[0][:, weighting.valid]
    # Which component is which: the one that lies under the same third of the detector.
    order = [int(fit.images[:, 4 * c + 1].argmax()) for c in range(3)]
    for c, j in enumerate(order):
        unit = fit.images[j] / fit.images[j][weighting.fitted].sum()
        expected = images[c] / images[c][weighting.fitted].sum()
        np.testing.assert_allclose(unit, expected, rtol=2e-2, atol=2e-3)


def test_pixels_left_out_follow_from_the_weights_exactly():
    rng = np.random.default_rng(1)
    weights, patterns, beam = rng.random((40, 3)), rng.random((3, 25)), rng.random((3, 4))
    beam[0, 1] = 0
    left, values, right = np.linalg.svd(weights @ patterns, full_matrices=False)
    left, values, right = left[:, :3].T, values[:3], right[:3]
    ready = ReadySketch(LowRank.of(left, values, right), left, left @ (weights @ beam))
    found = factorise(ready.patterns, 3, start=(patterns, weights.T.copy()))
    scale = found.patterns[:, 0] / patterns[:, 0]
    np.testing.assert_allclose(
        left_out_pixels(ready, found), scale[:, None] * beam, rtol=1e-4, atol=1e-5
    )


def test_without_a_beam_nothing_is_left_out(one_worker, store_patterns, small_scan):
    valid = np.ones((6, 7), bool)
    weighting = poisson_weighting(small_scan.mean(axis=(0, 1)), valid, ~valid)
    source = store_patterns(small_scan)
    (sketch,) = sketch_patterns(one_worker, source, weighting, 20, seed=0, held_out=False)
    fit = fit_components(ReadySketch.of(sketch, weighting), weighting, 2, (0, 0))
    whole = LowRank.of(sketch.left, sketch.values, sketch.right, squares=sketch.squares)
    factors = factorise(whole, 2)
    # The fit is made in single precision.
    np.testing.assert_allclose(fit.images, factors.patterns / weighting.pixel, rtol=2e-5, atol=1e-5)
    assert (fit.iterations, fit.converged) == (factors.iterations, factors.converged)


def test_a_penalty_reaches_the_fit(fitted):
    ready = ReadySketch.of(*fitted), fitted[1]
    free = fit_components(*ready, 3, (0.0, 0.0)).images
    sparse = fit_components(*ready, 3, (0.3, 0.0)).images
    assert np.count_nonzero(sparse == 0) > np.count_nonzero(free == 0)


def test_a_worker_fits_every_sketch_and_returns_what_is_kept(one_worker, fitted):
    sketch, weighting = fitted
    sketches = [ReadySketch.of(one, weighting) for one in (sketch, sketch.truncated(2))]
    shared = broadcast(one_worker, sketches, weighting)

    def keep(k, fits, weighting):
        return k, [fit.images for fit in fits], weighting.poisson

    k, images, poisson = fit_on_worker(one_worker, *shared, 2, (0.0, 0.0), keep)
    assert (k, poisson) == (2, True)
    for found, part in zip(images, sketches, strict=True):
        np.testing.assert_array_equal(found, fit_components(part, weighting, 2, (0, 0)).images)


def test_an_error_on_the_worker_reaches_the_caller(one_worker, fitted):
    sketch, weighting = fitted
    shared = broadcast(one_worker, [ReadySketch.of(sketch, weighting)], weighting)
    with pytest.raises(ValueError, match="needs a sketch of rank 9"):
        fit_on_worker(one_worker, *shared, 9, (0.0, 0.0), lambda *_: None)
