from itertools import count

import numpy as np
import pytest
import zarr

from orimap.tasks.patterns import PatternSource
from orimap.tasks.stores import mark_complete


@pytest.fixture
def store_patterns(tmp_path):
    """Write patterns into a store of its own in blocks of a given shape; return their source."""
    numbers = count()

    def write(values, block_shape=None, filter="raw"):
        store = tmp_path / f"patterns{next(numbers)}.zarr"
        group = zarr.open_group(store, path="raw", mode="w", zarr_format=3)
        array = group.create_array(
            "pattern_intensity",
            shape=values.shape,
            chunks=(*(block_shape or values.shape[:2]), *values.shape[2:]),
            dtype=values.dtype,
            dimension_names=["scan_y", "scan_x", "detector_y", "detector_x"],
        )
        array[:] = values
        mark_complete(store, "raw", "raw")
        return PatternSource.open(store, filter)

    return write


@pytest.fixture(scope="session")
def one_worker():
    """A Dask client with a single worker."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def brute_force_mean():
    """The 3×3 mean over the neighbours that exist, by a loop over positions."""

    def mean(patterns):
        rows, columns = patterns.shape[:2]
        result = np.empty(patterns.shape)
        for y in range(rows):
            for x in range(columns):
                near = [
                    patterns[v, u].astype(float)
                    for v in range(max(0, y - 1), min(rows, y + 2))
                    for u in range(max(0, x - 1), min(columns, x + 2))
                ]
                result[y, x] = sum(near) / len(near)
        return result

    return mean
