"""What is not believed of the patterns as acquired, wherever they are computed with.

Values that are negative or not finite count as 0. Where the noise of read-out is known, values are
first counted from where its noise would be that of electrons: all but few are then above 0. Single
values that X-rays or cosmic rays made are replaced: group /raw of ``patterns.zarr`` holds what was
acquired, /spikes lists them. Stores are opened where they are needed only: what cleans values alone
should load nothing else.
"""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from orimap.tasks.stream.blocks import Block

GROUP = "spikes"


def without_gaps(patterns: np.ndarray) -> np.ndarray:
    """Return patterns with values that are not finite replaced by 0."""
    if patterns.dtype.kind != "f":
        return patterns
    return np.nan_to_num(patterns, nan=0.0, posinf=0.0, neginf=0.0)


def shifted(patterns: np.ndarray, shift: float) -> np.ndarray:
    """Return patterns with ``shift`` added to all values, in single precision; as they are for 0.

    What is not finite stays so.
    """
    return patterns.astype(np.float32) + np.float32(shift) if shift else patterns


def clean(patterns: np.ndarray) -> np.ndarray:
    """Return patterns with values that are negative or not finite replaced by 0."""
    if patterns.dtype.kind == "u":
        return patterns
    return np.maximum(without_gaps(patterns), 0)


@dataclass(frozen=True)
class Spikes:
    """Values of pixels of single patterns that are left out, and what stands in for them.

    Parameters
    ----------
    place : (spike, 4) array of int
        Scan row and column, detector row and column.
    value, instead : (spike,) arrays
        As acquired; the median of neighbours on the detector, or in the scan.
    dazzled : (pattern, 2) array of int
        Row and column of positions whose pattern is left out as a whole.
    """

    place: np.ndarray
    value: np.ndarray
    instead: np.ndarray
    dazzled: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.place)

    @classmethod
    def none(cls, dtype: np.dtype) -> "Spikes":
        """Return no spikes."""
        return cls(np.zeros((0, 4), np.int64), np.zeros(0, dtype), np.zeros(0, dtype))

    @classmethod
    def joined(cls, parts: list["Spikes"]) -> "Spikes":
        """Put the spikes of several blocks together, in the order of the scan."""
        place = np.concatenate([part.place for part in parts])
        order = np.lexsort(place.T[::-1])
        value, instead = (
            np.concatenate([getattr(part, name) for part in parts])[order]
            for name in ("value", "instead")
        )
        dazzled = np.concatenate([part.dazzled for part in parts])
        return cls(place[order], value, instead, dazzled[np.lexsort(dazzled.T[::-1])])

    def moved(self, rows: int, columns: int) -> "Spikes":
        """Return the same, with scan positions counted from elsewhere."""
        place = self.place + np.array([rows, columns, 0, 0])
        return Spikes(place, self.value, self.instead, self.dazzled + np.array([rows, columns]))

    def taken_out_of(self, patterns: np.ndarray) -> np.ndarray:
        """Return patterns (scan_y, scan_x, detector_y, detector_x) without the spikes."""
        if not len(self) and not len(self.dazzled):
            return patterns
        patterns = patterns.copy()
        patterns[tuple(self.place.T)] = self.instead
        patterns[tuple(self.dazzled.T)] = 0
        return patterns

    def within(self, block: Block) -> "Spikes":
        """Return those of a block of the scan, counted from its corner."""

        def inside(place: np.ndarray) -> np.ndarray:
            y, x = place[:, 0], place[:, 1]
            return (y >= block.y0) & (y < block.y1) & (x >= block.x0) & (x < block.x1)

        own = inside(self.place)
        dazzled = self.dazzled[inside(self.dazzled)]
        found = Spikes(self.place[own], self.value[own], self.instead[own], dazzled)
        return found.moved(-block.y0, -block.x0)


def write_spikes(store: Path, spikes: Spikes, mark: str) -> None:
    """Write the list of a scan beside its patterns; no group where there is none."""
    from orimap.tasks.store import variables
    from orimap.tasks.store.groups import remove_group, write_arrays

    if not len(spikes) and not len(spikes.dazzled):
        remove_group(store, GROUP)
        return
    arrays = {
        variables.spike_place: spikes.place.astype(np.int32),
        variables.spike_value: spikes.value,
        variables.spike_instead: spikes.instead,
        variables.dazzled_position: spikes.dazzled.astype(np.int32),
    }
    write_arrays(store, GROUP, arrays, mark)


def without_spikes(store: Path, block: Block, patterns: np.ndarray) -> np.ndarray:
    """Return the patterns of a block as acquired without what is listed."""
    try:
        written = os.stat(store / GROUP / "zarr.json").st_mtime_ns
    except FileNotFoundError:
        return patterns
    spikes = _listed(store, written)
    return patterns if spikes is None else spikes.within(block).taken_out_of(patterns)


@lru_cache(maxsize=4)
def _listed(store: Path, _written: int) -> Spikes | None:
    """Read the list of a scan, once in a process; None where it belongs to other patterns."""
    from orimap.tasks.store import variables
    from orimap.tasks.store.groups import complete_mark, open_group

    if complete_mark(store, GROUP) != complete_mark(store, "raw"):
        return None
    found = open_group(store, GROUP)
    return Spikes(
        variables.spike_place.read(found).values.astype(np.int64),
        variables.spike_value.read(found).values,
        variables.spike_instead.read(found).values,
        variables.dazzled_position.read(found).values.astype(np.int64),
    )
