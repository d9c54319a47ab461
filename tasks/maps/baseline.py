"""What a plain analysis would show beside ours: k-means on the sketch, and a scree."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from orimap.tasks.store import variables

if TYPE_CHECKING:
    import dask.array as da

# Positions a chunk of the projected patterns holds: a few megabytes.
CHUNK_POSITIONS = 50_000
EVERY = slice(None)


def baseline(
    store: Path,
    label: np.ndarray,
    clusters: int,
    *,
    seed: int,
    measured: np.ndarray | None = None,
) -> xr.Dataset:
    """Cluster the projected patterns by k-means and take their singular values by tsqr.

    Runs on the Dask workers of the current client where the scan is large, else in this process.

    Parameters
    ----------
    store : Path
        ``analysis.zarr`` with the group /sketch.
    label : (scan_y, scan_x) array of int
        Our map, to compare with.
    clusters : int
        Number of k-means clusters: the number that we found.
    seed : int
    measured : (scan_y, scan_x) array of bool, optional
        Where there are patterns; k-means knows nothing of other positions, and gives them -1.

    Returns
    -------
    xarray.Dataset
        The group /baseline; attribute ``agreement``: adjusted Rand index with ``label`` where there
        are patterns.
    """
    import dask
    import dask.array as da
    from sklearn.metrics import adjusted_rand_score

    array = da.from_zarr(store, component="sketch/scan_basis").astype(float)
    rank = array.shape[-1]
    flat = array.reshape((-1, rank)).rechunk((max(CHUNK_POSITIONS, rank), rank))
    # One chunk is nothing to spread, and workers take seconds to load dask-ml.
    where = {"scheduler": "synchronous"} if flat.npartitions == 1 else {}
    with dask.config.set(where):
        there = EVERY if measured is None else np.flatnonzero(measured)
        labels, scree = _clustered(flat, clusters, seed, there)
    found = np.full(label.size, -1, np.int16)
    found[there] = labels
    return variables.dataset(
        {
            variables.kmeans_label: found.reshape(label.shape),
            variables.scree_value: scree,
        },
        agreement=float(adjusted_rand_score(label.ravel()[there], labels)),
    )


def compared_anew(
    stored: xr.Dataset, label: np.ndarray, measured: np.ndarray | None = None
) -> xr.Dataset:
    """Return a stored /baseline with its agreement with another map, as ``baseline`` has it."""
    from sklearn.metrics import adjusted_rand_score

    there = EVERY if measured is None else np.flatnonzero(measured)
    found = variables.kmeans_label.read(stored).values.ravel()[there]
    agreement = float(adjusted_rand_score(label.ravel()[there], found))
    return stored.load().assign_attrs(agreement=agreement)


def warm_up() -> None:
    """Load dask-ml, and have it compile its loops: half a second that the first k-means takes."""
    import dask
    import dask.array as da

    with dask.config.set(scheduler="synchronous"):
        _clustered(da.eye(4), 2, 0)


def _clustered(
    flat: "da.Array", clusters: int, seed: int, there: np.ndarray | slice = EVERY
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cluster of every position that is there, and the singular values."""
    import dask.array as da
    from dask_ml.cluster import KMeans
    from dask_ml.decomposition import TruncatedSVD

    rank = flat.shape[1]
    # That it starts from fewer centres than asked for, on tiny scans, shows in its map.
    logging.getLogger("dask_ml.cluster.k_means").setLevel(logging.ERROR)
    # Patterns of one grain lie on a ray from the origin: their direction counts, not their length.
    length = da.sqrt((flat**2).sum(axis=1, keepdims=True))
    direction = (flat / da.where(length > 0, length, 1.0)).persist()
    # Where every direction is a centre already, its choice of centres divides nothing by nothing.
    with np.errstate(invalid="ignore"):
        means = KMeans(n_clusters=max(1, clusters), random_state=seed).fit(direction[there])
    found = np.asarray(means.labels_).astype(np.int16)
    # One column is its own singular vector, and too few for the estimator.
    scree = (
        TruncatedSVD(n_components=rank - 1, algorithm="tsqr").fit(flat).singular_values_
        if rank > 1
        else da.linalg.norm(flat, axis=0).compute()
    )
    return found, np.asarray(scree)
