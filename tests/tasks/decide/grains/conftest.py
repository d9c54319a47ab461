import numpy as np
import pytest

from orimap.tasks.decide.grains.dark_fields import DarkFields


@pytest.fixture
def fields_of():
    """Return what makes dark fields of intensities (scan_y, scan_x, place), without patterns.

    Below every disc lie ``below`` electrons of background, with whose noise and that of the disc
    itself the intensity is counted where there is a generator ``rng``.
    """

    def make(intensity, below=100.0, rng=None, dispersion=1.0):
        *scan_shape, count = intensity.shape
        flat = intensity.reshape(np.prod(scan_shape), count).astype(float)
        below = np.broadcast_to(below, count)
        if rng is not None:
            flat = rng.poisson(flat + below) - below
        return DarkFields(
            np.hstack([flat, np.ones((len(flat), 1))]),
            np.vstack([np.eye(count), np.zeros(count)]),
            np.vstack([np.eye(count), below]),
            np.append(np.zeros(count), 1000.0),
            np.stack([10 * np.arange(count), np.arange(count)], axis=1),
            tuple(scan_shape),
            dispersion,
        )

    return make
