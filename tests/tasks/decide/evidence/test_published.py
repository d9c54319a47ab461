import numpy as np
import pytest
from sklearn.decomposition import non_negative_factorization

from orimap.tasks.decide.components.metrics import pair_metrics
from orimap.tasks.decide.evidence import published
from orimap.tasks.decide.evidence.published import (
    MOST_POSITIONS,
    check_size,
    fit_kullback_leibler,
    most_votes,
    published_fits,
    published_ks,
    read_published,
    resized,
    small_images,
)
from orimap.tasks.errors import InputError
from orimap.tasks.store import variables

SIDE = 16


@pytest.fixture
def patterns(store_patterns):
    """5 × 6 mixtures of three patterns, in blocks that do not divide the scan."""
    rng = np.random.default_rng(3)
    parts = rng.gamma(0.3, 1, (3, 18, 20))
    shares = rng.dirichlet([0.3] * 3, (5, 6))
    counts = rng.poisson(50 * np.tensordot(shares, parts, axes=1)).astype(np.uint16)
    return store_patterns(counts, (2, 4))


def kullback_leibler(v, model):
    """The divergence that the fit lowers, entry by entry."""
    filled = v > 0
    return np.sum(v[filled] * np.log(v[filled] / model[filled])) - v.sum() + model.sum()


def test_a_fit_lowers_the_divergence_to_where_scikit_learn_takes_it_in_double_precision():
    rng = np.random.default_rng(0)
    images = rng.gamma(0.5, 1, (40, 3)) @ rng.gamma(0.3, 1, (3, 64))
    images = (images / images.max()).astype(np.float32)
    fit = fit_kullback_leibler(images, 3, seed=1)
    assert fit.components.shape == (3, 64)
    weights, *_ = non_negative_factorization(
        images.astype(float), H=fit.components.astype(float), update_H=False, n_components=3,
        init="custom", solver="mu", beta_loss="kullback-leibler", max_iter=2000, tol=1e-8,
    )  # fmt: skip
    model = weights @ fit.components
    one = np.outer(images.sum(axis=1), images.sum(axis=0)) / images.sum()
    assert kullback_leibler(images, model) < 0.05 * kullback_leibler(images, one)
    assert fit.loss == pytest.approx(np.abs(images - model).mean(), rel=0.05)


def test_the_start_follows_from_the_seed_and_k():
    images = np.random.default_rng(0).random((20, 30), np.float32)
    first, again, other = (fit_kullback_leibler(images, 2, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.components, again.components)
    assert not np.allclose(first.components, other.components)


@pytest.mark.parametrize(
    ("positions", "pixels", "ks"),
    [(100, 400, (3, 20)), (7, 400, (3, 7)), (100, 4, (3, 4)), (2, 400, (2, 2)), (1, 9, (1, 1))],
)
def test_k_runs_from_three_to_twenty_or_as_far_as_the_scan_allows(positions, pixels, ks):
    found = published_ks(positions, pixels)
    assert (found[0], found[-1]) == ks


def test_images_are_squares_on_one_scale_in_the_order_of_the_scan(client, patterns):
    valid = np.ones(patterns.detector_shape, bool)
    valid[4, 5] = False
    images = small_images(client, patterns, valid, side=SIDE)
    stored = patterns.stored(patterns.blocks()[0], "raw")
    assert images.shape == (30, SIDE**2)
    assert (images.min() >= 0, images.max()) == (True, 1)
    expected = resized(np.where(valid, stored[1, 2], 0)[None], SIDE).ravel()
    np.testing.assert_allclose(images[8] * expected.sum(), expected * images[8].sum(), rtol=1e-5)


def test_an_image_that_grows_keeps_its_values_and_one_that_shrinks_its_mean():
    image = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_allclose(resized(image, 4), image)
    assert resized(image, 8).mean() == pytest.approx(image.mean())
    flat = np.full((1, 40, 30), 3.0)
    np.testing.assert_allclose(resized(flat, 8), 3, rtol=1e-5)


def test_fits_are_stored_with_what_the_rule_looks_at(client, patterns):
    valid = np.ones(patterns.detector_shape, bool)
    seen = []
    ds = published_fits(
        client, patterns, valid, seed=0, side=SIDE, progress=lambda *done: seen.append(done)
    )
    assert seen[-1] == (18, 18)
    assert (ds.attrs["paired_k"], len(ds.attrs["iterations"])) == (12, 18)
    component = variables.component_pattern.read(ds).values
    assert component.shape == (12, SIDE, SIDE)
    np.testing.assert_allclose(component.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert all(array.attrs["units"] for array in ds.data_vars.values())
    found = read_published(ds)
    np.testing.assert_array_equal(found.ks, np.arange(3, 21))
    assert found.loss[0] > found.loss[-1] > 0
    for name, matrix in pair_metrics(component.astype(float)).items():
        np.testing.assert_allclose(found.metrics[name], matrix, atol=1e-4)
    assert set(found.votes()) == {"ssim", "gmsd", "mdsi", "psnr"}


def test_patterns_below_the_window_of_ssim_have_three_votes(client, patterns):
    valid = np.ones(patterns.detector_shape, bool)
    found = read_published(published_fits(client, patterns, valid, seed=0, side=8))
    assert set(found.votes()) == {"gmsd", "mdsi", "psnr"}


def test_a_scan_of_four_positions_compares_the_largest_fit_there_is(client, store_patterns):
    counts = np.random.default_rng(0).poisson(5, (2, 2, 12, 12)).astype(np.uint16)
    source = store_patterns(counts)
    found = read_published(
        published_fits(client, source, np.ones((12, 12), bool), seed=0, side=SIDE)
    )
    assert (list(found.ks), found.paired_k) == ([3, 4], 4)
    assert all(1 <= vote <= 4 for vote in found.votes().values())


def test_a_scan_that_does_not_fit_in_memory_is_refused_with_what_it_would_take():
    check_size((64, 64))
    with pytest.raises(InputError) as error:
        check_size((64, 65))
    assert f"at most {MOST_POSITIONS} scan positions" in error.value.needed
    # Five arrays of 4160 images of 128² single-precision pixels.
    assert error.value.found == "64 x 65 = 4160, which would take 1.4 GB a worker"
    assert "--roi" in error.value.remedy


def test_most_votes_win_and_the_first_of_several():
    assert most_votes({"ssim": 3, "gmsd": 5, "mdsi": 5, "psnr": 3}) == 3
    assert most_votes({"ssim": 3, "gmsd": 5, "mdsi": 5}) == 5
    assert most_votes({"gmsd": 7}) == 7


def test_memory_is_foreseen_for_every_worker():
    one, two = (published.predict_published_bytes((64, 64), workers=w) for w in (1, 2))
    assert two - one == published.WORKER_BASE_BYTES + published.fit_bytes(4096)
