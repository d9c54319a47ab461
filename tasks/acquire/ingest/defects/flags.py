"""Find the pixels that the file, or the values themselves, say were not measured.

Gaps between modules and bad pixels hold a number that no pixel counts: the largest of its type, or
less than nothing. Detectors that write NeXus or HDF5 name them in a mask beside the patterns.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.chunked.hdf5_files import load_h5py, opened

# What such a mask is called: NeXus and Dectris.
MASK_NAMES = ("pixel_mask", "dead_pixel_mask")
# Bit 30 of a NeXus mask: a virtual pixel, whose value was worked out from its neighbours.
VIRTUAL = 1 << 30
# Numbers that stand for "not measured", from 15 bits on; on narrower ones beams are saturated.
LARGEST_NUMBERS = tuple(2**bits - 1 for bits in (15, 16, 24, 31, 32, 63, 64))
# Nothing that was counted is more than this part of such a number: a beam that is saturated falls
# off to its sides.
LARGEST_PART = 0.5
FEWEST_PATTERNS = 4


@dataclass(frozen=True)
class Flags:
    """Pixels that were not measured.

    Parameters
    ----------
    flagged : (detector_y, detector_x) array of bool
        Of the whole detector.
    notes : tuple of str
        How many there are and who says so.
    """

    flagged: np.ndarray
    notes: tuple[str, ...] = ()

    def __or__(self, other: "Flags") -> "Flags":
        """Return what either of two flags."""
        return Flags(self.flagged | other.flagged, self.notes + other.notes)


def flags_of_file(path: Path, detector_shape: tuple[int, int]) -> Flags:
    """Read the mask that an HDF5 file holds for a detector of this shape, if there is one.

    Parameters
    ----------
    path : Path
        Any file; one that is not HDF5 has none.
    detector_shape : pair of int
    """
    none = Flags(np.zeros(detector_shape, bool))
    h5py = load_h5py()
    if not path.is_file() or not h5py.is_hdf5(path):
        return none
    flagged, where = none.flagged, []

    def look(name: str, item: Any) -> None:
        nonlocal flagged
        if name.rsplit("/", 1)[-1] not in MASK_NAMES or not isinstance(item, h5py.Dataset):
            return
        shape = tuple(n for n in item.shape if n != 1)
        if shape != tuple(detector_shape) or item.dtype.kind not in "iub":
            return
        mask = np.asarray(item[()]).reshape(detector_shape).astype(np.uint64)
        found = (mask & ~np.uint64(VIRTUAL)) > 0
        if found.any() and not found.all():
            flagged = flagged | found
            where.append(f"/{name}")

    with opened(path) as file:
        file.visititems(look)
    if not where:
        return none
    return Flags(
        flagged,
        (f"{np.count_nonzero(flagged)} pixels masked by the file itself ({', '.join(where)})",),
    )


def flags_of_values(
    lowest: np.ndarray, highest: np.ndarray, patterns: int, known: np.ndarray | None = None
) -> Flags:
    """Find the pixels that hold a number that no pixel counts, in every pattern of a sample.

    Parameters
    ----------
    lowest, highest : (detector_y, detector_x) arrays
        Of a sample from all over the scan, as acquired.
    patterns : int
        How many patterns it has.
    known : (detector_y, detector_x) array of bool, optional
        Pixels that are flagged already, and not told again.
    """
    none = Flags(np.zeros(lowest.shape, bool))
    if lowest.dtype.kind not in "iuf" or patterns < FEWEST_PATTERNS:
        return none
    known = none.flagged if known is None else known
    if lowest.dtype == np.float16:  # does not reach the numbers that are looked for
        lowest, highest = lowest.astype(np.float32), highest.astype(np.float32)
    same = (lowest == highest) & ~known
    found = none
    for number in LARGEST_NUMBERS:
        flagged = same & (highest == number)
        rest = _finite(highest[~(flagged | known)])
        if flagged.any() and rest.size and rest.max() <= LARGEST_PART * number:
            found |= Flags(
                flagged,
                (
                    f"{np.count_nonzero(flagged)} pixels masked: {number:,} in every pattern "
                    f"looked at, and nothing else above {int(rest.max()):,}",
                ),
            )
    below = same & (highest < 0)
    rest = _finite(lowest[~(below | known)])
    if below.any() and rest.size and rest.min() >= 0:
        values = ", ".join(f"{value:,.9g}" for value in np.unique(highest[below])[:3].tolist())
        found |= Flags(
            below,
            (
                f"{np.count_nonzero(below)} pixels masked: {values} in every pattern looked at, "
                "and nothing else below 0",
            ),
        )
    return found


def _finite(values: np.ndarray) -> np.ndarray:
    """Return those of some values that are numbers."""
    return values[np.isfinite(values)]
