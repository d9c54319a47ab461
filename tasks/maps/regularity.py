"""Let neighbouring positions influence which cluster a position belongs to.

Off unless asked for: a map that was smoothed no longer shows what each pattern says by itself.
"""

import numpy as np

# Which of four groups a position belongs to: no two of a group are neighbours, so that a whole
# group can move at once and the result does not depend on an order of the positions.
GROUPS = ((0, 0), (0, 1), (1, 0), (1, 1))
NEIGHBOURS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))
# Sweeps end where nothing moves, mostly after three or four; at a scan's edge votes weigh more than
# inside, so that this is no theorem.
MOST_SWEEPS = 50


def regularise(label: np.ndarray, share: np.ndarray, regularity: float) -> np.ndarray:
    """Give positions to the cluster that their share and their neighbours together speak for.

    A position moves to another cluster where that one's share lags behind by less than
    ``regularity`` times what it is ahead in the neighbours: the fraction of the up to eight
    neighbours that belong to it, less the fraction that belong to the present one. So at 0.5 a
    position among eight of another kind changes where the shares differ by less than 0.5; on a
    straight border, where five neighbours are of its own kind and three of the other, none moves
    that was the stronger there.

    Parameters
    ----------
    label : (scan_y, scan_x) array of int
        -1 where there is no cluster: such positions stay and have no vote.
    share : (scan_y, scan_x, cluster) array
    regularity : float
        0 changes nothing.

    Returns
    -------
    (scan_y, scan_x) array of int
        A cluster whose positions would all go keeps the ones it had: smoothing must not change
        the number of patterns.

    References
    ----------
    Besag (1986), doi:10.1111/j.2517-6161.1986.tb01412.x (iterated conditional modes, here of a
    Potts model on eight neighbours).
    """
    count = share.shape[2]
    if regularity <= 0 or count < 2:
        return label.copy()
    result = label.copy()
    fraction = 1 / np.maximum(positions_around(label.shape) - 1, 1)
    for _ in range(MOST_SWEEPS):
        moved = 0
        for first_y, first_x in GROUPS:
            part = np.s_[first_y::2, first_x::2]
            here = result[part]
            if not here.size:
                continue
            support = share[part].astype(float)
            support += regularity * _votes(result, count, (first_y, first_x), fraction)
            own = np.take_along_axis(support, np.maximum(here, 0)[..., None], axis=2)[..., 0]
            best = support.argmax(axis=2)
            better = np.take_along_axis(support, best[..., None], axis=2)[..., 0]
            # Equal support moves nothing, whatever the rounding.
            moves = (here >= 0) & (better > own + 1e-9)
            result[part] = np.where(moves, best, here)
            moved += np.count_nonzero(moves)
        if not moved:
            break
    vanished = np.setdiff1d(label[label >= 0], result[result >= 0])
    kept = np.isin(label, vanished)
    result[kept] = label[kept]
    return result


def positions_around(shape: tuple[int, int]) -> np.ndarray:
    """Return how many of the 3x3 positions around each one exist, itself among them."""
    along = [np.minimum(np.arange(n), 1) + np.minimum(np.arange(n)[::-1], 1) + 1 for n in shape]
    return np.multiply.outer(*along)


def _votes(
    label: np.ndarray, count: int, first: tuple[int, int], fraction: np.ndarray
) -> np.ndarray:
    """Return the fraction of the neighbours in each cluster, at every other position."""
    around = np.pad(label, 1, constant_values=-1)
    rows, columns = label.shape
    part = np.s_[first[0] :: 2, first[1] :: 2]
    votes = np.zeros((*fraction[part].shape, count))
    y, x = np.indices(votes.shape[:2])
    for step_y, step_x in NEIGHBOURS:
        beside = around[1 + step_y : 1 + step_y + rows, 1 + step_x : 1 + step_x + columns][part]
        there = beside >= 0
        votes[y[there], x[there], beside[there]] += 1
    return votes * fraction[part][..., None]
