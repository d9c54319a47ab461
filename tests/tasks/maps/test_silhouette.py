import numpy as np
import pytest

from orimap.tasks.maps.silhouette import SAMPLE_POSITIONS, fit_silhouette, silhouette
from orimap.tasks.store import variables
from orimap.tasks.store.groups import write_group


def test_matches_a_case_worked_by_hand():
    # Own group 1 away, the others 10 and 11, 9 and 10 on average: 1 - 1/10.5, 1 - 1/9.5, mirrored.
    places = np.array([[0.0], [1.0], [10.0], [11.0]])
    expected = 1 - (1 / 10.5 + 1 / 9.5) / 2
    assert silhouette(np.array([0, 0, 1, 1]), places, seed=0) == pytest.approx(expected)


def test_the_right_groups_have_a_larger_silhouette_than_too_few_or_too_many():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], 60)
    places = np.eye(3)[truth] + rng.normal(0, 0.1, (180, 3))
    too_few, too_many = np.minimum(truth, 1), truth * 2 + rng.integers(0, 2, 180)
    right = silhouette(truth, places, seed=0)
    assert right > 0.7
    assert right > max(silhouette(too_few, places, seed=0), silhouette(too_many, places, seed=0))


def test_positions_without_a_group_take_no_part():
    places = np.array([[0.0], [1.0], [10.0], [11.0], [5.5]])
    assert silhouette(np.array([0, 0, 1, 1, -1]), places, seed=0) == pytest.approx(
        silhouette(np.array([0, 0, 1, 1]), places[:4], seed=0)
    )


@pytest.mark.parametrize("labels", [[0, 0, 0], [-1, -1, -1], [0, 1, 2], [0, 0, -1]])
def test_one_group_or_groups_of_one_have_no_silhouette(labels):
    assert np.isnan(silhouette(np.array(labels), np.eye(3), seed=0))


def test_a_large_scan_is_sampled_by_the_seed():
    rng = np.random.default_rng(2)
    labels = np.arange(SAMPLE_POSITIONS * 2) % 2
    places = labels[:, None] + rng.normal(0, 1, (len(labels), 2))
    first, again, other = (silhouette(labels, places, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first == pytest.approx(other, abs=0.05)


def test_a_stored_fit_is_judged_by_directions_however_strong_the_patterns(tmp_path):
    # Two rays from the origin; along each, strengths differ twentyfold.
    strength = np.array([[1.0, 20, 3, 7], [2, 9, 1, 15]])
    ray = np.array([[1.0, 0.1], [0.1, 1]])
    basis = strength[..., None] * ray[:, None]
    weights = np.stack([basis[..., 0], basis[..., 1]], axis=-1)
    store = tmp_path / "analysis.zarr"
    v = variables
    write_group(store, "sketch", v.dataset({v.scan_basis: basis}), "m")
    write_group(store, "fits/k02", v.dataset({v.scan_weight: weights}), "m")
    assert fit_silhouette(store, "fits/k02", 0) == pytest.approx(1)
