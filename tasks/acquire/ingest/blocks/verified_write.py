"""Write a block of patterns as a chunk, read it back and compare: nothing is taken on trust."""

from pathlib import Path

import numpy as np
import zarr
from numcodecs import Blosc

from orimap.tasks.store import sparse_patterns
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.store.whole.seal import CHECKSUM, CHECKSUM_BYTES
from orimap.tasks.stream.blocks import Block


def write_verified(
    store: Path, block: Block, patterns: np.ndarray, entries: Entries | None = None
) -> None:
    """Write one block, and compare with it what is then in the store.

    Parameters
    ----------
    store : Path
        With the array ``raw/pattern_intensity``, of which the block is one chunk.
    block : Block
    patterns : (scan_y, scan_x, detector_y, detector_x) array
    entries : Entries, optional
        The same patterns as lists, for the group of sparse patterns.

    Raises
    ------
    OSError
        If anything reads back differently.
    """
    array = sparse_patterns.opened(store, "raw", "pattern_intensity")
    array[block.slices] = patterns
    same = _same_bits(_stored_chunk(array, store, block), patterns)
    if entries is not None:
        sparse_patterns.write_block(store, block, entries)
        same = same and entries.equals(sparse_patterns.read_blocks(store, [block]))
    if not same:
        raise OSError(
            f"the chunk of rows {block.y0} to {block.y1} and columns {block.x0} to {block.x1} "
            f"reads back differently from what was written to {store}: check the disk"
        )


def _stored_chunk(array: zarr.Array, store: Path, block: Block) -> np.ndarray:
    """Decompress the chunk that holds a block: as zarr does it, but without copies on the way.

    A large NumPy array comes in large pages, unlike the bytes that zarr has a chunk decompressed
    into and then copies: half of the time of reading back.
    """
    place = (block.y0 // array.chunks[0], block.x0 // array.chunks[1], 0, 0)
    path = store / "raw" / "pattern_intensity" / array.metadata.encode_chunk_key(place)
    patterns = np.empty(array.chunks, array.dtype.newbyteorder("<"))
    content = memoryview(path.read_bytes())
    # All bits of what was decoded are compared: the checksum behind it would say no more.
    summed = array.metadata.codecs[-1] == CHECKSUM
    Blosc().decode(content[:-CHECKSUM_BYTES] if summed else content, patterns)
    return patterns[: block.y1 - block.y0, : block.x1 - block.x0]


def _same_bits(first: np.ndarray, second: np.ndarray) -> bool:
    """Compare arrays of numbers of one kind bit by bit: what is not a number equals itself."""
    a, b = (one.view(f"{one.dtype.str[0]}u{one.itemsize}") for one in (first, second))
    return a.shape == b.shape and np.array_equal(a, b)
