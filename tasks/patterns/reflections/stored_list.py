"""Keep the registered reflections of a scan beside its patterns, one ragged list a group.

Entries stand in scan order, row by row; ``reflection_offset`` says where each position's begin.
A worker reads only the part that its positions need.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import PER_ENTRY, Reflections
from orimap.tasks.store import variables
from orimap.tasks.store.groups import mark_complete, remove_group
from orimap.tasks.store.whole.seal import CHECKSUM

# A quarter of a megabyte of one number each: the reflections of a few thousand positions, about
# as many as a block of patterns has.
CHUNK_ENTRIES = 2**16
# A stored map is read whole rows at a time and is small beside the list.
MAP_CHUNK_ROWS = 256

PER_POSITION = {
    "direct": variables.scan_direct_reflection,
    "noise": variables.scan_noise,
    "threshold": variables.scan_prominence_threshold,
}
PER_REFLECTION = {name: getattr(variables, f"reflection_{name}") for name in PER_ENTRY}


def write_reflections(
    store: Path,
    group: str,
    found: Reflections,
    scan_shape: tuple[int, int],
    mark: str | None,
    *,
    lengths: Lengths,
    units: str,
    threshold_units: str | None = None,
    **attrs: object,
) -> None:
    """Write the reflections of a whole scan as a group of its pattern store, marked last.

    Parameters
    ----------
    store : Path
        ``patterns.zarr``.
    group : str
        Replaced if it exists.
    found : Reflections
        Of every scan position, in scan order.
    scan_shape : pair of int
    mark : str or None
        Fingerprint with which the group is marked complete; None leaves it unmarked.
    lengths : Lengths
        With which the reflections were measured, and are to be drawn.
    units : str
        Of intensity, prominence and noise: those of the patterns.
    threshold_units : str, optional
        Of the threshold, where it is in others ("1" where it counts standard deviations).
    **attrs
        Further attributes of the group.

    Raises
    ------
    InputError
        If there are not as many patterns as scan positions.
    """
    positions = scan_shape[0] * scan_shape[1]
    if len(found) != positions:
        raise InputError(
            f"reflections of all {positions} positions of the scan",
            f"those of {len(found)}",
            "register the whole scan before it is stored",
        )
    arrays = {variables.reflection_offset: found.offsets}
    arrays |= {v: getattr(found, name) for name, v in PER_REFLECTION.items()}
    arrays |= {v: getattr(found, name).reshape(scan_shape) for name, v in PER_POSITION.items()}
    facts = {
        "disc_radius_px": lengths.disc_radius,
        "direct_radius_px": lengths.direct_radius,
        "lengths": lengths.source,
    }
    ds = variables.dataset(arrays, **attrs, **facts)
    for v in arrays:
        if v.units == variables.pattern_intensity.units:
            ds[v.name].attrs["units"] = units
    threshold = variables.scan_prominence_threshold.name
    ds[threshold].attrs["units"] = threshold_units or units
    # Positions and intensities of neighbours have like exponents: their bytes compress together.
    codec = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
    encoding = {
        name: {"_FillValue": None, "chunks": _chunks(array.shape), "compressors": (codec, CHECKSUM)}
        for name, array in ds.items()
    }
    remove_group(store, group)
    ds.to_zarr(store, group=group, mode="a", consolidated=False, zarr_format=3, encoding=encoding)
    if mark is not None:
        mark_complete(store, group, mark)


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chunks of a list, or of a map."""
    if len(shape) == 1:
        return (max(1, min(shape[0], CHUNK_ENTRIES)),)
    return (min(shape[0], MAP_CHUNK_ROWS), shape[1])


def read_reflections(store: Path, group: str, positions: np.ndarray | None = None) -> Reflections:
    """Return the reflections of some scan positions, in the order asked for.

    Parameters
    ----------
    store : Path
    group : str
    positions : (n,) array of int, optional
        Running numbers, row by row; all where None. Entries that lie side by side in the store
        are read together.
    """
    arrays = zarr.open_group(store, path=group, mode="r")
    offsets = arrays[variables.reflection_offset.name]
    if positions is None:
        positions = np.arange(offsets.shape[0] - 1)
    positions = np.asarray(positions)
    if not len(positions):
        return _none()
    wanted, order = np.unique(positions, return_inverse=True)
    first, last = wanted[0], wanted[-1] + 1
    bounds = offsets[first : last + 1]
    begin, end = bounds[wanted - first], bounds[wanted - first + 1]
    runs = _runs(begin, end)
    columns = arrays["scan_noise"].shape[1]
    rows = slice(first // columns, -(-last // columns))
    here = wanted - rows.start * columns
    # What was read along in the gaps between runs is left out here.
    entries = np.concatenate([np.arange(a, b) for a, b in runs]) if runs else np.zeros(0, np.int64)
    counts = end - begin
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    within = np.arange(starts[-1]) - np.repeat(starts[:-1] - begin, counts)
    keep = np.searchsorted(entries, within)
    values = {}
    for name, v in PER_REFLECTION.items():
        parts = [arrays[v.name][a:b] for a, b in runs]
        values[name] = np.concatenate([np.zeros(0, np.float32), *parts])[keep]
    for name, v in PER_POSITION.items():
        values[name] = arrays[v.name][rows].ravel()[here]
    found = Reflections(starts, **values)
    if np.array_equal(wanted, positions):
        return found
    return found.take(order)


def _runs(begin: np.ndarray, end: np.ndarray) -> list[tuple[int, int]]:
    """Join the entries of increasing positions into few runs ``begin:end``.

    A gap smaller than a chunk is read along: the chunk that holds it is opened in any case.
    """
    some = end > begin
    begin, end = begin[some], end[some]
    if not len(begin):
        return []
    cut = np.flatnonzero(begin[1:] - end[:-1] >= CHUNK_ENTRIES) + 1
    firsts, lasts = np.concatenate([[0], cut]), np.concatenate([cut, [len(begin)]]) - 1
    return [(int(begin[a]), int(end[b])) for a, b in zip(firsts, lasts, strict=True)]


def _none() -> Reflections:
    """Return the reflections of no patterns."""
    real = np.zeros(0, np.float32)
    return Reflections(
        np.zeros(1, np.int64), real, real, real, real, np.zeros(0, np.int32), real, real
    )


def read_lengths(store: Path, group: str) -> Lengths:
    """Return the lengths with which a stored list was measured."""
    attrs = zarr.open_group(store, path=group, mode="r").attrs
    return Lengths(
        float(attrs["disc_radius_px"]), str(attrs["lengths"]), float(attrs["direct_radius_px"])
    )


@dataclass(frozen=True)
class ListSize:
    """How large the registered list of a scan is, beside the patterns that it came from.

    Parameters
    ----------
    list_bytes, patterns_bytes : int
        In memory, patterns as they are stored (dense, their own kind of number).
    list_disk_bytes, patterns_disk_bytes : int
        Compressed, as files.
    """

    list_bytes: int
    patterns_bytes: int
    list_disk_bytes: int
    patterns_disk_bytes: int

    @property
    def ratio(self) -> float:
        """How many times smaller the list is in memory."""
        return self.patterns_bytes / max(1, self.list_bytes)

    @property
    def disk_ratio(self) -> float:
        """How many times smaller the list is on disk."""
        return self.patterns_disk_bytes / max(1, self.list_disk_bytes)


def list_size(store: Path, group: str, patterns: str = "raw") -> ListSize:
    """Measure a stored list of reflections against the patterns of the same store."""

    def on_disk(name: str) -> int:
        return sum(p.stat().st_size for p in (Path(store) / name).rglob("*") if p.is_file())

    entries = zarr.open_group(store, path=group, mode="r")
    source = zarr.open_group(store, path=patterns, mode="r")["pattern_intensity"]
    in_memory = sum(array.nbytes for _, array in entries.arrays())
    return ListSize(in_memory, source.nbytes, on_disk(group), on_disk(patterns))
