"""Find the maxima of an image that rise far enough above the pass to any higher one."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def _highest_first(flat: np.ndarray) -> np.ndarray:
    """Places of the positive values, highest first, equal ones in order.

    The bits of positive floats are in the order of the floats: one sort of whole numbers, height
    above, place below, is twice as quick as sorting places by height.
    """
    places = np.flatnonzero(flat > 0)
    keys = (~flat[places].view(np.int32)).astype(np.int64) << 32 | places
    keys.sort()
    return keys & 0xFFFFFFFF


@numba.njit(cache=True, nogil=True)
def prominent_maxima(surface: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the maxima whose topographic prominence is large enough, highest first.

    The prominence of a maximum is its height above the highest pass that leads to a higher one;
    above 0 where none leads there. Pixels are flooded from the highest down: each joins the hills
    that it touches, and where two hills meet, the lower one's prominence is known.

    Parameters
    ----------
    surface : (detector_y, detector_x) float32 array
        Zero and below is ground, which belongs to no hill and parts hills.
    least : float
        Above 0.

    Returns
    -------
    pixels : (maxima,) int64 array
        Flat indices. Of pixels equally high the first counts as higher, so that a plateau is one
        maximum. None lies on the edge of the image.
    prominence : (maxima,) float32 array
    """
    height, width = surface.shape
    flat = surface.ravel()
    raised = _highest_first(flat)
    hill = np.full(flat.size, -1, np.int32)
    # Of every hill: the hill it was joined to, and its summit; hill numbers are in order of height.
    joined = np.empty(len(raised), np.int32)
    summit = np.empty(len(raised), np.int64)
    prominence = np.empty(len(raised), np.float32)
    hills = 0
    for pixel in raised:
        y, x = pixel // width, pixel % width
        here = np.int32(-1)
        for ny in range(max(y - 1, 0), min(y + 2, height)):
            for nx in range(max(x - 1, 0), min(x + 2, width)):
                other = hill[ny * width + nx]
                if other < 0:
                    continue
                while joined[other] != other:
                    joined[other] = joined[joined[other]]
                    other = joined[other]
                if here < 0:
                    here = other
                elif other != here:
                    higher, lower = min(here, other), max(here, other)
                    prominence[lower] = flat[summit[lower]] - flat[pixel]
                    joined[lower] = higher
                    here = higher
        if here < 0:
            here = np.int32(hills)
            joined[hills] = hills
            summit[hills] = pixel
            prominence[hills] = flat[pixel]
            hills += 1
        hill[pixel] = here
    kept = 0
    for number in range(hills):
        y, x = summit[number] // width, summit[number] % width
        inside = 0 < y < height - 1 and 0 < x < width - 1
        if inside and prominence[number] >= least:
            summit[kept] = summit[number]
            prominence[kept] = prominence[number]
            kept += 1
    return summit[:kept].copy(), prominence[:kept].copy()
