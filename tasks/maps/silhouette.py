"""How far apart the groups lie that one fit sorts the scan positions into."""

from pathlib import Path

import numpy as np

# Distances between all pairs of these take 32 MB and a tenth of a second.
SAMPLE_POSITIONS = 2000


def silhouette(labels: np.ndarray, coordinates: np.ndarray, *, seed: int) -> float:
    """Return the mean silhouette coefficient over a sample of positions.

    Parameters
    ----------
    labels : (positions,) array of int
        The group of each position; -1 for none, which takes no part.
    coordinates : (positions, directions) array
        Where each position lies; distances are Euclidean.
    seed : int
        Seed of the sample, which is the same whatever the labels are.

    Returns
    -------
    float
        -1 to 1: how much nearer a position is to its own group than to the next. NaN where the
        sample has fewer than two groups, or nothing but groups of one.

    References
    ----------
    Rousseeuw (1987), J. Comput. Appl. Math. 20, 53, doi:10.1016/0377-0427(87)90125-7
    """
    positions = len(labels)
    sample = np.arange(positions)
    if positions > SAMPLE_POSITIONS:
        chosen = np.random.default_rng(seed).choice(positions, SAMPLE_POSITIONS, replace=False)
        sample = np.sort(chosen)
    sample = sample[labels[sample] >= 0]
    groups = len(np.unique(labels[sample]))
    if not 2 <= groups < len(sample):
        return np.nan
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(coordinates[sample], labels[sample]))


def fit_silhouette(store: Path, group: str, seed: int) -> float:
    """Return the silhouette of one stored fit, on a worker.

    Every component is a group of its own, background or not, and has the positions where its
    scaled weight is the largest. Distances are taken in the low-rank coordinates of the sketch,
    which are the same for every k; a pattern counts by its direction, not by how strong it is.

    Parameters
    ----------
    store : Path
        ``analysis.zarr``.
    group : str
        Path of the fit in the store.
    seed : int
    """
    from orimap.tasks.maps.labels_and_overlap import map_clusters
    from orimap.tasks.store import variables
    from orimap.tasks.store.groups import open_group

    weights = variables.scan_weight.read(open_group(store, group)).values
    labels = map_clusters(weights, np.arange(weights.shape[-1])).label.ravel()
    basis = variables.scan_basis.read(open_group(store, "sketch")).values.astype(float)
    flat = basis.reshape(-1, basis.shape[-1])
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    directions = flat / np.where(length > 0, length, 1)
    return silhouette(labels, directions, seed=seed)
