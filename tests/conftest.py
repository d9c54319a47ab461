import os
from pathlib import Path

import numpy as np
import pytest

# Odd and unequal, so that swapped axes show.
SMALL_SHAPE = (4, 5, 6, 7)


@pytest.fixture(scope="session")
def client():
    """Two worker processes of one thread each, for the whole run of the tests."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def small_scan():
    """Counts of 4×5 patterns of 6×7 pixels, uint16."""
    return np.random.default_rng(1).poisson(3, SMALL_SHAPE).astype(np.uint16)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of shared example data; skips the test where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ORIMAP_SHARED_DATA") or beside)
    if not folder.is_dir():
        if os.environ.get("ORIMAP_REQUIRE_SHARED_DATA"):
            pytest.fail(f"ORIMAP_REQUIRE_SHARED_DATA is set, and there is no {folder}")
        pytest.skip(f"no shared data at {folder}; ORIMAP_SHARED_DATA names another place")
    return folder
