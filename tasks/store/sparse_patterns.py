"""Counts that are mostly zero, kept beside the dense patterns as lists of the pixels that are not.

A pass over 5,000 electrons in 512×512 pixels then reads and decompresses 25 kB a pattern in place
of 512 kB, which is what a pass would mostly do. Group /sparse of ``patterns.zarr`` holds what /raw
holds, value by value, in the same chunks of scan positions.
"""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from orimap.tasks.store import variables
from orimap.tasks.store.groups import mark_complete
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.store.whole.seal import CHECKSUM
from orimap.tasks.stream.blocks import Block

GROUP = "sparse"
# An array of which every block uses the beginning of a row: what it does not use is not stored.
ENTRIES_A_CHUNK = 2**18


def create(
    store: Path,
    scan_shape: tuple[int, int],
    block_shape: tuple[int, int],
    detector_shape: tuple[int, int],
    dtype: np.dtype,
) -> None:
    """Make the group with empty arrays, in place of an earlier one."""
    pixels = detector_shape[0] * detector_shape[1]
    blocks = [-(-length // part) for length, part in zip(scan_shape, block_shape, strict=True)]
    patterns = block_shape[0] * block_shape[1]
    group = zarr.open_group(store, path=GROUP, mode="w")
    lists = (blocks[0] * blocks[1], patterns * pixels)
    for variable, shape, chunks, kind in (
        (variables.scan_entries, scan_shape, block_shape, np.uint32),
        (variables.entry_pixel, lists, (1, min(lists[1], ENTRIES_A_CHUNK)), _smallest(pixels)),
        (variables.entry_value, lists, (1, min(lists[1], ENTRIES_A_CHUNK)), dtype),
    ):
        group.create_array(
            variable.name,
            shape=shape,
            chunks=chunks,
            dtype=kind,
            compressors=(_compression(), CHECKSUM),
            dimension_names=variable.dims,
            attributes={"units": variable.units, "long_name": variable.long_name},
        )


def write_block(store: Path, block: Block, entries: Entries) -> None:
    """Write the patterns of one whole block, in the order of its rows."""
    counts, pixel, value = (opened(store, GROUP, v.name) for v in _ARRAYS)
    shape = (block.y1 - block.y0, block.x1 - block.x0)
    counts[block.slices] = np.diff(entries.indptr).reshape(shape)
    row, many = _row(store, block), len(entries.value)
    pixel[row, :many] = entries.pixel
    value[row, :many] = entries.value


def finish(store: Path, mark: str) -> None:
    """Put the numbers of entries, written block by block, into one chunk; mark the group whole."""
    variable = variables.scan_entries
    numbers = np.asarray(opened(store, GROUP, variable.name)[:])
    group = zarr.open_group(store, path=GROUP, mode="r+")
    attributes = dict(group[variable.name].attrs)
    group.create_array(
        variable.name,
        data=numbers,
        chunks=numbers.shape,
        compressors=(_compression(), CHECKSUM),
        dimension_names=variable.dims,
        attributes=attributes,
        overwrite=True,
    )
    mark_complete(store, GROUP, mark)


def numbers_of_entries(store: Path) -> np.ndarray:
    """Return how many entries each pattern of a whole group has; read once in a process."""
    path = store / GROUP / variables.scan_entries.name
    return _numbers(path, os.stat(path / "zarr.json").st_mtime_ns)


@lru_cache(maxsize=2)
def _numbers(path: Path, _written: int) -> np.ndarray:
    return np.asarray(zarr.open_array(path, mode="r")[:])


def read_blocks(store: Path, blocks: Sequence[Block], numbers: np.ndarray | None = None) -> Entries:
    """Read the patterns of whole blocks, one block after another.

    ``numbers`` of the entries of all patterns (``numbers_of_entries``) save reading them. What lies
    side by side is read in one go: each goes through zarr's event loop, which takes milliseconds.
    """
    counts, pixel, value = (opened(store, GROUP, v.name) for v in _ARRAYS)
    stored = counts if numbers is None else numbers
    many = [np.ravel(stored[block.slices]).astype(np.int64) for block in blocks]
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(many))])
    pixels, values = np.empty(indptr[-1], np.uint32), np.empty(indptr[-1], value.dtype)
    rows, lengths = [_row(store, block) for block in blocks], [int(one.sum()) for one in many]
    start = first = 0
    while first < len(rows):
        last = first + 1
        while last < len(rows) and rows[last] == rows[last - 1] + 1:
            last += 1
        longest = max(lengths[first:last])
        part = slice(rows[first], rows[last - 1] + 1), slice(0, longest)
        lists = np.asarray(pixel[part]), np.asarray(value[part])
        for place in range(last - first):
            stop = start + lengths[first + place]
            pixels[start:stop] = lists[0][place, : stop - start]
            values[start:stop] = lists[1][place, : stop - start]
            start = stop
        first = last
    return Entries(indptr, pixels, values)


def read_dense(store: Path, part: Block, detector_shape: tuple[int, int]) -> np.ndarray:
    """Return the patterns (scan_y, scan_x, detector_y, detector_x) of any part of the scan."""
    numbers = numbers_of_entries(store)
    value = opened(store, GROUP, variables.entry_value.name)
    shape = (part.y1 - part.y0, part.x1 - part.x0, *detector_shape)
    patterns = np.empty(shape, value.dtype)
    for whole, inner in _overlapping(part, numbers.shape, _block_shape(store)):
        entries = read_blocks(store, [whole], numbers)
        width = whole.x1 - whole.x0
        for y in range(inner.y0, inner.y1):
            first = (y - whole.y0) * width - whole.x0
            row = entries.patterns(first + inner.x0, first + inner.x1)
            place = slice(inner.x0 - part.x0, inner.x1 - part.x0)
            patterns[y - part.y0, place] = row.dense(detector_shape[0] * detector_shape[1]).reshape(
                -1, *detector_shape
            )
    return patterns


def _overlapping(
    part: Block, scan_shape: tuple[int, int], shape: tuple[int, int]
) -> Iterator[tuple[Block, Block]]:
    """Yield every stored block that a part of the scan touches, and what is common to both."""
    for y in range(part.y0 // shape[0] * shape[0], part.y1, shape[0]):
        for x in range(part.x0 // shape[1] * shape[1], part.x1, shape[1]):
            whole = Block(y, min(y + shape[0], scan_shape[0]), x, min(x + shape[1], scan_shape[1]))
            inner = Block(
                max(whole.y0, part.y0),
                min(whole.y1, part.y1),
                max(whole.x0, part.x0),
                min(whole.x1, part.x1),
            )
            yield whole, inner


_ARRAYS = (variables.scan_entries, variables.entry_pixel, variables.entry_value)


def _block_shape(store: Path) -> tuple[int, int]:
    """Return rows and columns of a chunk of the dense patterns."""
    rows, columns = opened(store, "raw", variables.pattern_intensity.name).chunks[:2]
    return rows, columns


def _row(store: Path, block: Block) -> int:
    """Return which row of the lists a block has."""
    rows, columns = _block_shape(store)
    across = opened(store, "raw", variables.pattern_intensity.name).shape[1]
    return block.y0 // rows * -(-across // columns) + block.x0 // columns


def _compression() -> BloscCodec:
    """Return how lists are compressed."""
    return BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")


def _smallest(pixels: int) -> np.dtype:
    """Return the smallest kind of number that numbers the pixels of a detector."""
    return np.min_scalar_type(max(0, pixels - 1)) if pixels <= 2**16 else np.dtype(np.uint32)


def opened(store: Path, group: str, name: str) -> zarr.Array:
    """Open an array of a store; again and again it is read from memory, until it is another.

    Chunks of nothing but zeros are written, too: a missing one must mean that it was lost.
    """
    path = store / group / name
    return _opened(path, os.stat(path / "zarr.json").st_mtime_ns)


@lru_cache(maxsize=16)
def _opened(path: Path, _written: int) -> zarr.Array:
    mode = "r+" if os.access(path, os.W_OK) else "r"
    # Of this array alone: settings of the whole process would be mixed up by several threads.
    return zarr.open_array(path, mode=mode).with_config({"write_empty_chunks": True})
