"""Tell rows and columns of a camera that are brighter than their neighbours all along."""

import numpy as np
from scipy import ndimage

# A line is brighter than what lies so many pixels beside it, on both sides, ...
BESIDE_PX = 4
# ... by this share of it in the median (amplifiers differ by a few per cent), and at this part of
# its pixels: a row of reflections of a crystal that is aligned with the camera leaves gaps.
BRIGHTER = 0.1
ALL_ALONG = 0.9
# It takes this part of a line to tell.
KNOWN = 0.3


def near_lines(
    pattern: np.ndarray, left_out: np.ndarray, radius_px: float, odd: np.ndarray | None = None
) -> np.ndarray:
    """Return the pixels from which a disc would touch a bright row or column of the camera.

    Parameters
    ----------
    pattern : (detector_y, detector_x) array
        Sum of many patterns.
    left_out : (detector_y, detector_x) array of bool
    radius_px : float
    odd : (detector_y, detector_x) array of bool, optional
        Rows and columns that are known to be unlike those beside them, bright or not.

    Returns
    -------
    (detector_y, detector_x) array of bool
    """
    found = np.zeros(pattern.shape, bool) if odd is None else odd.copy()
    known = np.where(left_out, np.nan, pattern.astype(float))
    for axis in (0, 1):
        rows = np.moveaxis(known, axis, 0)
        bright = [_stands_out(rows, at) for at in range(len(rows))]
        found |= np.expand_dims(np.array(bright), 1 - axis)
    return ndimage.distance_transform_edt(~found) <= radius_px + 1 if found.any() else found


def _stands_out(rows: np.ndarray, at: int) -> bool:
    """Return whether a row is brighter than those beside it all along; NaN where not known."""
    beside = [rows[i] for i in (at - BESIDE_PX, at + BESIDE_PX) if 0 <= i < len(rows)]
    if not beside:
        return False
    around = np.max(beside, axis=0)
    told = np.isfinite(rows[at]) & np.isfinite(around)
    if np.count_nonzero(told) < KNOWN * rows.shape[1]:
        return False
    own, around = rows[at][told], around[told]
    brighter = np.median(own - around) > BRIGHTER * np.median(around)
    return bool(brighter and np.mean(own > around) >= ALL_ALONG)
