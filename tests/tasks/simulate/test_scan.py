import numpy as np
import pytest

from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.scan import _draw_poisson, plan_scan

SMALL = {"scan": (6, 7), "detector": (40, 48), "grains": 3, "dose": 2000.0}


def test_labels_are_the_largest_shares():
    scan = plan_scan(ScanRecipe(**SMALL, overlap=3))
    assert scan.labels.dtype == np.int16
    np.testing.assert_array_equal(scan.labels, scan.weights.argmax(axis=-1))
    np.testing.assert_allclose(scan.weights.sum(axis=-1), 1, atol=1e-12)
    assert scan.misorientation_deg.shape == (3, 3)
    np.testing.assert_allclose(scan.misorientation_deg, scan.misorientation_deg.T, atol=1e-9)


def test_component_patterns_hold_the_dose_but_for_what_misses_the_detector():
    patterns = plan_scan(ScanRecipe(material="Au", dose=1000)).component_patterns
    assert patterns.shape == (8, 128, 128)
    total = patterns.sum(axis=(1, 2))
    assert (total <= 1000 + 1e-6).all()
    assert (total > 900).all()


def test_a_position_between_two_grains_mixes_their_patterns_by_their_shares():
    scan = plan_scan(ScanRecipe(**SMALL, overlap=4))
    one_each = np.stack(list(scan._canvases(np.eye(3), np.zeros((3, 3)), np.ones(3))))
    share = np.array([[0.2, 0.7, 0.1]])
    mixed = next(scan._canvases(share, np.zeros((1, 3)), np.ones(1)))
    np.testing.assert_allclose(mixed, np.tensordot(share[0], one_each, 1))


def test_direct_beam_lies_in_the_centre_and_moves_with_descan():
    recipe = ScanRecipe(scan=(9, 9), detector=(64, 64), grains=1, descan=6, dose=1e5)
    scan = plan_scan(recipe)
    length = np.linalg.norm(scan.descan, axis=-1)
    assert length.max() == pytest.approx(3, abs=0.01)
    np.testing.assert_allclose(scan.descan[4, 4], 0, atol=1e-12)
    y, x = np.mgrid[:64, :64]
    for row in (0, 4):
        for mean, shift in zip(scan.expected(row), scan.descan[row], strict=True):
            centre = 31.5 + shift
            near = mean * (np.hypot(y - centre[0], x - centre[1]) < 4)
            near = np.maximum(near - 0.2 * near.max(), 0)  # leaves the disk alone
            found = np.array([(near * y).sum(), (near * x).sum()]) / near.sum()
            assert found == pytest.approx(centre, abs=0.2)


@pytest.mark.parametrize("extra", [{}, {"bend": 1.0, "descan": 2.0, "hot": 5, "dead": 5}])
def test_grouping_rows_does_not_change_the_counts(extra):
    scan = plan_scan(ScanRecipe(**SMALL, **extra))
    whole = scan.patterns(slice(None))
    assert whole.dtype == np.uint16
    assert whole.shape == (6, 7, 40, 48)
    np.testing.assert_array_equal(whole, np.concatenate([part for _, part in scan.rows(1)]))
    np.testing.assert_array_equal(whole[2:5], scan.patterns(slice(2, 5)))
    again = plan_scan(ScanRecipe(**SMALL, **extra)).patterns(slice(5, 6))
    np.testing.assert_array_equal(whole[5:], again)


def test_seeds_make_different_scans():
    first, second = (plan_scan(ScanRecipe(**SMALL, seed=seed)) for seed in (0, 1))
    assert not np.allclose(first.grains[0].rotation, second.grains[0].rotation)


@pytest.mark.parametrize("dose", [300.0, 30_000.0])  # fewer, and more electrons than pixels
def test_counts_have_poisson_mean_and_variance(dose):
    mean = np.random.default_rng(0).exponential(size=(20, 20))
    mean *= dose / mean.sum() / 20
    mean[3] = 0
    rng = np.random.default_rng(1)
    drawn = np.stack([_draw_poisson(mean, rng) for _ in range(4000)])
    # Four standard errors of a mean of 4000, and of a variance.
    error = np.sqrt(mean / 4000)
    assert (np.abs(drawn.mean(axis=0) - mean) <= 4.5 * error + 1e-12).all()
    spread = np.sqrt((mean + 2 * mean**2) / 4000)
    assert (np.abs(drawn.var(axis=0) - mean) <= 5 * spread + 1e-12).all()
    assert not drawn[:, 3].any()


def test_counts_of_a_scan_scatter_about_what_is_expected():
    scan = plan_scan(ScanRecipe(scan=(12, 12), detector=(32, 32), grains=2, dose=4000))
    mean = np.array([list(scan.expected(row)) for row in range(12)])
    excess = scan.patterns(slice(None)) - mean
    chi_squared = np.sum(excess**2 / mean) / mean.size
    assert chi_squared == pytest.approx(1, abs=0.02)


def test_hot_pixels_count_everywhere_alike_and_dead_ones_never():
    scan = plan_scan(ScanRecipe(**SMALL, hot=4, dead=6, descan=3))
    assert (scan.hot_mask.sum(), scan.dead_mask.sum()) == (4, 6)
    assert not (scan.hot_mask & scan.dead_mask).any()
    counts = scan.patterns(slice(None))
    assert not counts[..., scan.dead_mask].any()
    level = counts[..., scan.hot_mask].mean(axis=(0, 1))
    assert (level >= 0.8 * scan.hot_counts[scan.hot_mask]).all()
    assert (scan.hot_counts[scan.hot_mask] >= 0.005 * 2000).all()


def test_thicker_places_scatter_more():
    scan = plan_scan(ScanRecipe(scan=(20, 20), detector=(64, 64), grains=1))
    means = np.array([list(scan.expected(row)) for row in range(20)])
    beam = means[:, :, 29:35, 29:35].sum(axis=(2, 3))
    assert np.corrcoef(beam.ravel(), scan.thickness.ravel())[0, 1] < -0.99
    assert np.ptp(scan.thickness) > 0.2


def test_counts_beyond_16_bits_are_cut_off():
    recipe = ScanRecipe(scan=(2, 2), detector=(32, 32), grains=1, dose=5e6)
    assert plan_scan(recipe).patterns(slice(0, 1)).max() == 65535
