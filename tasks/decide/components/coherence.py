"""How a component lies over the scan: grains hold together, left-over noise does not.

Domain: grains of several positions. A grain of a single position cannot be told from noise this
way; below ``FEWEST_POSITIONS`` positions nothing is judged. Cost: a few sums over the weights.
"""

import numpy as np

# On the simulated scans components that are grains reach .66 or more (but for 500 electrons a
# pattern), those that fit noise mostly .25 or less; .5 lies in the gap.
COHERENT = 0.5
# Present nearly everywhere, evenly: a scan of one crystal has nothing else to cohere against.
EVERYWHERE = 0.8
# Noise that was averaged over squares of nine positions is even to .81.
AVERAGED_EVERYWHERE = 0.9
# Neighbours' correlation says little in fewer positions.
FEWEST_POSITIONS = 64


def neighbour_correlation(weights: np.ndarray, apart: int = 1) -> np.ndarray:
    """Return the correlation of every component's weight with that of positions nearby.

    Parameters
    ----------
    weights : (scan_y, scan_x, component) array
    apart : int
        How far positions are apart: as far as weights were averaged, so that they share no noise.

    Returns
    -------
    (component,) array
        Moran's I along rows, columns and both diagonals, the largest of the four: 1 = smooth,
        0 = every position by itself. The largest, so that a lamella one position wide coheres.

    References
    ----------
    Moran (1950), doi:10.2307/2332142.
    """
    deviation = weights - weights.mean(axis=(0, 1))
    variance = (deviation**2).mean(axis=(0, 1))
    d = apart
    pairs = (
        (deviation[d:], deviation[:-d]),
        (deviation[:, d:], deviation[:, :-d]),
        (deviation[d:, d:], deviation[:-d, :-d]),
        (deviation[d:, :-d], deviation[:-d, d:]),
    )
    largest = np.full(weights.shape[-1], -1.0)
    for one, other in pairs:
        if one.size:
            product = (one * other).mean(axis=(0, 1))
            along = np.divide(product, variance, out=np.zeros_like(product), where=variance > 0)
            largest = np.maximum(largest, along)
    return largest


def spreads(weights: np.ndarray) -> np.ndarray:
    """Return the share of the scan that every component effectively fills.

    Parameters
    ----------
    weights : (scan_y, scan_x, component) array

    Returns
    -------
    (component,) array
        Participation ratio of the weights over the number of positions: 1 = even over the scan.
    """
    total, squares = weights.sum(axis=(0, 1)), (weights**2).sum(axis=(0, 1))
    ratio = np.divide(total**2, squares, out=np.zeros_like(squares), where=squares > 0)
    return ratio / (weights.shape[0] * weights.shape[1])


def is_coherent(weights: np.ndarray, apart: int = 1) -> np.ndarray:
    """Return which components (scan_y, scan_x, component) hold together over the scan.

    ``apart`` as in ``neighbour_correlation``.
    """
    if weights.shape[0] * weights.shape[1] < FEWEST_POSITIONS:
        return np.ones(weights.shape[-1], bool)
    everywhere = EVERYWHERE if apart == 1 else AVERAGED_EVERYWHERE
    return (neighbour_correlation(weights, apart) >= COHERENT) | (spreads(weights) >= everywhere)
