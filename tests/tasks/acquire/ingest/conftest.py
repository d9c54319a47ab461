import numpy as np
import pytest

from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.store import groups


@pytest.fixture
def opened(tmp_path):
    """Save an array as an acquisition and open it."""

    def save(scan):
        np.save(tmp_path / "scan.npy", scan)
        return open_acquisition(tmp_path / "scan.npy")

    return save


@pytest.fixture
def stored():
    """Read the patterns of a store."""

    def read(store):
        return groups.open_group(store, "raw")["pattern_intensity"].load()

    return read
