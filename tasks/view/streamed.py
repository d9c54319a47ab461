"""Sums over patterns that have to be read: virtual images as they are, and means of regions.

The scan is streamed block by block, never held, and left in the middle where nobody waits for the
result any more.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.blocks import Block
from orimap.tasks.view.damage import MissingError

# Blocks are decompressed side by side; the other cores are for those who click meanwhile.
READERS = max(1, min(4, (os.cpu_count() or 1)))


class StoppedError(Exception):
    """Nobody waits for the result any more."""


def exact_image(
    source: PatternSource, mask: np.ndarray, stop: threading.Event | None = None
) -> np.ndarray:
    """Return the virtual image of some pixels: their sum in every pattern as it was analysed.

    Parameters
    ----------
    source : PatternSource
    mask : (detector_y, detector_x) array of bool
        In the frame of the patterns as they were analysed; only pixels that are valid.
    stop : threading.Event, optional
        Ends it when it is set; looked at before every block.

    Returns
    -------
    (scan_y, scan_x) array
        In the unit of the counts.

    Raises
    ------
    StoppedError
        If ``stop`` was set.
    """
    image = np.zeros(source.positions)
    seen = np.ones(int(np.count_nonzero(mask)))

    def add(blocks: Sequence[Block]) -> None:
        for batch in source.read(blocks, mask):
            image[batch.numbers] = batch.rows @ seen - source.floor * len(seen)

    # Of one kind each: groups of blocks write places of their own.
    for _ in _side_by_side(add, source.groups(), stop):
        pass
    return image.reshape(source.scan_shape)


def region_mean(
    source: PatternSource,
    region: Block,
    stop: threading.Event | None = None,
    measured: np.ndarray | None = None,
) -> np.ndarray:
    """Return the mean raw pattern of the positions of a rectangle that were measured.

    Parameters
    ----------
    source : PatternSource
    region : Block
    stop : threading.Event, optional
        As for `exact_image`.
    measured : (scan_y, scan_x) array of bool, optional
        Where there is a pattern; everywhere if it is not given.

    Returns
    -------
    (detector_y, detector_x) array
        Centred where the patterns are, as the mean patterns of clusters; values that are not
        finite and negative ones count as 0.

    Raises
    ------
    InputError
        If the region is empty, or not in the scan. MissingError if nothing was measured in it.
        StoppedError if ``stop`` was set.
    """
    count = measured_in(region, source.scan_shape, measured)
    raw, every = replace(source, filter="raw"), np.ones(source.detector_shape, bool)
    inside = np.zeros(source.scan_shape, bool)
    inside[region.slices] = True if measured is None else measured[region.slices]
    wanted = inside.ravel()

    def total(blocks: Sequence[Block]) -> np.ndarray:
        found = np.zeros(every.size)
        for batch in raw.read(blocks, every):
            found += wanted[batch.numbers].astype(float) @ batch.rows
        return found

    touched = [[block] for block in raw.blocks() if inside[block.slices].any()]
    summed = sum(_side_by_side(total, touched, stop), start=np.zeros(every.size))
    mean = summed / count - source.pedestal
    return mean.reshape(source.detector_shape)


def measured_in(
    region: Block, scan_shape: tuple[int, int], measured: np.ndarray | None = None
) -> int:
    """Return at how many positions of a rectangle there is a pattern.

    Parameters
    ----------
    region : Block
    scan_shape : (int, int)
    measured : (scan_y, scan_x) array of bool, optional

    Raises
    ------
    InputError
        If the region is empty, or not in the scan. MissingError if nothing was measured in it.
    """
    require_region(region, scan_shape)
    if measured is None:
        return region.positions
    count = int(np.count_nonzero(measured[region.slices]))
    if not count:
        raise MissingError(
            "a rectangle in which something was measured",
            "no position of it was measured",
            "draw it elsewhere",
        )
    return count


def require_region(region: Block, scan_shape: tuple[int, int]) -> None:
    """Check that a rectangle lies in the scan.

    Raises
    ------
    InputError
        If it does not, or is empty.
    """
    rows, columns = scan_shape
    if not (0 <= region.y0 < region.y1 <= rows and 0 <= region.x0 < region.x1 <= columns):
        raise InputError(
            f"a rectangle within rows 0 to {rows - 1}, columns 0 to {columns - 1}",
            f"rows {region.y0} to {region.y1 - 1}, columns {region.x0} to {region.x1 - 1}",
            "give its first and its last row and column, the smaller ones first",
        )


def _side_by_side(
    work: Callable[[Any], Any], parts: Sequence[Any], stop: threading.Event | None
) -> Iterator[Any]:
    """Yield what some threads make of parts, in the order of the parts, until it is to stop."""

    def unless_stopped(part: Any, stop: threading.Event | None) -> Any:
        if stop is not None and stop.is_set():
            raise StoppedError
        return work(part)

    with ThreadPoolExecutor(min(READERS, max(1, len(parts)))) as pool:
        try:
            yield from pool.map(unless_stopped, parts, repeat(stop))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
