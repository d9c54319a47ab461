from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from orimap.tasks.factorise.exact_pass import Prepared, exact_pass, sampled
from orimap.tasks.factorise.kernels.least_squares import solve_weights
from orimap.tasks.factorise.kernels.predictions import Stack
from orimap.tasks.factorise.weighting import poisson_weighting
from orimap.tasks.patterns.filters import write_mean
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.blocks import Block

SCAN, DETECTOR = (7, 8), (9, 10)
KS = (1, 2, 4)


def counts_of(filled, dtype=np.uint16):
    """Poisson counts of three patterns, with one empty position and one empty pixel."""
    rng = np.random.default_rng(0)
    expected = rng.gamma(0.3, 40, (56, 3)) @ rng.gamma(0.3, 1, (3, 90)) * filled
    values = rng.poisson(expected).reshape(*SCAN, *DETECTOR).astype(dtype)
    values[2, 3] = 0
    values[:, :, 1, 1] = 0
    return values


def setting(values, *, poisson=True):
    """Weighting without some pixels and a beam, and images for every k and for both halves."""
    rng = np.random.default_rng(1)
    valid = rng.random(DETECTOR) < 0.9
    beam = np.zeros(DETECTOR, bool)
    beam[4:6, 4:6] = True
    mean = np.maximum(np.nan_to_num(values, posinf=0, neginf=0), 0).mean(axis=(0, 1))
    weighting = poisson_weighting(mean, valid, beam, poisson=poisson)
    images = [[rng.gamma(0.5, 1, (k, valid.sum())) for k in KS] for _ in range(2)]
    images[0][2][:, 7] = 0  # a pixel that no component reaches
    return weighting, images


def plain_weights(rows, weighting, images):
    """Weights by scipy's NNLS, position by position, in the weighting of the fit."""
    fitted = weighting.fitted
    mean = rows[:, fitted].mean(axis=1)
    weights = np.zeros((len(rows), len(images)))
    residual = np.zeros(len(rows))
    for i, row in enumerate(rows):
        if mean[i] > 0:
            factor = 1 / np.sqrt(mean[i]) if weighting.poisson else 1.0
            matrix = (images * weighting.pixel)[:, fitted].T
            target = (row * weighting.pixel)[fitted] * factor
            solved, norm = nnls(matrix, target)
            weights[i], residual[i] = solved / factor, norm**2
    return weights, residual


def run_pass(client, source, weighting, images, **options):
    """The pass over images that every worker is given."""
    ks = [len(part) for part in images[0]]
    stack_of = partial(stack_of_half, images=images)
    return exact_pass(client, source, weighting, stack_of, ks, held_out=len(images) > 1, **options)


def stack_of_half(half, images):
    return Stack.of(images[half])


def dense(rows):
    return rows.toarray() if sp.issparse(rows) else rows


def whole_rows(source, weighting):
    return dense(source.rows(Block(0, SCAN[0], 0, SCAN[1]), weighting.valid))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 8))
def test_weights_are_those_of_scipy(seed, k):
    rng = np.random.default_rng(seed)
    images = rng.gamma(0.5, 1, (k, 30))
    rows = rng.poisson(rng.gamma(0.3, 3, (6, k)) @ images).astype(float)
    found = solve_weights(images @ rows.T, images @ images.T)
    for position, row in enumerate(rows):
        _, norm = nnls(images.T, row)
        assert np.linalg.norm(row - found[:, position] @ images) <= norm + 1e-5 * (1 + norm)
    expected = np.array([nnls(images.T, row)[0] for row in rows]).T
    if np.linalg.cond(images) < 10:
        np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, expected.max()))


def test_components_that_are_nearly_alike_are_solved_too():
    rng = np.random.default_rng(0)
    first = rng.random(200)
    images = np.stack([first, first + 0.3 * rng.random(200), rng.random(200)])
    assert np.corrcoef(images)[0, 1] > 0.95
    weights = rng.random((5, 3))
    found = solve_weights(images @ (weights @ images).T, images @ images.T)
    np.testing.assert_allclose(found.T, weights, atol=1e-3)


def test_an_empty_component_and_an_empty_position_get_no_weight():
    images = np.array([[1.0, 2.0], [0.0, 0.0]])
    found = solve_weights(images @ np.array([[1.0, 2.0], [0.0, 0.0]]).T, images @ images.T)
    np.testing.assert_allclose(found, [[1, 0], [0, 0]])


def test_a_penalty_on_weights_makes_more_of_them_zero_whoever_is_solved_with_them():
    rng = np.random.default_rng(3)
    images = rng.gamma(0.5, 1, (5, 40))
    numerator = images @ rng.poisson(rng.gamma(0.3, 3, (60, 5)) @ images).T
    gram = images @ images.T
    free, some, many = (solve_weights(numerator, gram, l1) for l1 in (0.0, 0.2, 0.6))
    assert np.count_nonzero(free == 0) < np.count_nonzero(some == 0) < np.count_nonzero(many == 0)
    np.testing.assert_array_equal(free, solve_weights(numerator, gram))
    np.testing.assert_allclose(solve_weights(numerator[:, :7], gram, 0.2), some[:, :7], atol=1e-6)


@pytest.mark.parametrize("filter", ["raw", "mean"])
@pytest.mark.parametrize("filled", [0.01, 1.0])
@pytest.mark.parametrize("poisson", [True, False])
def test_the_pass_is_that_of_plain_numpy(one_worker, store_patterns, filter, filled, poisson):
    values = counts_of(filled)
    weighting, images = setting(values, poisson=poisson)
    source = store_patterns(values, (3, 3))
    write_mean(one_worker, source.store, "mean")
    source = PatternSource.open(source.store, filter)
    passed = run_pass(one_worker, source, weighting, images, seed=5)
    rows = whole_rows(source, weighting)
    train, test = map(dense, source.halves(Block(0, 7, 0, 8), weighting.valid, 5))
    for i in range(len(KS)):
        weights, residual = plain_weights(rows, weighting, images[0][i])
        scale = weights.max()
        np.testing.assert_allclose(passed.weights[i], weights, atol=2e-5 * scale)
        # A difference of sums of products in single precision.
        np.testing.assert_allclose(passed.residual[i], residual, rtol=1e-5, atol=1e-5)
        loss = np.abs(rows - weights @ images[0][i]).sum(axis=1)
        np.testing.assert_allclose(passed.loss[i], loss, rtol=1e-4)
        weights, _ = plain_weights(train, weighting, images[1][i])
        model = weights @ images[1][i]
        deviance = (model - test * np.log(np.maximum(model, 1e-4)))[:, weighting.fitted]
        np.testing.assert_allclose(
            passed.deviance[i], deviance.sum(axis=1), rtol=1e-4, atol=1e-4 * np.abs(deviance).max()
        )


def test_floats_with_faults_are_solved_as_if_the_faults_were_zero(one_worker, store_patterns):
    values = counts_of(0.3, np.float32) / 7
    values[0, 0, 2, 2], values[1, 1, 3, 3], values[2, 2, 6, 6] = np.nan, np.inf, -5
    weighting, images = setting(values)
    mended = np.maximum(np.nan_to_num(values, posinf=0), 0)
    found, expected = (
        run_pass(one_worker, store_patterns(v, (2, 5)), weighting, images[:1], seed=0)
        for v in (values, mended)
    )
    for i in range(len(KS)):
        np.testing.assert_array_equal(found.weights[i], expected.weights[i])
    np.testing.assert_array_equal(found.loss, expected.loss)
    assert np.isfinite(found.residual).all()
    assert found.deviance is None


@pytest.mark.parametrize("l1", [0.0, 0.3])
def test_blocks_and_batches_do_not_change_the_pass(one_worker, store_patterns, monkeypatch, l1):
    values = counts_of(0.3)
    weighting, images = setting(values)

    def run(shape):
        source = store_patterns(values, shape)
        return run_pass(one_worker, source, weighting, images, seed=5, l1_weights=l1)

    expected = run(SCAN)
    for shape in ((1, 1), (3, 5)):
        found = run(shape)
        for name in ("loss", "residual", "deviance"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-4)
        for a, b in zip(found.weights, expected.weights, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * b.max())
    monkeypatch.setattr("orimap.tasks.patterns.source.BATCH_BYTES", 3 * 8 * 90)
    np.testing.assert_allclose(run(SCAN).residual, expected.residual, rtol=1e-4)


def test_one_and_two_workers_give_the_same_pass_to_the_last_bit(client, one_worker, store_patterns):
    values = counts_of(0.3)
    weighting, images = setting(values)
    source = store_patterns(values, (2, 4))
    # This process first: what it compiles, the workers take from the cache. Loops that several
    # processes compile at once may differ in their last bits.
    first, second = (
        run_pass(where, source, weighting, images, seed=5) for where in (one_worker, client)
    )
    for name in ("loss", "residual", "deviance"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(np.hstack(first.weights), np.hstack(second.weights))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_a_sample_has_its_share_in_every_column(share, seed):
    chosen = sampled(np.arange(128 * 128), share, seed).reshape(128, 128)
    error = np.sqrt(share * (1 - share) / chosen.size)
    assert chosen.mean() == pytest.approx(share, abs=4 * error)
    # No column or row of the scan stands out: five standard errors of a line of 128.
    for axis in (0, 1):
        assert np.abs(chosen.mean(axis=axis) - share).max() < 5 * error * np.sqrt(128)


def test_a_sample_belongs_to_position_and_seed():
    whole = sampled(np.arange(1000), 0.4, 3)
    np.testing.assert_array_equal(sampled(np.arange(250, 400), 0.4, 3), whole[250:400])
    assert np.any(sampled(np.arange(1000), 0.4, 4) != whole)
    assert sampled(np.arange(10), 1.0, 0).all()


def test_a_sampled_loss_lies_within_its_error_of_the_exact_one(
    one_worker, store_patterns, monkeypatch
):
    values = np.random.default_rng(2).poisson(1.0, (40, 40, 5, 6)).astype(np.uint8)
    valid = np.ones((5, 6), bool)
    weighting = poisson_weighting(values.mean(axis=(0, 1)), valid, ~valid)
    images = [[np.random.default_rng(3).random((2, 30))]]
    source = store_patterns(values, (9, 40))
    exact = run_pass(one_worker, source, weighting, images, seed=0, entries=1e3)
    assert not np.isnan(exact.loss).any()
    monkeypatch.setattr("orimap.tasks.factorise.exact_pass.LOSS_ENTRIES", 10_000)
    part = run_pass(one_worker, source, weighting, images, seed=0, entries=48_000 * 0.63)
    chosen = ~np.isnan(part.loss[0])
    assert chosen.mean() == pytest.approx(0.33, abs=0.05)
    np.testing.assert_array_equal(part.loss[0][chosen], exact.loss[0][chosen])
    error = part.loss[0][chosen].std() / np.sqrt(chosen.sum())
    assert abs(part.loss[0][chosen].mean() - exact.loss.mean()) < 4 * error
    np.testing.assert_array_equal(part.residual, exact.residual)


@pytest.mark.parametrize("filled", [0.02, 1.0])
def test_a_task_holds_no_array_of_positions_times_pixels_times_components(
    store_patterns, monkeypatch, filled
):
    import tracemalloc

    from orimap.tasks.factorise.exact_pass import _hold_out, _solve_and_score

    rng = np.random.default_rng(0)
    values = (rng.poisson(1.0, (16, 16, 64, 64)) * (rng.random((64, 64)) < filled)).astype("u1")
    valid = np.ones((64, 64), bool)
    weighting = poisson_weighting(values.mean(axis=(0, 1)), valid, ~valid)
    prepared = Prepared.of(Stack.of([rng.random((k, 4096)) for k in (3, 6, 9)]), weighting)
    batch = 32 * 4096 * 8
    monkeypatch.setattr("orimap.tasks.patterns.source.BATCH_BYTES", batch)
    source = store_patterns(values)
    for work, more in ((_solve_and_score, (0, 0.0, 1.0)), (_hold_out, (0, 0.0))):
        asked = (source.blocks(), source, weighting, prepared, *more)
        work(*asked)
        tracemalloc.start()
        work(*asked)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # Rows, weighted rows and halves, in single precision and compressed.
        assert peak < 7 * batch + 2 * values.nbytes, work


def test_a_fit_comes_out_the_same_whatever_has_the_other_places(store_patterns, one_worker):
    """To the last bit, as long as these are the same: so a run that was killed goes on."""
    values = counts_of(0.3)
    weighting, images = setting(values)
    source = store_patterns(values, (3, 3))
    whole = run_pass(one_worker, source, weighting, images, seed=0)
    rng = np.random.default_rng(5)
    others = [
        [part if n == 1 else rng.random(part.shape) for n, part in enumerate(half)]
        for half in images
    ]
    one = run_pass(one_worker, source, weighting, others, seed=0).take([1])
    kept = whole.take([1])
    np.testing.assert_array_equal(one.weights[0], kept.weights[0])
    for name in ("loss", "residual", "deviance"):
        np.testing.assert_array_equal(getattr(one, name), getattr(kept, name))
    assert len(kept.weights) == len(kept.loss) == 1
