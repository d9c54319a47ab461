"""Sum up a scan block by block: what tells defects, counts and the brightness of each position.

Everything is a sum, a maximum or a count over scan positions, so blocks can be of any shape and
come from any worker. Values that are negative or not finite count as 0 here.
"""

from dataclasses import dataclass, field

import numba
import numpy as np

from orimap.tasks.acquire.ingest.defects.pixels import is_full_scale
from orimap.tasks.store.pixel_lists import Entries

# The scan is divided into 4×4 parts, of which every pixel's sum is kept (34 MB for a detector of
# 512×512); into 2×2 where the detector is larger than that.
REGIONS_A_SIDE = 4
LARGE_DETECTOR_PX = 512 * 512


def region_cuts(
    scan_shape: tuple[int, int], detector_shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns at which the scan is divided into regions of like size."""
    large = detector_shape[0] * detector_shape[1] > LARGE_DETECTOR_PX
    side = REGIONS_A_SIDE // 2 if large else REGIONS_A_SIDE
    rows, columns = (
        np.linspace(0, length, min(side, length) + 1).astype(int) for length in scan_shape
    )
    return rows, columns


def region_positions(cuts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return how many positions each region holds, in the order of their numbers."""
    return np.outer(np.diff(cuts[0]), np.diff(cuts[1])).ravel()


@dataclass
class SourceFaults:
    """What is wrong with values as acquired, before binning; arrays as (detector_y, detector_x).

    Parameters
    ----------
    not_finite, negative, saturated : array of int or None
        Counts a pixel; None stands for none at all. ``saturated`` counts ``largest``, where that
        is a value at which detectors stop counting.
    largest : int or None
        The largest integer seen, by ``often`` entries; ``next_often`` are one less.
    """

    not_finite: np.ndarray | None = None
    negative: np.ndarray | None = None
    saturated: np.ndarray | None = None
    largest: int | None = None
    often: int = 0
    next_often: int = 0

    @classmethod
    def of(cls, patterns: np.ndarray) -> "SourceFaults":
        """Look through some patterns (scan_y, scan_x, detector_y, detector_x)."""
        found = cls()
        kind = patterns.dtype.kind
        if kind == "f":
            found.not_finite = _count(~np.isfinite(patterns))
        if kind in "if":
            found.negative = _count(patterns < 0)
        if kind in "iu":
            found.largest = int(patterns.max())
            found.often, found.next_often = count_two(patterns.ravel(), found.largest)
            if is_full_scale(found.largest, patterns.dtype):
                found.saturated = _count(patterns == found.largest)
        return found

    @classmethod
    def listed(cls, entries: Entries, dtype: np.dtype, shape: tuple[int, int]) -> "SourceFaults":
        """Look through integers of kind ``dtype`` of which those that are not zero are listed."""
        zeros = (len(entries.indptr) - 1) * shape[0] * shape[1] - len(entries.value)
        found = cls()
        if dtype.kind == "i":
            found.negative = _count_listed(entries, entries.value < 0, shape)
        found.largest = int(
            entries.value.max(initial=0 if zeros else np.iinfo(entries.value.dtype).min)
        )
        found.often, found.next_often = count_two(entries.value, found.largest)
        found.often += zeros * (found.largest == 0)
        found.next_often += zeros * (found.largest == 1)
        if is_full_scale(found.largest, dtype):
            found.saturated = _count_listed(entries, entries.value == found.largest, shape)
        return found

    def merge(self, other: "SourceFaults") -> "SourceFaults":
        """Return the faults of both."""
        merged = SourceFaults(
            _add(self.not_finite, other.not_finite), _add(self.negative, other.negative)
        )
        largest = [part.largest for part in (self, other) if part.largest is not None]
        if not largest:
            return merged
        merged.largest = max(largest)
        for part in (self, other):
            if part.largest == merged.largest:
                merged.saturated = _add(merged.saturated, part.saturated)
                merged.often += part.often
                merged.next_often += part.next_often
            elif part.largest == merged.largest - 1:
                merged.next_often += part.often
        return merged


@dataclass
class PatternSums:
    """Sums over the patterns of one block, or of all.

    Parameters
    ----------
    regions : dict of int to (detector_y, detector_x) float64 array
        Sum of each part of the scan that was met, by its number.
    maximum : (detector_y, detector_x) array
    squares, pairs : (detector_y, detector_x) float64 array
        ``Σ (a - b)²`` and ``Σ (a + b)`` over positions a and b beside each other in a row (one
        above the other where the scan is one column).
    zeros : int
        Entries that are 0.
    """

    regions: dict[int, np.ndarray] = field(default_factory=dict)
    maximum: np.ndarray | None = None
    squares: np.ndarray | None = None
    pairs: np.ndarray | None = None
    zeros: int = 0

    def merge(self, other: "PatternSums") -> None:
        """Add another block's sums to these."""
        for number, values in other.regions.items():
            self.regions[number] = _add(self.regions.get(number), values)
        self.squares = _add(self.squares, other.squares)
        self.pairs = _add(self.pairs, other.pairs)
        self.zeros += other.zeros
        if self.maximum is None:
            self.maximum = other.maximum
        elif other.maximum is not None:
            self.maximum = np.maximum(self.maximum, other.maximum)


@numba.njit(cache=True, nogil=True)
def count_two(values: np.ndarray, largest: int) -> tuple[int, int]:
    """Return how many integers are the largest, and how many are one less."""
    often, next_often = 0, 0
    for i in range(np.uintp(len(values))):
        below = np.int64(largest) - np.int64(values[i])
        often += below == 0
        next_often += below == 1
    return often, next_often


def _count(found: np.ndarray) -> np.ndarray | None:
    """Count along the scan axes; None where there is nothing."""
    return np.count_nonzero(found, axis=(0, 1)).astype(np.int64) if found.any() else None


def _count_listed(
    entries: Entries, chosen: np.ndarray, shape: tuple[int, int]
) -> np.ndarray | None:
    """Count the chosen entries a pixel; None where there is none."""
    if not chosen.any():
        return None
    counts = np.bincount(entries.pixel[chosen], minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.int64)


def _add(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Add arrays of which either may be missing."""
    if first is None or second is None:
        return second if first is None else first
    return first + second
