"""Find what is damaged in a group of a store: chunks lost, empty or changed, metadata cut.

Groups of earlier versions have no record of what they hold (`orimap.tasks.store.whole.seal`): of
them, only arrays are missed of which every chunk, or at least one, is always written.
"""

import os
import stat
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.store.whole.metadata import FILE, children, is_group, read_metadata
from orimap.tasks.store.whole.seal import (
    CHECKSUM_BYTES,
    chunk_files,
    chunks_in_all,
    expected_files,
    has_checksums,
    recorded,
    sum_of,
    sum_of_file,
    sum_of_places,
)

# Written with all of their chunks, also by earlier versions, and with one at least.
EVERY_CHUNK = {("raw", "pattern_intensity"), ("sparse", "scan_entries")}
SOME_CHUNK = {
    *("basis_pattern", "scan_basis", "singular_value", "detector_weight", "detector_valid"),
    *("component_pattern", "scan_weight", "detector_mean", "scan_total_intensity"),
    *("block_checksum", "block_patterns", "scan_virtual_bright_field"),
    *("cluster_mean_pattern", "cluster_share", "cluster_size", "k_component_loss", "k_distinct"),
    *("basis_dark_field", "basis_disc"),
}


class DamagedError(InputError):
    """A part of results is damaged; what is left of them is not believed."""

    def __init__(self, needed: str, found: str, remedy: str = "") -> None:
        super().__init__(
            needed,
            found,
            remedy
            or "make it anew: orimap run with the acquisition's file and the same --output; what "
            "is whole is used again",
        )


def damage(store: Path, group: str, *, sums: bool = False) -> str | None:
    """Say what is damaged in a group; None where nothing is.

    Parameters
    ----------
    store : Path
    group : str
        Of which ``zarr.json`` is there, whole or not.
    sums : bool
        Whether the checksums of all chunks are compared, which reads them. Otherwise files are
        only counted.

    Returns
    -------
    str or None
        In half a sentence, the first thing that was found.
    """
    node = store / group
    try:
        attributes = read_metadata(node)["attributes"]
    except FileNotFoundError:
        return "its zarr.json is cut or missing"
    known = recorded(attributes)
    if known is None:
        return _older_damage(node, sums)
    if known["attributes"] != sum_of(attributes):
        return "its zarr.json has changed"
    for name, held in known["arrays"].items():
        found = _array_damage(node / name, *held, sums=sums)
        if found is not None:
            return f"{name}: {found}"
    return None


def require_whole(store: Path, group: str, *, sums: bool = False) -> None:
    """Check that nothing is damaged in a group.

    Raises
    ------
    DamagedError
        Which names the group.
    """
    found = damage(store, group, sums=sums)
    if found is not None:
        raise DamagedError(
            f"the group /{group} of {store}, undamaged",
            f"{store.name}/{group} is damaged ({found})",
        )


def _array_damage(
    node: Path, chunks: int, described: int, places: int | None = None, *, sums: bool
) -> str | None:
    """Say what is damaged in an array of which it is known what it holds."""
    try:
        if sum_of_file(node / FILE) != described:
            return "its zarr.json has changed"
        metadata = read_metadata(node)
    except FileNotFoundError:
        return "its zarr.json is cut or missing"
    there = _lost(node, metadata, chunks)
    if there is not None:
        return there
    changed = _changed(node) if sums and has_checksums(metadata) else None
    if changed is None and places is not None and sum_of_places(node) != places:
        return "chunks are not those that were written there"
    return changed


def _lost(node: Path, metadata: dict[str, Any], chunks: int) -> str | None:
    """Say how many chunks are lost or empty."""
    if chunks == chunks_in_all(metadata):
        lost = [file for file in expected_files(node, metadata) if not _has_bytes(file)]
        if not lost:
            return None
        return f"{_of(len(lost), chunks)} lost or empty ({lost[0].relative_to(node)})"
    there = sum(1 for _ in chunk_files(node))
    return f"{_of(chunks - there, chunks)} lost or empty" if there < chunks else None


def _of(some: int, all_of_them: int) -> str:
    return f"{some:,} of {all_of_them:,} chunk{'s' * (all_of_them > 1)}"


def _has_bytes(file: Path) -> bool:
    try:
        found = os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def _changed(node: Path) -> str | None:
    """Say how many chunks differ from their checksums."""
    changed = [file for file in chunk_files(node) if not chunk_is_whole(file.read_bytes())]
    if not changed:
        return None
    return f"the checksum of {changed[0].relative_to(node)} does not fit"


def chunk_is_whole(content: bytes) -> bool:
    """Return whether a chunk has the checksum that it ends with."""
    if len(content) <= CHECKSUM_BYTES:
        return False
    inner = np.frombuffer(content, np.uint8)[:-CHECKSUM_BYTES]  # without a copy
    return bool(google_crc32c.value(inner) == int.from_bytes(content[-CHECKSUM_BYTES:], "little"))


def _older_damage(node: Path, sums: bool) -> str | None:
    """Say what is damaged in a group of an earlier version, as far as that can be known."""
    for child in children(node):
        if is_group(child):
            continue
        try:
            metadata = read_metadata(child)
        except FileNotFoundError:
            return f"{child.name}: its zarr.json is cut or missing"
        least = 0
        if (node.name, child.name) in EVERY_CHUNK:
            least = chunks_in_all(metadata)
        elif child.name in SOME_CHUNK:
            least = min(1, chunks_in_all(metadata))
        there = list(chunk_files(child)) if least else []
        if len(there) < least:
            return f"{child.name}: {_of(least - len(there), least)} lost or empty"
        if sums and has_checksums(metadata):
            found = _changed(child)
            if found is not None:
                return f"{child.name}: {found}"
    return None
