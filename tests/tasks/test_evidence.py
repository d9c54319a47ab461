import numpy as np
import pytest

from orimap.tasks import variables
from orimap.tasks.evidence import METRICS, Components, Evidence
from orimap.tasks.merge import Merged


def components(k):
    metrics = {name: np.arange(k * k, dtype=float).reshape(k, k) for name in METRICS}
    return Components(metrics, Merged(np.arange(k) - 1, np.eye(k), np.ones(k), True))


def evidence(deviance, first=2):
    count = 3 if deviance is None else len(deviance)
    ks = np.arange(first, first + count)
    return Evidence(
        ks,
        np.linspace(1, 0.5, count),
        np.zeros(count),
        0.25,
        np.full(count, 0.3),
        deviance,
        [components(k) for k in ks],
    )


def test_drops_are_against_the_best_of_all_smaller_k_and_paired_by_position():
    deviance = np.array([[10.0, 20, 30, 40], [8, 16, 27, 37], [9, 17, 28, 38], [7, 15, 26, 36]])
    drop, error = evidence(deviance).held_out_drops()
    # Gains 2, 4, 3, 3; then -1 each, no better; then 1 each against the second.
    np.testing.assert_allclose(drop, [np.nan, 3, -1, 1])
    np.testing.assert_allclose(error, [np.nan, np.sqrt(0.5) / 2, 0, 0])


def test_without_counts_there_are_no_drops():
    drop, error = evidence(None).held_out_drops()
    assert np.isnan(drop).all()
    assert np.isnan(error).all()


def test_the_mean_off_the_diagonal_leaves_equal_pairs_out():
    assert components(2).off_diagonal("ssim") == 1.5
    assert components(3).off_diagonal("gmsd") == pytest.approx((36 - 12) / 6)
    assert np.isnan(components(1).off_diagonal("psnr"))


@pytest.mark.parametrize("counts", [True, False])
def test_the_stored_evidence_is_complete_and_padded(counts):
    found = evidence(np.ones((3, 5)) * [[3], [2], [1]] if counts else None)
    ds = found.dataset()
    expected = [v for name, v in vars(variables).items() if name.startswith(("k_", "pair_"))]
    for variable in expected:
        array = variable.read(ds)
        assert array.attrs["units"]
        assert array.sizes["k"] == 3
    assert set(ds.data_vars) == {v.name for v in expected}
    np.testing.assert_array_equal(ds["k"], [2, 3, 4])
    for name in ("pair_ssim", "pair_cosine"):
        assert ds[name].shape == (3, 4, 4)
        assert np.isfinite(ds[name].values[0, :2, :2]).all()
        assert np.isnan(ds[name].values[0, 2:]).all()
        assert np.isnan(ds[name].values[0, :, 2:]).all()
    np.testing.assert_allclose(ds["k_relative_loss"], [4, 3, 2])
    np.testing.assert_array_equal(ds["k_distinct"], [1, 2, 3])
    np.testing.assert_array_equal(ds["k_background"], 1)
    held_out = [3, 2, 1] if counts else [np.nan] * 3
    np.testing.assert_allclose(ds["k_held_out_deviance"], held_out)


def test_the_loss_of_empty_patterns_is_nothing():
    found = evidence(None)
    empty = Evidence(
        found.ks,
        0 * found.loss,
        found.loss_error,
        0.0,
        found.relative_error,
        None,
        found.components,
    )
    np.testing.assert_array_equal(empty.dataset()["k_relative_loss"], 0)
