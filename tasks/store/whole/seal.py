"""What a complete group holds, recorded in its attributes as it is marked complete.

Zarr reads a chunk that is not there as its fill value, without a word. So the number of chunks of
every array is recorded (those of nothing but the fill value are not written), with checksums of
what describes arrays and group. Chunks carry checksums of their own: a codec of Zarr, crc32c. Which
of these stands at which place is recorded as well: a chunk of another run, or of another place, is
whole in itself.
"""

import json
import math
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import google_crc32c
from zarr.codecs import Crc32cCodec

from orimap.tasks.store.whole.metadata import FILE, children, read_metadata, write_metadata

# Last of the codecs of every array: four bytes a chunk. Of 8 MB of counts (0.02 electrons a pixel)
# in one chunk, writing took 27 in place of 25 ms of one core and reading 8 as before; of 17 MB of
# single-precision noise, which hardly compresses, 46 in place of 42 ms and 19 in place of 16 ms.
CHECKSUM = Crc32cCodec()
CHECKSUM_BYTES = 4
SEAL, COMPLETE = "seal", "complete"


def seal(store: Path, group: str, mark: str | None = None, **facts: Any) -> None:
    """Record what a group of a store holds now, and mark it complete.

    Parameters
    ----------
    store : Path
    group : str
    mark : str, optional
        By default the one that it has.
    **facts
        What else is recorded, as `recorded` returns it.
    """
    node = store / group
    metadata = read_metadata(node)
    attributes = {name: v for name, v in metadata["attributes"].items() if name != SEAL}
    if mark is not None:
        attributes[COMPLETE] = mark
    arrays = {child.name: held for child in children(node) if (held := _held(child)) is not None}
    known = {"arrays": arrays, "attributes": sum_of(attributes), **facts}
    # As text: a dictionary in its attributes is more than other formats can take.
    attributes[SEAL] = json.dumps(known, separators=(",", ":"))
    write_metadata(node, {**metadata, "attributes": attributes})


def recorded(attributes: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was recorded of a group; None for groups of earlier versions.

    Returns
    -------
    dict
        ``arrays``: by their names, the number of chunks, the checksum of ``zarr.json``, and that of
        the places of chunks with what they end with, where they end with checksums.
        ``attributes``: the checksum of all others.
    """
    text = attributes.get(SEAL)
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return {"arrays": {}, "attributes": None}
    return found if isinstance(found, dict) else None


def sum_of(attributes: dict[str, Any]) -> int:
    """Return the checksum of attributes, whatever their order."""
    others = {name: value for name, value in attributes.items() if name != SEAL}
    return int(google_crc32c.value(json.dumps(others, sort_keys=True).encode()))


def sum_of_file(path: Path) -> int:
    """Return the checksum of a file."""
    return int(google_crc32c.value(path.read_bytes()))


def _held(node: Path) -> list[int] | None:
    """Return the number of chunks of an array, and checksums of its metadata and its places."""
    try:
        metadata = read_metadata(node)
    except FileNotFoundError:
        return None
    if metadata["node_type"] != "array":
        return None
    held = [sum(1 for _ in chunk_files(node)), sum_of_file(node / FILE)]
    return [*held, sum_of_places(node)] if has_checksums(metadata) else held


def sum_of_places(node: Path) -> int:
    """Return the checksum of which chunk is where; of each, its last four bytes are read."""
    found = b""
    for file in sorted(chunk_files(node)):
        with file.open("rb") as chunk:
            chunk.seek(max(0, os.fstat(chunk.fileno()).st_size - CHECKSUM_BYTES))
            found += f"{file.relative_to(node).as_posix()} ".encode() + chunk.read(CHECKSUM_BYTES)
    return int(google_crc32c.value(found))


def chunk_files(node: Path) -> Iterator[Path]:
    """Yield the files of the chunks of an array that are there and not empty."""
    place = node / "c"
    if place.is_file():  # an array without axes
        if place.stat().st_size:
            yield place
        return
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder, name)
            if name.isdigit() and path.stat().st_size:
                yield path


def chunk_grid(metadata: dict[str, Any]) -> tuple[int, ...]:
    """Return how many chunks an array has along each axis."""
    shape = metadata["shape"]
    chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    return tuple(
        -(-length // part) if part else 0 for length, part in zip(shape, chunk, strict=True)
    )


def expected_files(node: Path, metadata: dict[str, Any]) -> Iterator[Path]:
    """Yield the files that all chunks of an array would have."""
    grid = chunk_grid(metadata)
    if not grid:
        yield node / "c"
        return
    for place in product(*map(range, grid)):
        yield node.joinpath("c", *map(str, place))


def chunks_in_all(metadata: dict[str, Any]) -> int:
    """Return how many chunks an array has at most."""
    return math.prod(chunk_grid(metadata))


def has_checksums(metadata: dict[str, Any]) -> bool:
    """Return whether the chunks of an array end with their checksums."""
    return bool(metadata["codecs"]) and metadata["codecs"][-1]["name"] == "crc32c"


def has_sums(node: Path) -> bool:
    """Return whether an array is there whose chunks end with their checksums, or none at all."""
    try:
        return has_checksums(read_metadata(node))
    except FileNotFoundError:
        return True
