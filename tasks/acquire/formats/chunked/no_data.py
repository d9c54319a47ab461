"""What a file has no data of: whole positions, and parts of the detector.

A module's file or a chunk that is lost may leave every pattern without one part: its pixels are
masked. Where a few patterns lack a part that the others have, their positions are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

# More parts than this, each lost at other positions, are not told apart: those that are there at
# most positions are taken together.
MOST_PARTS = 64
# A part of the detector that more of the positions lack is masked; positions that lack another are
# left out.
MASKED_ABOVE = 0.5
# Of the values that are there, this part at least must be left by that.
LEAST_KEPT = 0.5


@dataclass(frozen=True)
class NoData:
    """What a file has no data of.

    Parameters
    ----------
    lost : (part, ...) array of bool
        True where a part of the detector has no data, along all axes but those of the detector.
    part : (detector_y, detector_x) array of int
        Which part each pixel belongs to.
    why : str
        What is not there, for people; empty where nothing is lost.
    awaited : tuple of str
        Names of files that are not there and may still come.
    note : str
        What is not stored and was believed to hold nothing but zeros.
    """

    lost: np.ndarray
    part: np.ndarray
    why: str = ""
    awaited: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def of_positions(
        cls, positions: np.ndarray, detector: Sequence[int], why: str
    ) -> "NoData | None":
        """Return that whole patterns are missing; None where none is."""
        if not positions.any():
            return None
        return cls(positions[None], np.zeros(tuple(detector), np.int64), why)

    @classmethod
    def of_chunks(
        cls,
        lost: np.ndarray,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        detector: tuple[int, int],
    ) -> "NoData":
        """Return what is missing where some chunks are.

        Parameters
        ----------
        lost : array of bool
            A value a chunk, along all axes.
        shape, chunks : tuple of int
            Of the array, and of one chunk.
        detector : pair of int
            Which axes are those of the detector.
        """
        detector = (detector[0] % len(shape), detector[1] % len(shape))
        scan = tuple(axis for axis in range(len(shape)) if axis not in detector)
        parts = lost.transpose(*detector, *scan)
        rows = parts.reshape(parts.shape[0] * parts.shape[1], -1)
        several, number = _distinct(rows)
        part = number.reshape(parts.shape[:2])
        for place, axis in enumerate(detector):
            part = np.repeat(part, chunks[axis], axis=place)
        found = several.reshape(-1, *parts.shape[2:])
        for place, axis in enumerate(scan, 1):
            found = np.repeat(found, chunks[axis], axis=place)
        held = tuple(slice(0, shape[axis]) for axis in scan)
        return cls(found[:, *held], part[: shape[detector[0]], : shape[detector[1]]])

    @property
    def positions(self) -> np.ndarray:
        """True where a pattern lacks any part that is lost somewhere."""
        return self.lost.any(axis=0)

    def transposed(self, scan: Sequence[int], detector: Sequence[int]) -> "NoData":
        """Return the same with the axes of the scan, and those of the detector, in other orders."""
        lost = self.lost.transpose(0, *(1 + axis for axis in scan))
        return replace(self, lost=lost, part=self.part.transpose(detector))

    def without_copies(self) -> "NoData":
        """Return the same with parts that are lost at the same positions as one."""
        several, number = _distinct(self.lost.reshape(len(self.lost), -1))
        lost = several.reshape(-1, *self.lost.shape[1:])
        return replace(self, lost=lost, part=number[self.part])


class Gaps(NamedTuple):
    """What is left out of a scan.

    Parameters
    ----------
    positions : (scan_y, scan_x) array of bool
        Not measured.
    partly : int
        How many of them lack only a part of the detector.
    pixels : (detector_y, detector_x) array of bool
        Masked.
    without : int
        At how many positions the file has patterns without some of these pixels.
    """

    positions: np.ndarray
    partly: int
    pixels: np.ndarray
    without: int


def joined(stacks: Sequence[tuple[int, NoData | None]], detector: Sequence[int]) -> NoData | None:
    """Return what several stacks one behind the other have no data of.

    Parameters
    ----------
    stacks : sequence of (int, NoData or None)
        How many patterns each has, and what it lacks.
    detector : pair of int
        Rows and columns of the detector.
    """
    found = [gap for _, gap in stacks if gap is not None]
    if not found:
        return None
    part = np.zeros(tuple(detector), np.int64)
    for gap in found:
        part = refined(part, gap.part)
    first = np.unique(part, return_index=True)[1]
    lost = [
        np.zeros((len(first), patterns), bool) if gap is None else gap.lost[gap.part.ravel()[first]]
        for patterns, gap in stacks
    ]
    why = "; ".join(gap.why for gap in found if gap.why)
    notes = "; ".join(dict.fromkeys(gap.note for gap in found if gap.note))
    return NoData(np.concatenate(lost, axis=1), part, why, note=notes).without_copies()


def refined(part: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return numbers from 0 that tell apart the parts that either of two images tells apart."""
    pairs = part.astype(np.int64) * (int(other.max()) + 1) + other
    return np.unique(pairs, return_inverse=True)[1].reshape(part.shape)


def separate(lost: np.ndarray, part: np.ndarray) -> Gaps | None:
    """Choose which positions are left out and which pixels are masked.

    Parameters
    ----------
    lost : (part, scan_y, scan_x) array of bool
    part : (detector_y, detector_x) array of int

    Returns
    -------
    Gaps or None
        None where too little would be left of what there is: neither positions nor parts of the
        detector then have gaps of their own.
    """
    size = np.bincount(part.ravel(), minlength=len(lost)).astype(float)
    nothing = lost[size > 0].all(axis=0)
    rest = ~nothing
    lacking = (lost & rest).sum(axis=(1, 2))
    masked = (lacking > MASKED_ABOVE * rest.sum()) & (size > 0)
    partly = (lost[~masked].any(axis=0) if not masked.all() else ~nothing) & rest
    there = float(size @ (rest.sum() - lacking))
    kept = float((rest & ~partly).sum() * size[~masked].sum())
    if there and kept < LEAST_KEPT * there:
        return None
    without = int((lost[masked].any(axis=0) & rest).sum())
    return Gaps(nothing | partly, int(partly.sum()), masked[part], without)


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that differ, and for each row which of them it is; few of them at most."""
    packed = np.packbits(rows, axis=1)
    _, first, number = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    several, number = rows[first], number.ravel()
    if len(several) <= MOST_PARTS:
        return several, number
    rarest_first = np.argsort(several.sum(axis=1), kind="stable")
    together = rarest_first[: len(several) - MOST_PARTS + 1]
    apart = rarest_first[len(together) :]
    renumbered = np.zeros(len(several), np.int64)
    renumbered[apart] = np.arange(1, len(apart) + 1)
    united = several[together].any(axis=0, keepdims=True)
    return np.concatenate([united, several[apart]]), renumbered[number]
