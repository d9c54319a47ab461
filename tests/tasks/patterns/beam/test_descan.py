import numpy as np
import pytest

from orimap.tasks.patterns.beam.descan import (
    choose_order,
    consensus_plane,
    fit_smooth,
    nearest_disc,
)

CENTRE, CENTRE_SIGMA = np.array([20.0, 20.0]), 20.0


def scan_places(shape):
    return np.column_stack(np.unravel_index(np.arange(shape[0] * shape[1]), shape))


def drift(shape, y=0.0, x=0.0, bow=0.0):
    """Positions that move by (y, x) pixels down the scan, and bow across it."""
    down, across = np.mgrid[-0.5 : 0.5 : shape[0] * 1j, -0.5 : 0.5 : shape[1] * 1j]
    return np.stack([20 + y * down + bow * across**2, 20 + x * down], axis=-1).reshape(-1, 2)


def as_candidates(*discs):
    """Discs (positions, brightness) of every pattern, the brightest first."""
    stacked = np.stack(
        [np.column_stack([p, np.broadcast_to(b, len(p))]) for p, b in discs], axis=1
    ).astype(float)
    order = np.argsort(-np.nan_to_num(stacked[:, :, 2]), axis=1)
    return np.take_along_axis(stacked, order[:, :, None], axis=1)


def fit(candidates, shape, reach=2.0):
    return fit_smooth(scan_places(shape), candidates, shape, reach, CENTRE, CENTRE_SIGMA)


@pytest.mark.parametrize("shape", [(14, 15), (1, 60), (60, 1), (2, 3)])
@pytest.mark.parametrize("y", [0.0, 6.0])
def test_a_plane_is_found_on_scans_of_any_shape(shape, y):
    truth = drift(shape, y, -y / 2)
    if 1 in shape and shape[0] == 1:
        truth = 20 + np.linspace(-0.5, 0.5, shape[1])[:, None] * (y, -y / 2)
    noise = np.random.default_rng(0).normal(0, 0.05, truth.shape)
    found = fit(as_candidates((truth + noise, 100)), shape)
    assert np.abs(found.surface.at(scan_places(shape)) - truth).max() < 0.15
    assert found.near.all()
    assert found.surface.order == (1 if y else 0)


def test_the_surface_of_a_map_is_the_surface_at_its_places():
    shape = (9, 12)
    found = fit(as_candidates((drift(shape, 3, 2, bow=5), 100)), shape)
    np.testing.assert_allclose(
        found.surface.everywhere().reshape(-1, 2), found.surface.at(scan_places(shape)), rtol=1e-6
    )


def test_a_bow_needs_the_second_order_and_noise_none():
    shape = (20, 21)
    rng = np.random.default_rng(1)
    places = scan_places(shape)
    noise = rng.normal(0, 0.2, (len(places), 2))
    assert choose_order(places, 20 + noise, shape) == 0
    assert choose_order(places, drift(shape, 4) + noise, shape) == 1
    assert choose_order(places, drift(shape, 4, bow=8) + noise, shape) == 2


def test_errors_that_a_grain_shares_are_counted_in():
    shape = (30, 30)
    rng = np.random.default_rng(2)
    own = rng.normal(0, 0.1, (900, 2))
    shared = np.repeat(np.repeat(rng.normal(0, 0.1, (6, 6, 2)), 5, 0), 5, 1).reshape(-1, 2)
    independent = fit(as_candidates((20 + own, 100)), shape)
    together = fit(as_candidates((20 + own + shared, 100)), shape)
    assert independent.error_px == pytest.approx(0.1 / 30, rel=0.3)
    assert together.error_px > 4 * independent.error_px


def test_outliers_and_empty_patterns_leave_the_surface_alone():
    shape = (20, 20)
    truth = drift(shape, 5)
    measured = truth + np.random.default_rng(3).normal(0, 0.05, truth.shape)
    measured[::7] += 1.2
    measured[100:160] = np.nan
    found = fit(as_candidates((measured, 100)), shape)
    assert np.abs(found.surface.at(scan_places(shape)) - truth).max() < 0.1
    wrong = np.isnan(measured[:, 0])
    wrong[::7] = True
    assert not found.inlier[wrong].any()
    assert found.inlier[~wrong].mean() > 0.98
    np.testing.assert_array_equal(np.isnan(found.position[:, 0]), np.isnan(measured[:, 0]))


def test_the_beam_is_followed_where_reflections_are_brighter():
    shape = (20, 20)
    truth = drift(shape, 8, 3)
    rng = np.random.default_rng(4)
    grain = (scan_places(shape)[:, 1] // 7)[:, None]
    beside = truth + np.choose(grain, [(7.0, 2.0), (-6.0, 4.0), (3.0, -7.0)])
    noise = rng.normal(0, 0.05, truth.shape)
    found = fit(as_candidates((truth + noise, 100), (beside, 300)), shape)
    assert np.abs(found.position - truth).max() < 0.3
    assert found.inlier.all()


def test_a_reflection_of_half_of_the_scan_is_not_the_consensus():
    shape = (10, 10)
    truth, places = drift(shape, 4), scan_places(shape)
    elsewhere = np.where(places[:, :1] < 6, truth + np.array([0, 8]), np.nan)
    brightness = np.where(places[:, 0] < 6, 400, 0)
    candidates = as_candidates((truth, 100), (elsewhere, brightness))
    plane = consensus_plane(places, candidates, shape, 2.0, CENTRE, CENTRE_SIGMA)
    assert np.abs(plane.at(places) - truth).max() < 2


def test_the_brightest_disc_within_reach_is_taken():
    discs = np.array([[[9, 9, 50], [3, 4, 40], [3, 5, 30]], [[9, 9, 9], [1, 1, 8], [np.nan] * 3]])
    chosen, near = nearest_disc(discs, np.array([[3.0, 5.0], [5.0, 5.0]]), 1.5)
    np.testing.assert_array_equal(chosen, [[3, 4], [9, 9]])
    np.testing.assert_array_equal(near, [True, False])


def test_nothing_measured_is_no_surface():
    assert fit(np.full((6, 3, 3), np.nan), (2, 3)) is None
