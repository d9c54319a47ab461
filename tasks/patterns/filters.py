"""The filters a scan can pass before it is analysed: raw, the 3x3 mean, or ePattern's drawing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import xarray as xr
import zarr

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.source import PatternSource, neighbour_mean, with_neighbours
from orimap.tasks.store import variables
from orimap.tasks.store.cleaning import clean
from orimap.tasks.store.groups import USUAL, mark_complete, remove_group
from orimap.tasks.store.whole.seal import CHECKSUM
from orimap.tasks.stream.blocks import Block, Progress, map_blocks, silent, sum_blocks

FILTERS = ("raw", "mean", "epattern")


def check_filter(name: str) -> None:
    """Raise InputError unless the filter is one we have."""
    if name not in FILTERS:
        raise InputError(f"a filter: {', '.join(FILTERS)}", f"--filter {name}", "choose one")


def mean_of_neighbours(patterns: np.ndarray, around: Block, block: Block) -> np.ndarray:
    """Average each pattern with the scan neighbours that exist (3x3).

    Parameters
    ----------
    patterns : (y, x, detector_y, detector_x) array
        The patterns of ``around``, which is ``block`` and its neighbours. Values that are not
        finite and negative values count as 0.
    around, block : Block

    Returns
    -------
    (y, x, detector_y, detector_x) float32 array over ``block``
    """
    rows = clean(patterns.reshape(len(patterns) * patterns.shape[1], -1))
    rows = rows.astype(np.float32)
    mean = (neighbour_mean(around, block).astype(np.float32)) @ rows
    shape = (block.y1 - block.y0, block.x1 - block.x0, *patterns.shape[2:])
    return mean.reshape(shape)


def write_mean(client: Any, store: Path, mark: str, *, progress: Progress = silent) -> None:
    """Write /mean beside /raw: each pattern averaged over its 3x3 scan neighbours.

    Every block reads a margin of one position from its neighbouring chunks, so that chunk
    borders leave no trace.
    """
    patterns = PatternSource.open(store, "raw")
    create_like_raw(store, "mean")
    for _ in map_blocks(
        client, _write_mean_block, patterns.blocks(), patterns, name="mean", progress=progress
    ):
        pass
    mark_complete(store, "mean", mark)


def _write_mean_block(block: Block, patterns: PatternSource) -> None:
    """Filter one block on a worker and write it to its chunk."""
    around = with_neighbours(block, patterns.scan_shape)
    mean = mean_of_neighbours(patterns.stored(around, "raw"), around, block)
    group = zarr.open_group(patterns.store, path="mean", mode="r+")
    group["pattern_intensity"][block.slices] = mean - patterns.pedestal


def write_drawn(
    client: Any, patterns: PatternSource, mark: str, *, progress: Progress = silent
) -> None:
    """Write /epattern beside /raw: the patterns drawn from the registered reflections.

    To look at and to take elsewhere: the analysis draws its own rows, which are sparse.
    """
    create_like_raw(patterns.store, "epattern")
    for _ in map_blocks(
        client, _write_drawn_block, patterns.blocks(), patterns, name="draw", progress=progress
    ):
        pass
    mark_complete(patterns.store, "epattern", mark)


def _write_drawn_block(block: Block, patterns: PatternSource) -> None:
    """Draw one block on a worker and write it to its chunk."""
    drawn = np.empty((block.y1 - block.y0, block.x1 - block.x0, *patterns.detector_shape), "f4")
    for piece in patterns.batches(block):
        place = piece.slices_in(block)
        drawn[place] = patterns.images(piece).reshape(drawn[place].shape)
    group = zarr.open_group(patterns.store, path="epattern", mode="r+")
    group["pattern_intensity"][block.slices] = drawn


def create_like_raw(store: Path, name: str) -> None:
    """Make a group with the coordinates of /raw and an empty array for its filtered patterns."""
    raw = zarr.open_group(store, path="raw", mode="r")
    source = raw["pattern_intensity"]
    remove_group(store, name)
    group = zarr.open_group(store, path=name, mode="w")
    for axis, values in raw.arrays():
        if axis != "pattern_intensity":
            copy = group.create_array(
                axis,
                data=values[:],
                compressors=(USUAL, CHECKSUM),
                dimension_names=values.metadata.dimension_names,
            )
            copy.attrs.update(values.attrs)
    target = group.create_array(
        "pattern_intensity",
        shape=source.shape,
        chunks=source.chunks,
        dtype="float32",
        # Patterns of earlier versions have no checksums.
        compressors=(*(c for c in source.compressors if c != CHECKSUM), CHECKSUM),
        dimension_names=source.metadata.dimension_names,
    )
    target.attrs.update(source.attrs)


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
    summed = sum_blocks(
        client, _sum_rows, patterns.blocks(), patterns, valid, name="sum", progress=progress
    )
    total = summed.result()
    entries = patterns.positions * max(1, np.count_nonzero(valid))
    mean = np.zeros(mask.shape, np.float32)
    mean[valid] = total[:-1] / patterns.positions - patterns.floor
    return variables.dataset(
        {variables.detector_mean: mean, variables.detector_mask: mask.astype(np.uint8)},
        mean_intensity=float(total[:-1].sum() / entries) - patterns.floor,
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
