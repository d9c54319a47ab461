"""Sum up a scan block by block: what tells defects, counts and the brightness of each position.

Everything is a sum, a maximum or a count over scan positions, so blocks can be of any shape and
come from any worker. Values that are negative or not finite count as 0 here.
"""

from dataclasses import dataclass, field

import numpy as np

from orimap.tasks.defects import BeamDisc, is_full_scale
from orimap.tasks.streaming import Block

# The scan is divided into 4×4 parts, of which every pixel's sum is kept (34 MB for a detector of
# 512×512); into 2×2 where the detector is larger than that.
REGIONS_A_SIDE = 4
LARGE_DETECTOR_PX = 512 * 512
# Patterns turned into floating point at once.
PIECE_BYTES = 8_000_000


def clean(patterns: np.ndarray) -> np.ndarray:
    """Return patterns with values that are negative or not finite replaced by 0."""
    if patterns.dtype.kind == "u":
        return patterns
    if patterns.dtype.kind == "f":
        patterns = np.nan_to_num(patterns, nan=0.0, posinf=0.0, neginf=0.0)
    return np.maximum(patterns, 0)


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
            reached = patterns == found.largest
            found.often = int(np.count_nonzero(reached))
            if is_full_scale(found.largest, patterns.dtype):
                found.saturated = _count(reached)
            if found.largest > np.iinfo(patterns.dtype).min:
                found.next_often = int(np.count_nonzero(patterns == found.largest - 1))
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


def sum_patterns(
    patterns: np.ndarray, block: Block, cuts: tuple[np.ndarray, np.ndarray]
) -> PatternSums:
    """Sum up the patterns of one block.

    Parameters
    ----------
    patterns : (scan_y, scan_x, detector_y, detector_x) array
        Cleaned or not; negative values and those that are not finite count as 0.
    block : Block
        Where they lie in the scan.
    cuts : pair of arrays
        From `region_cuts`.
    """
    if patterns.shape[1] == 1 < patterns.shape[0] and cuts[1][-1] == 1:
        return _sum_rows(patterns.swapaxes(0, 1), (block.x0, block.y0), cuts[::-1])
    return _sum_rows(patterns, (block.y0, block.x0), cuts)


def _sum_rows(
    patterns: np.ndarray, origin: tuple[int, int], cuts: tuple[np.ndarray, np.ndarray]
) -> PatternSums:
    """Sum up rows of patterns, in pieces small enough to be turned into floating point."""
    shape = patterns.shape[2:]
    found = PatternSums(squares=np.zeros(shape), pairs=np.zeros(shape))
    step = max(1, PIECE_BYTES // (4 * shape[0] * shape[1]))
    rows, columns = cuts
    width = patterns.shape[1]
    inner = columns[(columns > origin[1]) & (columns < origin[1] + width)] - origin[1]
    starts = sorted({*range(0, width, step), *(int(c) for c in inner)})
    for number, row in enumerate(patterns):
        region_row = int(np.searchsorted(rows, origin[0] + number, side="right")) - 1
        for start, stop in zip(starts, [*starts[1:], width], strict=True):
            # One pattern more than are summed, for the pair across the cut.
            piece = clean(row[start : min(stop + 1, width)])
            own = piece[: stop - start]
            region_column = int(np.searchsorted(columns, origin[1] + start, side="right")) - 1
            region = region_row * (len(columns) - 1) + region_column
            total = own.sum(axis=0, dtype=np.float64)
            found.regions[region] = _add(found.regions.get(region), total)
            largest = own.max(axis=0)
            found.maximum = largest if found.maximum is None else np.maximum(found.maximum, largest)
            found.zeros += own.size - int(np.count_nonzero(own))
            if len(piece) > 1:
                values = piece.astype(np.float32)
                change = np.diff(values, axis=0)
                found.squares += np.einsum("pyx,pyx->yx", change, change)
                # Each pattern belongs to two pairs, the first and the last to one.
                found.pairs += 2 * total - values[0]
                found.pairs += values[-1] if len(piece) > len(own) else -values[-1]
    return found


def disc_intensity(patterns: np.ndarray, beam: BeamDisc) -> np.ndarray:
    """Return the intensity within the direct beam's disc, as (scan_y, scan_x) float32."""
    shape = patterns.shape[2:]
    y0, x0 = (max(0, int(centre - beam.radius)) for centre in (beam.y, beam.x))
    y1, x1 = (int(centre + beam.radius) + 2 for centre in (beam.y, beam.x))
    inside = beam.mask(shape)[y0:y1, x0:x1]
    cut = clean(patterns[:, :, y0:y1, x0:x1])
    return np.einsum("abyx,yx->ab", cut.astype(np.float64), inside.astype(np.float64)).astype(
        np.float32
    )


def total_intensity(patterns: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the sum of the pixels that are ``used``, as (scan_y, scan_x) float64."""
    everywhere = bool(used.all())
    totals = np.empty(patterns.shape[:2])
    for number, row in enumerate(patterns):
        values = clean(row)
        if everywhere:
            totals[number] = values.sum(axis=(1, 2), dtype=np.float64)
        else:
            totals[number] = values[:, used].sum(axis=1, dtype=np.float64)
    return totals


def _count(found: np.ndarray) -> np.ndarray | None:
    """Count along the scan axes; None where there is nothing."""
    return np.count_nonzero(found, axis=(0, 1)).astype(np.int64) if found.any() else None


def _add(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Add arrays of which either may be missing."""
    if first is None or second is None:
        return second if first is None else first
    return first + second
