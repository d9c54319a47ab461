"""Look into the shards of a Zarr array for the chunks that were never written into them.

A shard ends, or begins, with a list of where each of its chunks lies; those that it has no place
for are given as two numbers of nothing but ones.
"""

import math
from typing import Any

import numpy as np

NOWHERE = 2**64 - 1
# Lists of so many shards are read: a few ten thousandths of a second each.
SHARDS_AT_MOST = 20_000


def absent_in_shards(array: Any, absent: np.ndarray) -> np.ndarray | None:
    """Return which chunks of a sharded array have no data.

    Parameters
    ----------
    array : zarr.Array
    absent : array of bool
        True for shards that are not there, along all axes.

    Returns
    -------
    array of bool, or None
        A value a chunk; None where the array has no shards, or their lists cannot be read.
    """
    shards = getattr(array, "shards", None)
    if shards is None or absent.size > SHARDS_AT_MOST:
        return None
    inside = tuple(shard // chunk for shard, chunk in zip(shards, array.chunks, strict=True))
    layout = _list_layout(array, math.prod(inside))
    if layout is None:
        return None
    at_the_end, size = layout
    grid = tuple(-(-n // chunk) for n, chunk in zip(array.shape, array.chunks, strict=True))
    found = np.ones(tuple(a * b for a, b in zip(absent.shape, inside, strict=True)), bool)
    for place in np.argwhere(~absent):
        listed = _read(array, tuple(place.tolist()), size, at_the_end)
        if len(listed) != size:
            return None
        entries = np.frombuffer(listed, "<u8", 2 * math.prod(inside)).reshape(*inside, 2)
        box = tuple(slice(n * m, (n + 1) * m) for n, m in zip(place, inside, strict=True))
        found[box] = (entries == NOWHERE).all(axis=-1)
    return found[tuple(slice(0, n) for n in grid)]


def _list_layout(array: Any, chunks: int) -> tuple[bool, int] | None:
    """Return whether shards end with their list, and its bytes; None where it is packed."""
    codec = next((c for c in array.metadata.codecs if hasattr(c, "index_codecs")), None)
    if codec is None:
        return None
    steps = [step.to_dict() for step in codec.index_codecs]
    plain = steps[0].get("name") == "bytes" and (
        steps[0].get("configuration", {}).get("endian", "little") == "little"
    )
    checked = [step.get("name") for step in steps[1:]]
    if not plain or checked not in ([], ["crc32c"]):
        return None
    return codec.index_location.value == "end", 16 * chunks + 4 * len(checked)


def _read(array: Any, place: tuple[int, ...], size: int, at_the_end: bool) -> bytes:
    """Read the list of one shard, whatever store it lies in."""
    from zarr.abc.store import RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    path = array.store_path / array.metadata.encode_chunk_key(place)
    request = SuffixByteRequest(size) if at_the_end else RangeByteRequest(0, size)
    found = sync(path.get(default_buffer_prototype(), byte_range=request))
    return b"" if found is None else found.to_bytes()
