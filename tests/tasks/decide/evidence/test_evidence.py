import dataclasses

import numpy as np
import pytest

from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.evidence.evidence import METRICS, Components, Evidence, paired_drops
from orimap.tasks.store import variables


def components(k, not_redundant=None):
    """The first component is background, all others are patterns of their own."""
    metrics = {name: np.arange(k * k, dtype=float).reshape(k, k) for name in METRICS}
    merged = Merged(np.arange(k) - 1, True, np.arange(k) == 0)
    return Components(metrics, merged, np.eye(k), not_redundant)


def evidence(deviance, first=2, **more):
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
        **more,
    )


DEVIANCE = np.array([[10.0, 20, 30, 40], [8, 16, 27, 37], [9, 17, 28, 38]])


def test_drops_are_those_of_the_deviance():
    drop, error = evidence(DEVIANCE).held_out_drops()
    # Gains 2, 4, 3, 3; then -1 each against the second.
    np.testing.assert_allclose(drop, [np.nan, 3, -1])
    np.testing.assert_allclose(error, [np.nan, np.sqrt(0.5) / 2, 0])


def test_cross_validation_takes_the_place_of_counts_that_are_not_there():
    found = evidence(None, cross_validation=DEVIANCE)
    assert found.held_out is DEVIANCE
    np.testing.assert_allclose(found.held_out_drops()[0], [np.nan, 3, -1])
    both = evidence(2 * DEVIANCE, cross_validation=DEVIANCE)
    np.testing.assert_allclose(both.held_out_drops()[0], [np.nan, 6, -2])
    # Its errors are no deviances, and of a sample: only the drops are stored.
    ds = found.dataset()
    assert np.isnan(ds["k_held_out_deviance"]).all()
    np.testing.assert_allclose(ds["k_held_out_drop"], [np.nan, 3, -1])


def test_where_nothing_is_held_out_there_are_no_drops():
    found = evidence(None)
    assert found.held_out is None
    for column in found.held_out_drops():
        np.testing.assert_array_equal(column, [np.nan] * 3)


def test_redundancy_is_known_only_where_it_is_for_every_fit():
    found = evidence(None)
    assert found.redundancy is None
    looked = dataclasses.replace(found, components=[components(k, k - 1) for k in (2, 3, 4)])
    np.testing.assert_array_equal(looked.redundancy, [1, 2, 3])
    partly = dataclasses.replace(looked, components=[*looked.components[:2], components(4)])
    assert partly.redundancy is None


def test_what_was_not_looked_at_is_empty_and_no_two_share_it():
    one, other = evidence(None), evidence(None)
    one.skipped["spectrum"] = "no counts"
    assert (other.skipped, other.stability, other.spectrum) == ({}, {}, None)


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
    empty = dataclasses.replace(found, loss=0 * found.loss, mean_intensity=0.0)
    np.testing.assert_array_equal(empty.dataset()["k_relative_loss"], 0)


def test_drops_are_against_the_best_of_all_smaller_k_and_paired_by_position():
    scores = np.array([[10.0, 20, 30, 40], [8, 16, 27, 37], [9, 17, 28, 38], [7, 15, 26, 36]])
    drop, error = paired_drops(scores)
    # Gains 2, 4, 3, 3; then -1 each, no better; then 1 each against the second.
    np.testing.assert_allclose(drop, [np.nan, 3, -1, 1])
    np.testing.assert_allclose(error, [np.nan, np.sqrt(0.5) / 2, 0, 0])


def test_squared_errors_lower_each_other_as_worked_by_hand():
    squared = np.array([[4.0, 6.0], [1, 5], [3, 5], [1, 3]])
    drop, error = paired_drops(squared)
    # The fourth is compared with the second, the best before it.
    np.testing.assert_allclose(drop, [np.nan, 2, -1, 1])
    np.testing.assert_allclose(error, np.array([np.nan, 1, 1, 1]) / np.sqrt(2))


def test_a_single_k_lowers_nothing():
    drop, error = paired_drops(np.ones((1, 5)))
    np.testing.assert_array_equal(drop, [np.nan])
    np.testing.assert_array_equal(error, [np.nan])
