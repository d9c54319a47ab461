"""Make clusters of their own of the parts of a cluster that are not connected in the scan."""

import numpy as np

# Fewer positions than this are crumbs: noise at borders, not grains.
SMALLEST_PIECE = 9


def split_unconnected(
    label: np.ndarray, count: int, *, smallest: int = SMALLEST_PIECE
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pieces of every cluster.

    Parameters
    ----------
    label : (scan_y, scan_x) array of int
        -1 where there is no cluster.
    count : int
        Number of clusters.
    smallest : int
        Pieces (positions that touch by an edge or a corner) of at least this number of positions
        stand by themselves; smaller ones join the nearest of those. A cluster that has no such
        piece stays whole.

    Returns
    -------
    owner : (scan_y, scan_x, count) array of int16
        To which piece a share of each cluster belongs at every position: to the nearest. The
        largest piece keeps the cluster's number, further ones get numbers after the last cluster.
    parent : (pieces,) array of int16
        The cluster that each piece was part of.
    """
    from scipy import ndimage

    owner = np.empty((*label.shape, count), np.int16)
    parent = list(range(count))
    for cluster in range(count):
        owner[..., cluster] = cluster
        areas, found = ndimage.label(label == cluster, np.ones((3, 3), bool))
        size = np.bincount(areas.ravel(), minlength=found + 1)[1:]
        order = np.argsort(-size, kind="stable")
        large = [area + 1 for area in order if size[area] >= smallest]
        if len(large) < 2:
            continue
        number = np.zeros(found + 1, np.int16)
        number[large[0]] = cluster
        for area in large[1:]:
            number[area] = len(parent)
            parent.append(cluster)
        seeds = np.isin(areas, large)
        rows, columns = ndimage.distance_transform_edt(
            ~seeds, return_distances=False, return_indices=True
        )
        owner[..., cluster] = number[areas[rows, columns]]
    return owner, np.array(parent, np.int16)


def spread_to_pieces(values: np.ndarray, owner: np.ndarray, pieces: int) -> np.ndarray:
    """Hand the values of clusters to their pieces.

    Parameters
    ----------
    values : (scan_y, scan_x, cluster) array
    owner : (scan_y, scan_x, cluster) array of int
    pieces : int

    Returns
    -------
    (scan_y, scan_x, pieces) array
        Each value at the piece that owns it, 0 at its cluster's other pieces: sums stay.
    """
    result = np.zeros((*values.shape[:2], pieces), values.dtype)
    np.put_along_axis(result, owner.astype(np.intp), values, axis=2)
    return result
