"""The clusters of the decided fit: mean raw patterns, representatives, and how well they agree."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import xarray as xr

from orimap.tasks.maps.labels_and_overlap import CERTAIN, Maps
from orimap.tasks.patterns.noise import MOST_POSITIONS, Noise
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables
from orimap.tasks.stream.blocks import Block, Progress, broadcast, silent, sum_blocks


def mean_patterns(
    client: Any,
    patterns: PatternSource,
    label: np.ndarray,
    count: int,
    *,
    progress: Progress = silent,
) -> np.ndarray:
    """Return the mean raw pattern of each cluster, in one pass.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    label : (scan_y, scan_x) array of int
    count : int
        Number of clusters; each must own a position.

    Returns
    -------
    (cluster, detector_y, detector_x) array
        Centred where the patterns are. Values that are not finite and negative ones count as 0.
    """
    (labels,) = broadcast(client, label)
    total = sum_blocks(
        client,
        _sum_by_label,
        patterns.blocks(),
        patterns,
        labels,
        count,
        name="mean pattern",
        progress=progress,
    )
    size = np.bincount(label[label >= 0].ravel(), minlength=count)
    return total.result() / size[:, None, None]


def _sum_by_label(
    blocks: Sequence[Block], patterns: PatternSource, label: np.ndarray, count: int
) -> np.ndarray:
    """Add up the patterns of every cluster over a group of blocks, on a worker."""
    total = np.zeros((count, *patterns.detector_shape))
    every = np.ones(patterns.detector_shape, bool)
    for batch in replace(patterns, filter="raw").read(blocks, every):
        inside = label.ravel()[batch.numbers]
        there = np.flatnonzero(inside >= 0)
        ones = np.ones(len(there))
        belongs = sp.csr_array((ones, (inside[there], there)), (count, len(inside)))
        found = belongs @ batch.rows
        total += (found.toarray() if sp.issparse(found) else found).reshape(total.shape)
    return total


def representatives(patterns: np.ndarray, weights: np.ndarray, maps: Maps) -> np.ndarray:
    """Return the pattern that the factorisation gives each cluster, in counts.

    Parameters
    ----------
    patterns : (component, detector_y, detector_x) array, unit sum
    weights : (scan_y, scan_x, component) array, electrons
    maps : Maps

    Returns
    -------
    (cluster, detector_y, detector_x) array
        The cluster's components, each with its mean weight where the cluster is strongest:
        comparable with the mean raw pattern. (The paper takes the largest weight; the scale does
        not matter to metrics at unit maximum.)
    """
    result = np.zeros((len(maps.size), *patterns.shape[1:]))
    for cluster in range(len(maps.size)):
        members = np.flatnonzero(maps.component_cluster == maps.parent[cluster])
        mean = weights[maps.label == cluster].mean(axis=0)[members]
        result[cluster] = np.tensordot(mean, patterns[members], axes=1)
    return result


def clusters_dataset(
    maps: Maps, mean: np.ndarray, representative: np.ndarray, noise: Noise, mask: np.ndarray
) -> xr.Dataset:
    """Return the group /clusters, with the four metrics of fidelity and the noise.

    Parameters
    ----------
    maps : Maps
    mean, representative : (cluster, detector_y, detector_x) arrays
    noise : Noise of (cluster,) arrays
    mask : (detector_y, detector_x) array of bool
        Pixels to leave out of the comparison.
    """
    from orimap.tasks.decide.components.metrics import fidelity

    v = variables
    scores = [fidelity(a, b, mask=mask) for a, b in zip(mean, representative, strict=True)]
    return v.dataset(
        {
            v.cluster_label: maps.label,
            v.component_cluster: maps.component_cluster,
            v.cluster_parent: maps.parent,
            v.cluster_share: maps.share,
            v.cluster_share_error: maps.share_error,
            v.cluster_size: maps.size,
            v.cluster_mean_pattern: mean.astype(np.float32),
            v.cluster_representative: representative.astype(np.float32),
            v.cluster_ssim: np.array([s["ssim"] for s in scores]),
            v.cluster_gmsd: np.array([s["gmsd"] for s in scores]),
            v.cluster_mdsi: np.array([s["mdsi"] for s in scores]),
            v.cluster_psnr: np.array([s["psnr"] for s in scores]),
            v.cluster_nsd_whole: noise.whole,
            v.cluster_nsd_corner: noise.corner,
            v.cluster_nsd_robust: noise.robust,
        },
        clusters_without_position=maps.without_position,
        noise_positions=[min(int(size), MOST_POSITIONS) for size in maps.size],
        positions_moved=maps.moved,
    )


def overlap_dataset(maps: Maps) -> xr.Dataset:
    """Return the group /overlap."""
    v = variables
    return v.dataset(
        {
            v.overlap_ratio: maps.overlap_ratio,
            v.overlap_ratio_error: maps.ratio_error,
            v.second_label: maps.second_label,
            v.overlap_level: maps.overlap_level,
        },
        positions_within_error=maps.within_error,
        standard_errors_needed=CERTAIN,
    )


def cluster_patterns(results: Path, cluster: int) -> xr.DataArray:
    """Return all raw patterns of one cluster, lazily.

    Parameters
    ----------
    results : Path
        The folder of a run.
    cluster : int
        Counted from 0, as in the store.

    Returns
    -------
    xarray.DataArray
        (position, detector_y, detector_x), a Dask array; scan coordinates along ``position``.

    Raises
    ------
    KeyError
        If there is no such cluster.
    """
    label = xr.open_zarr(
        results / "analysis.zarr", group="clusters", consolidated=False, chunks=None
    )["cluster_label"].values
    if not np.any(label == cluster) or cluster < 0:
        raise KeyError(f"cluster {cluster}: there are 0 to {label.max()}")
    raw = xr.open_zarr(results / "patterns.zarr", group="raw", consolidated=False)
    stacked = raw["pattern_intensity"].stack(position=("scan_y", "scan_x"))
    chosen = stacked.isel(position=np.flatnonzero(label.ravel() == cluster))
    return chosen.transpose("position", "detector_y", "detector_x")
