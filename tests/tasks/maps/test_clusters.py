import dask
import numpy as np
import pytest
import zarr

from orimap.tasks.maps.clusters import (
    cluster_patterns,
    clusters_dataset,
    mean_patterns,
    representatives,
)
from orimap.tasks.maps.labels_and_overlap import map_clusters
from orimap.tasks.patterns.noise import Noise
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables
from orimap.tasks.store.groups import write_group

LABEL = np.array([[0, 0, 1, 1, -1], [0, 2, 2, 1, 1], [0, 0, 2, 1, 0], [-1, 0, 0, 1, 1]], np.int16)


def write_patterns(store, values, chunk):
    group = zarr.open_group(store, path="raw", mode="w")
    group.create_array(
        "pattern_intensity",
        data=values,
        chunks=(*chunk, *values.shape[2:]),
        dimension_names=variables.pattern_intensity.dims,
    )
    for axis, size in zip(variables.SCAN, values.shape, strict=False):
        group.create_array(axis, data=np.arange(size) * 2.0, dimension_names=[axis])
    return PatternSource.open(store, "raw")


@pytest.mark.parametrize("chunk", [(1, 1), (1, 5), (2, 3), (3, 5), (4, 5)])
def test_mean_patterns_match_numpy_whatever_the_chunks(client, small_scan, tmp_path, chunk):
    source = write_patterns(tmp_path / "p.zarr", small_scan, chunk)
    expected = [small_scan[c == LABEL].mean(axis=0) for c in range(3)]
    np.testing.assert_allclose(mean_patterns(client, source, LABEL, 3), expected, rtol=1e-12)


def test_values_that_are_no_counts_are_zero_in_the_mean(client, small_scan, tmp_path):
    values = small_scan.astype(np.float32)
    values[0, 0, 1, 1], values[0, 1, 2, 2] = np.nan, -7
    source = write_patterns(tmp_path / "p.zarr", values, (2, 5))
    zeroed = np.where(values > 0, values, 0)
    np.testing.assert_allclose(
        mean_patterns(client, source, LABEL, 3)[0], zeroed[LABEL == 0].mean(axis=0), rtol=1e-6
    )


def test_no_cluster_has_no_mean_pattern(client, small_scan, tmp_path):
    source = write_patterns(tmp_path / "p.zarr", small_scan, (2, 5))
    assert mean_patterns(client, source, np.full((4, 5), -1), 0).shape == (0, 6, 7)


def worked_maps():
    """Two clusters of two components and one; their maps and factors."""
    patterns = np.stack([np.eye(3), np.ones((3, 3)), 2 * np.eye(3)[::-1]])
    patterns /= patterns.sum(axis=(1, 2), keepdims=True)
    weights = np.zeros((2, 4, 3))
    weights[0, :, 0] = [100, 100, 50, 50]
    weights[0, :, 2] = [0, 20, 50, 50]
    weights[1, :, 1] = [30, 30, 30, 60]
    maps = map_clusters(weights, np.array([0, 1, 0]))
    return patterns, weights, maps


def test_a_representative_has_the_mean_weight_where_its_cluster_is_strongest():
    patterns, weights, maps = worked_maps()
    np.testing.assert_array_equal(maps.label, [[0] * 4, [1] * 4])
    expected = [75 * patterns[0] + 30 * patterns[2], 37.5 * patterns[1]]
    np.testing.assert_allclose(representatives(patterns, weights, maps), expected)


def test_pieces_of_a_split_cluster_have_representatives_of_the_same_components():
    patterns, weights = worked_maps()[0], np.zeros((3, 11, 3))
    weights[:, :4, 0] = 100
    weights[:, 4:7, 1] = 50
    weights[:, 7:] = [60, 0, 20]
    maps = map_clusters(weights, np.array([0, 1, 0]), split=True)
    np.testing.assert_array_equal(maps.parent, [0, 1, 0])
    expected = [100 * patterns[0], 50 * patterns[1], 60 * patterns[0] + 20 * patterns[2]]
    np.testing.assert_allclose(representatives(patterns, weights, maps), expected)


def test_the_stored_clusters_agree_with_themselves():
    rng = np.random.default_rng(0)
    maps = worked_maps()[2]
    mean = rng.random((2, 16, 16))
    noise = Noise(np.array([3.0, 4.0]), np.array([1.0, np.nan]), np.array([0.5, 0.6]))
    ds = clusters_dataset(maps, mean, 3 * mean, noise, np.zeros((16, 16), bool))
    np.testing.assert_array_equal(ds["cluster_nsd_corner"], noise.corner)
    np.testing.assert_allclose(ds["cluster_ssim"], 1)
    np.testing.assert_allclose(ds["cluster_gmsd"], 0, atol=1e-9)
    np.testing.assert_allclose(ds["cluster_psnr"], 80)
    assert ds.attrs["clusters_without_position"] == 0
    for name, array in ds.data_vars.items():
        assert getattr(variables, name).read(ds).attrs["units"], array


@pytest.fixture
def stored_run(tmp_path, small_scan):
    write_patterns(tmp_path / "patterns.zarr", small_scan, (2, 3))
    ds = variables.dataset({variables.cluster_label: LABEL})
    write_group(tmp_path / "analysis.zarr", "clusters", ds, "m")
    return tmp_path


def refuse(*_args, **_kwargs):
    raise AssertionError("computed too early")


@pytest.mark.parametrize("cluster", [0, 1, 2])
def test_the_patterns_of_a_cluster_come_lazily_and_are_the_raw_ones(
    stored_run, small_scan, cluster
):
    with dask.config.set(scheduler=refuse):
        chosen = cluster_patterns(stored_run, cluster)
    assert dask.is_dask_collection(chosen)
    assert chosen.dims == ("position", "detector_y", "detector_x")
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(chosen.values, small_scan[cluster == LABEL])
    assert chosen.dtype == small_scan.dtype
    rows, columns = np.nonzero(cluster == LABEL)
    np.testing.assert_array_equal(chosen["scan_y"], 2.0 * rows)
    np.testing.assert_array_equal(chosen["scan_x"], 2.0 * columns)


@pytest.mark.parametrize("cluster", [-1, 3])
def test_a_cluster_that_is_not_there_is_a_key_error(stored_run, cluster):
    with pytest.raises(KeyError, match="there are 0 to 2"):
        cluster_patterns(stored_run, cluster)
