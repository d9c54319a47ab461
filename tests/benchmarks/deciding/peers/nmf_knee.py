"""The practice that the paper automates: scikit-learn's NMF for every k, and the knee of its loss.

Plain counts, no scaling of the components, the largest weight as the label. To end in minutes,
patterns on detectors wider than 64 px are binned 2 x 2, and handed over as a sparse matrix, which
gives the same fits.
"""

import numpy as np
from answers import MOST_K, Answer, bin_patterns, from_weights

WIDEST_PX = 64


def prepare(patterns: np.ndarray) -> np.ndarray:
    """Return the patterns (scan_y, scan_x, detector_y, detector_x), binned where they are large."""
    return bin_patterns(patterns, 2 if patterns.shape[-1] > WIDEST_PX else 1)


def knee(patterns: np.ndarray) -> Answer:
    """Fit every k and take the knee of the mean absolute error."""
    from kneed import KneeLocator
    from scipy.sparse import csr_array
    from sklearn.decomposition import NMF

    scan = patterns.shape[:2]
    counts = patterns.reshape(scan[0] * scan[1], -1)
    sparse = csr_array(counts)
    ks = list(range(1, MOST_K + 1))
    losses, weights = [], []
    for k in ks:
        fit = NMF(n_components=k, init="nndsvda", max_iter=200, random_state=0)
        weights.append(fit.fit_transform(sparse))
        losses.append(np.abs(counts - weights[-1] @ fit.components_).mean())
    found = KneeLocator(ks, losses, S=1, curve="convex", direction="decreasing").knee
    k = int(found or 1)  # a curve without a knee says nothing: one pattern
    return from_weights(weights[ks.index(k)].reshape(*scan, k))


WAYS = {"nmf-knee": knee}
