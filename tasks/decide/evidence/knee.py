"""Level one: the knee of the K-component loss and the range of interest around it."""

import warnings
from dataclasses import dataclass

import numpy as np

# The paper takes the knee and four on either side (Cao et al. 2025, doi:10.1039/d5dd00071h).
HALF_RANGE = 4


@dataclass(frozen=True)
class RangeOfInterest:
    """Numbers of components worth a closer look.

    Parameters
    ----------
    knee : int or None
        None where the loss has none.
    low, high : int
        Knee - 4 and knee + 4, clipped to what was fitted; all that was fitted without a knee.
    """

    knee: int | None
    low: int
    high: int


def range_of_interest(ks: np.ndarray, loss: np.ndarray) -> RangeOfInterest:
    """Find the knee of a falling, convex loss by kneedle and the range around it.

    Parameters
    ----------
    ks : (number of k,) array of int
    loss : (number of k,) array

    References
    ----------
    Satopää et al. (2011), doi:10.1109/ICDCSW.2011.20, S = 1 as in the paper.
    """
    knee = None
    if len(ks) >= 3 and np.ptp(loss) > 0:
        from kneed import KneeLocator

        with warnings.catch_warnings():
            # It warns where there is no knee; that is an answer here.
            warnings.simplefilter("ignore")
            found = KneeLocator(ks, loss, S=1.0, curve="convex", direction="decreasing").knee
        knee = None if found is None else int(found)
    if knee is None:
        return RangeOfInterest(None, int(ks.min()), int(ks.max()))
    low, high = max(knee - HALF_RANGE, ks.min()), min(knee + HALF_RANGE, ks.max())
    return RangeOfInterest(knee, int(low), int(high))
