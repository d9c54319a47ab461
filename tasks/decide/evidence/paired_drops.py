"""How far every k improves on what was best before it, position by position."""

import numpy as np


def paired_drops(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each k lowers the best score of all smaller k.

    Positions differ among each other far more than one k differs from the next; the standard error
    is that of the differences at the same position.

    Parameters
    ----------
    scores : (number of k, positions) array
        Smaller is better: held-out deviance, or squared error.

    Returns
    -------
    drop, error : (number of k,) arrays
        Mean over positions and its standard error. NaN for the first k.
    """
    drop, error = (np.full(len(scores), np.nan) for _ in range(2))
    best = scores[0]
    for i, score in enumerate(scores[1:], start=1):
        gain = best - score
        drop[i] = gain.mean()
        error[i] = gain.std() / np.sqrt(len(gain))
        if drop[i] > 0:
            best = score
    return drop, error
