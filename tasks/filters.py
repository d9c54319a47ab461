"""The filters a scan can pass before it is analysed: raw, or the 3x3 mean."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from orimap.tasks.errors import InputError
from orimap.tasks.patterns import PatternSource, neighbour_mean, with_neighbours
from orimap.tasks.scan_statistics import clean
from orimap.tasks.stores import mark_complete, remove_group
from orimap.tasks.streaming import Block, Progress, map_blocks, silent

FILTERS = ("raw", "mean")


def check_filter(name: str) -> None:
    """Raise InputError unless the filter is one we have."""
    if name == "epattern":
        raise InputError(
            "a filter that this version has: raw or mean",
            "--filter epattern (registered reflections), which is not available yet",
            "use --filter mean for weak reflections, --filter raw otherwise",
        )
    if name not in FILTERS:
        raise InputError(f"a filter: {' or '.join(FILTERS)}", f"--filter {name}", "choose one")


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
    raw = zarr.open_group(store, path="raw", mode="r")
    source = raw["pattern_intensity"]
    remove_group(store, "mean")
    group = zarr.open_group(store, path="mean", mode="w")
    for name, values in raw.arrays():
        if name != "pattern_intensity":
            copy = group.create_array(
                name, data=values[:], dimension_names=values.metadata.dimension_names
            )
            copy.attrs.update(values.attrs)
    target = group.create_array(
        "pattern_intensity",
        shape=source.shape,
        chunks=source.chunks,
        dtype="float32",
        compressors=source.compressors,
        dimension_names=source.metadata.dimension_names,
    )
    target.attrs.update(source.attrs)
    patterns = PatternSource.open(store, "raw")
    for _ in map_blocks(client, _write_mean_block, patterns.blocks(), patterns, progress=progress):
        pass
    mark_complete(store, "mean", mark)


def _write_mean_block(block: Block, patterns: PatternSource) -> None:
    """Filter one block on a worker and write it to its chunk."""
    around = with_neighbours(block, patterns.scan_shape)
    mean = mean_of_neighbours(patterns.stored(around, "raw"), around, block)
    group = zarr.open_group(patterns.store, path="mean", mode="r+")
    group["pattern_intensity"][block.slices] = mean
