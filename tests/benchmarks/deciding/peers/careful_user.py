"""What a careful user gets by hand: scikit-learn's NMF with all that experience adds to it.

The direct beam is masked; pixels and positions are scaled for counting noise; components have unit
sum and are compared at their 98th percentile, so that a strong one does not outshine the others;
the number is the knee of the loss. Patterns on detectors wider than 64 px are binned 2 x 2.
"""

import numpy as np
from answers import MOST_K, Answer, bin_patterns

WIDEST_PX = 64
# Radius of the masked direct beam, as a share of the detector's width.
BEAM_SHARE = 0.055
FULL_PERCENTILE = 98


def prepare(patterns: np.ndarray) -> np.ndarray:
    """Return the patterns (scan_y, scan_x, detector_y, detector_x), binned where they are large."""
    positive = np.maximum(patterns, 0)
    return bin_patterns(positive, 2 if patterns.shape[-1] > WIDEST_PX else 1)


def careful(patterns: np.ndarray) -> Answer:
    """Fit every k to the scaled counts beside the beam and take the knee of the loss."""
    from kneed import KneeLocator
    from sklearn.decomposition import NMF

    *scan, height, width = patterns.shape
    mean = patterns.mean(axis=(0, 1))
    y, x = np.indices(mean.shape)
    beam = np.unravel_index(_smooth(mean).argmax(), mean.shape)
    seen = np.hypot(y - beam[0], x - beam[1]) > BEAM_SHARE * width + 1
    rows = patterns.reshape(-1, height * width)[:, (seen & (mean > 0)).ravel()].astype(np.float32)
    pixel = np.sqrt(rows.mean(axis=0))
    position = np.sqrt(np.maximum(rows.mean(axis=1, keepdims=True), 1e-9))
    scaled = rows / pixel / position
    ks = list(range(1, MOST_K + 1))
    losses, shares = [], []
    for k in ks:
        fit = NMF(n_components=k, init="nndsvda", max_iter=300, random_state=0)
        weights = fit.fit_transform(scaled)
        losses.append(fit.reconstruction_err_)
        # Back to counts, and to components of unit sum.
        weights = weights * position * (fit.components_ * pixel).sum(axis=1)
        full = np.percentile(weights, FULL_PERCENTILE, axis=0)
        shares.append(weights / np.where(full > 0, full, np.inf))
    found = KneeLocator(ks, losses, S=1, curve="convex", direction="decreasing").knee
    k = int(found or 1)
    share = shares[ks.index(k)].reshape(*scan, k)
    return Answer(k, share.argmax(axis=-1), _ratio(share))


def _smooth(image: np.ndarray) -> np.ndarray:
    """Sum over 3 x 3 pixels: a hot one is no direct beam."""
    wide = np.pad(image, 1)
    height, width = image.shape
    return sum(wide[i : i + height, j : j + width] for i in range(3) for j in range(3))


def _ratio(share: np.ndarray) -> np.ndarray:
    """Return the second share over the first."""
    if share.shape[-1] < 2:
        return np.zeros(share.shape[:-1])
    ordered = np.sort(share, axis=-1)
    first = ordered[..., -1]
    return np.divide(ordered[..., -2], first, out=np.zeros_like(first), where=first > 0)


WAYS = {"careful-user": careful}
