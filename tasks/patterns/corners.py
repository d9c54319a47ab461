"""The corners of a detector, where little is scattered: noise is measured there.

Tested in tests/tasks/patterns/test_noise.py.
"""

import numpy as np


def outside_inscribed_circle(shape: tuple[int, int]) -> np.ndarray:
    """Return the corners of a detector: pixels whose centres lie outside the inscribed circle."""
    y, x = (np.arange(length) - (length - 1) / 2 for length in shape)
    return np.hypot(y[:, None], x) > min(shape) / 2
