import subprocess
import sys

import numpy as np
import pytest
import zarr

from orimap.tasks.maps.baseline import baseline


def write_basis(store, values):
    zarr.open_group(store, mode="a").create_array("sketch/scan_basis", data=values)
    return store


def test_separate_rays_are_told_apart_whatever_their_length(client, tmp_path):
    rng = np.random.default_rng(0)
    label = np.arange(60).reshape(6, 10) // 20
    rays = np.eye(5)[:3] + 0.01
    values = rays[label] * rng.uniform(0.2, 5, (6, 10, 1)) + rng.normal(0, 1e-3, (6, 10, 5))
    ds = baseline(write_basis(tmp_path / "a.zarr", values), label, 3, seed=0)
    assert ds.attrs["agreement"] == pytest.approx(1)
    assert len(np.unique(ds["kmeans_label"])) == 3
    expected = np.linalg.svd(values.reshape(60, 5), compute_uv=False)
    np.testing.assert_allclose(ds["scree_value"], expected[:4], rtol=1e-6)


@pytest.mark.parametrize(("shape", "rank"), [((1, 1), 1), ((2, 2), 1), ((2, 2), 3), ((1, 7), 5)])
def test_tiny_scans_have_a_baseline_too(client, tmp_path, shape, rank):
    values = np.random.default_rng(0).random((*shape, rank))
    ds = baseline(write_basis(tmp_path / "a.zarr", values), np.zeros(shape, int), 1, seed=0)
    np.testing.assert_array_equal(ds["kmeans_label"], 0)
    flat = values.reshape(-1, rank)
    expected = np.linalg.svd(flat, compute_uv=False)[: max(1, rank - 1)]
    np.testing.assert_allclose(ds["scree_value"], expected, rtol=1e-6)


def test_positions_that_were_not_measured_are_left_out(client, tmp_path):
    rng = np.random.default_rng(0)
    label = np.arange(60).reshape(6, 10) // 20
    values = (np.eye(5)[:3] + 0.01)[label] + rng.normal(0, 1e-3, (6, 10, 5))
    measured = np.ones((6, 10), bool)
    measured[3:5] = False
    values[~measured] = 0
    label[~measured] = -1
    store = write_basis(tmp_path / "a.zarr", values)
    ds = baseline(store, label, 3, seed=0, measured=measured)
    assert ds.attrs["agreement"] == pytest.approx(1)
    found = ds["kmeans_label"].values
    assert (found[~measured] == -1).all()
    assert sorted(np.unique(found[measured])) == [0, 1, 2]
    # Without knowing, they count as a cluster of their own, in place of a grain.
    ignorant = baseline(store, np.maximum(label, 0), 3, seed=0)
    assert ignorant.attrs["agreement"] < 0.9


def test_fewer_positions_than_directions_have_a_baseline(client, tmp_path):
    values = np.random.default_rng(0).random((2, 4, 5))
    measured = np.arange(8).reshape(2, 4) < 2
    store = write_basis(tmp_path / "a.zarr", values * measured[..., None])
    ds = baseline(store, np.zeros((2, 4), int), 1, seed=0, measured=measured)
    assert ds["kmeans_label"].values.ravel().tolist() == [0, 0, *[-1] * 6]
    assert ds["scree_value"].size == 4


def test_empty_positions_do_no_harm(client, tmp_path):
    values = np.zeros((3, 4, 2))
    values[1:, :, 0] = 1
    ds = baseline(write_basis(tmp_path / "a.zarr", values), np.zeros((3, 4), int), 1, seed=0)
    assert np.isfinite(ds["scree_value"]).all()


def test_warming_up_compiles_what_the_first_k_means_needs(tmp_path):
    script = """
from dask_ml.cluster import k_means
from orimap.tasks.maps.baseline import warm_up

compiled = [k_means._centers_dense.signatures == []]
warm_up()
print(compiled, k_means._centers_dense.signatures != [])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["[True]", "True"], done.stderr
