import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orimap.tasks.patterns.corners import outside_inscribed_circle
from orimap.tasks.patterns.noise import (
    MOST_POSITIONS,
    Noise,
    cluster_noise,
    noise_deviations,
    robust_deviation,
    sampled_labels,
)

SIDE = 96
ALL = np.ones((SIDE, SIDE), bool)


def with_reflections(background, spots, rng):
    """Expected patterns: discs of 2 px, some outshining the background a thousandfold."""
    y, x = np.mgrid[:SIDE, :SIDE]
    expected = np.full((SIDE, SIDE), float(background))
    for _ in range(spots):
        row, column = rng.uniform(0, SIDE, 2)
        expected[np.hypot(y - row, x - column) < 2] += rng.exponential(30 * max(1, background))
    return expected


def test_whole_is_the_deviation_about_the_mean_of_valid_pixels():
    image = np.array([[[1.0, 3.0], [5.0, 1000.0]]])
    valid = np.array([[True, True], [True, False]])
    assert noise_deviations(image, valid).whole == pytest.approx([np.sqrt(8 / 3)])


def test_the_corners_begin_where_the_inscribed_circle_ends():
    outside = outside_inscribed_circle((8, 8))
    np.testing.assert_array_equal(outside[0], [1, 1, 0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(outside[3], np.zeros(8))
    # The circle is inscribed in the shorter side.
    assert outside_inscribed_circle((4, 12))[:, :3].all()


def test_corner_noise_sees_the_corners_alone():
    rng = np.random.default_rng(0)
    images = rng.normal(3, 2, (5, SIDE, SIDE))
    corners = outside_inscribed_circle((SIDE, SIDE))
    images[:, ~corners] = 1e6
    found = noise_deviations(images, ALL)
    # Two standard errors of a deviation from 1,970 pixels.
    np.testing.assert_allclose(found.corner, 2, rtol=2 * 2 / np.sqrt(2 * corners.sum()) + 0.02)


def test_a_detail_is_half_the_difference_of_two_diagonals():
    image = np.array([[[5.0, 2.0], [1.0, 4.0]]])
    assert robust_deviation(image, np.ones((2, 2), bool)) == pytest.approx([3])


@pytest.mark.parametrize("slope", [(0, 0), (3, 0), (0, -2), (1.5, 0.25)])
def test_slopes_are_no_noise(slope):
    y, x = np.mgrid[:SIDE, :SIDE]
    image = slope[0] * y + slope[1] * x + 7.0
    np.testing.assert_allclose(robust_deviation(image[None], ALL), 0, atol=1e-10)


@settings(max_examples=10, deadline=None)
@given(sigma=st.floats(1e-3, 1e3), mean=st.floats(-10, 10), seed=st.integers(0, 2**32 - 1))
def test_all_three_find_the_deviation_of_white_gaussian_noise(sigma, mean, seed):
    images = np.random.default_rng(seed).normal(mean, sigma, (20, SIDE, SIDE))
    for values in noise_deviations(images, ALL):
        assert values.mean() == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("electrons", [0.05, 0.1, 0.3, 1, 3, 30])
def test_counts_are_as_noisy_as_the_root_of_their_mean(electrons):
    counts = np.random.default_rng(1).poisson(electrons, (40, SIDE, SIDE)).astype(np.uint16)
    for values in noise_deviations(counts, ALL):
        assert values.mean() == pytest.approx(np.sqrt(electrons), rel=0.04)


@pytest.mark.parametrize("electrons", [0.05, 0.3, 5])
def test_reflections_do_not_raise_robust_noise_where_they_raise_the_others(electrons):
    rng = np.random.default_rng(2)
    expected = np.stack([with_reflections(electrons, 30, rng) for _ in range(30)])
    found = noise_deviations(rng.poisson(expected), ALL)
    assert found.robust.mean() == pytest.approx(np.sqrt(electrons), rel=0.06)
    assert found.whole.mean() > 3 * np.sqrt(electrons)
    assert found.corner.mean() > 1.5 * np.sqrt(electrons)


def test_the_mean_of_nine_patterns_has_a_third_of_the_noise():
    counts = np.random.default_rng(3).poisson(0.05, (9 * 20, SIDE, SIDE))
    mean = counts.reshape(20, 9, SIDE, SIDE).mean(axis=1)
    assert robust_deviation(mean, ALL).mean() == pytest.approx(np.sqrt(0.05) / 3, rel=0.03)


def test_discs_on_nothing_have_no_robust_noise():
    rng = np.random.default_rng(4)
    images = np.stack([with_reflections(0, 20, rng) for _ in range(5)])
    found = noise_deviations(images, ALL)
    np.testing.assert_array_equal(found.robust, 0)
    assert np.all(found.whole > 0)


@pytest.mark.parametrize("shape", [(6, 7), (9, 40), (97, 61), (2, 2), (3, 200)])
def test_any_shape_of_detector_has_all_its_cells_measured(shape):
    images = np.random.default_rng(5).normal(0, 2, (500, *shape))
    found = robust_deviation(images, np.ones(shape, bool))
    # Of a few details, the quieter ones are taken for the background. Above: three standard
    # errors of 500 details, the fewest.
    assert 0.5 < np.sqrt(np.mean(found**2)) / 2 < 1 + 3 / np.sqrt(2 * 500)
    assert np.isfinite(found).all()


def test_pixels_that_are_not_valid_change_nothing():
    rng = np.random.default_rng(6)
    images = rng.normal(0, 2, (20, SIDE, SIDE))
    valid = rng.random((SIDE, SIDE)) < 0.95
    valid[:30, 40:] = False
    wild = np.where(valid, images, 1e9)
    for a, b in zip(noise_deviations(images, valid), noise_deviations(wild, valid), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.mean() == pytest.approx(2, rel=0.05)


def test_what_cannot_be_measured_is_nan():
    valid = ~outside_inscribed_circle((SIDE, SIDE))
    found = noise_deviations(np.zeros((2, SIDE, SIDE)), valid)
    assert np.isnan(found.corner).all()
    assert np.isfinite(found.whole).all()
    for shape in ((1, 5), (4, 4)):
        nothing = noise_deviations(np.ones((3, *shape)), np.zeros(shape, bool))
        assert all(np.isnan(values).all() and values.shape == (3,) for values in nothing)


@settings(max_examples=20, deadline=None)
@example(scale=49.171875, seed=52)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 2**32 - 1))
def test_noise_has_the_unit_of_the_patterns(scale, seed):
    counts = np.random.default_rng(seed).poisson(0.2, (2, 24, 30)).astype(float)
    valid = np.ones((24, 30), bool)
    one, other = noise_deviations(counts, valid), noise_deviations(scale * counts, valid)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(scale * a, b, rtol=1e-9)


@pytest.mark.parametrize("blocks", [(1, 1), (2, 3), (4, 5)])
def test_a_cluster_has_the_mean_noise_of_its_patterns(
    one_worker, store_patterns, small_scan, blocks
):
    label = np.random.default_rng(0).integers(-1, 3, small_scan.shape[:2])
    valid = np.random.default_rng(1).random(small_scan.shape[2:]) < 0.9
    found = cluster_noise(one_worker, store_patterns(small_scan, blocks), label, 4, valid)
    each = noise_deviations(small_scan.reshape(-1, *valid.shape), valid)
    for kind in Noise._fields:
        for cluster in range(3):
            expected = getattr(each, kind)[label.ravel() == cluster].mean()
            assert getattr(found, kind)[cluster] == pytest.approx(expected, rel=1e-12)
        assert np.isnan(getattr(found, kind)[3])


def test_large_clusters_are_sampled_and_small_ones_are_not():
    label = np.repeat([-1, 0, 1], [5, MOST_POSITIONS + 700, 30]).reshape(-1, 1)
    found = sampled_labels(label, 3)
    kept = found >= 0
    np.testing.assert_array_equal(found[kept], label[kept])
    assert np.bincount(found[kept]).tolist() == [MOST_POSITIONS, 30]
    # From all over the cluster: the mean place is that of the cluster within three errors.
    places = np.flatnonzero(found == 0)
    middle, spread = (MOST_POSITIONS + 700) / 2 + 5, (MOST_POSITIONS + 700) / np.sqrt(12)
    assert abs(places.mean() - middle) < 3 * spread / np.sqrt(MOST_POSITIONS)
    np.testing.assert_array_equal(found, sampled_labels(label, 3))


def test_progress_ends_with_the_last_block(one_worker, store_patterns, small_scan):
    told = []
    source = store_patterns(small_scan, (2, 5))
    cluster_noise(
        one_worker, source, np.zeros((4, 5), int), 1, np.ones((6, 7), bool),
        progress=lambda *at: told.append(at),
    )  # fmt: skip
    assert told == [(1, 2), (2, 2)]


def test_one_and_two_workers_give_the_same_noise_to_the_last_bit(
    client, one_worker, store_patterns, small_scan
):
    source = store_patterns(small_scan, (1, 2))
    label, valid = np.arange(20).reshape(4, 5) % 2, np.ones((6, 7), bool)
    first, second = (cluster_noise(c, source, label, 2, valid) for c in (client, one_worker))
    np.testing.assert_array_equal(np.stack(first), np.stack(second))
