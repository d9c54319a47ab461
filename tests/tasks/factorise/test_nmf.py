import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from orimap.tasks.factorise.exact_pass import exact_pass
from orimap.tasks.factorise.fit_k import ReadySketch, fit_components
from orimap.tasks.factorise.kernels.predictions import Stack
from orimap.tasks.factorise.nmf import (
    FAR_APART,
    SWEEPS,
    TILE,
    Half,
    LowRank,
    balance,
    factorise,
    in_tiles,
    nndsvd,
)
from orimap.tasks.factorise.sketch import sketch_patterns
from orimap.tasks.factorise.weighting import poisson_weighting
from orimap.tasks.patterns.beam.region import direct_beam_region
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.scan import plan_scan
from orimap.tasks.stream.blocks import Block
from orimap.tasks.stream.sizes import sketch_rank


def decompose(matrix):
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return np.ascontiguousarray(left.T), values, right


def mixture(k, positions, pixels, seed, noise=0.05):
    rng = np.random.default_rng(seed)
    matrix = rng.gamma(0.5, 1, (positions, k)) @ rng.gamma(0.5, 1, (k, pixels))
    return matrix + noise * rng.random(matrix.shape)


def error_of(factors, matrix):
    return np.linalg.norm(matrix - factors.weights.T @ factors.patterns)


def improved(factor, other, V, l1=0.0, times=1):
    """Improve a factor (k, m) for another one (k, n) and patterns V (n, m), l = n directions."""
    # V itself as a basis of its rows, and positions as a basis of the other factor's columns.
    mine = Half.of(factor, in_tiles(V, float), l1)
    its = Half.of(other, in_tiles(np.eye(len(V)), float), 0.0)
    for _ in range(times):
        mine.improve(its)
    return mine


def test_an_iteration_solves_one_component_in_closed_form():
    other = np.array([[1.0, 2.0, 2.0]])
    V = np.array([[1.0, -3.0], [2.0, 1.0], [0.5, 0.0]])
    factor = np.full((1, 2), 5.0)
    np.testing.assert_allclose(improved(factor, other, V).whole(), [[6 / 9, 0]])
    # The mean size of the products 6 and -1 is 3.5, of which three sevenths are 1.5.
    penalised = improved(factor, other, V, l1=3 / 7).whole()
    np.testing.assert_allclose(penalised, [[4.5 / 9, 0]])


def test_a_component_without_weights_is_left_alone():
    factor = np.array([[1.0, 2.0], [3.0, 4.0]])
    other = np.array([[1.0, 0.0], [0.0, 0.0]])
    found = improved(factor, other, np.full((2, 2), 2.0)).whole()
    np.testing.assert_array_equal(found, [[2, 2], [3, 4]])


@pytest.mark.parametrize("size", [1, TILE - 1, TILE, TILE + 1, 2 * TILE + 76])
@pytest.mark.parametrize("l1", [0.0, 0.2])
def test_an_iteration_does_not_depend_on_how_it_is_cut_in_tiles(size, l1):
    rng = np.random.default_rng(size)
    start, other = rng.random((3, size)), rng.random((3, 8))
    V = rng.random((8, size))
    expected = start.copy()
    gram, numerator = other @ other.T, other @ V
    numerator -= l1 * np.abs(numerator).mean()
    for _ in range(2 * SWEEPS):
        for j in range(3):
            rest = numerator[j] - gram[j] @ expected + gram[j, j] * expected[j]
            expected[j] = np.maximum(rest / gram[j, j], 0)
    half = improved(start, other, V, l1, times=2)
    np.testing.assert_allclose(half.whole(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(half.products.mixed, expected @ V.T)
    np.testing.assert_allclose(half.products.gram, expected @ expected.T)


def test_nndsvd_takes_the_half_that_holds_more():
    # Second pair: positive halves of norm 3/5 and 0, negative ones of 4/5 and 1.
    left = np.array([[0.8, 0.6], [0.6, -0.8]])
    right = np.array([[0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
    patterns, weights = nndsvd(LowRank.of(left, np.array([4.0, 1.0]), right), 2)
    V = left.T @ np.diag([4.0, 1.0]) @ right
    fill = V.mean()
    # The negative half: u- = (0, .8), v- = (0, 0, 1), held .8, so both get length sqrt(.8).
    np.testing.assert_allclose(weights, [[1.6, 1.2], [fill, np.sqrt(0.8)]])
    np.testing.assert_allclose(patterns, [[1.2, 1.6, fill], [fill, fill, np.sqrt(0.8)]])


@pytest.mark.parametrize("signs", [(-1, 1, 1, 1), (1, -1, 1, -1), (-1, -1, -1, -1)])
def test_nndsvd_does_not_depend_on_the_signs_of_the_singular_vectors(signs):
    left, values, right = decompose(mixture(4, 30, 20, 0))
    expected = nndsvd(LowRank.of(left, values, right), 4)
    turn = np.array([*signs, *[1] * (len(values) - 4)])[:, None]
    turned = LowRank.of(left * turn, values, right * turn)
    for found, wanted in zip(nndsvd(turned, 4), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_nndsvd_is_that_of_scikit_learn_where_the_mean_is_filled_in():
    from sklearn.decomposition._nmf import _initialize_nmf

    matrix = mixture(4, 60, 50, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights, patterns = _initialize_nmf(matrix, 4, init="nndsvda", random_state=0)
    found_patterns, found_weights = nndsvd(LowRank.of(*decompose(matrix)), 4)
    np.testing.assert_allclose(found_patterns, patterns, rtol=1e-6)
    np.testing.assert_allclose(found_weights.T, weights, rtol=1e-6)


@pytest.mark.parametrize("shape", [(40, 30), (TILE, 30), (TILE, TILE)])
def test_one_component_is_the_leading_singular_pair(shape):
    matrix = mixture(3, *shape, 1)
    left, values, right = decompose(matrix)
    patterns = LowRank.of(left, values, right)
    before = patterns.positions.copy(), patterns.pixels.copy()
    factors = factorise(patterns, 1)
    for kept, part in zip(before, (patterns.positions, patterns.pixels), strict=True):
        np.testing.assert_array_equal(kept, part)
    expected = values[0] * np.outer(left[0], right[0])
    np.testing.assert_allclose(factors.weights.T @ factors.patterns, expected, rtol=1e-4)
    assert factors.converged


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6))
def test_factors_are_non_negative_and_the_error_never_rises(seed, k):
    matrix = mixture(4, 25, 35, seed, noise=0.5)
    svd = decompose(matrix)
    errors = []
    for iterations in (1, 2, 3, 5, 8, 13, 30):
        factors = factorise(LowRank.of(*svd), k, tolerance=0, max_iterations=iterations)
        assert factors.patterns.min() >= 0
        assert factors.weights.min() >= 0
        errors.append(error_of(factors, matrix))
        relative = errors[-1] / np.linalg.norm(matrix)
        assert factors.relative_error == pytest.approx(relative, abs=1e-7)
    assert np.all(np.diff(errors) <= 1e-9 * errors[0])


def test_separable_patterns_are_found_exactly():
    rng = np.random.default_rng(0)
    weights = np.concatenate([np.eye(3), rng.random((40, 3))])
    patterns = np.concatenate([np.eye(3), rng.random((3, 30))], axis=1)
    factors = factorise(
        LowRank.of(*decompose(weights @ patterns)), 3, tolerance=1e-16, max_iterations=20_000
    )
    order = factors.patterns[:, :3].argmax(axis=1)
    unit = factors.patterns / factors.patterns.sum(axis=1, keepdims=True)
    expected = patterns / patterns.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(unit, expected[order], atol=2e-3)


def test_a_fit_starts_where_it_is_told_to_and_leaves_that_alone():
    svd = decompose(mixture(3, 20, 15, 2))
    start = nndsvd(LowRank.of(*svd), 3)
    before = [part.copy() for part in start]
    first = factorise(LowRank.of(*svd), 3, start=start)
    np.testing.assert_array_equal(first.patterns, factorise(LowRank.of(*svd), 3).patterns)
    for part, kept in zip(start, before, strict=True):
        np.testing.assert_array_equal(part, kept)
    again = factorise(LowRank.of(*svd), 3, start=(first.patterns, first.weights))
    assert again.iterations <= 10


def test_the_same_input_gives_the_same_factors_to_the_last_bit():
    svd = decompose(mixture(5, 40, 600, 4))
    first, second = factorise(LowRank.of(*svd), 5), factorise(LowRank.of(*svd), 5)
    np.testing.assert_array_equal(first.patterns, second.patterns)
    np.testing.assert_array_equal(first.weights, second.weights)


def test_balanced_factors_have_equal_norms_and_the_same_product():
    rng = np.random.default_rng(0)
    patterns, weights = rng.random((3, 7)), 50 * rng.random((3, 9))
    patterns[1] = 0
    before = weights.T @ patterns
    halves = [
        Half.of(one, in_tiles(rng.random((5, one.shape[1])), float), 0.0)
        for one in (patterns, weights)
    ]
    balance(*halves)
    images, scans = (half.whole() for half in halves)
    np.testing.assert_allclose(scans.T @ images, before)
    for j in (0, 2):
        assert np.linalg.norm(images[j]) == pytest.approx(np.linalg.norm(scans[j]))
    for half in halves:
        np.testing.assert_allclose(half.products.gram, half.whole() @ half.whole().T)
        np.testing.assert_allclose(
            half.products.mixed, half.whole() @ half.basis[0, :, : half.columns].T
        )


def test_a_component_that_drifts_does_not_overflow_in_single_precision():
    rng = np.random.default_rng(0)
    matrix = rng.poisson(mixture(3, 40, 60, 0, noise=1.0)).astype(float)
    start = nndsvd(LowRank.of(*decompose(matrix)), 3)
    # The first component starts next to nothing in one factor and huge in the other.
    scale = np.array([[2.0**60], [1.0], [1.0]])
    start = start[0] * scale, start[1] / scale
    patterns = LowRank.of(*decompose(matrix), kind=np.float32)
    found = factorise(patterns, 3, start=tuple(f.astype(np.float32) for f in start))
    for factor in (found.patterns, found.weights):
        assert np.isfinite(factor).all()
    norms = [np.linalg.norm(factor, axis=1) for factor in (found.patterns, found.weights)]
    assert (np.maximum(*norms) < FAR_APART * np.minimum(*norms)).all()
    plain = factorise(LowRank.of(*decompose(matrix)), 3)
    assert found.relative_error == pytest.approx(plain.relative_error, rel=1e-3)


def test_empty_positions_and_pixels_get_nothing():
    matrix = mixture(3, 20, 15, 2)
    matrix[4] = 0
    matrix[:, 7] = 0
    factors = factorise(LowRank.of(*decompose(matrix)), 3)
    np.testing.assert_array_equal(factors.weights[:, 4] < 1e-9, True)
    np.testing.assert_array_equal(factors.patterns[:, 7] < 1e-9, True)


def test_more_components_than_directions_are_refused():
    with pytest.raises(
        ValueError, match="a fit of 4 components needs a sketch of rank 4; it has 3"
    ):
        factorise(LowRank.of(*decompose(mixture(3, 3, 9, 0))), 4)


def test_a_penalty_makes_its_factor_sparser():
    svd = decompose(mixture(4, 60, 50, 5, noise=0.3))
    free = factorise(LowRank.of(*svd), 4)
    none = factorise(LowRank.of(*svd), 4, l1_patterns=0.0, l1_weights=0.0)
    np.testing.assert_array_equal(none.patterns, free.patterns)
    np.testing.assert_array_equal(none.weights, free.weights)
    zeros = [
        [np.count_nonzero(getattr(factorise(LowRank.of(*svd), 4, **{f"l1_{name}": l1}), name) == 0)]
        for name in ("patterns", "weights")
        for l1 in (0, 0.1, 0.3)
    ]
    patterns, weights = np.ravel(zeros)[:3], np.ravel(zeros)[3:]
    assert patterns[0] < patterns[1] < patterns[2]
    assert weights[0] < weights[1] < weights[2]


GRAINS = 4
BEYOND = (GRAINS + 2, GRAINS + 5)
KS = (*range(1, GRAINS + 1), *BEYOND)


@pytest.fixture(scope="module")
def simulated():
    recipe = ScanRecipe(scan=(20, 20), detector=(48, 48), grains=GRAINS, dose=3000, seed=3)
    return plan_scan(recipe).patterns(slice(None))


def weighted(rows):
    """Rows over the roots of their row means; the pixels' part follows from all counts."""
    factor = 1 / np.sqrt(rows.mean(axis=1, keepdims=True))
    return rows * factor, factor


def held_out_deviance(patterns, weights, test):
    model = weights @ patterns
    return (model.sum(axis=1) - (test * np.log(np.maximum(model, 1e-4))).sum(axis=1)).mean()


def test_fits_agree_with_scikit_learn_up_to_the_rank_and_predict_no_worse_beyond(
    one_worker, tmp_path_factory, simulated
):
    import zarr
    from scipy.optimize import nnls
    from sklearn.decomposition import NMF

    from orimap.tasks.patterns.source import PatternSource

    store = tmp_path_factory.mktemp("simulated") / "patterns.zarr"
    group = zarr.open_group(store, path="raw", mode="w", zarr_format=3)
    group.create_array("pattern_intensity", data=simulated, chunks=(5, 20, 48, 48))
    source = PatternSource.open(store, "raw")
    valid, mean = np.ones((48, 48), bool), simulated.mean(axis=(0, 1))
    beam, _ = direct_beam_region(mean, valid)
    weighting = poisson_weighting(mean, valid, beam)
    rank = sketch_rank(max(KS), 400, 48 * 48)
    sketches = sketch_patterns(one_worker, source, weighting, rank, seed=0, held_out=True)
    ready = [ReadySketch.of(sketch, weighting) for sketch in sketches]
    fits = [[fit_components(sketch, weighting, k, (0, 0)) for k in KS] for sketch in ready]
    images = [[fit.images for fit in half] for half in fits]
    passed = exact_pass(
        one_worker,
        source,
        weighting,
        lambda half: Stack.of(images[half]),
        KS,
        held_out=True,
        seed=0,
    )
    ours = np.sqrt(passed.residual.sum(axis=1) / sketches[0].squares)

    def scikit(matrix, k):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return NMF(k, init="nndsvda", solver="cd", max_iter=1000, tol=1e-5).fit(matrix)

    fitted = weighting.fitted
    pixel = weighting.pixel[fitted]
    rows = simulated.reshape(400, -1)[:, fitted].astype(float)
    matrix = weighted(rows)[0] * pixel
    for i, k in enumerate(KS[:GRAINS]):
        reference = scikit(matrix, k).reconstruction_err_ / np.linalg.norm(matrix)
        # Measured: within 3e-5.
        assert ours[i] == pytest.approx(reference, rel=1e-3)

    train, test = (
        (half.toarray() if sp.issparse(half) else half)[:, fitted]
        for half in source.halves(Block(0, 20, 0, 20), valid, 0)
    )
    matrix, factor = weighted(train)
    matrix = matrix * pixel
    for i, k in enumerate(KS):
        if k in BEYOND:
            components = scikit(matrix, k).components_
            weights = np.array([nnls(components.T, row)[0] for row in matrix])
            reference = held_out_deviance(components / pixel, weights / factor, test)
            components = images[1][i][:, fitted] * pixel
            weights = np.array([nnls(components.T, row)[0] for row in matrix])
            found = held_out_deviance(components / pixel, weights / factor, test)
            assert found <= reference
            # And the pass over the patterns scores as plain NumPy does, in single precision.
            assert passed.deviance[i].mean() == pytest.approx(found, rel=1e-5)


FIRST_FIT = """
import numpy as np
from orimap.tasks.factorise.nmf import LowRank, factorise

rng = np.random.default_rng(0)
mixed = rng.random((108, 6)) @ rng.random((6, 900)) + 0.1 * rng.random((108, 900))
left, values, right = np.linalg.svd(mixed, full_matrices=False)
patterns = LowRank.of(np.ascontiguousarray(left.T)[:20], values[:20], right[:20], kind=np.float32)
found = factorise(patterns, 4, max_iterations=10)
print(found.patterns.tobytes().hex(), found.weights.tobytes().hex())
"""


@pytest.mark.slow
def test_the_first_fit_after_installation_is_that_of_later_ones_to_the_last_bit(tmp_path):
    once, again = (
        subprocess.run(
            [sys.executable, "-c", FIRST_FIT],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    )
    assert [*tmp_path.rglob("*.nbi")]
    assert once == again
    assert len(once) > 8 * 4 * 900
