"""Tell rows and columns of a camera that are brighter than their neighbours all along."""

import numpy as np
from scipy import ndimage

from orimap.tasks.decide.components.likeness import background_of, opening_size

# A line is brighter than the background by this share of it, in the median along it, and by so
# many times what is usual among lines.
BRIGHTER = 0.03
OUTSTANDING = 6.0


def near_lines(pattern: np.ndarray, left_out: np.ndarray, radius_px: float) -> np.ndarray:
    """Return the pixels from which a disc would touch a bright row or column of the camera.

    Parameters
    ----------
    pattern : (detector_y, detector_x) array
        Sum of many patterns: reflections fill less than half of any line.
    left_out : (detector_y, detector_x) array of bool
    radius_px : float

    Returns
    -------
    (detector_y, detector_x) array of bool
    """
    inside = np.where(left_out, 0.0, pattern)
    background = background_of(inside, opening_size(pattern.shape))
    above = np.where(
        left_out | (background <= 0), np.nan, (inside - background) / np.maximum(background, 1e-300)
    )
    found = np.zeros(pattern.shape, bool)
    for axis in (0, 1):
        known = np.isfinite(above).any(axis=1 - axis)
        along = np.zeros(pattern.shape[axis])
        along[known] = np.nanmedian(np.compress(known, above, axis=axis), axis=1 - axis)
        usual = np.median(along)
        spread = 1.4826 * np.median(np.abs(along - usual))
        bright = along > usual + max(BRIGHTER, OUTSTANDING * spread)
        found |= np.expand_dims(bright, 1 - axis)
    return ndimage.distance_transform_edt(~found) <= radius_px + 1 if found.any() else found
