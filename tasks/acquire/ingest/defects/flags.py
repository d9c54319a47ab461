"""Find the pixels that the file, or the values themselves, say were not measured.

Gaps between modules and bad pixels hold a number that no pixel counts: the largest of its type or
the next one, one far above all that changes, or less than nothing. Lines of pixels that are stuck
hold one number in every pattern. Detectors that write NeXus or HDF5 name them in a mask beside the
patterns.
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
# Numbers that stand for "not measured", the largest and the next one, which tells bad pixels from
# gaps, from 15 bits on; on narrower ones beams are saturated.
LARGEST_NUMBERS = tuple(2**bits - n for bits in (15, 16, 24, 31, 32, 63, 64) for n in (1, 2))
# Nothing that was counted is more than this part of such a number: a beam that is saturated falls
# off to its sides.
LARGEST_PART = 0.5
# A number that never changes, so many times more than all that do, is no intensity either.
FAR_ABOVE = 1000.0
FEWEST_PATTERNS = 4
# More than this part of the rows or columns is no fault of some.
MOST_STUCK = 0.25


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
        (f"{_pixels(flagged)} masked by the file itself ({', '.join(where)})",),
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
    same = (lowest == highest) & ~known & np.isfinite(highest)
    usual = _finite(highest[~(same & (highest != 0) | known)])
    most = float(usual.max(initial=0))
    stuck = same & (highest > FAR_ABOVE * most) & (most > 0)
    above = stuck | same & np.logical_or.reduce([highest == n for n in LARGEST_NUMBERS])
    rest = _finite(highest[~(above | known)])
    found = none
    for number in np.unique(highest[above]).tolist()[::-1]:
        flagged = above & (highest == number)
        if rest.size and rest.max() <= LARGEST_PART * number:
            found |= Flags(
                flagged,
                (
                    f"{_pixels(flagged)} masked: {number:,.10g} in every pattern "
                    f"looked at, and nothing else above {float(rest.max()):,.6g}",
                ),
            )
    found |= _stuck_lines(same & (highest > 0) & ~found.flagged)
    below = same & (highest < 0)
    rest = _finite(lowest[~(below | known)])
    if below.any() and rest.size and rest.min() >= 0:
        values = ", ".join(f"{value:,.9g}" for value in np.unique(highest[below])[:3].tolist())
        found |= Flags(
            below,
            (
                f"{_pixels(below)} masked: {values} in every pattern looked at, "
                "and nothing else below 0",
            ),
        )
    return found


def _stuck_lines(same: np.ndarray) -> Flags:
    """Find whole rows and columns whose pixels all hold a number that never changes.

    Parameters
    ----------
    same : (detector_y, detector_x) array of bool
        Pixels with one number above 0 in every pattern. A beam that is saturated is no line.
    """
    lines = np.zeros(same.shape, bool)
    said = []
    for axis, name in ((1, "row"), (0, "column")):
        whole = same.all(axis=axis)
        if 0 < (many := np.count_nonzero(whole)) <= MOST_STUCK * len(whole):
            lines |= np.expand_dims(whole, axis)
            said.append(f"{many} {name}{'s' if many > 1 else ''}")
    if not said:
        return Flags(lines)
    which = " and ".join(said)
    return Flags(lines, (f"{which} of pixels masked: one number in every pattern looked at",))


def _pixels(flagged: np.ndarray) -> str:
    """Say how many pixels are flagged."""
    many = np.count_nonzero(flagged)
    return "1 pixel" if many == 1 else f"{many} pixels"


def _finite(values: np.ndarray) -> np.ndarray:
    """Return those of some values that are numbers."""
    return values[np.isfinite(values)]
