import numpy as np
import pytest
from scipy import ndimage

SIDE, SCAN = 48, 144


@pytest.fixture
def electrons():
    """Three patterns beside each other, many times: a beam, discs and a smooth background."""

    def draw(dose=1.0, seed=0, patterns=SCAN, changing=0.0):
        rng = np.random.default_rng(seed)
        y, x = np.indices((SIDE, SIDE)) - SIDE // 2
        away = np.hypot(y, x)
        mean = 6 * np.exp(-away / 6) + 0.02
        for row, column in rng.integers(4, SIDE - 4, (20, 2)) - SIDE // 2:
            mean += rng.uniform(5, 60) * (np.hypot(y - row, x - column) < 2.5)
        mean[away < 3] = 400
        # Brightness drifts from one pattern to the next.
        drift = 1 + changing * rng.standard_normal((3, patterns, 1, 1))
        means = dose * mean * drift
        return rng.poisson(means[:, :, None] if means.ndim == 4 else means)

    return draw


@pytest.fixture
def through():
    """What a camera makes of electrons: gain, point spread, offset, read-out noise."""

    def see(counts, gain=1.0, offset=0.0, noise=0.0, blur=0.0, fixed=0.0, seed=1):
        rng = np.random.default_rng(seed)
        seen = counts.astype(float)
        if blur:
            seen = ndimage.gaussian_filter(seen, [0] * (seen.ndim - 2) + [blur, blur])
        pattern = fixed * rng.standard_normal(seen.shape[-2:])
        return gain * seen + offset + pattern + noise * rng.standard_normal(seen.shape)

    return see


@pytest.fixture
def every():
    """All pixels are believed."""
    return np.ones((1, SIDE, SIDE), bool)
