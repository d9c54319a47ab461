"""Find the detector pixels that the direct beam covers, wandering included.

The direct beam holds a third of all electrons and says nothing about orientation, but where it
drifts over the scan (descan) it is the largest change of all and would take components for
itself. The factorisation leaves its pixels out; its intensity in every component follows from
the fitted weights.
"""

import numpy as np
from scipy import ndimage

# Contour of the smoothed mean pattern that bounds the beam. Reflections of a single crystal can be
# brighter, but stand apart from the beam.
CONTOUR = 0.1
# Tails of the disc beyond the contour.
MARGIN_PX = 2
# A region larger than this share of the detector is no beam: a pattern without one (EBSD, a beam
# stop, a magnified disc).
LARGEST_SHARE = 0.05
# The beam lies within this share of the detector's width of its centre.
CENTRAL_SHARE = 0.25
# Fewer pixels than this along an edge leave nothing to factorise beside the beam.
SMALLEST_DETECTOR_PX = 24


def direct_beam_region(detector_mean: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the pixels of the direct beam, and what was found in words.

    Parameters
    ----------
    detector_mean : (detector_y, detector_x) array
        Mean pattern of the scan. A beam that wanders is drawn out in it.
    valid : (detector_y, detector_x) array of bool
        False for pixels that are masked.

    Returns
    -------
    region : (detector_y, detector_x) array of bool
        All False where no direct beam is recognised.
    finding : str
    """
    none = np.zeros(detector_mean.shape, bool)
    if min(detector_mean.shape) < SMALLEST_DETECTOR_PX:
        return none, "the detector is too small to leave the direct beam out of the fit"
    smooth = ndimage.gaussian_filter(np.where(valid, detector_mean, 0.0), 1.0)
    peak = np.unravel_index(smooth.argmax(), smooth.shape)
    offset = np.abs(np.array(peak) - (np.array(smooth.shape) - 1) / 2)
    if np.any(offset > CENTRAL_SHARE * np.array(smooth.shape)):
        return none, "no direct beam near the centre of the mean pattern; nothing is left out"
    labelled, _ = ndimage.label(smooth > CONTOUR * smooth[peak])
    region = ndimage.binary_dilation(labelled == labelled[peak], iterations=MARGIN_PX)
    if region.mean() > LARGEST_SHARE:
        return none, (
            "the bright centre of the mean pattern is too wide for a direct beam "
            f"({100 * region.mean():.0f} % of the detector); nothing is left out"
        )
    return region, f"the direct beam ({region.sum()} pixels) is left out of the fit"
