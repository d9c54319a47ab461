"""What the patterns are like as they are analysed, after filter and centring."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import xarray as xr

from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables
from orimap.tasks.stream.blocks import Block, Progress, silent, sum_blocks


def analysed_dataset(
    client: Any, patterns: PatternSource, mask: np.ndarray, *, progress: Progress = silent
) -> xr.Dataset:
    """Return the group /analysed of the results, in one pass over the patterns.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    mask : (detector_y, detector_x) uint8 array
        0 where a pixel is used in every pattern; others are not read, and 0 in the mean.

    Returns
    -------
    xarray.Dataset
        ``detector_mean`` and ``detector_mask``; attributes mean_intensity (over the used pixels)
        and zero_fraction (of them).
    """
    valid = mask == 0
    summed = sum_blocks(client, _sum_rows, patterns.blocks(), patterns, valid, progress=progress)
    total = summed.result()
    entries = patterns.positions * max(1, np.count_nonzero(valid))
    mean = np.zeros(mask.shape, np.float32)
    mean[valid] = total[:-1] / patterns.positions
    return variables.dataset(
        {variables.detector_mean: mean, variables.detector_mask: mask.astype(np.uint8)},
        mean_intensity=float(total[:-1].sum() / entries),
        zero_fraction=float(1 - total[-1] / entries),
    )


def _sum_rows(blocks: Sequence[Block], patterns: PatternSource, valid: np.ndarray) -> np.ndarray:
    """Add up the rows of a group of blocks; the last number counts what is not zero."""
    total = np.zeros(np.count_nonzero(valid) + 1)
    for block in blocks:
        for piece in patterns.batches(block):
            rows = patterns.rows(piece, valid)
            total[:-1] += np.asarray(rows.sum(axis=0, dtype=float)).ravel()
            total[-1] += rows.nnz if sp.issparse(rows) else np.count_nonzero(rows)
    return total
